// A tiny run of the bench on its own ingest process: what it counts is what is stored and charged.

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

type Result = {
  messages_per_s: number;
  p50_ms: number;
  p99_ms: number;
  messages: number;
  stored: number;
  charged: number;
  failures: string[];
};

test("bench/batches counts the messages of batches that are stored and charged, and times each batch", async () => {
  const size = 20;
  const load = ["--seconds", "1", "--warmup", "0", "--size", String(size), "--connections", "2"];
  const rest = ["--customers", "3", "--port", String(await freePorts(2)), "--json"];
  const bench = spawn("bun", [join(import.meta.dirname, "batches.ts"), ...load, ...rest], {
    env: { ...process.env, ...envOf(db.config) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  bench.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise((resolve) => bench.once("close", resolve));
  const result = JSON.parse(output) as Result;
  expect(result.failures).toEqual([]);
  expect(result.messages).toBeGreaterThan(size);
  expect(result.messages % size).toBe(0);
  expect([result.stored, result.charged]).toEqual([result.messages, 500 * result.messages]);
  expect(result.p99_ms).toBeGreaterThanOrEqual(result.p50_ms);
  expect(code).toBe(0);
}, 60_000);
