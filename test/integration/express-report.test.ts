// The report on express promises, on a real ClickHouse, and its command.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { createIdFactory } from "../../src/core/id.ts";
import { sequenceOf, type Status } from "../../src/core/message.ts";
import { expressReport } from "../../src/reports/express-report.ts";
import { projectRoot } from "../../src/stack/tools.ts";
import {
  createTestClickhouse,
  insertLedgerEvents,
  insertStatusEvents,
  type LedgerEvent,
  type StatusEvent,
  type TestClickhouse,
} from "../support/clickhouse.ts";
import { envOf } from "../support/ingest-process.ts";

// Of this day, because ClickHouse forgets entries of more than 30 days ago.
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOON_MS = Math.floor(Date.now() / HOUR_MS) * HOUR_MS - 3 * HOUR_MS;
const id = createIdFactory({ now: () => NOON_MS });
let db: TestClickhouse;
beforeAll(async () => {
  db = await createTestClickhouse();
});
afterAll(() => db.drop());

const statuses: StatusEvent[] = [];
const entries: LedgerEvent[] = [];
/** An express message that was accepted `afterMs` after noon and ended like this, if it did. */
function message(
  afterMs: number,
  end: Status | null,
  op: "capture" | "refund" | null,
  type = "express",
): void {
  const of = { id: id(), type, created_at_ms: NOON_MS + afterMs };
  statuses.push({ ...of, status: "queued", sequence: 1 });
  if (end !== null) statuses.push({ ...of, status: end, sequence: sequenceOf(0, end) });
  const entry = { customer_id: 1, amount: 500, created_at_ms: NOON_MS + afterMs + 200 };
  entries.push({ ...entry, event_id: `${of.id}:open`, op: "reserve" });
  if (op !== null) entries.push({ ...entry, event_id: `${of.id}:close`, op });
}

test("a promise is kept if its message was captured; late, expired and failed ones are told apart, hour by hour", async () => {
  for (let n = 0; n < 6; n++) message(n, "sent", "capture");
  message(10, "delivered", "capture");
  message(11, "sent", "refund");
  message(12, "undelivered", "refund");
  message(13, "expired", "refund");
  message(14, "failed", "refund");
  message(15, null, null);
  message(16, "unknown", null);
  message(HOUR_MS + 1, "sent", "capture");
  // Not counted: a normal message, and one of another day.
  message(17, "sent", "capture", "normal");
  message(-30 * HOUR_MS, "sent", "capture");
  await insertStatusEvents(db.clickhouse, statuses.toReversed());
  await insertStatusEvents(db.clickhouse, statuses.slice(0, 5));
  await insertLedgerEvents(db.clickhouse, entries);
  await insertLedgerEvents(db.clickhouse, entries.slice(0, 9));
  const period = { fromMs: NOON_MS - HOUR_MS, toMs: NOON_MS + 2 * HOUR_MS };
  expect(await expressReport(db.clickhouse, period)).toEqual([
    {
      hour: new Date(NOON_MS).toISOString(),
      accepted: 13,
      kept: 7,
      late: 2,
      expired: 1,
      failed: 1,
      open: 2,
      kept_share: 0.7,
    },
    {
      hour: new Date(NOON_MS + HOUR_MS).toISOString(),
      accepted: 1,
      kept: 1,
      late: 0,
      expired: 0,
      failed: 0,
      open: 0,
      kept_share: 1,
    },
  ]);
});

test("says the same of a period whose entries ClickHouse no longer keeps", async () => {
  const hourMs = NOON_MS - 25 * DAY_MS;
  const ids = createIdFactory({ now: () => hourMs });
  const [kept, late] = [ids(), ids()];
  const at = { type: "express", status: "sent", sequence: sequenceOf(0, "sent"), created_at_ms: hourMs };
  await insertStatusEvents(
    db.clickhouse,
    [kept, late].map((one) => ({ id: one, ...at })),
  );
  const entry = { customer_id: 1, amount: 500, created_at_ms: hourMs + 200 };
  await insertLedgerEvents(db.clickhouse, [
    { ...entry, event_id: `${kept}:close`, op: "capture" },
    { ...entry, event_id: `${late}:close`, op: "refund" },
  ]);
  const read = () => expressReport(db.clickhouse, { fromMs: hourMs - HOUR_MS, toMs: hourMs + HOUR_MS });
  const told = [{ accepted: 2, kept: 1, late: 1, open: 0, kept_share: 0.5 }];
  expect(await read()).toMatchObject(told);
  await db.clickhouse.command("SYSTEM REFRESH VIEW mv_refunds");
  await db.clickhouse.command("SYSTEM WAIT VIEW mv_refunds");
  const gone = `DELETE WHERE created_at < fromUnixTimestamp64Milli(${hourMs + DAY_MS})`;
  await db.clickhouse.command(`ALTER TABLE wallet_ledger ${gone} SETTINGS mutations_sync = 1`);
  expect(await read()).toMatchObject(told);
});

test("the command prints the hours as a table or as JSON, and refuses a period that is none", () => {
  const run = (...args: string[]) =>
    spawnSync(join(projectRoot, "sluice"), ["express", ...args], {
      env: { ...process.env, ...envOf(db.config) },
      encoding: "utf8",
    });
  const at = (ms: number) => new Date(ms).toISOString();
  const period = ["--from", at(NOON_MS - HOUR_MS), "--to", at(NOON_MS + HOUR_MS)];
  const table = run(...period);
  expect([table.status, table.stderr]).toEqual([0, ""]);
  expect(table.stdout.split("\n")[0]?.split(/ {2,}/)).toEqual([
    "hour",
    "accepted",
    "kept",
    "late",
    "expired",
    "failed",
    "open",
    "share kept",
  ]);
  expect(table.stdout.split("\n")[1]?.split(/ {2,}/)).toEqual([
    at(NOON_MS),
    "13",
    "7",
    "2",
    "1",
    "1",
    "2",
    "70.00 %",
  ]);
  const json = JSON.parse(run(...period, "--json").stdout) as { hours: unknown[] };
  expect(json.hours).toMatchObject([{ accepted: 13, kept: 7, kept_share: 0.7 }]);
  expect(run("--from", at(NOON_MS), "--to", at(NOON_MS)).status).toBe(1);
  const none = run("--from", at(NOON_MS - 20 * HOUR_MS), "--to", at(NOON_MS - 10 * HOUR_MS));
  expect([none.status, none.stdout.startsWith("no express messages")]).toEqual([0, true]);
});
