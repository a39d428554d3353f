// How many messages a second are accepted when customers send them in batches, and how long a batch takes.
// Closed loop: each connection sends its next batch once the last was answered; the client's own time is
// included. Sends to the running gateway (`make run`); where only its engines run (`./sluice up
// --engines-only`), to an ingest process of its own, and then nothing is done with what is stored.
// Exit 1 unless exactly what was answered is stored and charged.

import { Command } from "commander";
import { loadConfig } from "../src/platform/config.ts";
import { createPool } from "../src/platform/mysql.ts";
import { type BenchCustomer, createBenchCustomers, PRICE, round } from "./harness.ts";
import { startIngest, stop } from "./ingest-process.ts";
import { latencyOf } from "./latency.ts";

const options = new Command("bench/batches")
  .description("Messages accepted a second in batches, and the latency of a batch.")
  .option("--seconds <n>", "duration of the measured run", Number, 20)
  .option("--warmup <n>", "seconds of warm-up before it, not counted", Number, 3)
  .option("--size <n>", "messages of a batch", Number, 100)
  .option("--connections <n>", "batches in progress at once", Number, 16)
  .option("--customers <n>", "customers that send", Number, 50)
  .option(
    "--port <n>",
    "API port of an ingest process of its own; its health port is the next",
    Number,
    18_090,
  )
  .option("--json", "print only the result, as JSON")
  .parse()
  .opts<{
    seconds: number;
    warmup: number;
    size: number;
    connections: number;
    customers: number;
    port: number;
    json?: true;
  }>();
const say = (line: string) => (options.json ? undefined : console.error(line));

type Run = { batches: number; messages: number; latenciesMs: number[]; refused: Record<string, number> };

const config = loadConfig(process.env);
const pool = createPool(config, { connections: 4, multipleStatements: true });
const isUp = await fetch(`http://127.0.0.1:${config.apiPort}/ready`).then(
  (answer) => answer.ok,
  () => false,
);
const server = isUp ? null : await startIngest(options.port, options.port + 1);
const url = `http://127.0.0.1:${isUp ? config.apiPort : options.port}/v1/sms/batches`;
try {
  const customers = await createBenchCustomers(pool, options.customers);
  const bodies = customers.map((_, at) => bodyOf(at));
  say(`warming up for ${options.warmup} s`);
  const warm = await run(customers, bodies, options.warmup);
  say(`measuring for ${options.seconds} s`);
  const startedMs = performance.now();
  const measured = await run(customers, bodies, options.seconds);
  const seconds = (performance.now() - startedMs) / 1_000;
  const { stored, charged } = await countsOf(customers);
  const answered = warm.messages + measured.messages;
  const failures: string[] = [];
  if (stored !== answered) failures.push(`${stored} messages are stored, ${answered} were answered`);
  if (charged !== answered * PRICE) failures.push(`${charged} was charged, not ${answered * PRICE}`);
  for (const [status, count] of Object.entries(measured.refused))
    failures.push(`${count} batches were answered ${status}`);
  const result = {
    bench: "batches",
    roles: isUp ? "all" : "ingest",
    messages_per_s: round(measured.messages / seconds, 0),
    batches_per_s: round(measured.batches / seconds, 1),
    ...latencyOf(Float64Array.from(measured.latenciesMs).sort()),
    size: options.size,
    connections: options.connections,
    customers: options.customers,
    messages: measured.messages,
    stored,
    charged,
    failures,
  };
  console.log(JSON.stringify(result, null, options.json ? 0 : 2));
  process.exitCode = failures.length === 0 ? 0 : 1;
} finally {
  if (server !== null) await stop(server);
  await pool.end();
}

// As in requests.ts, none of these numbers has a meaning for the simulated operators.
function bodyOf(customer: number): string {
  const messages = Array.from({ length: options.size }, (_, at) => ({
    phone: `+98912${1_000_000 + at}`,
    text: `Your order ${customer}-${at} is on its way and will arrive today.`,
    reference: `order-${at}`,
  }));
  return JSON.stringify({ messages });
}

async function run(customers: BenchCustomer[], bodies: string[], seconds: number): Promise<Run> {
  const done: Run = { batches: 0, messages: 0, latenciesMs: [], refused: {} };
  const endMs = performance.now() + seconds * 1_000;
  let next = 0;
  const caller = async () => {
    while (performance.now() < endMs) {
      const at = next++ % customers.length;
      const { apiKey } = customers[at] as BenchCustomer;
      const startedMs = performance.now();
      const answer = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", "x-api-key": apiKey },
        body: bodies[at] as string,
      });
      const text = await answer.text();
      if (answer.status !== 202) {
        done.refused[answer.status] = (done.refused[answer.status] ?? 0) + 1;
        continue;
      }
      done.latenciesMs.push(performance.now() - startedMs);
      done.batches++;
      done.messages += (JSON.parse(text) as { accepted: unknown[] }).accepted.length;
    }
  };
  await Promise.all(Array.from({ length: options.connections }, caller));
  return done;
}

async function countsOf(customers: BenchCustomer[]): Promise<{ stored: number; charged: number }> {
  const [row] = await pool.query<{ stored: unknown; charged: unknown }[]>(
    "SELECT COUNT(*) AS `stored`, COALESCE(SUM(amount), 0) AS charged FROM wallet_ledger " +
      "WHERE customer_id IN (?) AND op='reserve'",
    [customers.map(({ customerId }) => customerId)],
  );
  return { stored: Number(row?.stored), charged: Number(row?.charged) };
}
