// A tiny run of the bench against real roles: it proves of 150 messages what the bench proves of 200,000.

import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createTestClickhouse } from "../test/support/clickhouse.ts";
import { envOf, startIngest } from "../test/support/ingest-process.ts";
import { freePort } from "../test/support/ports.ts";
import { createDownstream } from "../test/support/roles.ts";

test("bench/end-to-end sends messages all the way, and every count agrees", async () => {
  const downstream = await createDownstream();
  const events = await createTestClickhouse(downstream.config, { kafka: true });
  const config = {
    ...downstream.config,
    clickhouseDatabase: events.config.clickhouseDatabase,
    apiPort: await freePort(),
  };
  const ingest = await startIngest(config, { apiPort: config.apiPort });
  try {
    for (const name of ["A", "B", "C"] as const) await downstream.startOperator(name);
    for (const name of ["relay", "sender-normal", "sender-express"] as const) await downstream.start(name);
    const args = [
      "--rates",
      "20,40",
      "--seconds",
      "2",
      "--warmup",
      "1",
      "--customers",
      "5",
      "--zipf",
      "1",
      "--connections",
      "8",
    ];
    const { output, code } = await run([...args, "--left-over", "8", "--json"], envOf(config));
    const result = JSON.parse(output) as {
      failures: string[];
      counts: unknown;
      backlog: unknown;
      runs: { rate: number; histogram: Record<string, number> }[];
    };
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
  } finally {
    await ingest.end();
    await Promise.all([downstream.end(), events.drop()]);
  }
}, 120_000);

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
