// Tiny runs of the benches that need a whole gateway, on one of its own, whose operators' reports go to its
// ingest process: they prove of some hundred messages what the benches prove of 200,000 and of a million.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createTestClickhouse, type TestClickhouse } from "../test/support/clickhouse.ts";
import { envOf, type IngestProcess, startIngest } from "../test/support/ingest-process.ts";
import { freePort } from "../test/support/ports.ts";
import { createDownstream, type Downstream } from "../test/support/roles.ts";

type Result = {
  failures: string[];
  counts: unknown;
  backlog: unknown;
  runs: {
    rate: number;
    histogram: Record<string, number>;
    reports?: string;
    batches?: object;
    cpu_us_per_report?: Record<string, number>;
  }[];
};

type ByTopic = { status: number; ledger: number };
type Usage = {
  failures: string[];
  messages: number;
  refunded: number;
  statuses: Record<string, number>;
  events: { read: ByTopic; chosen: ByTopic; late: ByTopic; lines: number };
  exports_resumed: number;
};

let downstream: Downstream;
let events: TestClickhouse;
let ingest: IngestProcess;
let env: Record<string, string>;
beforeAll(async () => {
  downstream = await createDownstream();
  events = await createTestClickhouse(downstream.config, { kafka: true });
  const { clickhouseDatabase } = events.config;
  const apiPort = await freePort();
  const config = { ...downstream.config, clickhouseDatabase, apiPort };
  env = envOf(config);
  ingest = await startIngest(config, { apiPort });
  for (const name of ["A", "B", "C"] as const) await downstream.startOperator(name, "default", { apiPort });
  for (const name of ["relay", "dlr", "sender-normal", "sender-express"] as const)
    await downstream.start(name);
}, 120_000);
afterAll(async () => {
  await ingest.end();
  await Promise.all([downstream.end(), events.drop()]);
}, 60_000);

test("bench/end-to-end sends messages all the way, and every count agrees", async () => {
  const { result, code } = await runEndToEnd(["--rates", "20,40", "--batches", "10"]);
  expect(result.failures).toEqual([]);
  expect(result.counts).toMatchObject({
    accepted: 150 + 80, // 4 batches beside each run
    mysql: { sent: 230 },
    clickhouse: { sent: 230 },
    operators: 230,
  });
  expect(result.runs.map(({ rate }) => rate)).toEqual([20, 40]);
  expect(result.runs.map(({ batches }) => batches)).toEqual([
    expect.objectContaining({ sent: 4, refused: {}, p99_ms: expect.any(Number) as number }),
    expect.objectContaining({ sent: 4, refused: {}, p99_ms: expect.any(Number) as number }),
  ]);
  expect(result.runs.map(({ histogram }) => sum(Object.values(histogram)))).toEqual([40, 80]);
  expect(result.backlog).toEqual({ open_messages: 0, outbox_rows: 0, missing_in_clickhouse: 0 });
  expect(code).toBe(0);
}, 120_000);

test("with --reports it does so without reports, then with one on each message, and says what one costs", async () => {
  const { result, code } = await runEndToEnd(["--rates", "20", "--reports"]);
  expect(result.failures).toEqual([]);
  expect(result.counts).toMatchObject({
    accepted: 120,
    mysql: { sent: 60, delivered: 60 },
    clickhouse: { sent: 60, delivered: 60 },
    mysql_captures: 120,
    operators: 120,
  });
  expect(result.runs.map(({ reports }) => reports)).toEqual(["off", "on"]);
  expect(result.runs[1]?.cpu_us_per_report?.machine).toBeNumber();
  expect(code).toBe(0);
}, 120_000);

test("bench/usage: usage and exports are the ledger's after events came again, shuffled and late", async () => {
  const args = ["--messages", "1000", "--customers", "2", "--size", "50", "--pages", "--json"];
  const { output, code } = await run("usage.ts", args);
  const result = JSON.parse(output) as Usage;
  expect(result.failures).toEqual([]);
  expect(result.messages).toBe(1_000);
  const { sent = 0, delivered = 0, undelivered = 0, failed = 0, rejected = 0 } = result.statuses;
  for (const count of [sent, delivered, undelivered, failed, rejected]) expect(count).toBeGreaterThan(0);
  expect(result.refunded).toBeGreaterThan(0);
  const { read, chosen, late, lines } = result.events;
  expect(lines).toBeGreaterThan(chosen.status + chosen.ledger);
  for (const topic of ["status", "ledger"] as const) {
    expect(read[topic]).toBeGreaterThan(1_000);
    expect(chosen[topic]).toBeGreaterThan(late[topic]);
    expect(late[topic]).toBeGreaterThan(0);
  }
  expect(result.exports_resumed).toBeGreaterThan(0);
  expect(code).toBe(0);
}, 120_000);

async function runEndToEnd(args: string[]): Promise<{ result: Result; code: number | null }> {
  const load = ["--seconds", "2", "--warmup", "1", "--connections", "8"];
  const customers = ["--customers", "5", "--zipf", "1"];
  const rest = [...load, ...customers, "--left-over", "40", "--json"];
  const { output, code } = await run("end-to-end.ts", [...args, ...rest]);
  return { result: JSON.parse(output) as Result, code };
}

const sum = (all: number[]): number => all.reduce((total, one) => total + one, 0);

function run(file: string, args: string[]): Promise<{ output: string; code: number | null }> {
  const script = join(import.meta.dirname, file);
  const child = spawn("bun", [script, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  return new Promise((resolve) => child.once("close", (code) => resolve({ output, code })));
}
