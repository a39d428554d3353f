import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import {
  createTestClickhouse,
  insertLedgerEvents,
  type LedgerEvent,
  type TestClickhouse,
} from "../support/clickhouse.ts";

const DAY_MS = 86_400_000;
const TODAY_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS;
const id = createIdFactory({ now: Date.now });
let db: TestClickhouse;
beforeAll(async () => {
  db = await createTestClickhouse();
});
afterAll(() => db.drop());

const dayOf = (timeMs: number) => new Date(timeMs).toISOString().slice(0, 10);
const entry = (daysAgo: number, amount: number, op = "reserve"): LedgerEvent => ({
  event_id: `${id()}:open`,
  customer_id: 7,
  op,
  amount,
  created_at_ms: TODAY_MS - daysAgo * DAY_MS + 1_000,
});
const totals = async () => {
  const rows = await db.clickhouse.query<{ day: string; op: string; amount: string; entries: string }>(
    "SELECT day, op, amount, entries FROM mv_wallet_ledger_daily WHERE customer_id = 7 ORDER BY day, op",
  );
  return rows.map(({ day, op, amount, entries }) => [day, op, Number(amount), Number(entries)]);
};
const closed = () =>
  db.clickhouse.query<{ day: string; summed_at: string }>(
    "SELECT day, summed_at FROM ledger_days_summed ORDER BY day",
  );
async function refresh(): Promise<void> {
  await db.clickhouse.command("SYSTEM REFRESH VIEW mv_wallet_ledger_closed_days");
  await db.clickhouse.command("SYSTEM WAIT VIEW mv_wallet_ledger_closed_days");
}
/** Makes everything this much older: a day is summed after a minute without changes. */
async function age(seconds: number): Promise<void> {
  for (const [table, column] of [
    ["ledger_days", "ingested_at"],
    ["wallet_ledger_closed_days", "summed_at"],
  ]) {
    const rows = await db.clickhouse.query<Record<string, unknown>>(
      `SELECT * REPLACE (${column} - INTERVAL ${seconds} SECOND AS ${column}) FROM ${table} FINAL`,
    );
    await db.clickhouse.command(`TRUNCATE TABLE ${table}`);
    if (rows.length > 0) await db.clickhouse.insert(table as string, rows);
  }
}

describe("mv_wallet_ledger_daily", () => {
  const events = [entry(2, 100), entry(2, 50), entry(1, 30, "capture"), entry(0, 5)];
  const wanted = [
    [dayOf(TODAY_MS - 2 * DAY_MS), "reserve", 150, 2],
    [dayOf(TODAY_MS - DAY_MS), "capture", 30, 1],
    [dayOf(TODAY_MS), "reserve", 5, 1],
  ];

  test("is exact at once, with records delivered twice, before anything is summed", async () => {
    await insertLedgerEvents(db.clickhouse, events);
    await insertLedgerEvents(db.clickhouse, events);
    expect(await totals()).toEqual(wanted);
    await refresh();
    expect(await closed()).toEqual([]); // its rows have just arrived
  });

  test("sums a closed day once, with the same result as before", async () => {
    await age(120);
    await refresh();
    const sums = await closed();
    const days = sums.map(({ day }) => day);
    expect(days[0]).toBe(dayOf(TODAY_MS - 2 * DAY_MS)); // yesterday is open until 00:10
    expect(days).not.toContain(dayOf(TODAY_MS));
    expect(await totals()).toEqual(wanted);
    await refresh();
    expect(await closed()).toEqual(sums);
  });

  test("includes a late entry: at once, and in the stored sum after a minute without changes", async () => {
    const before = await closed();
    await insertLedgerEvents(db.clickhouse, [entry(2, 7)]);
    const later = [[wanted[0]?.[0], "reserve", 157, 3], ...wanted.slice(1)];
    expect(await totals()).toEqual(later as typeof wanted);
    await refresh();
    expect(await closed()).toEqual(before); // no minute without changes yet
    await age(61);
    expect(await totals()).toEqual(later as typeof wanted);
    await refresh();
    expect(await totals()).toEqual(later as typeof wanted);
    expect(await closed()).not.toEqual(before);
  });

  test("a redelivery of an old record changes no total", async () => {
    const before = await totals();
    await insertLedgerEvents(db.clickhouse, events.slice(0, 2));
    expect(await totals()).toEqual(before);
  });
});
