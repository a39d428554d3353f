// The benches that no test runs, because they need a gateway to themselves for long: each at least loads, and
// names its options.

import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { join } from "node:path";

for (const name of ["edge", "hot-wallet", "otp", "reconcile", "replays", "schedule"])
  test(`bench/${name} loads, and --help names its options`, async () => {
    const bench = spawn("bun", [join(import.meta.dirname, `${name}.ts`), "--help"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    bench.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    const code = await new Promise((resolve) => bench.once("close", resolve));
    expect(output).toContain(`Usage: bench/${name} [options]`);
    expect(output).toMatch(/^ {2}--\w+ <\w+> /m);
    expect(code).toBe(0);
  }, 30_000);
