// Reports that can't be read, and what of a report is left alone. Right readings are in receipt-
// receipt-cases.test.ts.

import type { RawReport } from "../../core/raw-report.ts";
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { idNumber } from "../../core/id.ts";
import { REPORT_ENTRIES_MAX, REPORT_ID_CHARS_MAX } from "../../core/limits.ts";
import { deliverPdu } from "../../../test/support/deliver-pdu.ts";
import { holds } from "../../../test/support/seed.ts";
import { readReport } from "./read.ts";
import {
  DEFAULT_TERMS,
  type Reading,
  REPORT_SHAPES,
  ReportError,
  type ReportShape,
  type ReportTerms,
} from "./report.ts";

const at = { operator: "op", receivedAtMs: Date.UTC(2026, 10, 4, 18) };
const terms = (shape: ReportShape, more: Partial<ReportTerms> = {}): ReportTerms => ({
  ...DEFAULT_TERMS,
  shape,
  ...more,
});
const http = (body: string | Uint8Array, contentType = "application/json", query = ""): RawReport => ({
  ...at,
  via: "http",
  contentType,
  query,
  body: typeof body === "string" ? Buffer.from(body) : body,
});
const smpp = (pdu: Uint8Array): RawReport => ({ ...at, via: "smpp", pdu });

/** The reason why it can't be read; null if it can. */
function problemOf(raw: RawReport, of: ReportTerms): string | null {
  try {
    readReport(raw, of);
    return null;
  } catch (err) {
    if (!(err instanceof ReportError)) throw err;
    expect(err.message).toStartWith(err.reason);
    return err.reason;
  }
}
const first = (readings: Reading[]): Reading => {
  expect(readings).toHaveLength(1);
  return readings[0] as Reading;
};

describe("a body", () => {
  const generic = terms("generic");

  test("that is no JSON, no UTF-8, or another shape can't be read", () => {
    expect(problemOf(http('{"id":'), generic)).toBe("not_json");
    expect(problemOf(http("id is 7"), generic)).toBe("not_json");
    expect(problemOf(http(Buffer.from('{"id":"\xff"}', "latin1")), generic)).toBe("not_utf8");
    expect(problemOf(http("id=%ff&status=DELIVRD", ""), generic)).toBe("not_utf8");
    expect(problemOf(http("[".repeat(500_000)), generic)).toBe("not_json");
    expect(problemOf(http("<xml/>", "text/xml"), generic)).toBe("no_fields");
    expect(problemOf(http(""), generic)).toBe("no_fields");
    expect(problemOf(http("{}"), generic)).toBe("no_fields");
    expect(problemOf(http('{"results":5}'), terms("infobip"))).toBe("no_entries");
    expect(problemOf(http('{"messages":[]}'), terms("infobip"))).toBe("no_entries");
    expect(problemOf(http("null"), generic)).toBe("no_entries");
  });

  test("nested as deep as 1 MB allows can't be read, and breaks nothing", () => {
    const depth = 250_000;
    expect(problemOf(http(`{"a":${"[".repeat(depth)}${"]".repeat(depth)},"id":"7"}`), generic)).toBe(
      "not_json",
    );
  });

  test(`has ${REPORT_ENTRIES_MAX} entries at most`, () => {
    const list = (length: number) =>
      http(JSON.stringify({ results: Array.from({ length }, (_, i) => ({ messageId: `i${i}` })) }));
    expect(readReport(list(REPORT_ENTRIES_MAX), terms("infobip"))).toHaveLength(REPORT_ENTRIES_MAX);
    expect(problemOf(list(REPORT_ENTRIES_MAX + 1), terms("infobip"))).toBe("too_many_entries");
    const form = (length: number) => http(`id=7&status=ENROUTE&${"a=b&".repeat(length - 2)}`, "");
    expect(problemOf(form(REPORT_ENTRIES_MAX), generic)).toBeNull();
    expect(problemOf(form(REPORT_ENTRIES_MAX + 1), generic)).toBe("too_many_entries");
  });

  test("with a bad entry gives the others all the same", () => {
    const body = '{"results":[null,7,{"status":{"groupId":3}},{"messageId":"i1","status":{"groupId":3}}]}';
    const readings = readReport(http(body), terms("infobip"));
    expect(readings.map(({ operatorMessageIds }) => operatorMessageIds)).toEqual([[], [], [], ["i1"]]);
  });

  test("is JSON by its content, whatever its type says, and with a byte order mark", () => {
    for (const type of [
      "application/json; charset=utf-8",
      "application/x-www-form-urlencoded",
      "text/plain",
      "",
    ])
      expect(first(readReport(http('\ufeff {"id":"7","status":"DELIVRD"}', type), generic)).status).toBe(
        "delivered",
      );
  });

  test("keeps numbers as they were written", () => {
    for (const id of ["9007199254740993", "1.0", "1e3", "-0", "0.10", "123456789012345678901234567890"])
      expect(first(readReport(http(`{"id":${id},"status":"ENROUTE"}`), generic)).operatorMessageIds).toEqual([
        id,
      ]);
  });

  test("has fields of its own only: what every object inherits is none", () => {
    const inherited = terms("generic", { template: { id: "constructor.name", status: "status" } });
    expect(first(readReport(http('{"status":"DELIVRD"}'), inherited)).operatorMessageIds).toEqual([]);
    const own = terms("generic", { template: { id: "__proto__", status: "status" } });
    expect(first(readReport(http('{"__proto__":"7","status":"ACKED"}'), own)).operatorMessageIds).toEqual([
      "7",
    ]);
  });

  test("with an id longer than any that is stored names no message", () => {
    const read = (length: number) =>
      first(readReport(http(`{"id":"${"7".repeat(length)}","status":"DELIVRD"}`), generic))
        .operatorMessageIds;
    expect(read(REPORT_ID_CHARS_MAX)).toEqual(["7".repeat(REPORT_ID_CHARS_MAX)]);
    expect(read(REPORT_ID_CHARS_MAX + 1)).toEqual([]);
  });

  test("has the usual names for all fields that the template doesn't name", () => {
    const template = { our_id: "ref" };
    const json = '{"id":"7","status":"UNDELIV","error":"5","done_at":"2026-11-04T08:11:00Z","ref":"x"}';
    const named = { operatorMessageIds: ["7"], status: "undelivered", error: "5" };
    const doneAtMs = Date.UTC(2026, 10, 4, 8, 11);
    expect(first(readReport(http(json), terms("generic", { template })))).toMatchObject({
      ...named,
      doneAtMs,
    });
    const query = "status=2&id=7&reply=err%3A5+stat%3AUNDELIV&ref=x";
    expect(first(readReport(http("", "", query), terms("kannel", { template })))).toMatchObject(named);
    // A name that the template gives is the only one for its field, and the field means nothing else.
    const others: Record<string, string>[] = [{ id: "number" }, { our_id: "id" }];
    for (const other of others) {
      const reading = first(readReport(http(json), terms("generic", { template: other })));
      expect(reading).toMatchObject({ ...named, operatorMessageIds: [] });
    }
  });

  test("says its status in the operator's own words, where the terms have them", () => {
    const own = terms("generic", { words: { "4": "delivered", Lost: "undelivered", deleted: "expired" } });
    const read = (status: string) => first(readReport(http(`{"id":"7","status":${status}}`), own)).status;
    expect(["4", '"LOST"', '"DELETED"', '"DELIVRD"', '"SUCCESS"'].map(read)).toEqual([
      "delivered",
      "undelivered",
      "expired",
      "delivered",
      "unknown",
    ]);
  });
});

describe("our own id", () => {
  const ULID = "01JBTM7R8NQZ5V4XAHGB2C3D4E";
  const echo = (shape: ReportShape) => terms(shape, { echoesId: true, template: { our_id: "ref" } });

  test("is read where the operator echoes it, from body or query", () => {
    expect(first(readReport(http(`{"status":"delivered","ref":"${ULID}"}`), echo("vonage"))).ourId).toBe(
      ULID,
    );
    const query = http("MessageSid=SM1&MessageStatus=delivered", "", `ref=${ULID.toLowerCase()}`);
    expect(first(readReport(query, echo("twilio"))).ourId).toBe(ULID);
  });

  test("that is none, or that nothing says is echoed, is not taken", () => {
    expect(first(readReport(http('{"status":"delivered","ref":"7"}'), echo("vonage"))).ourId).toBeNull();
    const silent = terms("vonage", { template: { our_id: "ref" } });
    expect(first(readReport(http(`{"status":"delivered","ref":"${ULID}"}`), silent)).ourId).toBeNull();
  });

  test("is known by its number only in the answer of a look-up, of the message that was asked about", () => {
    const [asked, other] = ["01KDA0000000000000000000AA", "01KDA0000000000000000000AB"];
    const kavenegar = (localid: string, query: string, more = "") =>
      readReport(
        http(`{"entries":[{"messageid":7,"localid":${localid},"status":10}${more}]}`, "", query),
        terms("kavenegar"),
      ).map(({ ourId }) => ourId);
    const query = `asked_id=${asked}`;
    expect(kavenegar(idNumber(asked), query)).toEqual([asked]);
    expect(kavenegar(`"${idNumber(asked)}"`, query)).toEqual([asked]);
    expect(kavenegar(idNumber(other), query)).toEqual([null]);
    expect(kavenegar(idNumber(asked), "")).toEqual([null]);
    expect(kavenegar(idNumber(asked), "asked_id=7")).toEqual([null]);
    const two = `,{"messageid":8,"localid":${idNumber(asked)},"status":11}`;
    expect(kavenegar(idNumber(asked), query, two)).toEqual([null, null]);
    const numbered = terms("generic", { echoesId: true, template: { our_id: "ref", status: "status" } });
    const generic = (ref: string) =>
      first(readReport(http(`{"ref":${ref},"status":"DELIVRD"}`, "", query), numbered)).ourId;
    expect([idNumber(asked), idNumber(other), `"${other}"`].map(generic)).toEqual([asked, null, other]);
  });

  test("in a query is about a single report, never about a list of them", () => {
    const list = (body: string) =>
      readReport(http(body, "application/json", `?ref=${ULID}`), echo("infobip"));
    expect(list('{"results":[{"messageId":"a"}]}').map(({ ourId }) => ourId)).toEqual([ULID]);
    expect(list('{"results":[{"messageId":"a"},{"messageId":"b"}]}').map(({ ourId }) => ourId)).toEqual([
      null,
      null,
    ]);
  });
});

describe("a PDU", () => {
  const receipt =
    "id:7 sub:001 dlvrd:001 submit date:2611040810 done date:2611040811 stat:DELIVRD err:000 text:";
  const pdu = deliverPdu({ shortMessage: Buffer.from(receipt) });

  test("that is none, or another one, can't be read", () => {
    const changed = (offset: number, value: number) => {
      const bytes = Buffer.from(pdu);
      bytes.writeUInt32BE(value, offset);
      return smpp(bytes);
    };
    expect(problemOf(smpp(new Uint8Array(0)), terms("smpp"))).toBe("not_pdu");
    expect(problemOf(smpp(pdu.subarray(0, 15)), terms("smpp"))).toBe("not_pdu");
    expect(problemOf(changed(0, 2 ** 31), terms("smpp"))).toBe("not_pdu");
    expect(problemOf(changed(4, 0x4), terms("smpp"))).toBe("not_pdu"); // submit_sm
    expect(problemOf(changed(4, 0x80000005), terms("smpp"))).toBe("not_pdu"); // deliver_sm_resp
  });

  test("of 64 KiB of blanks or keys is read at once", () => {
    const startedAt = performance.now();
    for (const payload of [
      " ".repeat(65_000),
      "id: ".repeat(16_000),
      `id:7 ${"stat:X\t".repeat(9_000)}`,
      "\0".repeat(65_000),
    ]) {
      const tlvs = [[0x424, Buffer.from(payload)] as const];
      first(readReport(smpp(deliverPdu({ tlvs })), terms("smpp")));
    }
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });

  test("that arrives where another shape is expected, and the other way round, can't be read", () => {
    expect(problemOf(smpp(pdu), terms("twilio"))).toBe("wrong_way");
    expect(problemOf(http("{}"), terms("smpp"))).toBe("wrong_way");
  });

  test("says which of two statuses counts, and that they disagree", () => {
    const read = (stat: string, state: number) => {
      const shortMessage = Buffer.from(receipt.replace("DELIVRD", stat));
      const { status, disagrees } = first(
        readReport(smpp(deliverPdu({ shortMessage, tlvs: [[0x427, Uint8Array.of(state)]] })), terms("smpp")),
      );
      return [status, disagrees];
    };
    expect(read("DELIVRD", 5)).toEqual(["undelivered", true]);
    expect(read("UNDELIV", 2)).toEqual(["delivered", true]);
    expect(read("DELETED", 5)).toEqual(["undelivered", false]);
    expect(read("SPMFLTR", 8)).toEqual(["rejected", false]);
    expect(read("DELIVRD", 10)).toEqual(["delivered", false]);
  });
});

describe("any bytes", () => {
  const isSound = (readings: Reading[]): void => {
    for (const { operatorMessageIds, error, doneAtMs } of readings) {
      expect(operatorMessageIds.every((id) => id !== "" && id.length <= REPORT_ID_CHARS_MAX)).toBe(true);
      expect(error === null || !/^0*$/.test(error)).toBe(true);
      expect(doneAtMs === null || Number.isSafeInteger(doneAtMs)).toBe(true);
    }
  };
  /** Readings, or a ReportError: nothing else comes out. */
  const isRead = (raw: RawReport, of: ReportTerms): void => {
    try {
      isSound(readReport(raw, of));
    } catch (err) {
      if (!(err instanceof ReportError)) throw err;
    }
  };
  const bytes = fc.uint8Array({ maxLength: 200 });
  const httpShape = fc.constantFrom(...REPORT_SHAPES.filter((shape) => shape !== "smpp"));

  test("in a PDU give readings or a ReportError", () => {
    const spec = fc.record({
      esmClass: fc.integer({ min: 0, max: 255 }),
      dataCoding: fc.integer({ min: 0, max: 255 }),
      shortMessage: fc.oneof(
        bytes,
        fc
          .string({ maxLength: 40 })
          .map((text) => Buffer.from(`id:${text} stat:${text} done date:${text}`, "latin1")),
      ),
      tlvBytes: bytes,
    });
    holds("pdu", fc.tuple(spec, fc.boolean()), ([each, plainReceipts]) => {
      isRead(smpp(deliverPdu(each)), terms("smpp", { plainReceipts }));
      isRead(smpp(each.tlvBytes), terms("smpp"));
    });
  });

  test("in a body or a query, and any JSON, give readings or a ReportError in every shape", () => {
    const names =
      "id status messageId MessageSid MessageStatus messageid results entries doneAt err-code error";
    const name = fc.constantFrom(...names.split(" "), "timestamp", "groupId", "ErrorCode", "RawDlrDoneDate");
    const value = fc.oneof(
      fc.string(),
      fc.constantFrom("delivered", "3", "DELIVRD", "2611040811"),
      fc.jsonValue(),
    );
    const object = fc.dictionary(
      name,
      fc.oneof(value, fc.array(fc.dictionary(name, value), { maxLength: 3 })),
    );
    const body = fc.oneof(
      bytes,
      object.map((each) => Buffer.from(JSON.stringify(each))),
      fc
        .array(fc.tuple(name, fc.string()))
        .map((pairs) => Buffer.from(new URLSearchParams(pairs).toString())),
    );
    holds("http", fc.tuple(body, fc.string(), httpShape), ([each, query, shape]) =>
      isRead(http(each, "application/x-www-form-urlencoded", query), terms(shape)),
    );
  });
});
