// Windows of the usage report, and reading them in slices: nothing is left out or read twice, whatever slices
// take, and wherever pages end.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { allowSlowRuns, printedSeed } from "../../test/support/seed.ts";
import { SluiceError } from "../core/errors.ts";
import { type Interval, readParams } from "./params.ts";
import { periodMsOf, readPeriods, ROWS_MAX, type UsageWindow, windowOf } from "./usage-pages.ts";

allowSlowRuns();

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOW_MS = Date.UTC(2026, 4, 20, 12, 34, 56, 789);
const iso = (ms: number) => new Date(ms).toISOString();

describe("windows", () => {
  const asked = (interval: Interval, given: Record<string, string>) => {
    const params = readParams(new Map(Object.entries(given)));
    const window = windowOf(params, interval, NOW_MS);
    params.check();
    return [iso(window.fromMs), iso(window.beforeMs)];
  };
  const errorsOf = (interval: Interval, given: Record<string, string>) => {
    try {
      asked(interval, given);
      return [];
    } catch (error) {
      return (error as SluiceError).errors;
    }
  };

  test("are by default the last hour, 24 hours or 30 days, from the beginning of a period on", () => {
    const now = iso(NOW_MS + 1);
    expect(asked("minute", {})).toEqual(["2026-05-20T11:34:00.000Z", now]);
    expect(asked("hour", {})).toEqual(["2026-05-19T12:00:00.000Z", now]);
    expect(asked("day", {})).toEqual(["2026-04-20T00:00:00.000Z", now]);
    const to = "2026-03-01T00:30:00.000Z";
    expect(asked("hour", { to })).toEqual(["2026-02-28T00:00:00.000Z", to]);
    const from = "2026-05-20T10:11:12.000Z";
    expect(asked("hour", { from })).toEqual([from, now]);
    expect(asked("day", { to: "1970-01-02T00:00:00Z" })[0]).toBe(iso(0));
  });

  test("are at most 1 day by the minute, 31 days by the hour, 366 days by the day", () => {
    const most = { minute: 1, hour: 31, day: 366 } as const;
    for (const [interval, days] of Object.entries(most) as [Interval, number][]) {
      const to = iso(NOW_MS);
      const from = iso(NOW_MS - days * DAY_MS);
      expect(asked(interval, { from, to })).toEqual([from, to]);
      const reason =
        `must be at most ${days} day${days === 1 ? "" : "s"} before \`to\`, or now, ` +
        `if the interval is ${interval}`;
      const refused = [{ field: "from", reason }];
      expect(errorsOf(interval, { from: iso(NOW_MS - days * DAY_MS - 1), to })).toEqual(refused);
    }
  });

  test("without time in them are refused", () => {
    const at = "2026-05-20T12:00:00Z";
    expect(errorsOf("hour", { from: at, to: at })).toEqual([
      { field: "from", reason: "must be before `to`" },
    ]);
    expect(errorsOf("hour", { from: "2026-05-21T00:00:00Z" })).toEqual([
      { field: "from", reason: "must be in the past, unless `to` is given" },
    ]);
    expect(errorsOf("hour", { to: "1970-01-01T00:00:00Z" })).toEqual([
      { field: "to", reason: "must be after 1970-01-01T00:00:00Z" },
    ]);
  });

  test("go on where a cursor says, if it is one of this interval", () => {
    const cursorOf = (...values: (string | number)[]) => readParams(new Map()).nextCursor(values);
    const [fromMs, beforeMs] = [NOW_MS - 3 * HOUR_MS, NOW_MS - HOUR_MS];
    const cursor = cursorOf(fromMs, beforeMs);
    expect(asked("hour", { cursor })).toEqual([iso(fromMs), iso(beforeMs)]);
    for (const values of [
      [],
      [fromMs],
      [fromMs, beforeMs, 1],
      [beforeMs, fromMs],
      [fromMs, fromMs],
      [-1, beforeMs],
      [fromMs, "x"],
      [beforeMs - 31 * DAY_MS - 1, beforeMs],
      [2 ** 48 - 1, 2 ** 48],
    ])
      expect(errorsOf("hour", { cursor: cursorOf(...values) }).map(({ field }) => field)).toEqual(["cursor"]);
  });
});

type Row = { startMs: number; n: number };

/** A store of messages by their times, on a clock on which each read takes `tookMs` of its slice. */
function storeOf(times: readonly number[], interval: Interval, tookMs: (window: UsageWindow) => number) {
  const slices: UsageWindow[] = [];
  let nowMs = 0;
  const read = (window: UsageWindow): Promise<Row[]> => {
    slices.push(window);
    nowMs += tookMs(window);
    const startOf = (ms: number) => Math.floor(ms / periodMsOf(interval)) * periodMsOf(interval);
    const found = times.filter((ms) => ms >= window.fromMs && ms < window.beforeMs).map(startOf);
    const counts = Map.groupBy(found, (startMs) => startMs);
    const rows = [...counts].map(([startMs, { length }]) => ({ startMs, n: length }));
    return Promise.resolve(rows.toSorted((a, b) => b.startMs - a.startMs));
  };
  return { slices, read, now: () => nowMs };
}

async function pagesOf(
  store: Pick<ReturnType<typeof storeOf>, "read" | "now">,
  { fromMs, beforeMs }: UsageWindow,
  { interval, periodsMax }: { interval: Interval; periodsMax: number },
): Promise<Row[][]> {
  const pages: Row[][] = [];
  for (let next: number | null = beforeMs; next !== null; ) {
    const page: { rows: Row[]; beforeMs: number | null } = await readPeriods(
      store.read,
      { fromMs, beforeMs: next },
      { interval, periodsMax, monotonicMs: store.now },
    );
    pages.push(page.rows);
    if (page.beforeMs !== null) expect(page.beforeMs).toBeLessThan(next);
    next = page.beforeMs;
  }
  return pages;
}

describe("reading", () => {
  test("every message is in one row of one page, whatever the window, the page and the time it takes", async () => {
    const cases = fc.record({
      interval: fc.constantFrom<Interval[]>("minute", "hour", "day"),
      times: fc.array(fc.nat({ max: 20 * HOUR_MS }), { maxLength: 60 }),
      lengthMs: fc.integer({ min: 1, max: 20 * HOUR_MS }),
      periodsMax: fc.integer({ min: 1, max: 30 }),
      tookMs: fc.nat({ max: 4_000 }),
    });
    const property = fc.asyncProperty(cases, async ({ interval, times, lengthMs, periodsMax, tookMs }) => {
      // Times of a day are spread over as many days as the interval allows.
      const wide = interval === "day" ? 300 : interval === "hour" ? 24 : 1;
      const fromMs = NOW_MS - lengthMs * wide;
      const messages = times.map((ms) => NOW_MS - ms * wide);
      const store = storeOf(messages, interval, () => tookMs);
      const window = { fromMs, beforeMs: NOW_MS + 1 };
      const pages = await pagesOf(store, window, { interval, periodsMax });
      const rows = pages.flat();
      const starts = rows.map(({ startMs }) => startMs);
      expect(starts).toEqual([...new Set(starts)].toSorted((a, b) => b - a));
      const inside = messages.filter((ms) => ms >= fromMs).length;
      expect(rows.reduce((sum, { n }) => sum + n, 0)).toBe(inside);
      for (const page of pages) expect(page.length).toBeLessThanOrEqual(periodsMax);
    });
    const path = process.env.SEED_PATH;
    const seed = printedSeed("pages of usage");
    await fc.assert(property, { seed, numRuns: 300, ...(path === undefined ? {} : { path }) });
  });

  test("a year with little in it is one page of a few slices, each longer than the one before", async () => {
    const store = storeOf([NOW_MS - 365 * DAY_MS], "day", () => 10);
    const window = { fromMs: NOW_MS - 366 * DAY_MS, beforeMs: NOW_MS };
    const pages = await pagesOf(store, window, { interval: "day", periodsMax: 50 });
    expect(pages.map((page) => page.length)).toEqual([1]);
    expect(store.slices.length).toBeLessThan(8);
  });

  test("slow slices stay as short as the first, and a page ends when its time is over", async () => {
    const store = storeOf([], "hour", () => 1_100);
    const window = { fromMs: NOW_MS - 9 * DAY_MS, beforeMs: NOW_MS };
    const pages = await pagesOf(store, window, { interval: "hour", periodsMax: 50 });
    for (const { fromMs, beforeMs } of store.slices)
      expect(beforeMs - fromMs).toBeLessThanOrEqual(25 * HOUR_MS);
    expect(pages.length).toBe(3);
  });

  test("a slice that can't be read ends a page that has gone on, and fails one that hasn't", async () => {
    const window = { fromMs: NOW_MS - 9 * DAY_MS, beforeMs: NOW_MS };
    const store = storeOf([NOW_MS - HOUR_MS, NOW_MS - 3 * DAY_MS], "hour", () => 0);
    const failing = (code: "reports_unavailable" | "internal", after: number) => {
      let reads = 0;
      return (slice: UsageWindow): Promise<Row[]> =>
        reads++ < after ? store.read(slice) : Promise.reject(new SluiceError(code));
    };
    const options = { interval: "hour", periodsMax: 50, monotonicMs: store.now } as const;
    const short = await readPeriods(failing("reports_unavailable", 1), window, options);
    expect(short.rows).toHaveLength(1);
    expect(short.beforeMs).toBe(store.slices[0]?.fromMs as number);
    for (const [code, after] of [
      ["reports_unavailable", 0],
      ["internal", 1],
    ] as const) {
      const page = readPeriods(failing(code, after), window, options);
      expect(await page.catch((error: unknown) => error)).toMatchObject({ code });
    }
  });

  test("of more rows than a page may have, the last period is left to the next page", async () => {
    const startOf = (i: number) => Date.UTC(2026, 4, 20, 11 - Math.floor(i / 4_000));
    const rows = Array.from({ length: ROWS_MAX + 1 }, (_, i) => ({ startMs: startOf(i), n: 1 }));
    const window = { fromMs: NOW_MS - DAY_MS, beforeMs: NOW_MS };
    const options = { interval: "hour", periodsMax: 50, monotonicMs: () => 0 } as const;
    const page = await readPeriods(() => Promise.resolve(rows), window, options);
    expect(page.rows).toHaveLength(8_000);
    expect(page.beforeMs).toBe(startOf(4_000));
  });
});
