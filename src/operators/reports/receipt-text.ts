// The text of an SMPP delivery receipt (3.4, appendix B): its bytes to characters, and its fields. The format
// is "vendor specific", so keys come in any order and letter case, fields are left out and others added.
// Invariant: what follows the first `text:` is the customer's message and is never read as fields.

export type ReceiptFields = {
  id: string | null;
  stat: string | null;
  err: string | null;
  doneDate: string | null;
  submitDate: string | null;
};

/**
 * The characters of a receipt. data_coding is copied from the message and says nothing: ASCII comes under 8,
 * UTF-16 under anything. Zero bytes tell them apart, for a receipt begins with ASCII characters. Other bytes
 * stay as they are (Latin-1): an alphabet would change ids, `_` to `§`.
 */
export function receiptText(bytes: Uint8Array, hasHeaderBit: boolean): string {
  const buf = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const text = hasHeaderBit ? buf.subarray(headerLength(buf)) : buf;
  const [first, second, third, fourth] = text;
  if ((first === 0 && third === 0 && second !== 0) || (first === 0xfe && second === 0xff))
    return utf16be(text);
  if ((second === 0 && fourth === 0 && first !== 0) || (first === 0xff && second === 0xfe))
    return text.toString("utf16le");
  return text.toString("latin1");
}

function utf16be(bytes: Buffer): string {
  return Buffer.from(bytes.subarray(0, bytes.length & ~1))
    .swap16()
    .toString("utf16le");
}

/**
 * The length of the user data header, with its own length byte; 0 if there is none. Peers set the bit on
 * receipts without a header, whose first letter is then no length: a header's elements fill it exactly
 * (3GPP TS 23.040, 9.2.3.24), and no receipt begins with a control character.
 */
function headerLength(bytes: Buffer): number {
  const end = 1 + (bytes[0] ?? 0);
  if (end === 1 || end > 0x20 || end > bytes.length) return 0;
  let at = 1;
  while (at + 1 < end) at += 2 + (bytes[at + 1] ?? 0);
  return at === end ? end : 0;
}

const KEY = /(?<![\w.-])(id|sub|dlvrd|submit[\s_]?date|done[\s_]?date|stat|err|text)[ \t]*:/gi;
/** A key that is not ours: it ends a value, too. */
const OTHER_KEY = /\s[A-Za-z][\w-]*:/;
/** Of a value, longer than any id; what trims its end takes quadratic time. */
const VALUE_CHARS_MAX = 1_000;
/** Blanks, control characters and separators at the ends of a value. */
const EDGES = /^[\s\0-\x1f\ufeff]+|[\s\0-\x1f,;|]+$/g;

/** The fields up to the first `text:`; of a field given twice the first counts. */
export function receiptFields(text: string): ReceiptFields {
  const keys = [...text.matchAll(KEY)].map((match) => ({
    name: (match[1] ?? "").replace(/[\s_]/, "").toLowerCase(),
    at: match.index,
    valueAt: match.index + match[0].length,
  }));
  const end = keys.findIndex(({ name }) => name === "text");
  const values = new Map<string, string>();
  for (const [i, { name, valueAt }] of (end < 0 ? keys : keys.slice(0, end)).entries()) {
    const whole = text.slice(valueAt, Math.min(keys[i + 1]?.at ?? text.length, valueAt + VALUE_CHARS_MAX));
    const trimmed = (whole.split(OTHER_KEY, 1)[0] ?? "").replace(EDGES, "");
    if (trimmed !== "" && !values.has(name)) values.set(name, trimmed);
  }
  const field = (name: string): string | null => values.get(name) ?? null;
  return {
    id: field("id"),
    stat: field("stat"),
    err: field("err"),
    doneDate: field("donedate"),
    submitDate: field("submitdate"),
  };
}
