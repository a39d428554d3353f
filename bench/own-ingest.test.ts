// Tiny runs of the benches that start their own ingest processes: they prove of a few hundred messages what
// the benches prove of 100,000.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createTestDatabase, type TestDatabase } from "../test/support/database.ts";
import { envOf } from "../test/support/ingest-process.ts";
import { freePorts } from "../test/support/ports.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await createTestDatabase();
});
afterAll(() => db.drop());

test("bench/replays: every key has one effect, and is answered as before, across a kill", async () => {
  const args = ["--keys", "600", "--connections", "32", "--customers", "3"];
  const result = await run("replays.ts", args);
  expect(result).toMatchObject({ keys: 600, messages: 600, charges: 600, keys_stored: 600, failures: [] });
}, 60_000);

test("bench/hot-wallet: a wallet is spent to exactly 0, and every other answer is a 402", async () => {
  const args = ["--seconds", "1", "--warmup", "0", "--connections", "16", "--customers", "5"];
  const result = await run("hot-wallet.ts", [...args, "--messages", "400", "--rate", "400", "--no-drain"]);
  expect(result).toMatchObject({ accepted: 400, refused_402: 200, other_answers: {}, left: 0 });
}, 60_000);

async function run(file: string, args: string[]): Promise<Record<string, unknown>> {
  const port = await freePorts(3);
  const bench = spawn("bun", [join(import.meta.dirname, file), ...args, "--port", String(port), "--json"], {
    env: { ...process.env, ...envOf(db.config) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  bench.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  await new Promise((resolve) => bench.once("close", resolve));
  return JSON.parse(output) as Record<string, unknown>;
}
