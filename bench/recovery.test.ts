// A tiny run of the bench on its own stack: one kill of each kind.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { envOf } from "../test/support/ingest-process.ts";
import { createLauncher, type Running } from "../test/support/launcher.ts";

const launcher = createLauncher({ portOffset: 11_850, folder: ".sluice-test-recover" });
let running: Running;

beforeAll(async () => {
  launcher.wipe(); // what a killed earlier run left
  running = launcher.up();
  await launcher.untilReady(running, 110_000);
}, 120_000);
afterAll(async () => {
  process.kill(running.pid, "SIGINT");
  await running.exit;
  launcher.wipe();
}, 60_000);

type Result = { figures: { name: string; bound_ms: number; worst_ms: number; runs_ms: number[] }[] };
// The bounds are for a machine that runs nothing else; next to other tests a start takes longer.
const SLACK = 4;

test("bench/recovery measures each kill: accepting again after ingest and after mysqld, and credit returned", async () => {
  const args = ["--repeats", "1", "--rate", "100", "--warmup", "1", "--customers", "5", "--json"];
  const bench = spawn("bun", [join(import.meta.dirname, "recovery.ts"), ...args], {
    env: { ...process.env, ...envOf(launcher.config) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  bench.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  await new Promise((resolve) => bench.once("close", resolve));
  const result = JSON.parse(output) as Result;
  expect(result.figures.map(({ name, runs_ms }) => `${name} ${runs_ms.length}`)).toEqual([
    "ingest_ready 1",
    "mysqld_ready 1",
    "credit_back 1",
  ]);
  for (const { name, bound_ms, worst_ms } of result.figures)
    expect(`${name} ${worst_ms < SLACK * bound_ms ? "in time" : worst_ms}`).toBe(`${name} in time`);
}, 120_000);
