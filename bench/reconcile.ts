// What a check of the books costs: creates one customer with a million messages (settled, over 20 days, with
// all their events in ClickHouse) directly in SQL; then runs `reconcile` of this customer and of all.
//
// `--beside` seconds: also measures how fast one writer accepts, claims and settles messages in that time,
// first alone and then while the books are checked again and again, and how long InnoDB's list of
// transactions to purge becomes.
//
// Needs running engines (make up). Its own databases, whose names contain `test`, are dropped at the end.

import { Command } from "commander";
import { createIdFactory, ulidBound } from "../src/core/id.ts";
import { COMMIT_ROWS_MAX } from "../src/core/limits.ts";
import { claimMessages } from "../src/ledger/claim.ts";
import { settleClaim } from "../src/ledger/settle.ts";
import { reconcile } from "../src/reconcile/reconcile.ts";
import { customerReconcile } from "../src/reconcile/customer.ts";
import type { ReconcileResult } from "../src/reconcile/result.ts";
import { createClickhouse } from "../src/platform/clickhouse.ts";
import { createPool, type Pool } from "../src/platform/mysql.ts";
import { sleep } from "../src/platform/retry.ts";
import { createTestClickhouse } from "../test/support/clickhouse.ts";
import { createTestDatabase } from "../test/support/database.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../test/support/messages.ts";

const args = new Command("bench/reconcile")
  .description("What a check of the books costs: of one customer with many messages, and of all.")
  .option("--messages <n>", "messages of the customer", Number, 1_000_000)
  .option("--beside <s>", "seconds for which a writer is measured alone, then beside checks", Number, 0)
  .option("--json", "print the results as JSON, too")
  .parse()
  .opts<{ messages: number; beside: number; json?: true }>();
const GROUPS = 1_000;
const COST = 500;
const DAYS = 20;
const id = createIdFactory({ now: Date.now });
const messages = Math.ceil(args.messages / GROUPS) * GROUPS;

const [database, events] = await Promise.all([createTestDatabase(), createTestClickhouse()]);
const pool = createPool(database.config, { connections: 8, multipleStatements: true });
const clickhouse = createClickhouse(events.config, { timeoutMs: 120_000 });
try {
  const customerId = await insertCustomer(pool, messages * COST);
  await makeBook(pool, customerId);
  const results = [
    await timed("customer", () => reconcile({ pool, clickhouse }, { customerId })),
    await timed("customer again", () => reconcile({ pool, clickhouse }, { customerId })),
    await timed("everybody", () => reconcile({ pool, clickhouse })),
    await timed("GET /v1/wallet/reconcile", () => customerReconcile({ pool, clickhouse }, customerId)),
  ];
  const seconds = args.beside;
  if (seconds > 0) {
    results.push(await writing("writer alone", seconds, async () => sleep(100)));
    const check = async () => void (await reconcile({ pool, clickhouse }));
    results.push(await writing("writer beside reconcile", seconds, check));
  }
  if (args.json) console.log(JSON.stringify({ messages, results }));
} finally {
  await Promise.all([pool.end(), clickhouse.close()]);
  await Promise.all([database.drop(), events.drop()]);
}

async function timed(what: string, run: () => Promise<ReconcileResult | object>): Promise<object> {
  const startedMs = performance.now();
  const result = await run();
  const ms = Math.round(performance.now() - startedMs);
  const state = "kind" in result ? result.kind : "ok" in result ? `ok ${String(result.ok)}` : "";
  if (!args.json) console.log(`${what}: ${messages} messages, ${ms} ms, ${state}`);
  if (state !== "clean" && state !== "ok true") console.log(JSON.stringify(result).slice(0, 2_000));
  return { what, ms, state };
}

/** A writer's messages a second while `beside` runs again and again. */
async function writing(what: string, seconds: number, beside: () => Promise<void>): Promise<object> {
  const customerId = await insertCustomer(pool, 1_000_000_000);
  const endMs = performance.now() + seconds * 1_000;
  let written = 0;
  let unpurgedMost = 0;
  let runs = 0;
  const writer = async () => {
    while (performance.now() < endMs) written += await takeThrough(customerId);
  };
  const checker = async () => {
    for (; performance.now() < endMs; runs++) await beside();
  };
  const watcher = async () => {
    while (performance.now() < endMs) {
      unpurgedMost = Math.max(unpurgedMost, await unpurged());
      await sleep(500);
    }
  };
  await Promise.all([writer(), checker(), watcher()]);
  const perSecond = Math.round(written / seconds);
  if (!args.json)
    console.log(`${what}: ${perSecond} messages/s, ${unpurgedMost} transactions to purge, ${runs} runs`);
  return { what, perSecond, unpurgedMost, runs };
}

async function takeThrough(customerId: number): Promise<number> {
  const records = Array.from({ length: COMMIT_ROWS_MAX }, () => laneRecord(customerId));
  await acceptMessages(pool, records);
  const [claimId, nowMs] = [id(), Date.now()];
  await claimMessages(pool, { claimId, lane: "normal", records, nowMs });
  const sent = { from: "sending", to: "sent", takenAtMs: nowMs, operator: "A", reason: null } as const;
  const changes = records.map((record) => ({ ...sent, record, operatorMessageIds: [record.id] }));
  await settleClaim({ pool, id }, { claimId, lane: "normal", changes, idsLeft: [], nowMs });
  await pool.query("DELETE FROM outbox");
  return records.length;
}

async function unpurged(): Promise<number> {
  const [row] = await pool.query<{ n: number }[]>(
    "SELECT `COUNT` AS n FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rseg_history_len'",
  );
  return Number(row?.n ?? 0);
}

/** Both engines create the same ids: a group's time, then the number within the group. */
async function makeBook(pool: Pool, customerId: number): Promise<void> {
  const startMs = Date.now() - DAYS * 86_400_000;
  const times = Array.from({ length: GROUPS }, (_, i) =>
    Math.floor(startMs + (i * (DAYS - 0.1) * 86_400_000) / GROUPS),
  );
  const prefixes = times.map((ms) => ulidBound(ms).slice(0, 10));
  const each = messages / GROUPS;
  const rows = times.map((ms, i) => `(${i},'${prefixes[i]}',FROM_UNIXTIME(${ms / 1_000}))`);
  await pool.query(
    "CREATE TABLE bench_groups (i INT PRIMARY KEY, prefix CHAR(10) CHARACTER SET ascii, at DATETIME(3));" +
      "CREATE TABLE bench_numbers (n INT PRIMARY KEY);" +
      `INSERT INTO bench_groups VALUES ${rows.join(",")};` +
      `SET SESSION cte_max_recursion_depth=${each + 1};INSERT INTO bench_numbers WITH RECURSIVE c (n) AS ` +
      `(SELECT 0 UNION ALL SELECT n+1 FROM c WHERE n+1 < ${each}) SELECT n FROM c`,
  );
  const total = messages * COST;
  const granted = ulidBound(startMs - 1);
  for (let from = 0; from < GROUPS; from += 50) {
    const some = `bench_groups g JOIN bench_numbers WHERE g.i >= ${from} AND g.i < ${from + 50}`;
    const id = "CONCAT(g.prefix, LPAD(n, 16, '0'))";
    await pool.query(
      "INSERT INTO messages (id,customer_id,lane,status,phone,text,encoding,parts,cost,sequence,operator," +
        `created_at,updated_at) SELECT ${id},${customerId},'normal','sent','+989121234567','hello','gsm7',` +
        `1,${COST},4,'A',g.at,g.at + INTERVAL 1 SECOND FROM ${some};` +
        "INSERT INTO wallet_ledger (customer_id,entry_id,leg,op,amount,created_at) " +
        `SELECT ${customerId},${id},'open','reserve',${COST},g.at FROM ${some} UNION ALL ` +
        `SELECT ${customerId},${id},'close','capture',${COST},g.at + INTERVAL 1 SECOND FROM ${some}`,
    );
  }
  await pool.query(
    `INSERT INTO wallet_ledger (customer_id,entry_id,leg,op,amount,created_at) VALUES ` +
      `(${customerId},'${granted}','open','grant',${total},FROM_UNIXTIME(${startMs / 1_000}));` +
      `UPDATE wallet_accounts SET balance=0 WHERE customer_id=${customerId};` +
      "DELETE FROM outbox;DROP TABLE bench_groups;DROP TABLE bench_numbers;" +
      "ANALYZE TABLE messages,wallet_ledger",
  );
  await makeEvents(customerId, times, prefixes, each);
  const others = await pool.query<{ event_id: string }[]>(
    `SELECT CONCAT(entry_id,':',leg) AS event_id, customer_id, op, amount,
       CAST(UNIX_TIMESTAMP(created_at)*1000 AS SIGNED) AS created_at_ms
     FROM wallet_ledger WHERE op IN ('topup','grant')`,
  );
  await clickhouse.insert("ledger_events", others);
}

async function makeEvents(
  customerId: number,
  times: readonly number[],
  prefixes: readonly string[],
  each: number,
): Promise<void> {
  await clickhouse.command("CREATE TABLE bench_groups (prefix String, at Int64) ENGINE = Memory");
  await clickhouse.insert(
    "bench_groups",
    times.map((at, i) => ({ prefix: prefixes[i], at })),
  );
  const id = "concat(prefix, leftPad(toString(number), 16, '0'))";
  const from = `FROM bench_groups AS g CROSS JOIN numbers(${each}) AS n`;
  for (const [leg, op, later] of [
    ["open", "reserve", 0],
    ["close", "capture", 1_000],
  ])
    await clickhouse.command(
      `INSERT INTO ledger_events (event_id, customer_id, op, amount, created_at_ms)
       SELECT concat(${id}, ':${leg}'), ${customerId}, '${op}', ${COST}, at + ${later} ${from}`,
    );
  for (const [sequence, status, later] of [
    [1, "queued", 0],
    [4, "sent", 1_000],
  ])
    await clickhouse.command(
      `INSERT INTO status_events (id, customer_id, phone, type, status, parts, cost, sequence, created_at_ms,
         updated_at_ms)
       SELECT ${id}, ${customerId}, '+989121234567', 'normal', '${status}', 1, ${COST}, ${sequence}, at,
         at + ${later} ${from}`,
    );
}
