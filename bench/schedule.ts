// How late scheduled messages are queued: sends many, in batches, that are due spread over a minute, waits
// until they are sent, and compares the time of each message's `queued` event with its send_at. Needs a
// running gateway (`make run`), whose relays move them; starts an ingest process of its own beside it. The
// move's commit comes some ten milliseconds after the time that its event has.
// Exit 1 unless each is queued once, no earlier than its time, and 99 % within --late-ms.

import { Command } from "commander";
import { createClickhouse } from "../src/platform/clickhouse.ts";
import { loadConfig } from "../src/platform/config.ts";
import { createPool } from "../src/platform/mysql.ts";
import { sleep } from "../src/platform/retry.ts";
import { type BenchCustomer, createBenchCustomers, round } from "./harness.ts";
import { startIngest, stop } from "./ingest-process.ts";
import { latencyOf } from "./latency.ts";

const options = new Command("bench/schedule")
  .description("How late scheduled messages are queued.")
  .option("--messages <n>", "messages in all", Number, 100_000)
  .option("--seconds <n>", "time over which they are due", Number, 60)
  .option("--ahead <n>", "seconds until the first is due: all must be accepted by then", Number, 60)
  .option("--size <n>", "messages of a batch; all of a batch are due together", Number, 100)
  .option("--customers <n>", "customers that send", Number, 50)
  .option("--late-ms <n>", "within which 99 % must be queued", Number, 1_000)
  .option("--port <n>", "API port of the process; its health port is the next", Number, 18_090)
  .option("--json", "print only the result, as JSON")
  .parse()
  .opts<{
    messages: number;
    seconds: number;
    ahead: number;
    size: number;
    customers: number;
    lateMs: number;
    port: number;
    json?: true;
  }>();
const say = (line: string) => (options.json ? undefined : console.error(line));
const CALLERS = 4;
const LOOK_MS = 500;
/** After the last is due: until all are queued, and ClickHouse knows it. */
const END_MAX_MS = 120_000;
const IDS_AT_ONCE = 10_000;

const config = loadConfig(process.env);
const pool = createPool(config, { connections: 4, multipleStatements: true });
const clickhouse = createClickhouse(config, { timeoutMs: 30_000 });
const server = await startIngest(options.port, options.port + 1);
try {
  const customers = await createBenchCustomers(pool, options.customers);
  const firstMs = Date.now() + options.ahead * 1_000;
  const lastMs = firstMs + options.seconds * 1_000;
  say(`scheduling ${options.messages} messages`);
  const failures: string[] = [];
  const accepted = await sendAll(customers, firstMs);
  if (Date.now() > firstMs) failures.push("the first were due before the last were accepted: raise --ahead");
  say(`accepted ${accepted}; the last is due in ${round((lastMs - Date.now()) / 1_000, 0)} s`);
  const waiting = await untilMoved(customers, lastMs);
  if (waiting > 0) failures.push(`${waiting} messages are still scheduled`);
  const lateMs = await latenesses(customers, accepted, lastMs);
  const result = {
    bench: "schedule",
    ...latencyOf(lateMs),
    earliest_ms: round(lateMs[0] ?? 0),
    messages: accepted,
    queued: lateMs.length,
    due_per_s: round(accepted / options.seconds, 0),
    failures,
  };
  if (lateMs.length !== accepted) failures.push(`${lateMs.length} of ${accepted} have a queued event`);
  if (result.earliest_ms < 0) failures.push("some were queued before their time");
  if (result.p99_ms > options.lateMs) failures.push(`p99 is ${result.p99_ms} ms`);
  console.log(JSON.stringify(result, null, options.json ? 0 : 2));
  process.exitCode = failures.length === 0 ? 0 : 1;
} finally {
  await stop(server);
  await clickhouse.close();
  await pool.end();
}

/** Returns how many were accepted. */
async function sendAll(customers: BenchCustomer[], firstMs: number): Promise<number> {
  const batches = Math.ceil(options.messages / options.size);
  let next = 0;
  let accepted = 0;
  const caller = async () => {
    for (let at = next++; at < batches; at = next++) {
      const count = Math.min(options.size, options.messages - at * options.size);
      const sendAt = new Date(firstMs + Math.floor((at * options.seconds * 1_000) / batches)).toISOString();
      const phones = Array.from({ length: count }, (_, n) => `+98912${1_000_000 + n}`);
      const { apiKey } = customers[at % customers.length] as BenchCustomer;
      const answer = await fetch(`http://127.0.0.1:${options.port}/v1/sms/batches`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-api-key": apiKey },
        body: JSON.stringify({ phones, text: "Your order is on its way.", send_at: sendAt }),
      });
      const text = await answer.text();
      if (answer.status !== 202) throw new Error(`a batch was answered ${answer.status}: ${text}`);
      accepted += (JSON.parse(text) as { accepted: unknown[] }).accepted.length;
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return accepted;
}

/** Waits until nothing of them is scheduled any more; returns how many are when it gives up. */
async function untilMoved(customers: BenchCustomer[], lastMs: number): Promise<number> {
  const ids = customers.map(({ customerId }) => customerId);
  for (;;) {
    await sleep(Math.max(LOOK_MS, lastMs - Date.now()));
    const [row] = await pool.query<{ n: number }[]>(
      "SELECT COUNT(*) AS n FROM scheduled_messages s STRAIGHT_JOIN messages m ON m.id = s.message_id " +
        "WHERE s.moved = FALSE AND m.customer_id IN (?)",
      [ids],
    );
    const left = Number(row?.n ?? 0);
    if (left === 0 || Date.now() > lastMs + END_MAX_MS) return left;
  }
}

/** By how many milliseconds each was queued after its time, ascending. */
async function latenesses(customers: BenchCustomer[], wanted: number, lastMs: number): Promise<Float64Array> {
  const ids = customers.map(({ customerId }) => customerId);
  const queuedAt = async () =>
    clickhouse.query<{ id: string; ms: string }>(
      "SELECT id, toUnixTimestamp64Milli(any(updated_at)) AS ms FROM messages_log " +
        `WHERE customer_id IN (${ids.join(",")}) AND sequence = 1 GROUP BY id`,
    );
  let events = await queuedAt();
  while (events.length < wanted && Date.now() < lastMs + END_MAX_MS) {
    await sleep(LOOK_MS);
    events = await queuedAt();
  }
  const late: number[] = [];
  for (let from = 0; from < events.length; from += IDS_AT_ONCE) {
    const some = events.slice(from, from + IDS_AT_ONCE);
    const rows = await pool.query<{ id: string; send_at: Date }[]>(
      "SELECT id, send_at FROM messages FORCE INDEX (PRIMARY) WHERE id IN (?)",
      [some.map(({ id }) => id)],
    );
    const times = new Map(rows.map(({ id, send_at }) => [id, send_at.getTime()]));
    for (const { id, ms } of some) late.push(Number(ms) - (times.get(id) ?? Number.NaN));
  }
  return Float64Array.from(late).sort();
}
