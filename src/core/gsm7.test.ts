// The alphabet's codes, compared with the standard's own table; widths are compared in parts-laws.test.ts.

import { expect, test } from "bun:test";
import { decodeGsm7, encodeGsm7 } from "./gsm7.ts";

// TS 23.038, 6.2.1, column by column, 16 rows each; 0x1B is the escape.
const TABLE = [
  "@£$¥èéùìòÇ\nØø\rÅå",
  "Δ_ΦΓΛΩΠΨΣΘΞ\u001bÆæßÉ",
  " !\"#¤%&'()*+,-./",
  "0123456789:;<=>?",
  "¡ABCDEFGHIJKLMNO",
  "PQRSTUVWXYZÄÖÑÜ§",
  "¿abcdefghijklmno",
  "pqrstuvwxyzäöñüà",
].join("");

test("each character has the code of its place in the table", () => {
  for (const [code, c] of Array.from(TABLE).entries())
    if (code !== 0x1b) expect([c, ...(encodeGsm7(c) ?? [])]).toEqual([c, code]);
});

test("an extension character is the escape and its code", () => {
  expect(Array.from(encodeGsm7("a\f^{}\\[~]|€") ?? [])).toEqual([
    0x61,
    ...[0x0a, 0x14, 0x28, 0x29, 0x2f, 0x3c, 0x3d, 0x3e, 0x40, 0x65].flatMap((code) => [0x1b, code]),
  ]);
});

test("a text with any other character, ESC too, has no encoding", () => {
  for (const text of ["\u001b", "ç", "aس", "😀", "\uffff", "`"]) expect(encodeGsm7(text)).toBeNull();
});

test("septets have the text that they encode; a code of no character has none", () => {
  const text = `${TABLE.replace("\u001b", "")}\f^{}\\[~]|€`;
  expect(decodeGsm7(encodeGsm7(text) as Uint8Array)).toBe(text);
  for (const octets of [[0x80], [0x1b], [0x41, 0x1b], [0x1b, 0x41]])
    expect(decodeGsm7(Uint8Array.from(octets))).toBeNull();
});
