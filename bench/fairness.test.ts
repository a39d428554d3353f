// A tiny run of the bench against real roles: it must measure every message of the others, and draw its plot.

import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { envOf, startIngest } from "../test/support/ingest-process.ts";
import { freePort } from "../test/support/ports.ts";
import { createDownstream } from "../test/support/roles.ts";

test("bench/fairness measures others' messages, without a flood and beside one", async () => {
  const downstream = await createDownstream();
  const config = { ...downstream.config, apiPort: await freePort() };
  const ingest = await startIngest(config, { apiPort: config.apiPort });
  const folder = mkdtempSync(join(tmpdir(), "sluice-test-fairness-"));
  const plot = join(folder, "plot.svg");
  try {
    for (const name of ["A", "B", "C"] as const) await downstream.startOperator(name);
    await downstream.start("relay");
    for (const name of ["sender-normal", "sender-express"] as const)
      await downstream.start(name, { customerQueueMax: 20 });
    const flood = ["--flood", "1000", "--flood-rate", "500", "--connections", "16"];
    const others = ["--customers", "5", "--normal", "20", "--express", "10", "--quiet", "2", "--warmup", "1"];
    const result = await run([...flood, ...others, "--plot", plot, "--json"], envOf(config));
    expect(result.flood_accepted).toBe(1_000);
    expect(result.quiet).toMatchObject({ normal: { messages: 40 }, express: { messages: 20 } });
    expect(result.flood.normal.messages).toBeGreaterThanOrEqual(100);
    expect(result.normal_p99_ratio).toBeGreaterThan(0);
    expect(readFileSync(plot, "utf8")).toContain("a flood of 1000 normal messages of one customer");
  } finally {
    rmSync(folder, { recursive: true });
    await ingest.end();
    await downstream.end();
  }
}, 180_000);

type Result = {
  normal_p99_ratio: number;
  flood_accepted: number;
  quiet: object;
  flood: { normal: { messages: number } };
};

function run(args: string[], env: Record<string, string>): Promise<Result> {
  const child = spawn("bun", [join(import.meta.dirname, "fairness.ts"), ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  return new Promise((resolve) => child.once("close", () => resolve(JSON.parse(output) as Result)));
}
