// Parses a customer's JSON, or says why it is refused: bytes that are not UTF-8, malformed JSON, a member
// given twice, or a number that JavaScript can't represent exactly. JSON.parse would take the last of two
// members, and 1 for 0.99999999999999999999; money must not be guessed at.
// Leaves the meaning of members to the schemas. Bounds: JSON_DEPTH_MAX levels, checked before anything
// recurses; FIELD_ERRORS_MAX errors; time is linear in the length of the text.

import { type FieldError, fieldName, SluiceError } from "./errors.ts";
import { FIELD_ERRORS_MAX, JSON_DEPTH_MAX } from "./limits.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

/**
 * @throws SluiceError body_not_utf8, malformed_json, validation_failed (repeated members, inexact numbers)
 */
export function parseJson(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch (cause) {
    throw new SluiceError("body_not_utf8", { cause });
  }
  const errors = findingsOf(text);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    throw new SluiceError("malformed_json", { detail: "The body is not valid JSON.", cause });
  }
  if (errors.length > 0) throw new SluiceError("validation_failed", { errors });
  return body;
}

/** An object or array that is open at the current position. */
type Frame = {
  /** Members seen so far; null for an array */
  members: Set<string> | null;
  /** The current member or index: one step of the path in a field error. */
  at: string | number;
};

const [QUOTE, COMMA, MINUS, COLON, BACKSLASH] = [0x22, 0x2c, 0x2d, 0x3a, 0x5c];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];
const NUMBER = /-?\d+(?:\.\d*)?(?:[eE][+-]?\d*)?/y;

// One pass over text that may turn out not to be JSON: then the findings don't matter, but the pass must end.
function findingsOf(text: string): FieldError[] {
  const errors: FieldError[] = [];
  const frames: Frame[] = [];
  const found = (reason: string) => {
    if (errors.length < FIELD_ERRORS_MAX) errors.push({ field: pathOf(frames), reason });
  };
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    const frame = frames[frames.length - 1];
    if (c === QUOTE) {
      const end = endOfString(text, i);
      if (frame?.members && nextOf(text, end + 1) === COLON) {
        frame.at = memberOf(text.slice(i, end + 1));
        const before = frame.members.size;
        if (frame.members.add(frame.at).size === before) found("is given twice");
      }
      i = end;
    } else if (c === COMMA) {
      if (typeof frame?.at === "number") frame.at++;
    } else if (c === OPEN_OBJECT || c === OPEN_ARRAY) {
      if (frames.length === JSON_DEPTH_MAX) {
        const detail = `The body is nested deeper than ${JSON_DEPTH_MAX} levels.`;
        throw new SluiceError("malformed_json", { detail });
      }
      frames.push(c === OPEN_OBJECT ? { members: new Set(), at: "" } : { members: null, at: 0 });
    } else if (c === CLOSE_OBJECT || c === CLOSE_ARRAY) {
      frames.pop();
    } else if (c === MINUS || isDigit(c)) {
      NUMBER.lastIndex = i;
      const written = NUMBER.exec(text)?.[0] ?? "-";
      if (!isExact(written)) found("is a number that can't be stored exactly as written");
      i += written.length - 1;
    }
  }
  return errors;
}

/** The position of the closing quote, or the end of the text if there is none. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}

/** The position of the next character that isn't white space. */
function nextOf(text: string, at: number): number {
  let i = at;
  while (i < text.length && text.charCodeAt(i) <= 0x20) i++;
  return text.charCodeAt(i);
}

// Decodes escapes, because "phone" and "phon\u0065" are the same member.
function memberOf(quoted: string): string {
  if (!quoted.includes("\\")) return quoted.slice(1, -1);
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return quoted;
  }
}

const isDigit = (c: number): boolean => c >= 0x30 && c <= 0x39;

const pathOf = (frames: readonly Frame[]): string =>
  frames.length === 0 ? "body" : frames.map(({ at }) => fieldName(String(at))).join(".");

const INTEGER_CHARS_EXACT = 15;

/** Whether JavaScript represents the number exactly: 1.0 and 1e0 are 1, 0.99999999999999999999 is not. */
function isExact(written: string): boolean {
  if (written.length <= INTEGER_CHARS_EXACT && !/[.eE]/.test(written)) return true;
  const value = Number(written);
  if (!Number.isFinite(value)) return false;
  const [mine, theirs] = [decimalOf(written), decimalOf(String(value))];
  return mine.digits === theirs.digits && (mine.digits === "" || mine.exponent === theirs.exponent);
}

/** digits × 10^exponent, without zeros at either end; no digits for zero. */
function decimalOf(written: string): { digits: string; exponent: number } {
  const [mantissa = "", power = "0"] = written.replace(/^-/, "").toLowerCase().split("e");
  const [whole = "", fraction = ""] = mantissa.split(".");
  const all = whole + fraction;
  // A loop, because /0+$/ takes quadratic time on many zeros followed by another digit.
  let [from, to] = [0, all.length];
  while (from < to && all[from] === "0") from++;
  while (to > from && all[to - 1] === "0") to--;
  return { digits: all.slice(from, to), exponent: Number(power) - fraction.length + (all.length - to) };
}
