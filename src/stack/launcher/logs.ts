// `logs ROLE [-f]`: prints the last lines of the logs of each of the role's processes; with -f continues
// until interrupted.

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Config } from "../../platform/config.ts";
import { OutputError } from "../../platform/output.ts";
import { ROLES } from "../role-table.ts";

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
      names.length === 0 ? `nothing has been started in ${folder} yet` : `known: ${names.join(", ")}`;
    throw new Error(`no log of ${JSON.stringify(role)}; ${known}${bySystemd(role)}`);
  }
  const files = matching.map((name) => join(folder, `${name}.log`));
  // tail follows the name, so it also follows a log that is rotated. It ends with this process, however this
  // process ends.
  const follow = options.follow ? ["-F", `--pid=${process.pid}`] : [];
  const code = await new Promise<number>((done, failed) => {
    const tail = spawn("tail", ["-n", String(options.lines), ...follow, "--", ...files], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.on(signal, () => tail.kill(signal));
    // Following normally ends with the signal that was passed on.
    tail.on("error", failed).on("close", (exit) => done(exit ?? 0));
  });
  if (code !== 0) throw new OutputError(`tail ended with ${code}`);
}

/** Where the log of a role is that systemd runs; nothing for what is no role. */
function bySystemd(name: string): string {
  const [, role = "", number] = /^(.*?)(?:-(\d+))?$/.exec(name) ?? [];
  if (!Object.hasOwn(ROLES, role)) return "";
  const unit = `sluice-${role}${number === undefined ? "*" : `@${number}`}`;
  return `. Of one that systemd runs: journalctl -u '${unit}'`;
}

function logNames(folder: string): string[] {
  try {
    return readdirSync(folder).flatMap((file) => /^(.*)\.log$/.exec(file)?.[1] ?? []);
  } catch {
    return []; // nothing was started yet
  }
}
