// Requests with an Idempotency-Key, repeated after the process that accepted them was killed in the middle:
// each key ends in one message and one charge, and each answer that was given before is given again, byte for
// byte. Needs a running gateway (`make run`); starts its own ingest processes on the gateway's engines. Exit
// 1 if any of this doesn't hold.

import { Command } from "commander";
import { loadConfig } from "../src/platform/config.ts";
import { createPool } from "../src/platform/mysql.ts";
import { type BenchCustomer, createBenchCustomers, PRICE, round } from "./harness.ts";
import { startIngest, stop } from "./ingest-process.ts";

const options = new Command("bench/replays")
  .description("Idempotent replays a second, across a kill -9, and whether each key had exactly one effect.")
  .option("--keys <n>", "requests, each with its own key, then all of them again", Number, 100_000)
  .option("--connections <n>", "requests in progress at once", Number, 128)
  .option("--customers <n>", "customers that send", Number, 20)
  .option("--port <n>", "API port of the process; its health port is the next", Number, 18_090)
  .option("--json", "print only the result, as JSON")
  .parse()
  .opts<{ keys: number; connections: number; customers: number; port: number; json?: true }>();
const say = (line: string) => (options.json ? undefined : console.error(line));
const PROGRESS_MS = 2_000;

type Told = { status: number; replayed: boolean; body: string };
const pool = createPool(loadConfig(process.env), { connections: 8, multipleStatements: true });
let server = await startIngest(options.port, options.port + 1);
try {
  const customers = await createBenchCustomers(pool, options.customers);
  const before = await countsOf(customers);
  const killAt = Math.floor(options.keys / 2);
  let restarted: Promise<void> = Promise.resolve();
  say(`${options.keys} requests; the process is killed after ${killAt}`);
  const first = await sendAll(customers, (answered) => {
    if (answered === killAt) restarted = restart();
  });
  await restarted;
  say("the same requests again");
  const second = await sendAll(customers, () => undefined);
  const after = await countsOf(customers);
  const known = first.told.filter((told) => told?.status === 202).length;
  const result = {
    bench: "replays",
    replays_per_s: round(options.keys / second.seconds, 0),
    fresh_per_s: round(known / first.seconds, 0),
    keys: options.keys,
    answered_before_the_repeat: known,
    messages: after.messages - before.messages,
    charges: after.charges - before.charges,
    keys_stored: after.keys - before.keys,
    charged: after.charged - before.charged,
    failures: failuresOf(first.told, second.told),
  };
  for (const name of ["messages", "charges", "keys_stored"] as const)
    if (result[name] !== options.keys) result.failures.push(`${name}: ${result[name]}, not ${options.keys}`);
  if (result.charged !== options.keys * PRICE) result.failures.push(`charged ${result.charged}`);
  console.log(JSON.stringify(result, null, options.json ? 0 : 2));
  process.exitCode = result.failures.length === 0 ? 0 : 1;
} finally {
  await stop(server);
  await pool.end();
}

async function restart(): Promise<void> {
  await stop(server, "SIGKILL");
  server = await startIngest(options.port, options.port + 1);
}

/** Sends one request for each key, many at once; null: no answer came. */
async function sendAll(customers: BenchCustomer[], onAnswer: (answered: number) => void) {
  const told: (Told | null)[] = Array.from({ length: options.keys }, () => null);
  let next = 0;
  let answered = 0;
  const startedMs = performance.now();
  const timer = setInterval(() => say(`  ${answered} of ${options.keys}`), PROGRESS_MS);
  const caller = async () => {
    for (let n = next++; n < options.keys; n = next++) {
      told[n] = await send(customers[n % customers.length] as BenchCustomer, n);
      if (told[n] === null) await new Promise((resolve) => setTimeout(resolve, 20));
      onAnswer(++answered);
    }
  };
  await Promise.all(Array.from({ length: options.connections }, caller));
  clearInterval(timer);
  return { told, seconds: (performance.now() - startedMs) / 1_000 };
}

async function send({ apiKey }: BenchCustomer, n: number): Promise<Told | null> {
  const headers = { "content-type": "application/json", "x-api-key": apiKey, "idempotency-key": `key ${n}` };
  const body = JSON.stringify({ phone: `+98912${1_000_000 + n}`, text: `Order ${n}`, type: "normal" });
  try {
    const answer = await fetch(`http://127.0.0.1:${options.port}/v1/sms/send`, {
      method: "POST",
      headers,
      body,
    });
    const replayed = answer.headers.get("idempotent-replayed") === "true";
    return { status: answer.status, replayed, body: await answer.text() };
  } catch {
    return null; // the process was killed before it answered
  }
}

function failuresOf(first: (Told | null)[], second: (Told | null)[]): string[] {
  const failures: string[] = [];
  for (const [n, told] of second.entries()) {
    const known = first[n];
    if (told?.status !== 202) failures.push(`key ${n}: its repeat was answered ${told?.status ?? "never"}`);
    else if (known?.status === 202 && (known.body !== told.body || !told.replayed))
      failures.push(`key ${n}: its repeat got a different answer`);
  }
  return failures.slice(0, 20);
}

async function countsOf(customers: BenchCustomer[]) {
  const ids = customers.map((c) => c.customerId);
  const [row] = await pool.query<Record<"messages" | "charges" | "keys" | "charged", unknown>[]>(
    "SELECT (SELECT COUNT(*) FROM messages WHERE customer_id IN (?)) AS messages, " +
      "(SELECT COUNT(*) FROM wallet_ledger WHERE customer_id IN (?) AND op='reserve') AS charges, " +
      "(SELECT COALESCE(SUM(amount), 0) FROM wallet_ledger WHERE customer_id IN (?) AND op='reserve') " +
      "AS charged, (SELECT COUNT(*) FROM idempotency_keys WHERE customer_id IN (?)) AS `keys`",
    [ids, ids, ids, ids],
  );
  const of = (value: unknown) => Number(value);
  return {
    messages: of(row?.messages),
    charges: of(row?.charges),
    keys: of(row?.keys),
    charged: of(row?.charged),
  };
}
