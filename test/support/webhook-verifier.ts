// Verifies webhooks by an implementation that isn't ours: the standardwebhooks package of Python, where
// scripts/clients.sh has installed it.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

const python = process.env.SLUICE_CLIENTS_PYTHON ?? "";
const program = join(import.meta.dirname, "webhook-verifier.py");

export type SignedCall = { secret: string; headers: Record<string, string>; body: string };

/** How many of these calls verify; null if the package isn't installed. @throws Error if one doesn't */
export function verifiedByPython(calls: readonly SignedCall[]): Promise<number | null> {
  if (!existsSync(python)) return Promise.resolve(null);
  return new Promise((resolve, reject) => {
    const child = spawn(python, [program], { env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" } });
    let [out, errors] = ["", ""];
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    child.stdin.on("error", () => undefined); // it ended before it had read everything: its exit says why
    child.once("exit", (code) => {
      if (code === 0) resolve(Number(out));
      else if (errors.includes("No module named 'standardwebhooks'")) resolve(null);
      else reject(new Error(`webhook-verifier.py ended with ${code}: ${errors}`));
    });
    child.stdin.end(calls.map((call) => `${JSON.stringify(call)}\n`).join(""));
  });
}
