// promtool, as installed in the cache by scripts/install-promtool.sh or on the machine: Prometheus's own
// verdict on metrics and rules.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const cached = join(
  process.env.SLUICE_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "sluice"),
  "promtool/promtool",
);

/** Returns its exit code and all its output, which is empty if it found nothing. */
export function promtool(args: string[], input = ""): { status: number | null; said: string } {
  const command = existsSync(cached) ? cached : "promtool";
  const { status, stdout, stderr, error } = spawnSync(command, args, { input, encoding: "utf8" });
  if (error !== undefined)
    throw new Error("there is no promtool; run scripts/install.sh --tests", { cause: error });
  return { status, said: `${stdout}${stderr}`.trim() };
}

/** The findings of its lint in the text of /metrics. */
export const lintMetrics = (text: string): string => promtool(["check", "metrics"], text).said;
