// What `dlq` prints.

import { expect, test } from "bun:test";
import { asTable, hexDump, told } from "./dead-letters.ts";

const letter = {
  id: 7,
  source: "record",
  place: "sms.normal/3/1042",
  reason: "bad\u001b[31m",
  createdAtMs: 0,
  bytes: 12,
} as const;

test("letters are listed under their headings, without control characters; a cut list says so", () => {
  expect(asTable([letter], 100).split("\n")).toEqual([
    "id  source  place              since                     bytes  reason",
    " 7  record  sms.normal/3/1042  1970-01-01T00:00:00.000Z     12  bad?[31m",
  ]);
  expect(asTable([letter], 1)).toEndWith("the first 1: --limit shows more");
  expect(asTable([], 1)).toBe("no dead letters");
});

test("what went back, what is sent of it and what isn't, is said in one line", () => {
  const over = [{ id: "01A", why: "failed and refunded" }];
  expect(told(7, { kind: "requeued", into: "outbox", messages: ["01B", "01C"], over }, "back")).toBe(
    "back to the outbox; messages to send: 01B, 01C; not to send: 01A is failed and refunded",
  );
  expect(told(7, { kind: "requeued", into: "outbox", messages: [], over: [] }, "it would go")).toBe(
    "it would go to the outbox, for the report",
  );
  expect(told(7, { kind: "requeued", into: "webhook_events", messages: [], over: [] }, "back")).toBe(
    "back to webhook_events; if it still can't be read there, it becomes a letter again",
  );
  expect(told(7, { kind: "over", over: [] }, "back")).toContain("(it has none)");
});

test("bytes are dumped by sixteen, with what is printable beside them", () => {
  expect(hexDump(Buffer.from("0123456789abcdef\0Z")).split("\n")).toEqual([
    "00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef",
    `00000010  00 5a${" ".repeat(42)}  .Z`,
  ]);
  expect(hexDump(Buffer.alloc(0))).toBe("(no bytes)");
});
