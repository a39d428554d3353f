// Measures the whole path of a message and then verifies it: HTTP, MySQL, Kafka, operators, ClickHouse. Sends
// at fixed rates, one after the other, in an open loop; checks that nothing is left over within five seconds
// of the last request, runs reconcile --settled, and compares every count. With --reports each rate runs
// twice, the second time with a delivery report on every message (reports.ts). With --batches another
// customer sends a batch of that size twice a second beside each run; its latency is told apart. Needs a
// running gateway (`make run`) that nobody else is using; adds its own customers to it. Exit 1 if any of this
// fails.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { Command } from "commander";
import { ulidBound } from "../src/core/id.ts";
import { reconcile } from "../src/reconcile/reconcile.ts";
import type { ReconcileResult } from "../src/reconcile/result.ts";
import { createClickhouse } from "../src/platform/clickhouse.ts";
import { loadConfig } from "../src/platform/config.ts";
import { createPool } from "../src/platform/mysql.ts";
import { sleep } from "../src/platform/retry.ts";
import { type BenchCustomer, cpuMs, createBenchCustomers, round, untilDrained } from "./harness.ts";
import { type Latency, latencyOf } from "./latency.ts";
import { type LoadResult, runLoad } from "./load.ts";
import { costOfReport, OPERATORS, type Reports, setReports, untilSettled } from "./reports.ts";
import { batchOf, requestsOf } from "./requests.ts";

const TARGET_PER_S = 3_471; // the peak of 100 M messages a day
const RATE_PER_S = 3_500;
// The wait for the last answers, after the last second, does not count against the rate up to this long.
const LAST_ANSWERS_MAX_S = 1;
const LOOK_MS = 500;
const BATCHES_PER_S = 2;
/** Each waits for its answer: enough for answers of two seconds. */
const BATCH_CONNECTIONS = 4;
const options = new Command("bench/end-to-end")
  .description(
    "Messages a second from HTTP to ClickHouse, against the running gateway; proves that every count agrees.",
  )
  .option(
    "--rates <list>",
    "offered rates in messages a second, one run for each: 300,1000,3471",
    String(RATE_PER_S),
  )
  .option("--seconds <n>", "duration of each measured run", Number, 60)
  .option("--warmup <n>", "seconds of warm-up before each run, at half its rate", Number, 5)
  .option("--connections <n>", "keep-alive connections", Number, 256)
  .option("--customers <n>", "customers that send", Number, 1_000)
  .option(
    "--zipf <s>",
    "skew of the customers' rates: 0 for equal rates, 1.0 for 1/r for the customer of rank r",
    Number,
    0,
  )
  .option("--express <share>", "share of express messages", Number, 0.05)
  .option("--reports", "each rate twice: without delivery reports, then with one on every message")
  .option(
    "--batches <size>",
    `messages of a batch that comes ${BATCHES_PER_S} times a second; 0: none`,
    Number,
    0,
  )
  .option("--left-over <s>", "seconds after which no message may be unfinished", Number, 5)
  .option("--no-proof", "skip the checks after the runs: the wait, the counts and reconcile")
  .option("--json", "print only the result, as JSON")
  .parse()
  .opts<{
    rates: string;
    seconds: number;
    warmup: number;
    connections: number;
    customers: number;
    zipf: number;
    express: number;
    reports?: true;
    batches: number;
    leftOver: number;
    proof: boolean;
    json?: true;
  }>();
const say = (line: string) => (options.json ? undefined : console.error(line));
const rates = options.rates.split(",").map(Number);
if (!rates.every((rate) => rate > 0)) throw new Error(`--rates: ${options.rates} is not a list of rates`);

const config = loadConfig(process.env);
const pool = createPool(config, { connections: 8, multipleStatements: true });
const clickhouse = createClickhouse(config, { timeoutMs: 60_000 });

try {
  const result = await measure();
  console.log(JSON.stringify(result, null, options.json ? 0 : 2));
  process.exitCode = result.failures.length === 0 ? 0 : 1;
} finally {
  await Promise.all([pool.end(), clickhouse.close()]);
}

async function measure() {
  say(`creating ${options.customers} customers`);
  const customers = await createBenchCustomers(pool, options.customers + 1);
  const [batching, ...sending] = customers as [BenchCustomer, ...BenchCustomer[]];
  const load: Load = {
    next: requestsOf(sending, { host: config.apiHost, express: options.express, zipf: options.zipf }),
    batch: options.batches > 0 ? batchOf(batching, options.batches, config.apiHost) : null,
  };
  const ids = {
    from: customers.at(0)?.customerId ?? 0,
    to: customers.at(-1)?.customerId ?? 0,
    firstId: ulidBound(Date.now() - 60_000),
  };
  await untilDrained(pool, say);
  const operatorsBefore = await takenByOperators();
  const runs: Run[] = [];
  for (const rate of rates)
    if (options.reports) runs.push(...(await runWithReports(rate, load)));
    else runs.push(await runAt(rate, load));
  const failures = runs.flatMap((run) => run.failures);
  const { customers: count, zipf, seconds } = options;
  const result = { bench: "end-to-end", customers: count, zipf, seconds, target_per_s: TARGET_PER_S };
  const shown = runs.map(({ accepted: _, failures: __, ...run }) => run);
  if (!options.proof) return { ...result, runs: shown, failures };
  const acceptedOf = (some: readonly Run[]) => some.reduce((sum, run) => sum + run.accepted, 0);
  const accepted = acceptedOf(runs);
  const delivered = acceptedOf(runs.filter(({ reports }) => reports === "on"));
  const proof = await prove({ accepted, delivered }, ids, operatorsBefore, failures);
  return { ...result, runs: shown, ...proof };
}

type Load = { next: () => Buffer; batch: Buffer | null };
type Run = {
  rate: number;
  accepted_per_s: number;
  refused: Record<string, number>;
  cpu_us_per_message: Record<string, number>;
  reports?: Reports;
  /** What a message of the run with reports used more than one of the run before it, by process. */
  cpu_us_per_report?: Record<string, number>;
  batches?: { sent: number; refused: Record<string, number> } & Latency;
  /** Messages, including the warm-up and those of batches. */
  accepted: number;
  failures: string[];
} & Latency;

async function runWithReports(rate: number, load: Load): Promise<Run[]> {
  try {
    await setReports(config, "off");
    const without = await runAt(rate, load);
    // Whether a message is reported on is decided when its operator takes it.
    await untilDrained(pool, say);
    await setReports(config, "on");
    const reported = await runAt(rate, load);
    await untilDrained(pool, say);
    await untilSettled(config, pool);
    const cost = costOfReport(without.cpu_us_per_message, reported.cpu_us_per_message);
    say(`  a report costs ${cost.machine ?? "?"} µs of all CPUs`);
    return [
      { ...without, reports: "off" },
      { ...reported, reports: "on", cpu_us_per_report: cost },
    ];
  } finally {
    await setReports(config, "usual");
  }
}

async function runAt(rate: number, { next, batch }: Load): Promise<Run> {
  const { connections, seconds } = options;
  const load = { host: config.apiHost, port: config.apiPort, connections };
  // Reports come a second behind their messages: at one rate, as many come within the run as are for it.
  const warmupPerS = options.reports ? rate : rate / 2;
  say(`warming up for ${options.warmup} s at ${Math.round(warmupPerS)}/s`);
  const warmup = await runLoad({ ...load, ratePerS: warmupPerS, seconds: options.warmup }, next);
  const processes = runningProcesses();
  const before = cpuMs(processes);
  say(`sending ${rate}/s for ${seconds} s`);
  const beside = { ...load, connections: BATCH_CONNECTIONS, ratePerS: BATCHES_PER_S, seconds };
  const [run, batches] = await Promise.all([
    runLoad({ ...load, ratePerS: rate, seconds }, next),
    batch === null ? null : runLoad(beside, () => batch),
  ]);
  const inBatches = (batches?.accepted ?? 0) * options.batches;
  const cpu = [...cpuMs(processes)].map(([name, ms]) => {
    const usedMs = ms - (before.get(name) ?? 0);
    return [name, round((usedMs * 1_000) / (run.accepted + inBatches), 1)];
  });
  const latency = latencyOf(run.latenciesMs);
  say(
    `  accepted ${run.accepted} in ${round(run.seconds)} s, p50 ${latency.p50_ms}, p99 ${latency.p99_ms} ms`,
  );
  return {
    rate,
    accepted_per_s: round(run.accepted / run.seconds, 0),
    ...latency,
    refused: run.refused,
    cpu_us_per_message: Object.fromEntries(cpu) as Record<string, number>,
    ...(batches === null ? {} : { batches: batchesOf(batches) }),
    accepted: warmup.accepted + run.accepted + inBatches,
    failures: failuresOf(rate, run, { ...warmup.refused, ...batches?.refused }),
  };
}

function batchesOf({ sent, refused, latenciesMs }: LoadResult): Run["batches"] {
  const latency = latencyOf(latenciesMs);
  say(`  ${sent} batches of ${options.batches}, p50 ${latency.p50_ms}, p99 ${latency.p99_ms} ms`);
  return { sent, refused, ...latency };
}

function failuresOf(rate: number, run: LoadResult, alsoRefused: Record<string, number>): string[] {
  const wantedPerS = Math.min(TARGET_PER_S, rate * 0.99);
  const seconds = Math.max(options.seconds, run.seconds - LAST_ANSWERS_MAX_S);
  const failures: string[] = [];
  if (run.accepted / seconds < wantedPerS) failures.push(`${rate}/s: accepted less than ${wantedPerS}/s`);
  if (Object.keys({ ...run.refused, ...alsoRefused }).length > 0)
    failures.push(`${rate}/s: requests were refused or not answered`);
  return failures;
}

/** How many messages were accepted, and how many of them were reported as delivered. */
type Wanted = { accepted: number; delivered: number };

/** Looks until nothing is left over and every count agrees, for at most as long as that may take. */
async function settledOf(wanted: Wanted, ids: Ids, operatorsBefore: number) {
  const endMs = performance.now() + options.leftOver * 1_000;
  for (;;) {
    const isLast = performance.now() >= endMs;
    const backlog = await backlogNow(wanted.accepted, ids);
    if (isLast || Object.values(backlog).every((left) => left === 0)) {
      const counts = await countEverywhere(ids, operatorsBefore);
      const wrong = unlike(wanted, backlog, counts);
      if (isLast || wrong.length === 0) return { backlog, counts, wrong };
    }
    await sleep(LOOK_MS);
  }
}

async function prove(wanted: Wanted, ids: Ids, operatorsBefore: number, failures: string[]) {
  const { accepted } = wanted;
  say(`waiting until nothing is left over, ${options.leftOver} s at most`);
  const { backlog, counts, wrong } = await settledOf(wanted, ids, operatorsBefore);
  const proof = await reconcile({ pool, clickhouse }, { settled: true });
  failures.push(...wrong);
  if (proof.kind !== "clean" && !isOthers(proof, backlog))
    failures.push(`reconcile --settled: ${JSON.stringify(proof).slice(0, 500)}`);
  return {
    backlog,
    counts: { accepted, ...counts },
    reconcile:
      proof.kind === "drift" && isOthers(proof, backlog) ? "clean, messages of others are open" : proof.kind,
    failures,
  };
}

type Ids = { from: number; to: number; firstId: string };
type Backlog = { open_messages: number; outbox_rows: number; missing_in_clickhouse: number };

async function backlogNow(accepted: number, { from, to, firstId }: Ids): Promise<Backlog> {
  const [row] = await pool.query<{ open_messages: number; outbox_rows: number }[]>(
    `SELECT (SELECT COUNT(*) FROM messages WHERE id >= ? AND customer_id BETWEEN ? AND ?
    AND status IN ('queued','sending')) AS open_messages,
       (SELECT COUNT(*) FROM outbox) + (SELECT COUNT(*) FROM outbox_held) AS outbox_rows`,
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

/** True if everything unsettled was there before, such as a message whose operator never answered. */
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

function unlike({ accepted, delivered }: Wanted, backlog: Backlog, counts: Counts): string[] {
  const failures: string[] = [];
  const must = (holds: boolean, what: string) => {
    if (!holds) failures.push(what);
  };
  must(
    Object.values(backlog).every((left) => left === 0),
    `${options.leftOver} s after the last request something was left over`,
  );
  const isRight = ({ sent = 0, delivered: ended = 0 }: Record<string, number>) =>
    sent === accepted - delivered && ended === delivered;
  const right = delivered === 0 ? "as sent" : "as sent, or as delivered if it was reported on";
  must(isRight(counts.mysql), `MySQL doesn't have every accepted message ${right}`);
  must(isRight(counts.clickhouse), `ClickHouse doesn't have every accepted message ${right}`);
  must(counts.mysql_captures === accepted, "MySQL doesn't have a capture for every accepted message");
  must(
    counts.clickhouse_captures === accepted,
    "ClickHouse doesn't have a capture for every accepted message",
  );
  must(counts.operators === accepted, "operators didn't take every accepted message exactly once");
  return failures;
}

function runningProcesses(): { name: string; pid: number | null }[] {
  const launcher = join(import.meta.dirname, "..", "sluice");
  // Not being ready has an exit code of its own, which doesn't matter here.
  const { stdout } = spawnSync(launcher, ["status", "--json"], { encoding: "utf8" });
  const { processes } = JSON.parse(stdout) as { processes: { name: string; pid: number | null }[] };
  return [...processes, { name: "load", pid: process.pid }];
}
