// What the edge costs: accepts a second, p50 and p99 through nginx and directly to ingest, alternately, so
// that both run under the same conditions. Needs a gateway with an edge (`make run-edge`); adds its own
// customers to it. Load: wrk, one keep-alive connection each.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { loadConfig } from "../src/platform/config.ts";
import { createPool } from "../src/platform/mysql.ts";
import { createBenchCustomers, untilDrained } from "./harness.ts";
import { type Run, wrk, writeKeys } from "./wrk.ts";

const options = new Command("bench/edge")
  .description("Accepted messages a second through the edge, and the ratio to the direct port.")
  .option("--seconds <n>", "duration of each measured run", Number, 10)
  .option("--warmup <n>", "seconds of warm-up before all runs, not counted", Number, 5)
  .option("--rounds <n>", "runs of each port", Number, 3)
  .option("--connections <n>", "keep-alive connections", Number, 512)
  .option("--customers <n>", "customers that send", Number, 1_000)
  .parse()
  .opts<{ seconds: number; warmup: number; rounds: number; connections: number; customers: number }>();

const config = loadConfig(process.env);
const doors = { direct: config.apiPort, edge: config.edgePort };
const pool = createPool(config, { connections: 16, multipleStatements: true });
const folder = mkdtempSync(join(tmpdir(), "sluice-bench-"));
try {
  const keysFile = writeKeys(await createBenchCustomers(pool, options.customers), join(folder, "keys"));
  const runs: Record<keyof typeof doors, Run[]> = { direct: [], edge: [] };
  await wrk(config.edgePort, keysFile, { ...options, seconds: options.warmup });
  for (let round = 0; round < options.rounds; round++)
    for (const door of ["direct", "edge"] as const) {
      await untilDrained(pool, console.error);
      const run = await wrk(doors[door], keysFile, options);
      console.error(`${door}: ${rateOf(run)} accepts/s, p50 ${run.p50_ms} ms, p99 ${run.p99_ms} ms`);
      runs[door].push(run);
    }
  const [direct, edge] = [summary(runs.direct), summary(runs.edge)];
  const ratio = Math.round((edge.accepts_per_s / direct.accepts_per_s) * 100) / 100;
  console.log(JSON.stringify({ bench: "edge", ratio, direct, edge, ...options }, null, 2));
} finally {
  rmSync(folder, { recursive: true });
  await pool.end();
}

function rateOf({ requests, refused, micros }: Run): number {
  return Math.round((requests - refused) / (micros / 1e6));
}

/** The medians of the runs. */
function summary(runs: Run[]) {
  const middle = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  return {
    accepts_per_s: middle(runs.map(rateOf)),
    p50_ms: middle(runs.map((run) => run.p50_ms)),
    p99_ms: middle(runs.map((run) => run.p99_ms)),
    refused: runs.reduce((sum, run) => sum + run.refused, 0),
    socket_errors: runs.reduce((sum, run) => sum + run.socket_errors, 0),
  };
}
