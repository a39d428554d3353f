// Tiny runs of the bench against real roles: they prove of 150 messages what the bench proves of 200,000.

import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createTestClickhouse } from "../test/support/clickhouse.ts";
import { envOf, startIngest } from "../test/support/ingest-process.ts";
import { freePort } from "../test/support/ports.ts";
import { createDownstream } from "../test/support/roles.ts";

type Result = {
  failures: string[];
  counts: unknown;
  backlog: unknown;
  runs: {
    rate: number;
    histogram: Record<string, number>;
    reports?: string;
    cpu_us_per_report?: Record<string, number>;
  }[];
};

test("bench/end-to-end sends messages all the way, and every count agrees", async () => {
  const { result, code } = await runOnGateway(["--rates", "20,40"]);
  expect(result.failures).toEqual([]);
  expect(result.counts).toMatchObject({
    accepted: 150,
    mysql: { sent: 150 },
    clickhouse: { sent: 150 },
    operators: 150,
  });
  expect(result.runs.map(({ rate }) => rate)).toEqual([20, 40]);
  expect(result.runs.map(({ histogram }) => sum(Object.values(histogram)))).toEqual([40, 80]);
  expect(result.backlog).toEqual({ open_messages: 0, outbox_rows: 0, missing_in_clickhouse: 0 });
  expect(code).toBe(0);
}, 120_000);

test("with --reports it does so without reports, then with one on each message, and says what one costs", async () => {
  const { result, code } = await runOnGateway(["--rates", "20", "--reports"]);
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

/** Runs the bench on roles of its own, with operators whose reports go to their ingest process. */
async function runOnGateway(args: string[]): Promise<{ result: Result; code: number | null }> {
  const downstream = await createDownstream();
  const events = await createTestClickhouse(downstream.config, { kafka: true });
  const config = {
    ...downstream.config,
    clickhouseDatabase: events.config.clickhouseDatabase,
    apiPort: await freePort(),
  };
  const { apiPort } = config;
  const ingest = await startIngest(config, { apiPort });
  try {
    for (const name of ["A", "B", "C"] as const) await downstream.startOperator(name, "default", { apiPort });
    for (const name of ["relay", "dlr", "sender-normal", "sender-express"] as const)
      await downstream.start(name);
    const load = ["--seconds", "2", "--warmup", "1", "--connections", "8"];
    const customers = ["--customers", "5", "--zipf", "1"];
    const rest = [...load, ...customers, "--left-over", "40", "--json"];
    const { output, code } = await run([...args, ...rest], envOf(config));
    return { result: JSON.parse(output) as Result, code };
  } finally {
    await ingest.end();
    await Promise.all([downstream.end(), events.drop()]);
  }
}

const sum = (all: number[]): number => all.reduce((total, one) => total + one, 0);

function run(args: string[], env: Record<string, string>): Promise<{ output: string; code: number | null }> {
  const script = join(import.meta.dirname, "end-to-end.ts");
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
