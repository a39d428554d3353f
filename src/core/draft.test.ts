// Turns the input of a door into a message that can be sent, or into every reason why it can't.

import { expect, test } from "bun:test";
import { draftOf } from "./draft.ts";
import { TEXT_PARTS_MAX } from "./limits.ts";
import { quietUntilOf } from "./quiet-hours.ts";

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

test("a normal message waits for the end of quiet hours, also one for a time within them; express does not", () => {
  const nightly = { fromMin: 22 * 60, untilMin: 8 * 60, zone: "UTC", prefix: "" };
  const nowMs = Date.parse("2026-06-01T23:00:00Z");
  const quiet = { until: quietUntilOf([nightly]), nowMs };
  const sendAtMs = Date.parse("2026-06-02T08:00:00Z");
  const sent = (input: object) => draftOf({ ...given, ...input }, { ...IR, quiet });
  expect(sent({})).toMatchObject({ draft: { sendAtMs, validForMs: null } });
  expect(sent({ sendAtMs: nowMs + 60_000 })).toMatchObject({ draft: { sendAtMs } });
  expect(sent({ validForMs: 36_000_000 })).toMatchObject({ draft: { sendAtMs, validForMs: 3_600_000 } });
  const later = sendAtMs + 3_600_000;
  expect(sent({ sendAtMs: later, validForMs: 60_000 })).toMatchObject({ draft: { sendAtMs: later } });
  const express = sent({ lane: "express", validForMs: 60_000 });
  expect(express.kind === "draft" && "sendAtMs" in express.draft).toBe(false);
  const early = sent({ text: "", validForMs: 3_600_000 });
  expect("errors" in early && early.errors.map(({ field }) => field)).toEqual(["text", "valid_for"]);
});

test("a sender that the customer may not use is refused", () => {
  const rules = { ...IR, senders: new Set(["Sluice"]) };
  expect(draftOf({ ...given, from: "Sluice" }, rules).kind).toBe("draft");
  expect(draftOf(given, rules).kind).toBe("draft");
  expect(draftOf({ ...given, from: "Other" }, rules)).toMatchObject({ errors: [{ field: "from" }] });
});
