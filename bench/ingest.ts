// How many durable, charged accepts a second the gateway achieves, compared with the plain way
// (bench/plain-server.ts) in the same run. Needs a running gateway (`make run`); adds its own customers to
// it. Load: wrk, one keep-alive connection each.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { type Config, loadConfig } from "../src/platform/config.ts";
import { createPool } from "../src/platform/mysql.ts";
import { sleep } from "../src/platform/retry.ts";
import { createBenchCustomers, untilDrained } from "./harness.ts";
import { wrk, writeKeys } from "./wrk.ts";

const program = new Command("bench/ingest")
  .description(
    "Accepted messages a second by the running gateway, and the ratio to one transaction per request.",
  )
  .option("--seconds <n>", "duration of each measured run", Number, 20)
  .option("--warmup <n>", "seconds of warm-up before each run, not counted", Number, 5)
  .option("--connections <n>", "keep-alive connections", Number, 512)
  .option("--customers <n>", "customers that send", Number, 1_000)
  .option("--no-baseline", "skip the baseline")
  .option("--baseline-port <n>", "port of the baseline server", Number, 18_080)
  .option("--json", "print only the result, as JSON")
  .parse();
type Options = {
  seconds: number;
  warmup: number;
  connections: number;
  customers: number;
  baseline: boolean;
  baselinePort: number;
  json?: true;
};
const options = program.opts<Options>();
const say = (line: string) => (options.json ? undefined : console.error(line));

type Measured = {
  accepts_per_s: number;
  p50_ms: number;
  p99_ms: number;
  refused: number;
  socket_errors: number;
  stored: number;
};

const config = loadConfig(process.env);
const pool = createPool(config, { connections: 16, multipleStatements: true });
const folder = mkdtempSync(join(tmpdir(), "sluice-bench-"));
try {
  say(`creating ${options.customers} customers`);
  const keysFile = writeKeys(await createBenchCustomers(pool, options.customers), join(folder, "keys"));
  const plain = options.baseline ? await measurePlain(keysFile) : null;
  const sluice = await measure("sluice", config.apiPort, keysFile);
  const ratio = plain === null ? null : round(sluice.accepts_per_s / plain.accepts_per_s);
  const { connections, customers, seconds } = options;
  console.log(
    JSON.stringify(
      { bench: "ingest", ratio, sluice, plain, connections, customers, seconds },
      null,
      options.json ? 0 : 2,
    ),
  );
} finally {
  rmSync(folder, { recursive: true });
  await pool.end();
}

async function measurePlain(keysFile: string): Promise<Measured> {
  const env = { ...process.env, SLUICE_API_PORT: String(options.baselinePort) };
  const server = spawn(process.execPath, [join(import.meta.dirname, "plain-server.ts")], {
    env,
    stdio: ["ignore", "inherit", "inherit"],
  });
  try {
    for (let i = 0; ; i++) {
      const up = await fetch(`http://127.0.0.1:${options.baselinePort}/health`).then(
        (r) => r.ok,
        () => false,
      );
      if (up) break;
      if (i > 100) throw new Error("the plain server did not start within 10 s");
      await sleep(100);
    }
    return await measure("plain", options.baselinePort, keysFile);
  } finally {
    server.kill();
  }
}

async function measure(name: string, port: number, keysFile: string): Promise<Measured> {
  await untilDrained(pool, say);
  say(`${name}: warming up for ${options.warmup} s`);
  if (options.warmup > 0) await wrk(port, keysFile, { ...options, seconds: options.warmup });
  const before = await stored(config);
  say(`${name}: measuring for ${options.seconds} s`);
  const run = await wrk(port, keysFile, options);
  const after = await stored(config);
  const accepts = run.requests - run.refused;
  // wrk stops reading at its deadline: requests under way at that moment are stored but not counted by wrk.
  if (after - before < accepts)
    throw new Error(`${name}: ${accepts} answers of 202, but ${after - before} messages stored`);
  const perS = Math.round(accepts / (run.micros / 1e6));
  say(`${name}: ${perS} accepts/s, p50 ${run.p50_ms} ms, p99 ${run.p99_ms} ms`);
  const { p50_ms, p99_ms, refused, socket_errors } = run;
  return { accepts_per_s: perS, p50_ms, p99_ms, refused, socket_errors, stored: after - before };
}

function stored(_: Config): Promise<number> {
  return pool.query<{ n: number }[]>("SELECT COUNT(*) AS n FROM messages").then((rows) => Number(rows[0]?.n));
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
