// Quiet hours: the time of the day in which a customer wants no normal message sent, by the clock where the
// phone is. Says until when a message has to wait, and reads and writes the rules as they are stored. Pure.
// Leaves to others: in which zones a phone may be (phone-zones.ts), how a message waits
// (src/ledger/schedule.ts).
// Invariant: a message waits until it is quiet in none of the phone's zones; where it is quiet in some zone
// at every hour, until the quiet hours of now have ended in all of them. Bounds: QUIET_RULES_MAX rules of a
// customer; nothing waits longer than QUIET_MAX_MS.

import assert from "node:assert/strict";
import { E164_DIGITS_MAX, VALID_FOR_MIN_MS } from "./limits.ts";
import { zonesOf } from "./phone-zones.ts";
import { QUIET_MAX_MS, QUIET_RULES_MAX } from "./schedule-limits.ts";

export type QuietRule = {
  /** Digits with which a number begins, without a plus; "": of all others. */
  prefix: string;
  /** Minutes of the local day, from 0 on, never the same; after midnight if it ends before it begins. */
  fromMin: number;
  untilMin: number;
  /** IANA; null: where the number is at home. */
  zone: string | null;
};
/** Until when a message to an E.164 number has to wait that is to be sent at `atMs`; null: it needn't. */
export type QuietUntil = (phone: string, atMs: number) => number | null;

const DAY_MS = 86_400_000;
const HOUR_MIN = 60;

/** Of two rules the one with the longer prefix decides; no two have the same. */
export function quietUntilOf(rules: readonly QuietRule[]): QuietUntil {
  const sorted = rules.toSorted((a, b) => b.prefix.length - a.prefix.length);
  return (phone, atMs) => {
    const rule = sorted.find(({ prefix }) => phone.startsWith(prefix, 1));
    if (rule === undefined) return null;
    return endOf(rule, rule.zone === null ? zonesOf(phone) : [rule.zone], atMs);
  };
}

function endOf(rule: QuietRule, zones: readonly string[], atMs: number): number | null {
  const first = lastEnd(rule, zones, atMs);
  for (let endMs = first; endMs !== null && endMs <= atMs + DAY_MS; ) {
    const next = lastEnd(rule, zones, endMs);
    if (next === null) return endMs;
    endMs = next;
  }
  return first;
}

/** When the quiet hours of this moment end in the last one of these zones; null if it is quiet in none. */
function lastEnd(rule: QuietRule, zones: readonly string[], atMs: number): number | null {
  const instant = Temporal.Instant.fromEpochMilliseconds(atMs);
  let last: number | null = null;
  for (const zone of zones) {
    const local = instant.toZonedDateTimeISO(zone);
    if (isQuiet(rule, local)) last = Math.max(last ?? 0, localEnd(rule, local));
  }
  return last;
}

const minuteOf = ({ hour, minute }: Temporal.ZonedDateTime): number => hour * HOUR_MIN + minute;

function isQuiet({ fromMin, untilMin }: QuietRule, local: Temporal.ZonedDateTime): boolean {
  const minute = minuteOf(local);
  const [hasBegun, isOver] = [minute >= fromMin, minute >= untilMin];
  return fromMin < untilMin ? hasBegun && !isOver : hasBegun || !isOver;
}

/** The next moment, Unix milliseconds, at which the clock of this zone shows a time that isn't quiet. */
function localEnd(rule: QuietRule, local: Temporal.ZonedDateTime): number {
  const { untilMin } = rule;
  const time = { hour: Math.floor(untilMin / HOUR_MIN), minute: untilMin % HOUR_MIN };
  // A clock that is set forward or back may leave the quiet hours before they end.
  const change = local.getTimeZoneTransition("next");
  const ends = change === null || isQuiet(rule, change) ? [] : [change];
  for (let days = minuteOf(local) < untilMin ? 0 : 1; ; days++) {
    const end = local.toPlainDate().add({ days }).toPlainDateTime(time);
    // It shows the end twice if it is set back, and not on this day if it is set forward.
    for (const disambiguation of ["earlier", "later"] as const) {
      const shown = end.toZonedDateTime(local.timeZoneId, { disambiguation });
      if (minuteOf(shown) === untilMin) ends.push(shown);
    }
    const after = ends.map((each) => each.epochMilliseconds).filter((ms) => ms > local.epochMilliseconds);
    const nextMs = Math.min(...after);
    if (nextMs <= local.epochMilliseconds + QUIET_MAX_MS) return nextMs;
    assert(days < 2, "no clock leaves out the same minute twice");
  }
}

// ---- what it means for a message ----

/** `validForMs`: how long after `atMs` it is worth sending; null: as long as is usual. */
type Asked = { phone: string; atMs: number; validForMs: number | null };
/** When it is sent instead, and valid for how long from then on: its validity ends when it would have. */
export type PutOff = { sendAtMs: number; validForMs: number | null } | { reason: string };

/** Null if it need not wait. `reason`: why its `valid_for` is refused. */
export function putOff(quietUntil: QuietUntil, { phone, atMs, validForMs }: Asked): PutOff | null {
  const sendAtMs = quietUntil(phone, atMs);
  if (sendAtMs === null) return null;
  if (validForMs === null) return { sendAtMs, validForMs };
  const leftMs = validForMs - (sendAtMs - atMs);
  if (leftMs >= VALID_FOR_MIN_MS) return { sendAtMs, validForMs: leftMs };
  const [leastS, end] = [VALID_FOR_MIN_MS / 1_000, new Date(sendAtMs).toISOString()];
  return { reason: `must last ${leastS} s beyond the recipient's quiet hours, which end at ${end}` };
}

// ---- as text ----

const HOURS = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$/;
const PREFIX = new RegExp(`^[1-9][0-9]{0,${E164_DIGITS_MAX - 1}}$`);
const ALL = "*";

/** Of text such as 22:00-08:00; null for anything else, and for a whole day. */
export function hoursOf(text: string): Pick<QuietRule, "fromMin" | "untilMin"> | null {
  const [fromHour, fromMinute, untilHour, untilMinute] = (HOURS.exec(text) ?? []).slice(1).map(Number);
  if (fromHour === undefined) return null;
  const fromMin = fromHour * HOUR_MIN + (fromMinute as number);
  const untilMin = (untilHour as number) * HOUR_MIN + (untilMinute as number);
  return fromMin === untilMin ? null : { fromMin, untilMin };
}

export function hoursText({ fromMin, untilMin }: Pick<QuietRule, "fromMin" | "untilMin">): string {
  const time = (min: number) =>
    [Math.floor(min / HOUR_MIN), min % HOUR_MIN].map((n) => String(n).padStart(2, "0")).join(":");
  return `${time(fromMin)}-${time(untilMin)}`;
}

/** Digits that begin a number in E.164, of which a plus may stand before. */
export const quietPrefixOf = (text: string): string | null => {
  const digits = text.replace(/^\+/, "");
  return PREFIX.test(digits) ? digits : null;
};

export function isZone(timeZone: string): boolean {
  if (!/^[A-Za-z][\w/+-]*$/.test(timeZone)) return false;
  try {
    return new Intl.DateTimeFormat("en", { timeZone }) instanceof Intl.DateTimeFormat;
  } catch {
    return false;
  }
}

/** A line for each rule: its prefix or `*`, its hours, and its zone, if it has one. */
export function quietText(rules: readonly QuietRule[]): string {
  return rules
    .map((rule) => [rule.prefix || ALL, hoursText(rule), rule.zone].filter((part) => part !== null).join(" "))
    .join("\n");
}

/** Of what `quietText` wrote. */
export function quietRulesOf(text: string): QuietRule[] {
  return text.split("\n").map((line) => {
    const [prefix = "", hours = "", zone = null] = line.split(" ");
    const read = hoursOf(hours);
    if (read === null) throw new Error(`no quiet hours: ${line}`);
    return { prefix: prefix === ALL ? "" : prefix, ...read, zone };
  });
}

/**
 * These rules and another one, in place of that of the same prefix, by prefix; null if they are too many.
 */
export function withRule(rules: readonly QuietRule[], rule: QuietRule): QuietRule[] | null {
  const all = [...rules.filter(({ prefix }) => prefix !== rule.prefix), rule];
  if (all.length > QUIET_RULES_MAX) return null;
  return all.toSorted((a, b) => (a.prefix < b.prefix ? -1 : 1));
}
