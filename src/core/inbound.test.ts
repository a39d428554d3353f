// Inbound messages: joining their parts, what makes two of them the same, and bounds.

import { expect, test } from "bun:test";
import {
  boundedText,
  idKeyOf,
  type Inbound,
  joined,
  joinKeyOf,
  partKeyOf,
  partOf,
  textKeyOf,
} from "./inbound.ts";
import { INBOUND_JSON_CHARS_MAX, INBOUND_TEXT_CHARS_MAX } from "./inbound-limits.ts";

const inbound = (fields: Partial<Inbound> = {}): Inbound => ({
  operator: "A",
  operatorMessageId: "7",
  from: "989121234567",
  to: "3000",
  text: "hello",
  receivedAtMs: 1_000,
  part: null,
  parts: 1,
  missingParts: 0,
  ...fields,
});
const part = (number: number, text: string, total = 3) =>
  inbound({ text, receivedAtMs: number, part: { reference: "udh 1", total, number } });

test("parts are joined in their order, whatever order they came in; halves of a character meet", () => {
  const whole = joined([part(3, "!"), part(1, "a\ud83d"), part(2, "\ude00b")]);
  expect(whole).toMatchObject({ text: "a😀b!", parts: 3, missingParts: 0, part: null, receivedAtMs: 3 });
  expect(joined([part(2, "b"), part(3, "c")])).toMatchObject({ text: "bc", parts: 3, missingParts: 1 });
});

test("what can't be one of several parts is whole", () => {
  expect(partOf("r", 2, 1)).toEqual({ reference: "r", total: 2, number: 1 });
  for (const [total, number] of [
    [1, 1],
    [2, 0],
    [2, 3],
    [256, 1],
    [Number.NaN, 1],
    [2.5, 1],
  ] as const)
    expect(partOf("r", total, number)).toBeNull();
});

test("keys are equal for what is the same, and only for that", () => {
  const all = [inbound({ text: "other" }), inbound({ from: "989120000000" }), inbound({ to: "3001" })].map(
    textKeyOf,
  );
  expect(new Set([...all, textKeyOf(inbound())]).size).toBe(4);
  expect(textKeyOf(inbound({ operator: "B", operatorMessageId: "8" }))).toBe(textKeyOf(inbound()));
  expect(idKeyOf(inbound({ text: "x" }))).toBe(idKeyOf(inbound()));
  expect(idKeyOf(inbound({ operator: "B" }))).not.toBe(idKeyOf(inbound()));
  expect(idKeyOf(inbound({ operatorMessageId: null }))).toBeNull();
  const [one, two] = [part(1, "a"), part(2, "b")];
  const of = (each: Inbound) => each.part ?? { reference: "", total: 0, number: 0 };
  expect(joinKeyOf(one, of(one))).toBe(joinKeyOf(two, of(two)));
  expect(joinKeyOf(part(1, "a", 2), of(part(1, "a", 2)))).not.toBe(joinKeyOf(one, of(one)));
  expect(partKeyOf(one, of(one))).toBe(partKeyOf(part(1, "a"), of(one)));
  expect(partKeyOf(part(1, "later"), of(one))).not.toBe(partKeyOf(one, of(one)));
});

test("a text is cut where its row or its event has no room for more, and says so", () => {
  expect(boundedText("hello")).toEqual({ text: "hello", isCut: false });
  const long = boundedText("x".repeat(5_000));
  expect([long.text.length, long.isCut]).toEqual([INBOUND_TEXT_CHARS_MAX, true]);
  const escaped = boundedText("\u0001".repeat(4_000));
  expect(JSON.stringify(escaped.text).length).toBeLessThanOrEqual(INBOUND_JSON_CHARS_MAX);
  expect(escaped.isCut).toBe(true);
  expect(boundedText("a\ud83d").text).toBe("a\ufffd");
});
