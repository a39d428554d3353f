// A text as SMPP carries it: its parts in the operator's alphabet, with the data_coding that says so, always
// set by us. GSM-7 goes unpacked, one septet an octet; everything else as UCS-2, big-endian.
// Invariants: as many parts as the customer paid for; no character is replaced; an extension character, or a
// pair of surrogates, is never split.

import { encodeGsm7 } from "../../core/gsm7.ts";
import { countParts, splitParts } from "../../core/parts.ts";

/** What an operator reads in a text that isn't UCS-2. */
export const ALPHABETS = ["gsm", "latin1", "ascii"] as const;
export type Alphabet = (typeof ALPHABETS)[number];

export type SmppText = { dataCoding: number; parts: Uint8Array[] };

/** The SMSC's default alphabet, Latin-1, UCS-2 (5.2.19). */
const DATA_CODING = { gsm: 0, latin1: 3, ascii: 0 } as const satisfies Record<Alphabet, number>;
const UCS2_CODING = 8;

// Of a part by itself, and of one among several with its concatenation header (TS 23.040, 9.2.3.24.1).
const UCS2_SINGLE = 70;
const UCS2_EACH = 67;

/**
 * `dataCoding` replaces the usual value for the alphabet. Null if the alphabet lacks a character of a GSM-7
 * text that would take more parts as UCS-2 than were paid for.
 */
export function smppText(
  text: string,
  alphabet: Alphabet,
  dataCoding: number = DATA_CODING[alphabet],
): SmppText | null {
  const texts = splitParts(text);
  if (countParts(text).encoding === "gsm7") {
    const parts = texts.map((part) => encodeIn(alphabet, part));
    if (parts.every((part) => part !== null)) return { dataCoding, parts };
    const room = texts.length === 1 ? UCS2_SINGLE : UCS2_EACH;
    if (texts.some((part) => part.length > room)) return null;
  }
  return { dataCoding: UCS2_CODING, parts: texts.map(encodeUcs2) };
}

function encodeIn(alphabet: Alphabet, text: string): Uint8Array | null {
  if (alphabet === "gsm") return encodeGsm7(text);
  const lacks = alphabet === "latin1" ? /[^\u0000-\u00ff]/ : /[^\u0000-\u007f]/;
  return lacks.test(text) ? null : Buffer.from(text, "latin1");
}

const encodeUcs2 = (text: string): Uint8Array => Buffer.from(text, "utf16le").swap16();
