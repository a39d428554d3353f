// How long one-time codes take to reach an operator while normal messages keep the gateway busy: codes are
// asked for at fixed times, one by one, and the time counts from then, through the answer's own way, until an
// operator has the message. Open loop; needs a running gateway (`make run`) that nobody else is using, whose
// operators' clock is this machine's. Exit 1 unless all are accepted and taken, 99 % within --p99-ms.

import { Command } from "commander";
import { loadConfig } from "../src/platform/config.ts";
import { createPool } from "../src/platform/mysql.ts";
import { sleep } from "../src/platform/retry.ts";
import {
  BENCH_SEED,
  type BenchCustomer,
  createBenchCustomers,
  randomFrom,
  round,
  untilDrained,
} from "./harness.ts";
import { latencyOf } from "./latency.ts";
import { runLoad } from "./load.ts";
import { requestsOf } from "./requests.ts";

const OPERATORS = 3;
const PHONES = 9_000_000;

const options = new Command("bench/otp")
  .description("How long one-time codes take to reach an operator beside normal traffic.")
  .option("--codes <n>", "codes a second", Number, 20)
  .option("--normal <n>", "normal messages a second beside them", Number, 2_000)
  .option("--seconds <n>", "time that is measured", Number, 30)
  .option("--warmup <n>", "seconds of normal messages before that", Number, 5)
  .option("--customers <n>", "customers of each", Number, 100)
  .option("--connections <n>", "connections of the normal messages", Number, 64)
  .option("--p99-ms <n>", "within which an operator must have 99 %", Number, 300)
  .option("--json", "print only the result, as JSON")
  .parse()
  .opts<{
    codes: number;
    normal: number;
    seconds: number;
    warmup: number;
    customers: number;
    connections: number;
    p99Ms: number;
    json?: true;
  }>();
const say = (line: string) => (options.json ? undefined : console.error(line));
const config = loadConfig(process.env);
const pool = createPool(config, { connections: 4, multipleStatements: true });

try {
  const result = await measure();
  console.log(JSON.stringify(result, null, options.json ? 0 : 2));
  process.exitCode = result.failures.length === 0 ? 0 : 1;
} finally {
  await pool.end();
}

type Asked = { id: string; dueMs: number; answeredMs: number };

async function measure() {
  say(`creating ${2 * options.customers} customers`);
  const customers = await createBenchCustomers(pool, 2 * options.customers);
  const [normal, ofCodes] = [customers.slice(options.customers), customers.slice(0, options.customers)];
  await untilDrained(pool, say);
  const before = await counts();
  const next = requestsOf(normal, { host: config.apiHost, express: 0, zipf: 0 });
  const load = {
    host: config.apiHost,
    port: config.apiPort,
    connections: options.connections,
    ratePerS: options.normal,
  };
  say(
    `${options.normal} normal messages a second, after ${options.warmup} s ${options.codes} codes a second`,
  );
  const loading = runLoad({ ...load, seconds: options.warmup + options.seconds }, next);
  await sleep(options.warmup * 1_000);
  const { asked, refused } = await askFor(ofCodes);
  const beside = await loading;
  await untilDrained(pool, say);
  const taken = await takenSince(before);
  const ways = asked.flatMap(({ id, dueMs }) => {
    const atMs = taken.get(id);
    return atMs === undefined ? [] : [atMs - dueMs];
  });
  const sorted = (all: readonly number[]) => Float64Array.from(all).sort();
  const toOperator = latencyOf(sorted(ways));
  const failures = [...refused];
  if (asked.length !== options.codes * options.seconds)
    failures.push(`only ${asked.length} codes were accepted`);
  if (ways.length !== asked.length) failures.push(`only ${ways.length} of ${asked.length} codes were taken`);
  if (toOperator.p99_ms > options.p99Ms) failures.push(`p99 is ${toOperator.p99_ms} ms`);
  return {
    bench: "otp",
    to_operator: toOperator,
    answer: latencyOf(sorted(asked.map(({ dueMs, answeredMs }) => answeredMs - dueMs))),
    codes: asked.length,
    normal_per_s: round(beside.accepted / beside.seconds, 0),
    normal_refused: beside.refused,
    failures,
  };
}

/** Asks for codes at fixed times, each for a phone of its own, evenly over the customers. */
async function askFor(customers: readonly BenchCustomer[]): Promise<{ asked: Asked[]; refused: string[] }> {
  const random = randomFrom(BENCH_SEED);
  const asked: Asked[] = [];
  const refused = new Set<string>();
  const startMs = Date.now();
  const ask = async (n: number): Promise<void> => {
    const dueMs = startMs + (n * 1_000) / options.codes;
    await sleep(Math.max(0, dueMs - Date.now()));
    const { apiKey } = customers[n % customers.length] as BenchCustomer;
    const phone = `+98912${1_000_000 + Math.floor(random() * PHONES)}`;
    const answer = await fetch(`http://${config.apiHost}:${config.apiPort}/v1/otp`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-api-key": apiKey },
      body: JSON.stringify({ phone }),
    });
    const body = (await answer.json()) as { message_id: string; code?: string };
    if (answer.status === 202) asked.push({ id: body.message_id, dueMs, answeredMs: Date.now() });
    else refused.add(`a code was answered ${answer.status} ${body.code}`);
  };
  await Promise.all(Array.from({ length: options.codes * options.seconds }, (_, n) => ask(n)));
  return { asked, refused: [...refused] };
}

/** How many messages each operator has taken. */
async function counts(): Promise<number[]> {
  const all: number[] = [];
  for (let at = 0; at < OPERATORS; at++) {
    const answer = await fetch(`http://${config.apiHost}:${config.operatorPort + at}/count`);
    all.push(((await answer.json()) as { count: number }).count);
  }
  return all;
}

/** When an operator had each message that was taken since. */
async function takenSince(before: readonly number[]): Promise<ReadonlyMap<string, number>> {
  const atMs = new Map<string, number>();
  for (const [at, after] of before.entries()) {
    const answer = await fetch(`http://${config.apiHost}:${config.operatorPort + at}/taken?after=${after}`);
    for (const line of (await answer.text()).split("\n")) {
      const [id = "", ms = ""] = line.split(" ");
      if (id !== "") atMs.set(id, Math.min(Number(ms), atMs.get(id) ?? Number.POSITIVE_INFINITY));
    }
  }
  return atMs;
}
