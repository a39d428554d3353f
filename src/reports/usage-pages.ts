// The window of the usage report, and how it is read: backwards, in slices that become longer while they are
// read fast, until the page is full or its time is over. So a customer with little traffic gets a year in one
// page, and one with much gets shorter pages instead of none. Leaves SQL and rows to usage-report.ts.
// Invariants: no period is divided between two slices or two pages; every page goes on by a period or more.
// Bounds: the window of each interval, ROWS_MAX, READ_MAX_MS and the last slice.

import assert from "node:assert/strict";
import { SluiceError } from "../core/errors.ts";
import { ULID_TIME_MAX_MS } from "../core/id.ts";
import { type CursorValues, failEmptyWindow, type Interval, type Params } from "./params.ts";

/** from <= created_at < before, in Unix milliseconds. */
export type UsageWindow = { fromMs: number; beforeMs: number };

/** Of an export: the moment that it shows (null: now), and how many rows of the first period it has. */
export type AskedWindow = UsageWindow & { asOfMs: number | null; skipped: number };

type Span = {
  periodMs: number;
  /** The window if no `from` is given, which is then moved back to where a period begins. */
  usualMs: number;
  maxMs: number;
  /** The first slice of each page. */
  sliceMs: number;
};

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
// At most 1,440 minutes, 745 hours or 367 days with messages.
const SPANS: Record<Interval, Span> = {
  minute: { periodMs: MINUTE_MS, usualMs: HOUR_MS, maxMs: DAY_MS, sliceMs: HOUR_MS },
  hour: { periodMs: HOUR_MS, usualMs: DAY_MS, maxMs: 31 * DAY_MS, sliceMs: DAY_MS },
  day: { periodMs: DAY_MS, usualMs: 30 * DAY_MS, maxMs: 366 * DAY_MS, sliceMs: DAY_MS },
};

/**
 * Rows of one slice: some 2 MB of JSON. More than a single period can have, which is one for each status,
 * lane and calling code (usage-report.ts asserts it).
 */
export const ROWS_MAX = 10_000;
/** No further slice is begun after this. */
const READ_MAX_MS = 3_000;
/** After a slice that took less, the next one is SLICE_GROWTH times as long. */
const SLICE_FAST_MS = 500;
const SLICE_GROWTH = 4;

/** The length of a period, in milliseconds. */
export const periodMsOf = (interval: Interval): number => SPANS[interval].periodMs;

/** What the parameters ask for; a cursor has the rest of its first page's window, while `now` moves on. */
export function windowOf(params: Params, interval: Interval, nowMs: number): AskedWindow {
  const { periodMs, usualMs, maxMs } = SPANS[interval];
  const cursor = params.cursor((values) => isWindow(values, maxMs)) as AskedValues | null;
  const [from, to] = [params.time("from"), params.time("to")];
  const beforeMs = cursor?.[1] ?? to ?? nowMs + 1;
  const fromMs = cursor?.[0] ?? from ?? Math.max(0, startOf(beforeMs - usualMs, periodMs));
  if (fromMs >= beforeMs) failEmptyWindow(params, { from, to });
  else if (beforeMs - fromMs > maxMs) params.fail("from", tooLong(maxMs / DAY_MS, interval));
  return { fromMs, beforeMs, asOfMs: cursor?.[2] ?? null, skipped: cursor?.[3] ?? 0 };
}

const tooLong = (daysMax: number, interval: Interval): string =>
  daysMax === 1
    ? `must be at most 1 day before \`to\`, or now, if the interval is ${interval}`
    : `must be at most ${daysMax} days before \`to\`, or now, if the interval is ${interval}`;

type AskedValues = [fromMs: number, beforeMs: number, asOfMs?: number, skipped?: number];

function isWindow(values: CursorValues, maxMs: number): boolean {
  const [fromMs, beforeMs, asOfMs = 0, skipped = 0] = values;
  if (![2, 4].includes(values.length) || typeof fromMs !== "number" || typeof beforeMs !== "number")
    return false;
  if (typeof asOfMs !== "number" || typeof skipped !== "number") return false;
  if (asOfMs < 0 || asOfMs > ULID_TIME_MAX_MS || skipped < 0 || skipped > ROWS_MAX) return false;
  return fromMs >= 0 && fromMs < beforeMs && beforeMs <= ULID_TIME_MAX_MS && beforeMs - fromMs <= maxMs;
}

const startOf = (timeMs: number, periodMs: number): number => Math.floor(timeMs / periodMs) * periodMs;

type Periodic = {
  /** When its period begins. */
  startMs: number;
};
/** Reads the rows of a window, newest period first; if there are more than ROWS_MAX, one more than that. */
type ReadSlice<R> = (window: UsageWindow) => Promise<R[]>;
type Periods<R> = {
  rows: R[];
  /** Where the next page goes on; null at the end. */
  beforeMs: number | null;
};

/**
 * The newest periods of a window, whole ones, at most `periodsMax` that have rows. There may be fewer, or
 * none, before the end. Once something was read, a slice that can't be read ends the page instead of failing
 * it. @throws what the first slice throws
 */
export async function readPeriods<R extends Periodic>(
  read: ReadSlice<R>,
  { fromMs, beforeMs: topMs }: UsageWindow,
  {
    interval,
    periodsMax,
    monotonicMs,
  }: { interval: Interval; periodsMax: number; monotonicMs: () => number },
): Promise<Periods<R>> {
  let { sliceMs } = SPANS[interval];
  const endMs = monotonicMs() + READ_MAX_MS;
  const rows: R[] = [];
  let periods = 0;
  let beforeMs = topMs;
  while (beforeMs > fromMs) {
    const lowMs = Math.max(fromMs, startOf(beforeMs - sliceMs, SPANS[interval].periodMs));
    const startedMs = monotonicMs();
    let found: R[];
    try {
      found = await read({ fromMs: lowMs, beforeMs });
    } catch (error) {
      if (beforeMs === topMs || !isUnavailable(error)) throw error;
      break;
    }
    const whole = wholePeriods(found, periodsMax - periods);
    rows.push(...whole.rows);
    if (whole.rows.length < found.length) return { rows, beforeMs: whole.lastMs };
    periods += whole.periods;
    beforeMs = lowMs;
    const tookMs = monotonicMs() - startedMs;
    if (periods >= periodsMax || rows.length >= ROWS_MAX / 2 || startedMs + tookMs >= endMs) break;
    if (tookMs < SLICE_FAST_MS) sliceMs *= SLICE_GROWTH;
  }
  return { rows, beforeMs: beforeMs > fromMs ? beforeMs : null };
}

/** Whether ClickHouse can't answer now, or not in time. */
export const isUnavailable = (error: unknown): boolean =>
  error instanceof SluiceError && error.code === "reports_unavailable";

/** The first periods of a slice, without one that may lack rows. */
function wholePeriods<R extends Periodic>(
  found: R[],
  periodsMax: number,
): { rows: R[]; periods: number; lastMs: number | null } {
  const starts = [...new Set(found.map(({ startMs }) => startMs))];
  if (found.length > ROWS_MAX) starts.pop();
  const kept = new Set(starts.slice(0, periodsMax));
  assert(kept.size > 0 || found.length === 0, "a period has at most ROWS_MAX rows");
  const rows = found.filter(({ startMs }) => kept.has(startMs));
  return { rows, periods: kept.size, lastMs: rows.at(-1)?.startMs ?? null };
}
