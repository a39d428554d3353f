// The whole way of a message, measured and then proved: HTTP, MySQL, Kafka, operators, ClickHouse. Sends at a
// fixed rate, looks five seconds after the last one whether anything is left over, runs reconcile --settled,
// and compares every count. Needs a running gateway (`make run`) that nobody else is using; adds customers of
// its own to it. Exit 1 when any of it doesn't hold.

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { Command } from "commander";
import { ulidBound } from "../src/core/id.ts";
import { reconcile } from "../src/reconcile/reconcile.ts";
import type { ReconcileResult } from "../src/reconcile/result.ts";
import { createClickhouse } from "../src/platform/clickhouse.ts";
import { loadConfig } from "../src/platform/config.ts";
import { createPool } from "../src/platform/mysql.ts";
import { sleep } from "../src/platform/retry.ts";
import {
  BENCH_SEED,
  type BenchCustomer,
  cpuMs,
  createBenchCustomers,
  percentile,
  randomFrom,
  round,
  untilDrained,
} from "./harness.ts";
import { type LoadResult, runLoad } from "./load.ts";

const TARGET_PER_S = 3_471; // the peak of 100 M messages a day, product.md
// The last answers come after the last second: offered a little more, so that the target itself is reached.
const RATE_PER_S = 3_500;
const options = new Command("bench/end-to-end")
  .description(
    "Messages a second from HTTP to ClickHouse, against the running gateway; proves that every count agrees.",
  )
  .option("--rate <n>", "messages a second offered", Number, RATE_PER_S)
  .option("--seconds <n>", "length of the measured run", Number, 60)
  .option("--warmup <n>", "seconds before it, at half the rate", Number, 5)
  .option("--connections <n>", "keep-alive connections", Number, 256)
  .option("--customers <n>", "customers that send", Number, 1_000)
  .option("--express <share>", "share of express messages", Number, 0.05)
  .option("--left-over <s>", "seconds after which nothing may be left", Number, 5)
  .option("--json", "print only the result, as JSON")
  .parse()
  .opts<{
    rate: number;
    seconds: number;
    warmup: number;
    connections: number;
    customers: number;
    express: number;
    leftOver: number;
    json?: true;
  }>();
const say = (line: string) => (options.json ? undefined : console.error(line));

const config = loadConfig(process.env);
const pool = createPool(config, { connections: 8, multipleStatements: true });
const clickhouse = createClickhouse(config, { timeoutMs: 60_000 });
const OPERATORS = ["A", "B", "C"];

try {
  const result = await measure();
  console.log(JSON.stringify(result, null, options.json ? 0 : 2));
  process.exitCode = result.failures.length === 0 ? 0 : 1;
} finally {
  await Promise.all([pool.end(), clickhouse.close()]);
}

async function measure() {
  say(`creating ${options.customers} customers`);
  const customers = await createBenchCustomers(pool, options.customers);
  const next = requestsOf(customers);
  const firstId = ulidBound(Date.now() - 60_000);
  await untilDrained(pool, say);
  const operatorsBefore = await takenByOperators();
  const load = { host: config.apiHost, port: config.apiPort, connections: options.connections };
  say(`warming up for ${options.warmup} s at ${Math.round(options.rate / 2)}/s`);
  const warmup = await runLoad({ ...load, ratePerS: options.rate / 2, seconds: options.warmup }, next);
  const processes = runningProcesses();
  const before = cpuMs(processes);
  say(`sending ${options.rate}/s for ${options.seconds} s`);
  const progress = setInterval(() => void tellProgress(), 10_000);
  const run = await runLoad({ ...load, ratePerS: options.rate, seconds: options.seconds }, next);
  clearInterval(progress);
  const accepted = warmup.accepted + run.accepted;
  say(`accepted ${run.accepted} in ${round(run.seconds)} s; waiting ${options.leftOver} s`);
  await sleep(options.leftOver * 1000);
  const after = cpuMs(processes);

  const ids = { from: customers.at(0)?.customerId ?? 0, to: customers.at(-1)?.customerId ?? 0, firstId };
  const backlog = await backlogNow(accepted, ids);
  const counts = await countEverywhere(ids, operatorsBefore);
  const proof = await reconcile({ pool, clickhouse }, { settled: true });
  const failures = failuresOf({ run, warmup, accepted, backlog, counts });
  if (proof.kind !== "clean" && !isOthers(proof, backlog))
    failures.push(`reconcile --settled: ${JSON.stringify(proof).slice(0, 500)}`);
  return {
    bench: "end-to-end",
    ratio: round(run.accepted / run.seconds / TARGET_PER_S),
    accepted_per_s: round(run.accepted / run.seconds, 0),
    target_per_s: TARGET_PER_S,
    p50_ms: round(percentile(run.latenciesMs, 0.5)),
    p99_ms: round(percentile(run.latenciesMs, 0.99)),
    refused: run.refused,
    backlog,
    counts: { accepted, ...counts },
    reconcile:
      proof.kind === "drift" && isOthers(proof, backlog) ? "clean, messages of others are open" : proof.kind,
    cpu_us_per_message: Object.fromEntries(
      [...after].map(([name, ms]) => [
        name,
        round(((ms - (before.get(name) ?? 0)) * 1000) / run.accepted, 1),
      ]),
    ),
    failures,
  };
}

/** Requests drawn from the seed, each built once for every customer. */
function requestsOf(customers: readonly BenchCustomer[]): () => Buffer {
  const random = randomFrom(BENCH_SEED);
  const built = customers.flatMap(({ apiKey }, i) =>
    ["normal", "express"].map((type) => {
      // Subscriber numbers that end in 1 to 3 after 9990 have a meaning for the simulated operators; these
      // begin with 1.
      const phone = `+98912${1_000_000 + i}`;
      const body = JSON.stringify({
        phone,
        text: `Your order ${i} is on its way and will arrive today.`,
        type,
      });
      return Buffer.from(
        `POST /v1/sms/send HTTP/1.1\r\nHost: ${config.apiHost}\r\nX-API-Key: ${apiKey}\r\n` +
          `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
    }),
  );
  return () => {
    const customer = Math.floor(random() * customers.length);
    return built[2 * customer + (random() < options.express ? 1 : 0)] as Buffer;
  };
}

type Ids = { from: number; to: number; firstId: string };
type Backlog = { open_messages: number; outbox_rows: number; missing_in_clickhouse: number };

async function backlogNow(accepted: number, { from, to, firstId }: Ids): Promise<Backlog> {
  const [row] = await pool.query<{ open_messages: number; outbox_rows: number }[]>(
    `SELECT (SELECT COUNT(*) FROM messages WHERE id >= ? AND customer_id BETWEEN ? AND ?
    AND status IN ('queued','sending')) AS open_messages,
       (SELECT COUNT(*) FROM outbox) AS outbox_rows`,
    [firstId, from, to],
  );
  const [seen] = await clickhouse.query<{ count: string }>(
    `SELECT uniqExact(id) AS count FROM messages_log
     WHERE customer_id BETWEEN {from:UInt64} AND {to:UInt64} AND id >= {firstId:String} AND status = 'sent'`,
    { from, to, firstId },
  );
  return {
    open_messages: Number(row?.open_messages),
    outbox_rows: Number(row?.outbox_rows),
    missing_in_clickhouse: accepted - Number(seen?.count ?? 0),
  };
}

/** All that isn't settled are messages that were there before, such as one whose operator never answered. */
function isOthers(proof: ReconcileResult, { open_messages }: Backlog): boolean {
  if (proof.kind !== "drift" || open_messages > 0) return false;
  const { entries, events } = proof.pending;
  return entries === 0 && events === 0 && proof.drifts.every(({ invariant }) => invariant === "settled");
}

type Counts = {
  mysql: Record<string, number>;
  clickhouse: Record<string, number>;
  mysql_captures: number;
  clickhouse_captures: number;
  operators: number;
};

async function countEverywhere({ from, to, firstId }: Ids, operatorsBefore: number): Promise<Counts> {
  const mysql = await pool.query<{ status: string; count: number }[]>(
    "SELECT status, COUNT(*) AS count FROM messages WHERE id >= ? AND customer_id BETWEEN ? AND ? " +
      "GROUP BY status",
    [firstId, from, to],
  );
  const [entries] = await pool.query<{ count: number }[]>(
    "SELECT COUNT(*) AS count FROM wallet_ledger WHERE entry_id >= ? AND customer_id BETWEEN ? AND ? " +
      "AND op = 'capture'",
    [firstId, from, to],
  );
  const range = "customer_id BETWEEN {from:UInt64} AND {to:UInt64}";
  const latest = await clickhouse.query<{ status: string; count: string }>(
    `SELECT status, count() AS count FROM (SELECT id, argMax(status, sequence) AS status FROM messages_log
     WHERE ${range} AND id >= {firstId:String} GROUP BY id) GROUP BY status`,
    { from, to, firstId },
  );
  const [captures] = await clickhouse.query<{ count: string }>(
    `SELECT count() AS count FROM wallet_ledger FINAL WHERE ${range} AND event_id >= {firstId:String} ` +
      `AND op = 'capture'`,
    { from, to, firstId },
  );
  return {
    mysql: Object.fromEntries(mysql.map(({ status, count }) => [status, Number(count)])),
    clickhouse: Object.fromEntries(latest.map(({ status, count }) => [status, Number(count)])),
    mysql_captures: Number(entries?.count),
    clickhouse_captures: Number(captures?.count),
    operators: (await takenByOperators()) - operatorsBefore,
  };
}

async function takenByOperators(): Promise<number> {
  let taken = 0;
  for (let i = 0; i < OPERATORS.length; i++) {
    const answer = await fetch(`http://${config.apiHost}:${config.operatorPort + i}/count`);
    taken += ((await answer.json()) as { count: number }).count;
  }
  return taken;
}

type Outcome = { run: LoadResult; warmup: LoadResult; accepted: number; backlog: Backlog; counts: Counts };

function failuresOf({ run, warmup, accepted, backlog, counts }: Outcome): string[] {
  const failures: string[] = [];
  const must = (holds: boolean, what: string) => {
    if (!holds) failures.push(what);
  };
  const wantedPerS = Math.min(TARGET_PER_S, options.rate * 0.99);
  must(run.accepted / run.seconds >= wantedPerS, `accepted less than ${wantedPerS}/s`);
  must(
    Object.keys({ ...run.refused, ...warmup.refused }).length === 0,
    "requests were refused or not answered",
  );
  must(
    Object.values(backlog).every((left) => left === 0),
    `${options.leftOver} s after the last request something was left over`,
  );
  must(counts.mysql.sent === accepted, "MySQL doesn't have every accepted message as sent");
  must(counts.clickhouse.sent === accepted, "ClickHouse doesn't have every accepted message as sent");
  must(counts.mysql_captures === accepted, "MySQL doesn't have a capture for every accepted message");
  must(
    counts.clickhouse_captures === accepted,
    "ClickHouse doesn't have a capture for every accepted message",
  );
  must(counts.operators === accepted, "operators didn't take every accepted message exactly once");
  return failures;
}

async function tellProgress(): Promise<void> {
  const [row] = await pool.query<{ waiting: number }[]>("SELECT COUNT(*) AS waiting FROM outbox");
  say(`  outbox rows waiting: ${row?.waiting}`);
}

function runningProcesses(): { name: string; pid: number | null }[] {
  const launcher = join(import.meta.dirname, "..", "sluice");
  const status = execFileSync(launcher, ["status", "--json"], { encoding: "utf8" });
  const { processes } = JSON.parse(status) as { processes: { name: string; pid: number | null }[] };
  return [...processes, { name: "load", pid: process.pid }];
}
