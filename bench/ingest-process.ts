// Ingest processes for a bench, on the engines of the running gateway.

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";

const LOG_CHARS_MAX = 4_000;

/** Several may share `port`. @throws Error with its log if it ends or isn't ready within 10 s */
export async function startIngest(port: number, healthPort: number): Promise<ChildProcess> {
  const env = {
    ...process.env,
    SLUICE_API_PORT: String(port),
    SLUICE_HEALTH_PORT: String(healthPort),
    SLUICE_LOG_LEVEL: "warn",
  };
  const main = join(import.meta.dirname, "../src/main/ingest.ts");
  const child = spawn(process.execPath, [main], { env, stdio: ["ignore", "pipe", "inherit"] });
  let log = "";
  child.stdout.on("data", (chunk: Buffer) => (log = (log + chunk.toString()).slice(-LOG_CHARS_MAX)));
  for (let i = 0; i < 200 && child.exitCode === null; i++) {
    const ready = await fetch(`http://127.0.0.1:${healthPort}/ready`).then(
      (r) => r.ok,
      () => false,
    );
    if (ready) return child;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const what = child.exitCode === null ? "was not ready within 10 s" : `ended with code ${child.exitCode}`;
  child.kill("SIGKILL");
  throw new Error(`an ingest process ${what}: is the gateway running (make run)?\n${log}`);
}

/** Ends the process and waits until it is gone. */
export function stop(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill(signal);
  });
}
