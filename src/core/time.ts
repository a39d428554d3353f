// Times as customers write them: RFC 3339 with seconds and an offset; whoever types one may leave out the
// seconds. Pure. Leaves to others which times are allowed.
// Invariant: a time that is read is one that a ULID and a column of MySQL can hold.

/** The end of the year 9999, where MySQL's DATETIME ends; an offset, or a leap second, leads beyond it. */
const TIME_MAX_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);
const RFC_3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/**
 * The Unix milliseconds of a time by RFC 3339, section 5.6; a finer fraction is rounded up. Hours end at 23,
 * and second 60 is a leap second, treated as the next second. Null for anything else, including a date that
 * doesn't exist.
 */
export function timeOf(text: string): number | null {
  const match = RFC_3339.exec(text);
  if (match === null) return null;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as Six;
  const [fraction = "", sign, offsetHour = "0", offsetMinute = "0"] = match.slice(7);
  if (hour > 23 || minute > 59 || second > 60 || Number(offsetHour) > 23 || Number(offsetMinute) > 59)
    return null;
  // Date.UTC would turn 30 February into 2 March, and years up to 99 into years of the last century.
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return null;
  const offsetMin = Number(offsetHour) * 60 + Number(offsetMinute);
  const minutes = hour * 60 + minute - (sign === "-" ? -offsetMin : offsetMin);
  const timeMs = date.getTime() + (minutes * 60 + second) * 1_000 + millisecondsUp(fraction);
  return timeMs >= 0 && timeMs <= TIME_MAX_MS ? timeMs : null;
}

/** A time as people write it, who may leave its seconds out: as timeOf reads it. */
export const withSeconds = (text: string): string => text.replace(/^(\S{10}T\d\d:\d\d)(?=Z|[+-])/i, "$1:00");

type Six = [number, number, number, number, number, number];

// By digits, because 0.001 × n is not always exactly n thousandths.
const millisecondsUp = (fraction: string): number =>
  Number(fraction.slice(0, 3).padEnd(3, "0")) + (/[1-9]/.test(fraction.slice(3)) ? 1 : 0);
