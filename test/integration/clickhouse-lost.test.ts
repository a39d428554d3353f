// A ClickHouse that comes back with an empty disk: what customers see meanwhile, and that the steps of
// docs/OPERATIONS.md bring everything back. Events that Kafka no longer has are written into ClickHouse alone
// before.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { unpackEvents } from "../../src/core/event-record.ts";
import { type Clickhouse } from "../../src/platform/clickhouse.ts";
import { loadConfig } from "../../src/platform/config.ts";
import { consumersOf } from "../../src/platform/kafka/topics.ts";
import { ask, int32, text } from "../../src/platform/kafka/wire.ts";
import { reconcile } from "../../src/reconcile/reconcile.ts";
import { reportsAnswer } from "../../src/reports/freshness.ts";
import { oneMessage } from "../../src/reports/messages-list.ts";
import { messagesReport } from "../../src/reports/messages-report.ts";
import { migrateClickhouse } from "../../src/schema/clickhouse.ts";
import { projectRoot } from "../../src/stack/tools.ts";
import { insertLedgerEvents, insertStatusEvents, createTestClickhouse } from "../support/clickhouse.ts";
import type { TestClickhouse } from "../support/clickhouse.ts";
import { startIngest } from "../support/ingest-process.ts";
import { createDownstream, type Downstream, until } from "../support/roles.ts";
import { ageAll, eventsIn, makeBook } from "../support/small-book.ts";

let downstream: Downstream;
let db: TestClickhouse;
beforeAll(async () => {
  downstream = await createDownstream();
  db = await createTestClickhouse(downstream.config, { kafka: true });
}, 180_000);
afterAll(async () => {
  await Promise.all([db.drop(), downstream.end()]);
}, 180_000);

const WAIT_MS = 60_000;
const DELETE_GROUPS = { key: 42, version: 1 };
/** As `kafka-consumer-groups.sh --delete --group` does; the error's number, 0 if it is gone. */
async function deleteGroup(group: string): Promise<number> {
  const body = Buffer.concat([int32(1), text(group)]);
  const { kafkaHost: host, kafkaPort: port } = db.config;
  const answer = await ask({ host, port }, DELETE_GROUPS, body, AbortSignal.timeout(10_000));
  answer.int32(); // throttling
  const [error] = answer.array(() => [answer.text(), answer.int16()] as const);
  return error?.[1] ?? -1;
}

const lines = (rows: readonly object[]) => Buffer.from(rows.map((row) => JSON.stringify(row)).join("\n"));
async function produce(entries: readonly object[], statuses: readonly object[]): Promise<void> {
  await downstream.produce("wallet.ledger", "", lines(entries));
  await downstream.produce("sms.status", "", lines(statuses));
}
const rowsIn = async (table: string) =>
  Number((await db.clickhouse.query<{ n: string }>(`SELECT count() AS n FROM ${table} FINAL`))[0]?.n);
const has = (entries: number, messages: number) =>
  until(
    async () => (await rowsIn("wallet_ledger")) === entries && (await rowsIn("messages_log")) === messages,
    `${entries} entries and ${messages} messages`,
    WAIT_MS,
  );
/** The test's ClickHouse may have been started a moment ago, when silence proves nothing. */
const longUp = (): Clickhouse => ({
  ...db.clickhouse,
  query: (sql, params) => db.clickhouse.query(sql.replace("uptime()", "3600"), params),
});
const check = (options: { resend?: boolean } = {}) =>
  reconcile({ pool: downstream.pool, clickhouse: longUp() }, { ...options, confirmMs: 100 });

test("after the runbook's steps a ClickHouse that lost its disk has everything again", async () => {
  const { pool } = downstream;
  const { customerId, ids } = await makeBook(pool);
  await ageAll(pool);
  const { entries, statuses } = await eventsIn(pool);
  await pool.query("DELETE FROM outbox WHERE lane='events'");
  // What happened to the first message is older than what Kafka keeps.
  const isOld = (id: string) => id.startsWith(ids[0] as string);
  await insertLedgerEvents(
    db.clickhouse,
    entries.filter((entry) => isOld(entry.event_id)),
  );
  await insertStatusEvents(
    db.clickhouse,
    statuses.filter((status) => isOld(status.id)),
  );
  await produce(
    entries.filter((entry) => !isOld(entry.event_id)),
    statuses.filter((status) => !isOld(status.id)),
  );
  await has(entries.length, statuses.length);
  expect(await check()).toMatchObject({ kind: "clean", pending: { entries: 0, statuses: 0 } });
  expect(await reportsAnswer(db.clickhouse)).toBe(true);

  await db.clickhouse.command(`DROP DATABASE ${db.config.clickhouseDatabase} SYNC`).catch(() => undefined);
  const report = messagesReport(
    { clickhouse: db.clickhouse, now: Date.now },
    { customerId, region: "IR" },
    new Map(),
  );
  expect(await report.catch((error: { code: string }) => error.code)).toBe("reports_unavailable");
  const owner = { customerId, region: "IR", currency: "IRR" };
  const { id, timeline } = await oneMessage({ pool, clickhouse: db.clickhouse }, owner, ids[0] as string);
  expect([id, timeline]).toEqual([ids[0] as string, null]);
  expect(await reportsAnswer(db.clickhouse)).toBe(false);
  // Not as one that was asked for too much: no customer is skipped for it.
  expect(await check()).toEqual({
    kind: "could_not_check",
    reason: expect.stringContaining("Database"),
  });

  const runbook = readFileSync(join(projectRoot, "docs/OPERATIONS.md"), "utf8");
  const named = [...runbook.matchAll(/ --group ([\w.-]+)/g)].map(([, group]) => group);
  const groupsOf = ({ status, ledger }: ReturnType<typeof consumersOf>) => [status.group, ledger.group];
  expect(named).toEqual(groupsOf(consumersOf(loadConfig({}))));
  for (const group of groupsOf(consumersOf(db.config)))
    await until(async () => (await deleteGroup(group)) === 0, `${group} is empty and deleted`, WAIT_MS);
  await migrateClickhouse(db.config);
  expect(await reportsAnswer(db.clickhouse)).toBe(true);
  await has(entries.length - 2, statuses.length - 1);
  // What happens now is newer than what is missing, so that is not on its way.
  const { customerId: other } = await makeBook(pool);
  const present = await eventsIn(pool);
  await pool.query("DELETE FROM outbox WHERE lane='events'");
  await produce(
    present.entries.filter((entry) => entry.customer_id === other),
    present.statuses.filter((status) => status.customer_id === other),
  );
  await has(present.entries.length - 2, present.statuses.length - 1);

  expect(await check({ resend: true })).toMatchObject({ kind: "drift", resent: 3 });
  const again = await pool.query<{ payload: Buffer }[]>("SELECT payload FROM outbox WHERE lane='events'");
  for (const { payload } of again) {
    const sent = unpackEvents(payload);
    await downstream.produce("wallet.ledger", "", Buffer.from(sent.ledger));
    await downstream.produce("sms.status", "", Buffer.from(sent.status));
  }
  await pool.query("DELETE FROM outbox WHERE lane='events'");
  await has(present.entries.length, present.statuses.length);
  expect(await check({ resend: true })).toMatchObject({ kind: "clean", resent: 0 });
}, 300_000);

test("/ready shows a ClickHouse without tables as degraded, and is ok once it is migrated", async () => {
  const empty = { ...downstream.config, clickhouseDatabase: `${db.config.clickhouseDatabase}_empty` };
  const ingest = await startIngest(empty);
  const clickhouse = async () => {
    const answer = await fetch(`${ingest.healthUrl}/ready`);
    const { checks } = (await answer.json()) as { checks: Record<string, string> };
    return `${answer.status} ${checks.kafka} ${checks.clickhouse}`;
  };
  try {
    await until(async () => (await clickhouse()) === "200 ok degraded", "degraded", WAIT_MS);
    await migrateClickhouse(empty, { kafka: false });
    await until(async () => (await clickhouse()) === "200 ok ok", "ok", WAIT_MS);
  } finally {
    await ingest.end();
    await db.clickhouse.command(`DROP DATABASE IF EXISTS ${empty.clickhouseDatabase} SYNC`);
  }
}, 180_000);
