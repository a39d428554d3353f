// The GSM 7-bit default alphabet (3GPP TS 23.038, 6.2.1) and its extension table: which characters it has,
// how wide they are, and their codes. Leaves to others: how many parts a text takes (parts.ts).

// ESC is left out: it introduces the extension table and is not a character itself.
const BASIC =
  "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§" +
  "¿abcdefghijklmnopqrstuvwxyzäöñüà";
// 6.2.1.1: each is sent as ESC and this code.
const EXTENSION: Record<string, number> = {
  "\f": 0x0a,
  "^": 0x14,
  "{": 0x28,
  "}": 0x29,
  "\\": 0x2f,
  "[": 0x3c,
  "~": 0x3d,
  "]": 0x3e,
  "|": 0x40,
  "€": 0x65,
};
const ESC = 0x1b;

// By UTF-16 unit. The highest is € (U+20AC); above it the arrays give undefined.
const UNITS = 0x20ac + 1;
const CODES = new Uint8Array(UNITS);
/** Septets by UTF-16 unit: 0 or undefined if the alphabet lacks it. */
export const SEPTETS = new Uint8Array(UNITS);
for (const [place, c] of Array.from(BASIC).entries()) {
  SEPTETS[c.charCodeAt(0)] = 1;
  CODES[c.charCodeAt(0)] = place < ESC ? place : place + 1;
}
for (const [c, code] of Object.entries(EXTENSION)) {
  SEPTETS[c.charCodeAt(0)] = 2;
  CODES[c.charCodeAt(0)] = code;
}

const CHARS = new Map<number, string>();
const EXTENDED = new Map<number, string>();
for (const c of BASIC) CHARS.set(CODES[c.charCodeAt(0)] as number, c);
for (const [c, code] of Object.entries(EXTENSION)) EXTENDED.set(code, c);

/** The text of septets, one in each octet; null if one of them has no character. */
export function decodeGsm7(octets: Uint8Array): string | null {
  let text = "";
  for (let i = 0; i < octets.length; i++) {
    const octet = octets[i] as number;
    const char = octet === ESC ? EXTENDED.get(octets[++i] ?? ESC) : CHARS.get(octet);
    if (char === undefined) return null;
    text += char;
  }
  return text;
}

/** The text with one septet in each octet, as SMPP carries it; null if the alphabet lacks a character. */
export function encodeGsm7(text: string): Uint8Array | null {
  const octets: number[] = [];
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    const septets = SEPTETS[unit];
    if (!septets) return null;
    if (septets === 2) octets.push(ESC);
    octets.push(CODES[unit] as number);
  }
  return Uint8Array.from(octets);
}
