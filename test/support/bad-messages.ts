// Messages with one field that can't be accepted, for every route that takes a message.

import { FROM_CHARS_MAX, REFERENCE_CHARS_MAX } from "../../src/core/limits.ts";
import { message } from "./refusals.ts";

/** Name, body, and the field that is refused. */
export const BAD_MESSAGES: readonly (readonly [name: string, body: object, field: string])[] = [
  ["an unknown field", { ...message, colour: "red" }, "colour"],
  [
    "__proto__ as a field",
    JSON.parse(`{"__proto__":{"x":1},${JSON.stringify(message).slice(1)}`) as object,
    "__proto__",
  ],
  ["constructor as a field", { ...message, constructor: 1 }, "constructor"],
  ["no phone", { text: "x", type: "normal" }, "phone"],
  ["an empty text", { ...message, text: "" }, "text"],
  ["a text of 11 parts", { ...message, text: "a".repeat(153 * 10 + 1) }, "text"],
  ["a text of 11 parts of UCS-2", { ...message, text: "س".repeat(67 * 10 + 1) }, "text"],
  ["a text that fills the body", { ...message, text: "a".repeat(60_000) }, "text"],
  ["a NUL", { ...message, text: "a\0b" }, "text"],
  ["a lone high surrogate", { ...message, text: "a\ud83d" }, "text"],
  ["a lone low surrogate", { ...message, text: "\ude00a" }, "text"],
  ["a text that is a number", { ...message, text: 5 }, "text"],
  ["a text that is null", { ...message, text: null }, "text"],
  ["a phone that is none", { ...message, phone: "hello" }, "phone"],
  ["a phone too short", { ...message, phone: "0912" }, "phone"],
  ["a phone too long", { ...message, phone: "0".repeat(500) }, "phone"],
  ["a phone of more digits than E.164 has", { ...message, phone: "+810066375082487667" }, "phone"],
  ["a phone as a number", { ...message, phone: 9121234567 }, "phone"],
  ["a phone as an array", { ...message, phone: ["09121234567"] }, "phone"],
  ["an unknown type", { ...message, type: "fast" }, "type"],
  ["a type in capitals", { ...message, type: "NORMAL" }, "type"],
  ["a type that is a prototype's name", { ...message, type: "toString" }, "type"],
  ["a sender that is too long", { ...message, from: "x".repeat(FROM_CHARS_MAX + 1) }, "from"],
  ["a sender with a newline", { ...message, from: "a\nb" }, "from"],
  ["a sender of 12 letters", { ...message, from: "abcdefghijkl" }, "from"],
  ["a sender of 16 digits", { ...message, from: "1234567890123456" }, "from"],
  ["a sender of blanks", { ...message, from: "   " }, "from"],
  ["a sender in emoji", { ...message, from: "😀" }, "from"],
  ["a sender outside GSM-7", { ...message, from: "شرکت" }, "from"],
  ["a phone with an extension", { ...message, phone: "09121234567 ext 5" }, "phone"],
  ["an empty reference", { ...message, reference: "" }, "reference"],
  [
    "a reference that is too long",
    { ...message, reference: "x".repeat(REFERENCE_CHARS_MAX + 1) },
    "reference",
  ],
  [
    "a reference long in code points, short in graphemes",
    { ...message, reference: `e${"\u0301".repeat(500)}` },
    "reference",
  ],
  ["a reference with control characters", { ...message, reference: "a\u0001" }, "reference"],
  ["a reference with a lone surrogate", { ...message, reference: "\ud800" }, "reference"],
];
