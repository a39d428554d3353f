// Times as operators write them, to Unix milliseconds: the digits of SMPP receipts, RFC 3339 and its
// relatives, seconds since 1970. Years are 2000 to 2099, which also leaves out other calendars' years.
// Invariant: what is no real date is null, never the nearest one. A local time that a clock change skips is
// moved on by the change; of one that comes twice the first is taken (Temporal's "compatible", RFC 5545).

type Local = [year: number, month: number, day: number, hour: number, minute: number, second: number];

const QUARTER_MS = 15 * 60_000;
const YEAR_MIN = 2000;
const YEAR_MAX = 2099;

/**
 * A receipt's date: YYMMDDhhmm, YYMMDDhhmmss, YYYYMMDDhhmm, YYYYMMDDhhmmss on the operator's clock, SMPP's
 * absolute time of 16 characters (3.4, 7.1.1) with its own offset, or a time written with separators; SMPP's
 * relative time (R) is no date. Twelve digits are read with a two-digit year if that is a real date: 2026…
 * never is, its month would be 26.
 */
export function receiptTime(text: string, timeZone: string): number | null {
  const digits = text.trim();
  const absolute = /^(\d{12})\d(\d\d)([+-])$/.exec(digits);
  if (absolute !== null) {
    const [, local = "", quarters = "", sign] = absolute;
    const atMs = Number(quarters) > 48 ? null : instant(cut(local, 2), "UTC");
    return atMs === null ? null : atMs - (sign === "+" ? 1 : -1) * Number(quarters) * QUARTER_MS;
  }
  if (!/^\d+$/.test(digits)) return separated(digits, timeZone);
  switch (digits.length) {
    case 10:
      return instant(cut(`${digits}00`, 2), timeZone);
    case 12:
      return instant(cut(digits, 2), timeZone) ?? instant(cut(`${digits}00`, 4), timeZone);
    case 14:
      return instant(cut(digits, 4), timeZone);
    default:
      return null;
  }
}

const WRITTEN = new RegExp(
  [
    String.raw`^(\d{4})([-/])(\d{1,2})\2(\d{1,2})`,
    String.raw`[Tt ](\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?`,
    // A blank instead of a plus: the sender of a form or a query did not escape it.
    String.raw`(?:\s*(Z|z|UTC|GMT|[+-]\d\d(?::?\d\d)?)| (\d\d:?\d\d))?$`,
  ].join(""),
);

/** RFC 3339 and its relatives; on the operator's clock if there is no offset. */
function separated(text: string, timeZone: string): number | null {
  const found = WRITTEN.exec(text);
  if (found === null) return null;
  const [, year, , month, day, hour, minute, second = "0", fraction = "", zone, lostPlus] = found;
  const local = [year, month, day, hour, minute, second].map(Number) as Local;
  const offset = zone ?? (lostPlus === undefined ? undefined : `+${lostPlus}`);
  const offsetMs = offset === undefined ? 0 : offsetOf(offset);
  const atMs = instant(local, offset === undefined ? timeZone : "UTC");
  if (atMs === null || offsetMs === null) return null;
  return atMs - offsetMs + Number(fraction.padEnd(3, "0").slice(0, 3));
}

/**
 * A time in an HTTP report: RFC 3339 with the offset in any spelling (Z, +03:30, +0330, +03), the same
 * without an offset on the operator's clock, a receipt's date, or Unix seconds or milliseconds. Ten digits
 * may be a receipt's date or seconds: the one nearer to the report's arrival is meant.
 */
export function writtenTime(text: string, timeZone: string, receivedAtMs: number): number | null {
  const written = text.trim();
  const date = receiptTime(written, timeZone);
  const seconds = /^\d{10}(?:\.\d+)?$/.test(written) ? within(Math.trunc(Number(written) * 1_000)) : null;
  if (date !== null && seconds !== null)
    return Math.abs(date - receivedAtMs) <= Math.abs(seconds - receivedAtMs) ? date : seconds;
  return date ?? seconds ?? (/^\d{13}$/.test(written) ? within(Number(written)) : null);
}

/**
 * The last moment that a written time can mean, of which the first was read: the end of its minute where it
 * has no seconds, else of its second, or of the part of one that it names.
 */
export function lastMomentOf(text: string, readAtMs: number): number {
  const written = text.trim();
  const fraction = /^\d{13}$/.test(written) ? "000" : (/[.,](\d+)/.exec(written)?.[1] ?? "");
  const spanMs = hasSeconds(written, readAtMs) ? 1_000 / 10 ** Math.min(3, fraction.length) : 60_000;
  return readAtMs + spanMs - 1;
}

function hasSeconds(written: string, readAtMs: number): boolean {
  if (/^\d{10}$/.test(written)) return Number(written) * 1_000 === readAtMs;
  // With a year of four digits, it is one without seconds: the month would be 20 or more otherwise.
  if (/^\d{12}$/.test(written)) return Number(written.slice(2, 4)) <= 12;
  return /^\d/.test(written) && !/^\d{4}[-/]\d+[-/]\d+[Tt ]\d+:\d\d(?!:?\d)/.test(written);
}

function within(atMs: number): number | null {
  const year = new Date(atMs).getUTCFullYear();
  return year >= YEAR_MIN && year <= YEAR_MAX ? atMs : null;
}

/** null if it is no offset that a clock on earth has */
function offsetOf(offset: string): number | null {
  const [, sign, hours = "0", minutes = "0"] = /^([+-])(\d\d):?(\d\d)?$/.exec(offset) ?? [];
  if (sign === undefined) return 0;
  if (Number(hours) > 14 || Number(minutes) > 59) return null;
  return (sign === "+" ? 1 : -1) * (Number(hours) * 60 + Number(minutes)) * 60_000;
}

/** Digits as year (of 2 or 4 digits), month, day, hour, minute, second. */
function cut(digits: string, yearDigits: 2 | 4): Local {
  const year = Number(digits.slice(0, yearDigits));
  const pairs = digits.slice(yearDigits).match(/\d\d/g) ?? [];
  return [yearDigits === 2 ? YEAR_MIN + year : year, ...pairs.map(Number)] as Local;
}

/** A local time of a zone as Unix milliseconds; null if it is no real date. */
function instant([year, month, day, hour, minute, second]: Local, timeZone: string): number | null {
  const asUtc = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  // Date counts on from 31 April to 1 May, and from second 60 to the next minute.
  const isReal =
    asUtc.getUTCMonth() === month - 1 &&
    asUtc.getUTCDate() === day &&
    asUtc.getUTCHours() === hour &&
    asUtc.getUTCMinutes() === minute &&
    asUtc.getUTCSeconds() === second;
  if (!isReal || within(asUtc.getTime()) === null) return null;
  if (timeZone === "UTC") return asUtc.getTime();
  const local = new Temporal.PlainDateTime(year, month, day, hour, minute, second);
  return local.toZonedDateTime(timeZone, { disambiguation: "compatible" }).epochMilliseconds;
}
