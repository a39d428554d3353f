// Turns the input of a door into a message that can be sent, or into every reason why it can't.

import { expect, test } from "bun:test";
import { draftOf } from "./draft.ts";
import { TEXT_PARTS_MAX } from "./limits.ts";

const given = {
  phone: "09121234567",
  text: "hello",
  lane: "normal",
  from: null,
  reference: null,
  callbackUrl: null,
  validForMs: null,
} as const;
const IR = { region: "IR", callbacks: { allowPrivate: false } };

test("a draft has the phone in E.164, and the parts that its text will be billed for", () => {
  expect(draftOf({ ...given, from: "Sluice", reference: "r1", validForMs: 60_000 }, IR)).toEqual({
    kind: "draft",
    draft: {
      phone: "+989121234567",
      text: "hello",
      lane: "normal",
      from: "Sluice",
      reference: "r1",
      callbackUrl: null,
      validForMs: 60_000,
      encoding: "gsm7",
      parts: 1,
    },
  });
  expect(draftOf({ ...given, text: "سلام".repeat(20) }, IR)).toMatchObject({
    draft: { encoding: "ucs2", parts: 2 },
  });
});

test("a refusal names every wrong field, and no other", () => {
  const callbackUrl = "http://127.0.0.1/";
  const all = draftOf({ ...given, phone: "12", text: "", from: " ", reference: "a\nb", callbackUrl }, IR);
  expect(all).toMatchObject({ kind: "refused" });
  const fields = ["phone", "text", "from", "reference", "callback_url"];
  expect("errors" in all && all.errors.map((e) => e.field)).toEqual(fields);
  const one = draftOf({ ...given, reference: "" }, IR);
  expect(one).toEqual({ kind: "refused", errors: [{ field: "reference", reason: "must not be empty" }] });
});

test("a text with the maximum number of parts is accepted; one character more is refused", () => {
  const text = "x".repeat(TEXT_PARTS_MAX * 153);
  expect(draftOf({ ...given, text }, IR)).toMatchObject({ draft: { parts: TEXT_PARTS_MAX } });
  expect(draftOf({ ...given, text: `${text}x` }, IR)).toEqual({
    kind: "refused",
    errors: [
      { field: "text", reason: `needs ${TEXT_PARTS_MAX + 1} parts; at most ${TEXT_PARTS_MAX} are allowed` },
    ],
  });
});
