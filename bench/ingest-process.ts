// Ingest processes of a bench's own, on the engines of the running gateway.

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";

/** Several may share `port`. @throws Error when it isn't ready within 10 s */
export async function startIngest(port: number, healthPort: number): Promise<ChildProcess> {
  const env = {
    ...process.env,
    SLUICE_API_PORT: String(port),
    SLUICE_HEALTH_PORT: String(healthPort),
    SLUICE_LOG_LEVEL: "warn",
  };
  const main = join(import.meta.dirname, "../src/main/ingest.ts");
  const child = spawn(process.execPath, [main], { env, stdio: ["ignore", "ignore", "inherit"] });
  for (let i = 0; i < 200; i++) {
    const ready = await fetch(`http://127.0.0.1:${healthPort}/ready`).then(
      (r) => r.ok,
      () => false,
    );
    if (ready) return child;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  child.kill("SIGKILL");
  throw new Error("an ingest process was not ready within 10 s: is the gateway running (make run)?");
}

/** Ends it, and waits until it is gone. */
export function stop(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill(signal);
  });
}
