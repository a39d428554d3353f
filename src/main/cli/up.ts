// `up`: takes the state folder, starts the engines and, unless told otherwise, everything on top of them.

import { resolve } from "node:path";
import type { Config } from "../../platform/config.ts";
import { createEngines } from "../../stack/engines.ts";
import { clearOrphans, startEngines } from "../../stack/stack.ts";
import { findTools } from "../../stack/tools.ts";

export type UpOptions = { enginesOnly: boolean; ingest: number; operators: string; stack: "local" | "compose" };

export async function up(config: Config, options: UpOptions): Promise<void> {
  const stateFolder = resolve(config.stateFolder);
  const report = (line: string) => console.log(line);
  await clearOrphans(stateFolder, report);
  await startEngines(createEngines(config, findTools(process.env), stateFolder), stateFolder, null, report);
}
