import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { holds } from "../../../test/support/seed.ts";
import { CODES, LAST_ERROR_CHARS_MAX, LAST_ERRORS, lastErrorOf } from "./codes.ts";
import {
  DEFAULT_TERMS,
  REPORT_SHAPES,
  REPORT_STATUSES,
  type ReportShape,
  type ReportTerms,
} from "./report.ts";

const terms = (shape: ReportShape, more: Partial<ReportTerms> = {}): ReportTerms => ({
  ...DEFAULT_TERMS,
  shape,
  ...more,
});
const failed = (shape: ReportShape, error: string | null, more?: Partial<ReportTerms>) =>
  lastErrorOf({ status: "undelivered", error }, terms(shape, more));

describe("last_error", () => {
  test("names what the operator's code means, with the code as it came", () => {
    expect(failed("smpp", "3:27")).toBe("absent_subscriber (3:27)");
    expect(failed("twilio", "30007")).toBe("blocked_by_filter (30007)");
    expect(failed("infobip", "256")).toBe("memory_full (256)");
    expect(failed("vonage", "11")).toBe("unreachable (11)");
    expect(failed("sns", "Phone has blocked SMS")).toBe("opted_out (Phone has blocked SMS)");
    expect(lastErrorOf({ status: "rejected", error: "14" }, terms("kavenegar"))).toBe("opted_out (14)");
  });

  test("is other for a code that isn't in the tables, and unknown without one", () => {
    expect(failed("twilio", "39999")).toBe("other (39999)");
    expect(failed("smpp", null)).toBe("unknown");
    expect(lastErrorOf({ status: "unknown", error: "255" }, terms("smpp"))).toBe("other (255)");
  });

  test("of what expired or was rejected says at least that", () => {
    expect(lastErrorOf({ status: "expired", error: null }, terms("smpp"))).toBe("expired");
    expect(lastErrorOf({ status: "rejected", error: "954" }, terms("smpp"))).toBe("rejected (954)");
    expect(lastErrorOf({ status: "expired", error: "27" }, terms("infobip"))).toBe("absent_subscriber (27)");
  });

  test("is none for what is delivered or under way, whatever code comes with it", () => {
    for (const status of ["delivered", "none"] as const)
      expect(lastErrorOf({ status, error: "3:27" }, terms("smpp"))).toBeNull();
  });

  test("doesn't guess at the err of an SMPP receipt, unless the terms say what it means", () => {
    expect(failed("smpp", "001")).toBe("other (001)");
    expect(failed("smpp", "001", { errorCodes: "map" })).toBe("unknown_subscriber (001)");
    expect(failed("smpp", "001", { errorCodes: { "1": "memory_full" } })).toBe("memory_full (001)");
    expect(failed("smpp", "4e1", { errorCodes: { "4e1": "blocked_by_filter" } })).toBe(
      "blocked_by_filter (4e1)",
    );
    expect(failed("smpp", "3:1", { errorCodes: { "3:1": "barred" } })).toBe("barred (3:1)");
  });

  test("is printable ASCII of at most 100 characters, whatever the code", () => {
    const reading = fc.record({
      status: fc.constantFrom(...REPORT_STATUSES),
      error: fc.oneof(
        fc.constant(null),
        fc.string({ maxLength: 300, unit: "binary" }),
        fc.constant("__proto__"),
      ),
    });
    holds("printable", fc.tuple(reading, fc.constantFrom(...REPORT_SHAPES)), ([each, shape]) => {
      const text = lastErrorOf(each, terms(shape));
      if (text === null) return;
      expect(text).toMatch(/^[\x20-\x7e]+$/);
      expect(text.length).toBeLessThanOrEqual(LAST_ERROR_CHARS_MAX);
      expect(Object.keys(LAST_ERRORS)).toContain(text.split(" ", 1)[0] ?? "");
    });
  });

  test("every shape has a table, and no code in two spellings", () => {
    expect(Object.keys(CODES).toSorted()).toEqual([...REPORT_SHAPES].toSorted());
    for (const codes of Object.values(CODES))
      for (const code of Object.keys(codes)) expect(code).not.toMatch(/^0/);
  });
});
