import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { holds } from "../../../test/support/seed.ts";
import { type End, endOfPart, endOfParts } from "./ends.ts";
import { REPORT_STATUSES, type ReportStatus } from "./report.ts";

const end = (status: ReportStatus, doneAtMs: number | null = null, error: string | null = null): End => ({
  status,
  error,
  doneAtMs,
});

describe("a message of parts", () => {
  test("is delivered when every part is, at the last one's time", () => {
    expect(endOfParts([end("delivered", 5), end("delivered", 9), end("delivered", 7)])).toEqual(
      end("delivered", 9),
    );
    expect(endOfParts([end("delivered", 5), null])).toBeNull();
    expect(endOfParts([end("delivered", 5), end("none", 9)])).toBeNull();
    expect(endOfParts([end("delivered", 5), end("unknown", 9)])).toBeNull();
    expect(endOfParts([end("delivered"), end("delivered", 4)])).toEqual(end("delivered", 4));
    expect(endOfParts([end("delivered")])).toEqual(end("delivered"));
  });

  test("has failed as soon as one part has, as the first that failed", () => {
    expect(endOfParts([null, end("undelivered", 7, "27"), null])).toEqual(end("undelivered", 7, "27"));
    expect(endOfParts([end("expired", 9), end("rejected", 7, "14")])).toEqual(end("rejected", 7, "14"));
    expect(endOfParts([end("expired"), end("rejected", 7)])).toEqual(end("rejected", 7));
    expect(endOfParts([end("expired"), end("rejected")])).toEqual(end("expired"));
  });

  test("has no end without reports; a single part may be unknown", () => {
    expect(endOfParts([])).toBeNull();
    expect(endOfParts([null, null])).toBeNull();
    expect(endOfParts([end("unknown", 5)])).toEqual(end("unknown", 5));
    expect(endOfParts([end("none", 5)])).toBeNull();
  });
});

describe("a part", () => {
  test("keeps its first end, and shows the best that is known before it", () => {
    const reports = [
      end("none", 1),
      end("unknown", 2),
      end("none", 3),
      end("expired", 4),
      end("delivered", 5),
    ];
    const seen = reports.map((_, i) =>
      reports.slice(0, i + 1).reduce((before: End | null, report) => endOfPart(before, report), null),
    );
    expect(seen.map((each) => each?.doneAtMs)).toEqual([1, 2, 2, 4, 4]);
  });

  // What decides a message must not depend on duplicates or on what comes after its end.
  test("ends the same whatever is repeated, and later reports change nothing", () => {
    const report = fc.record({
      status: fc.constantFrom(...REPORT_STATUSES),
      error: fc.constantFrom(null, "27"),
      doneAtMs: fc.constantFrom(null, 1, 2, 3),
    });
    const all = (reports: readonly End[]): End | null =>
      reports.reduce((before: End | null, each) => endOfPart(before, each), null);
    holds("repeats", fc.array(report, { maxLength: 6 }), (reports) => {
      expect(all(reports.flatMap((each) => [each, each]))).toEqual(all(reports));
      const first = reports.find(({ status }) => status !== "none" && status !== "unknown");
      if (first !== undefined) expect(all(reports)).toEqual(first);
    });
  });
});
