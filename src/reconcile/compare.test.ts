// The comparison on streams in memory: which days and seconds it reads, and what becomes of each difference.

import { describe, expect, test } from "bun:test";
import { type Books, type DaySum, dayOf } from "./books.ts";
import { daysThatDiffer, differencesOf, type EventRow, type Reached, type Stream } from "./compare.ts";
import { ALL_CUSTOMERS } from "./result.ts";

const NOW_MS = Date.UTC(2026, 0, 20, 12);
const DAY = dayOf(NOW_MS);
const HOUR_MS = 3_600_000;
const books = (fields: Partial<Books> = {}): Books => ({
  scope: ALL_CUSTOMERS,
  customers: new Map(),
  entryDays: [],
  statusDays: [],
  nowMs: NOW_MS,
  cutoffMs: NOW_MS - 60_000,
  eventRows: 0,
  outboxFromMs: Number.POSITIVE_INFINITY,
  messages: 0,
  entries: 0,
  ...fields,
});
const sum = (fields: Partial<DaySum> = {}): DaySum => ({
  customerId: 1,
  day: DAY,
  what: "queued",
  young: false,
  count: 2,
  amount: 1_000,
  fingerprint: "7",
  ...fields,
});
const row = (eventId: string, agoMs: number, fields: Partial<EventRow> = {}): EventRow => ({
  customerId: 1,
  eventId,
  value: "sent",
  order: 3,
  atMs: NOW_MS - agoMs,
  ...fields,
});

/** Both sides of one day, in memory; `now` is what MySQL has when it is asked again. */
function streamOf(mine: EventRow[], theirs: EventRow[], now = mine): Stream & { read: number[] } {
  const read: number[] = [];
  const secondOf = ({ atMs }: EventRow) => Math.floor(atMs / 1_000);
  const seconds = (rows: EventRow[]) =>
    [...Map.groupBy(rows, secondOf)].map(([second, of]) => ({
      second,
      rows: of.length,
      fingerprint: of.map((r) => `${r.customerId} ${r.eventId} ${r.value} ${r.order}`).join(),
    }));
  return {
    topic: "sms.status",
    read,
    mySeconds: async () => seconds(mine),
    theirSeconds: async () => seconds(theirs),
    myRows: async (_day, list) => {
      read.push(...list);
      return mine.filter((r) => list.includes(secondOf(r)));
    },
    theirRows: async (_day, list) => theirs.filter((r) => list.includes(secondOf(r))),
    rowsNow: async (rows) => now.filter((r) => rows.some(({ eventId }) => eventId === r.eventId)),
  };
}
const passed: Reached = { newestMs: NOW_MS, quietMs: 500 };
const quiet: Reached = { newestMs: NOW_MS - 2 * HOUR_MS, quietMs: HOUR_MS };
const differ = (stream: Stream, reached = passed, of = books()) => differencesOf(stream, of, [DAY], reached);
const ids = (rows: readonly EventRow[]) => rows.map(({ eventId }) => eventId);

describe("days that differ", () => {
  test("equal sums are no difference, even if sending and queued are counted separately", () => {
    const theirs = [sum({ count: 4, amount: 2_000, fingerprint: "14" })];
    expect(daysThatDiffer([sum(), sum()], theirs)).toEqual({ days: [], young: 0 });
  });

  test("a day counts once, whatever differs on it", () => {
    const mine = [sum(), sum({ what: "sent", fingerprint: "8" }), sum({ customerId: 2 })];
    expect(daysThatDiffer(mine, [sum({ fingerprint: "9" })]).days).toEqual([DAY]);
    expect(daysThatDiffer([], [sum()]).days).toEqual([DAY]);
    expect(daysThatDiffer([sum()], [sum({ amount: 999 })]).days).toEqual([DAY]);
  });

  test("young rows don't make a day differ; missing ones are counted", () => {
    const mine = [sum({ young: true, count: 5 })];
    expect(daysThatDiffer(mine, [sum({ young: true, count: 2 })])).toEqual({ days: [], young: 3 });
    expect(daysThatDiffer(mine, [])).toEqual({ days: [], young: 5 });
    expect(daysThatDiffer([], mine)).toEqual({ days: [], young: 0 });
  });

  test("sums without a fingerprint are compared by count and amount", () => {
    expect(daysThatDiffer([sum()], [sum({ fingerprint: "" })]).days).toEqual([]);
    expect(daysThatDiffer([sum()], [sum({ fingerprint: "", count: 3 })]).days).toEqual([DAY]);
  });
});

describe("differences", () => {
  test("only seconds that differ are read", async () => {
    const same = row("a", HOUR_MS);
    const stream = streamOf([same, row("b", 2 * HOUR_MS)], [same]);
    expect(ids((await differ(stream)).missing)).toEqual(["b"]);
    expect(stream.read).toEqual([Math.floor((NOW_MS - 2 * HOUR_MS) / 1_000)]);
  });

  test("what ClickHouse has read past is lost: a whole message, or its latest event", async () => {
    const old = row("b", HOUR_MS, { order: 1, value: "queued" });
    const found = await differ(streamOf([row("a", HOUR_MS), row("b", HOUR_MS)], [old]));
    expect(ids(found.missing)).toEqual(["a", "b"]);
    expect(ids(found.resend)).toEqual(["a", "b"]);
    expect(found.pending).toBe(0);
  });

  test("what may wait in the outbox is pending", async () => {
    const waiting = books({ outboxFromMs: NOW_MS - HOUR_MS });
    const mine = [row("older", HOUR_MS + 1), row("a", HOUR_MS), row("b", 70_000)];
    const found = await differ(streamOf(mine, []), { newestMs: NOW_MS + 120_000, quietMs: 0 }, waiting);
    expect(ids(found.missing)).toEqual(["older"]);
    expect(found.pending).toBe(2);
    expect(ids(found.resend)).toEqual(["older"]);
  });

  test("what ClickHouse has not reached is pending while it reads, and a tail when it is quiet", async () => {
    const mine = [row("old", HOUR_MS), row("new", 120_000)];
    const behind = await differ(streamOf(mine, []), { ...quiet, quietMs: 1_000 });
    expect(behind).toMatchObject({ missing: [], tail: [], resend: [], pending: 2 });
    const found = await differ(streamOf(mine, []), quiet);
    expect(ids(found.tail)).toEqual(["old"]);
    expect(ids(found.resend)).toEqual(["old", "new"]); // both; the younger one isn't reported yet
    expect(found).toMatchObject({ missing: [], pending: 1 });
  });

  test("the same event with another value differs", async () => {
    const found = await differ(streamOf([row("a", HOUR_MS)], [row("a", HOUR_MS, { value: "failed" })]));
    expect(found).toMatchObject({ missing: [], extra: [], different: [{ eventId: "a", value: "failed" }] });
  });

  test("what only ClickHouse has, or has newer, is looked up in MySQL's present state", async () => {
    const mine = [row("moved", HOUR_MS, { order: 1, value: "queued" })];
    const theirs = [row("moved", HOUR_MS), row("stored since", HOUR_MS), row("ghost", HOUR_MS)];
    const now = [row("moved", 10, { order: 4, value: "delivered" }), row("stored since", HOUR_MS)];
    expect(ids((await differ(streamOf(mine, theirs, now))).extra)).toEqual(["ghost"]);
    const ahead = await differ(streamOf(mine, [row("moved", HOUR_MS)], mine));
    expect(ids(ahead.extra)).toEqual(["moved"]);
  });

  test("the same id under another customer is another event", async () => {
    const found = await differ(streamOf([row("a", HOUR_MS)], [row("a", HOUR_MS, { customerId: 2 })]));
    expect(ids(found.missing)).toEqual(["a"]);
    expect(found.extra).toMatchObject([{ eventId: "a", customerId: 2 }]);
  });
});
