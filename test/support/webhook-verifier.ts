// Verifies webhooks by implementations that aren't ours: the packages standardwebhooks and twilio of Python,
// where scripts/clients.sh has installed them. Bound: what the pipe to it doesn't take yet is in memory.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

const python = process.env.SLUICE_CLIENTS_PYTHON ?? "";
const program = join(import.meta.dirname, "webhook-verifier.py");

/** `url`: of a callback of Twilio's, which is signed with it. */
export type SignedCall = { secret: string; headers: Record<string, string>; body: string; url?: string };
export type Verifier = {
  add(call: SignedCall): void;
  /** How many calls verify; null if the packages aren't installed. May be called again. @throws Error */
  end(): Promise<number | null>;
};

/** Begins to verify calls as they come, which must be no five minutes old. null: there is no Python. */
export function startVerifier(): Verifier | null {
  if (!existsSync(python)) return null;
  const child = spawn(python, [program], { env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" } });
  let [out, errors] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  child.stdin.on("error", () => undefined); // it ended before it had read everything: its exit says why
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("close", (code) => {
      if (code === 0) resolve(Number(out));
      else if (/No module named '(standardwebhooks|twilio)'/.test(errors)) resolve(null);
      else reject(new Error(`webhook-verifier.py ended with ${code ?? "a signal"}: ${errors}`));
    });
  });
  ended.catch(() => undefined); // whoever calls end() gets it
  return {
    add: (call) => void child.stdin.write(`${JSON.stringify(call)}\n`),
    end() {
      if (child.stdin.writable) child.stdin.end();
      return ended;
    },
  };
}

/** How many of these calls verify; null if the packages aren't installed. @throws Error if one doesn't */
export async function verifiedByPython(calls: readonly SignedCall[]): Promise<number | null> {
  const verifier = startVerifier();
  if (verifier === null) return null;
  for (const call of calls) verifier.add(call);
  return verifier.end();
}
