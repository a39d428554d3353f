// promtool, as scripts/install-promtool.sh put it into the cache or the machine has it: what Prometheus
// itself says of metrics and rules.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const cached = join(
  process.env.SLUICE_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "sluice"),
  "promtool/promtool",
);

/** Its exit code and all it says; nothing when it has no finding. */
export function promtool(args: string[], input = ""): { status: number | null; said: string } {
  const command = existsSync(cached) ? cached : "promtool";
  const { status, stdout, stderr, error } = spawnSync(command, args, { input, encoding: "utf8" });
  if (error !== undefined)
    throw new Error("there is no promtool; run scripts/install.sh --tests", { cause: error });
  return { status, said: `${stdout}${stderr}`.trim() };
}

/** What its lint finds in the text of /metrics. */
export const lintMetrics = (text: string): string => promtool(["check", "metrics"], text).said;
