// `logs ROLE [-f]`: the last lines of the role's log, of each of its processes; with -f goes on until it is
// interrupted.

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Config } from "../../platform/config.ts";
import { OutputError } from "../../platform/output.ts";

export async function logs(
  config: Config,
  role: string,
  options: { lines: number; follow: boolean },
): Promise<void> {
  const folder = join(resolve(config.stateFolder), "logs");
  const names = logNames(folder);
  const matching = names.filter((name) => name === role || name.startsWith(`${role}-`));
  if (matching.length === 0) {
    const known =
      names.length === 0 ? `nothing was started yet in ${folder}` : `there are: ${names.join(", ")}`;
    throw new Error(`no log of ${JSON.stringify(role)}; ${known}`);
  }
  const files = matching.map((name) => join(folder, `${name}.log`));
  // tail follows by name, so a log that was turned over is followed on. It ends with this process, however
  // that ends.
  const follow = options.follow ? ["-F", `--pid=${process.pid}`] : [];
  const code = await new Promise<number>((done, failed) => {
    const tail = spawn("tail", ["-n", String(options.lines), ...follow, "--", ...files], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.on(signal, () => tail.kill(signal));
    // Ended by the signal that was passed on: that is how following ends.
    tail.on("error", failed).on("close", (exit) => done(exit ?? 0));
  });
  if (code !== 0) throw new OutputError(`tail ended with ${code}`);
}

function logNames(folder: string): string[] {
  try {
    return readdirSync(folder).flatMap((file) => /^(.*)\.log$/.exec(file)?.[1] ?? []);
  } catch {
    return []; // nothing was started yet
  }
}
