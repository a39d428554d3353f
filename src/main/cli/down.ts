// `down`: ends everything of the state folder, whoever started it.

import { resolve } from "node:path";
import type { Config } from "../../platform/config.ts";
import { clearOrphans, sortRecords, stopAll } from "../../stack/stack.ts";

export async function down(config: Config): Promise<void> {
  const stateFolder = resolve(config.stateFolder);
  const report = (line: string) => console.log(line);
  await clearOrphans(stateFolder, report);
  await stopAll(sortRecords(stateFolder).background, stateFolder, report);
}
