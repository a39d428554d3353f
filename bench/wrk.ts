// Runs wrk, a closed-loop load of keep-alive connections, for the benches: one API key a request, in turn.

import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchCustomer } from "./harness.ts";

export type Run = {
  requests: number;
  micros: number;
  refused: number;
  socket_errors: number;
  p50_ms: number;
  p99_ms: number;
};

/** Writes a file from which `wrk` reads its keys; returns the file's path. */
export function writeKeys(customers: readonly BenchCustomer[], file: string): string {
  writeFileSync(file, `${customers.map((c) => c.apiKey).join("\n")}\n`, { mode: 0o600 });
  return file;
}

/** Sends for `seconds`. @throws Error if wrk is missing or fails */
export function wrk(
  port: number,
  keysFile: string,
  { connections, seconds }: { connections: number; seconds: number },
): Promise<Run> {
  const args = [
    "-t1",
    `-c${connections}`,
    `-d${seconds}s`,
    "--timeout",
    "10s",
    "-s",
    join(import.meta.dirname, "wrk-send.lua"),
  ];
  const child = spawn("wrk", [...args, `http://127.0.0.1:${port}`], {
    env: { ...process.env, SLUICE_BENCH_KEYS: keysFile },
    stdio: ["ignore", "pipe", "inherit"],
  });
  return new Promise((resolve, reject) => {
    let out = "";
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.once("error", () =>
      reject(new Error("wrk is missing: `make install` installs it, or `apt-get install wrk`")),
    );
    child.once("close", () => {
      const line = /^RESULT (.*)$/m.exec(out)?.[1];
      if (line === undefined) reject(new Error(`wrk printed no result:\n${out}`));
      else resolve(JSON.parse(line) as Run);
    });
  });
}
