// Reads the fields of a query or of a form as they came: in bytes, because the doors' peers let the client
// choose the character set. Leaves to each door which fields it knows, and what it does with two of one name.
// Invariant: no byte is replaced: what can't be decoded is undefined, and refused by its door.

/** In the order of the request. A name that can't be decoded is left as it came. */
export type Field = { name: string; bytes: Buffer | undefined };

/** The fields of application/x-www-form-urlencoded, as queries and forms have them. */
export function fieldsOf(encoded: Uint8Array): Field[] {
  // As latin1 each byte is one character, as an escape is.
  return Buffer.from(encoded)
    .toString("latin1")
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const equals = pair.indexOf("=");
      const [name, value] = equals < 0 ? [pair, ""] : [pair.slice(0, equals), pair.slice(equals + 1)];
      return { name: utf8Of(unescaped(name)) ?? name, bytes: unescaped(value) };
    });
}

/** The query of a URL; no bytes without one. */
export function queryOf(url: string): Uint8Array {
  const cut = url.indexOf("?");
  return Buffer.from(cut < 0 ? "" : url.slice(cut + 1));
}

const ESCAPES = /%([0-9a-fA-F]{2})/g;

/** Undefined for a percent sign that begins no escape. */
function unescaped(text: string): Buffer | undefined {
  if (/%(?![0-9a-fA-F]{2})/.test(text)) return undefined;
  const byteOf = (_: string, hex: string) => String.fromCharCode(Number.parseInt(hex, 16));
  return Buffer.from(text.replaceAll("+", " ").replace(ESCAPES, byteOf), "latin1");
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Undefined for bytes that are not UTF-8. */
export function utf8Of(bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return undefined;
  }
}

/** The character sets in which clients of a peer may send a text; undefined if the bytes are not of it. */
export const CHARSETS: Readonly<Record<string, (bytes: Buffer) => string | undefined>> = {
  "UTF-8": utf8Of,
  "US-ASCII": (bytes) => (bytes.every((byte) => byte < 0x80) ? bytes.toString("latin1") : undefined),
  "ISO-8859-1": (bytes) => bytes.toString("latin1"),
  "ISO-8859-5": decoderOf("iso-8859-5"),
  "ISO-8859-8": decoderOf("iso-8859-8"),
  "WINDOWS-1252": decoderOf("windows-1252"),
  // Without its bytes swapped, Node's little-endian decoder serves.
  "UTF-16BE": (bytes) => {
    if (bytes.length % 2 !== 0) return undefined;
    const text = Buffer.from(bytes).swap16().toString("utf16le");
    return text.isWellFormed() ? text : undefined;
  },
};

function decoderOf(label: string): (bytes: Buffer) => string | undefined {
  const decoder = new TextDecoder(label as never, { fatal: true });
  return (bytes) => {
    try {
      return decoder.decode(bytes);
    } catch {
      return undefined;
    }
  };
}

/** A whole number written in digits only, within the bounds; undefined for anything else. */
export function wholeNumber(text: string, min: number, max: number): number | undefined {
  if (!/^\d{1,15}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= min && value <= max ? value : undefined;
}

// A plus that wasn't escaped arrives as a blank; without its plus, +45… would be another country's number.
const LOST_PLUS = /^ (?=\d)/;

/** A number of a query, of a receiver or sender: a blank before its digits is a lost `+`. */
export const withPlus = (text: string): string => text.replace(LOST_PLUS, "+");
