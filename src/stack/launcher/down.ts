// `down`: ends everything in the state folder, whoever started it: a running launcher (which drains and stops
// what it supervises), what a killed launcher left behind, background engines.

import { resolve } from "node:path";
import type { Config } from "../../platform/config.ts";
import { composeStop, type StackKind } from "../compose.ts";
import { ended } from "../process.ts";
import { clearOrphans, sortRecords, stopAll } from "../stack.ts";
import { lockHolder } from "./lock.ts";

const launcherMaxMs = 40_000; // it promises 30 s

export async function down(config: Config, stack: StackKind): Promise<void> {
  const stateFolder = resolve(config.stateFolder);
  const report = (line: string) => console.log(line);
  const holder = lockHolder(stateFolder);
  if (holder !== null) {
    report(`stopping the running ./sluice up, pid ${holder.pid}`);
    process.kill(holder.pid, "SIGTERM");
    if (!(await ended(holder, launcherMaxMs))) {
      report("it did not stop in time and was killed; stopping what it left behind");
      process.kill(holder.pid, "SIGKILL");
      await ended(holder, 5_000);
    }
  }
  await clearOrphans(stateFolder, report);
  const { background } = sortRecords(stateFolder);
  await stopAll(background, stateFolder, report);
  if (stack === "compose") return composeStop(config, report);
  if (holder === null && background.length === 0) report("nothing was running");
}
