// Which messages of a batch can be sent, in order, and why the others can't.

import { expect, test } from "bun:test";
import { type BatchItem, batchDrafts, itemsOf } from "./batch.ts";
import { templateOf } from "./template.ts";
import { REFERENCE_CHARS_MAX, TEXT_PARTS_MAX } from "./limits.ts";

const rules = { region: "IR", callbacks: { allowPrivate: false } };
const callbackUrl = "https://example.com/x";
const terms = { lane: "normal", from: "Sluice", validForMs: 60_000, callbackUrl } as const;
type Fields = { phone: string; text: string; reference: string | null };
const item = (fields: Partial<Fields> = {}): BatchItem => ({
  phone: "09121234567",
  text: "hello",
  reference: null,
  ...fields,
});
const check = (...items: BatchItem[]) => batchDrafts(items, terms, rules);

test("a sound message becomes a draft on the terms of its batch", () => {
  expect(check(item({ reference: "r" }))).toEqual({
    drafts: [
      {
        index: 0,
        draft: {
          ...terms,
          phone: "+989121234567",
          text: "hello",
          reference: "r",
          encoding: "gsm7",
          parts: 1,
        },
      },
    ],
    refused: [],
  });
});

test("each message is in one of the lists, in the order of the request, with every reason", () => {
  const { drafts, refused } = check(
    item({ phone: "1" }),
    item(),
    item({ text: "", reference: "a\nb" }),
    item(),
    item({ text: "x".repeat(153 * TEXT_PARTS_MAX + 1) }),
  );
  expect(drafts.map(({ index }) => index)).toEqual([1, 3]);
  expect(refused.map(({ index, errors }) => [index, errors.map(({ field }) => field)])).toEqual([
    [0, ["phone"]],
    [2, ["text", "reference"]],
    [4, ["text"]],
  ]);
});

test("of messages with the same reference the first counts, even if it is refused", () => {
  const again = { field: "reference", reason: "is that of message 1 of this batch" };
  const { drafts, refused } = check(
    item(),
    item({ reference: "a", phone: "1" }),
    item({ reference: "b" }),
    item({ reference: "a" }),
    item({ reference: "A" }),
    item(),
  );
  expect(drafts.map(({ index }) => index)).toEqual([0, 2, 4, 5]);
  expect(refused[1]).toEqual({ index: 3, errors: [again] });
});

test("a reference may be as long as that of a single message", () => {
  for (const character of ["r", "\u20ac", "\u{1f600}"]) {
    expect(check(item({ reference: character.repeat(REFERENCE_CHARS_MAX) })).refused).toEqual([]);
    const { drafts, refused } = check(item({ reference: character.repeat(REFERENCE_CHARS_MAX + 1) }));
    expect([drafts, refused[0]?.errors.map(({ field }) => field)]).toEqual([[], ["reference"]]);
  }
});

test("without parameters all phones get the text as it is, braces included", () => {
  expect(itemsOf(["1", "2"], "Hi {name}", null)).toEqual([
    { phone: "1", reference: null, text: "Hi {name}" },
    { phone: "2", reference: null, text: "Hi {name}" },
  ]);
});

test("with parameters each phone gets its own text, and what lacks one is refused alone", () => {
  const phones = ["09121234567", "2", "09121234568"];
  const items = itemsOf(phones, "Hi {name}", [{ name: "Ali" }, {}, { name: "Sara" }]);
  const { drafts, refused } = check(...items);
  expect(drafts.map(({ index, draft }) => [index, draft.phone, draft.text])).toEqual([
    [0, "+989121234567", "Hi Ali"],
    [2, "+989121234568", "Hi Sara"],
  ]);
  expect(refused.map(({ index, errors }) => [index, errors.map(({ field }) => field)])).toEqual([
    [1, ["parameters.name", "phone"]],
  ]);
});

test("a template is filled for each phone, also without parameters", () => {
  const template = templateOf("Hi {name}");
  expect(itemsOf(["1"], template, [{ name: "Ali" }])).toEqual([
    { phone: "1", reference: null, text: "Hi Ali" },
  ]);
  expect(itemsOf(["1"], template, null)).toEqual([
    { phone: "1", reference: null, errors: [{ field: "parameters.name", reason: "is missing" }] },
  ]);
  expect(itemsOf(["1"], templateOf("Hi"), null)).toEqual([{ phone: "1", reference: null, text: "Hi" }]);
});
