// A tiny run of the bench on its own ingest process: it measures a peak, offers more, and counts what is
// stored. Its verdict on speed says nothing on a busy machine, so only the rest is checked.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createTestDatabase, type TestDatabase } from "../test/support/database.ts";
import { envOf } from "../test/support/ingest-process.ts";
import { freePorts } from "../test/support/ports.ts";
import { failuresOf } from "./overload-verdict.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await createTestDatabase();
});
afterAll(() => db.drop());

type Result = {
  goodput_ratio: number;
  others_accepted: number;
  peak_per_s: number;
  rss_max_mb: number;
  stored: number;
  answered: number;
  failures: string[];
};

test("a run without refusals doesn't show how long they take, and says so; slow ones fail", () => {
  const figures = { goodput_ratio: 1, others_accepted: 1, rss_max_mb: 100 };
  const verdict = (refused: { count: number; p99_ms: number }) =>
    failuresOf({ ...figures, refused }, [{ "503": refused.count }], { answered: 5, stored: 5 });
  expect(verdict({ count: 0, p99_ms: 0 })).toEqual(["refusals: none refused, so p99 50 ms is not shown"]);
  expect(verdict({ count: 9, p99_ms: 50 })).toEqual([]);
  expect(verdict({ count: 9, p99_ms: 51 })).toEqual(["refusals: p99 51 ms, 50 at most"]);
});

test("bench/overload measures a peak and what is accepted beyond it, and gives a verdict", async () => {
  const load = ["--seconds", "3", "--peak-seconds", "1", "--warmup", "1", "--connections", "200"];
  const port = String(await freePorts(2));
  const rest = ["--peak-connections", "16", "--customers", "5", "--port", port, "--json"];
  const bench = spawn("bun", [join(import.meta.dirname, "overload.ts"), ...load, ...rest], {
    env: { ...process.env, ...envOf(db.config) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  bench.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise((resolve) => bench.once("close", resolve));
  const result = JSON.parse(output) as Result;
  expect(result.peak_per_s).toBeGreaterThan(10);
  expect(result.goodput_ratio).toBeGreaterThan(0);
  expect(result.others_accepted).toBeGreaterThan(0);
  expect(result.rss_max_mb).toBeGreaterThan(20);
  expect(result.stored).toBe(result.answered);
  expect(code).toBe(result.failures.length === 0 ? 0 : 1);
}, 90_000);
