// One customer alone compared with a thousand: how much of the gateway's rate a single wallet reaches with
// two ingest processes, and whether its whole balance can be spent, to exactly 0, without a 402 before that.
// Needs a running gateway (`make run`) that nobody else is using; starts two ingest processes of its own on
// the gateway's engines. Exit 1 if any of this doesn't hold.

import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { listLeases } from "../src/ledger/lease-admin.ts";
import { loadConfig } from "../src/platform/config.ts";
import { createPool } from "../src/platform/mysql.ts";
import { sleep } from "../src/platform/retry.ts";
import { type BenchCustomer, createBenchCustomers, PRICE, round, untilDrained } from "./harness.ts";
import { startIngest, stop } from "./ingest-process.ts";
import { runLoad } from "./load.ts";
import { wrk, writeKeys } from "./wrk.ts";

const SHARE_MIN = 0.7;
const PROCESSES = 2;
const options = new Command("bench/hot-wallet")
  .description("The rate of one customer compared with that of many, and a wallet spent to exactly 0.")
  .option("--seconds <n>", "duration of each measured run", Number, 15)
  .option("--warmup <n>", "seconds of warm-up before each run, not counted", Number, 3)
  .option("--connections <n>", "keep-alive connections", Number, 256)
  .option("--customers <n>", "how many customers the one is compared with", Number, 1_000)
  .option("--messages <n>", "how many messages the emptied wallet can pay for", Number, 30_000)
  .option(
    "--rate <n>",
    "requests a second while it is emptied; 1.5 times as many requests as it can pay for are sent",
    Number,
    5_000,
  )
  .option("--no-drain", "don't wait between the runs for messages on their way to operators")
  .option("--port <n>", "API port of the two processes; their health ports are the next two", Number, 18_090)
  .option("--json", "print only the result, as JSON")
  .parse()
  .opts<{
    seconds: number;
    warmup: number;
    connections: number;
    customers: number;
    messages: number;
    rate: number;
    drain: boolean;
    port: number;
    json?: true;
  }>();
const say = (line: string) => (options.json ? undefined : console.error(line));

const config = loadConfig(process.env);
const pool = createPool(config, { connections: 8, multipleStatements: true });
const folder = mkdtempSync(join(tmpdir(), "sluice-bench-"));
const servers: ChildProcess[] = [];
try {
  for (let n = 1; n <= PROCESSES; n++) servers.push(await startIngest(options.port, options.port + n));
  const many = await rateOf("many", await createBenchCustomers(pool, options.customers));
  const hot = await rateOf("hot", await createBenchCustomers(pool, 1));
  const emptied = await empty();
  const share = round(hot / many);
  const failures = [
    ...(share < SHARE_MIN
      ? [`one customer reached ${share} of the rate of many; at least ${SHARE_MIN}`]
      : []),
    ...emptied.failures,
  ];
  const result = { bench: "hot-wallet", share, hot_per_s: hot, many_per_s: many, ...emptied, failures };
  console.log(JSON.stringify(result, null, options.json ? 0 : 2));
  process.exitCode = failures.length === 0 ? 0 : 1;
} finally {
  await Promise.all(servers.map((server) => stop(server)));
  rmSync(folder, { recursive: true });
  await pool.end();
}

/** Accepts a second, as counted by wrk. */
async function rateOf(name: string, customers: BenchCustomer[]): Promise<number> {
  const keys = writeKeys(customers, join(folder, name));
  if (options.drain) await untilDrained(pool, say);
  say(`${name}: ${customers.length} customers, warming up for ${options.warmup} s`);
  if (options.warmup > 0) await wrk(options.port, keys, { ...options, seconds: options.warmup });
  say(`${name}: measuring for ${options.seconds} s`);
  const run = await wrk(options.port, keys, options);
  if (run.refused > 0) throw new Error(`${name}: ${run.refused} requests were refused`);
  const perS = Math.round(run.requests / (run.micros / 1e6));
  say(`${name}: ${perS} accepts/s, p50 ${run.p50_ms} ms, p99 ${run.p99_ms} ms`);
  return perS;
}

/** Sends half as many again as the wallet can pay for, and checks every answer. */
async function empty() {
  const [customer] = (await createBenchCustomers(pool, 1, options.messages * PRICE)) as [BenchCustomer];
  if (options.drain) await untilDrained(pool, say);
  say(`emptying a wallet of ${options.messages} messages at ${options.rate}/s`);
  let first402Ms = Number.POSITIVE_INFINITY;
  let last202SentMs = 0;
  const load = await runLoad(
    {
      host: config.apiHost,
      port: options.port,
      connections: options.connections,
      ratePerS: options.rate,
      seconds: (1.5 * options.messages) / options.rate,
      observe(status, sentAtMs, answeredAtMs) {
        if (status === "402") first402Ms = Math.min(first402Ms, answeredAtMs);
        if (status === "202") last202SentMs = Math.max(last202SentMs, sentAtMs);
      },
    },
    requestsOf(customer),
  );
  const left = await leftOf(customer.customerId);
  const { "402": refused = 0, ...others } = load.refused;
  const failures = [
    ...(load.accepted === options.messages ? [] : [`accepted ${load.accepted}, not ${options.messages}`]),
    ...(left === 0 ? [] : [`the wallet ended at ${left}, not 0`]),
    ...(Object.keys(others).length === 0 ? [] : [`other answers: ${JSON.stringify(others)}`]),
    // A request sent after the first 402 was accepted: then that 402 was wrong.
    ...(last202SentMs <= first402Ms ? [] : [`a 402 came ${round(last202SentMs - first402Ms)} ms too early`]),
  ];
  return { accepted: load.accepted, refused_402: refused, other_answers: others, left, failures };
}

function requestsOf({ apiKey }: BenchCustomer): () => Buffer {
  let n = 0;
  return () => {
    const phone = `+98912${String(1_000_000 + (n++ % 9_000_000))}`;
    const body = JSON.stringify({ phone, text: "The last unit counts too.", type: "normal" });
    return Buffer.from(
      "POST /v1/sms/send HTTP/1.1\r\nHost: sluice\r\nContent-Type: application/json\r\n" +
        `X-API-Key: ${apiKey}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
  };
}

/** Minor units in the wallet and in leases, once no commit is under way. */
async function leftOf(customerId: number): Promise<number> {
  await sleep(500);
  const [wallet] = await pool.query<{ balance: number }[]>(
    "SELECT balance FROM wallet_accounts WHERE customer_id=?",
    [customerId],
  );
  const held = (await listLeases(pool, { customerId })).reduce((sum, lease) => sum + lease.unspent, 0);
  return Number(wallet?.balance) + held;
}
