// One simulated operator: a process with an HTTP port, for development and tests.

import { loadConfig } from "../platform/config.ts";
import { runUntilStopped } from "../platform/lifecycle.ts";
import { createLog } from "../platform/log.ts";
import { isProfile, PROFILES, startOperator } from "../stack/operator.ts";

const NAMES = ["A", "B", "C"];
const DRAIN_MS = 5_000;

function option(name: string, fallback: string | undefined): string | undefined {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : process.argv[at + 1];
}

const name = option("name", undefined) ?? "";
const profile = option("profile", process.env.SLUICE_OPERATORS_PROFILE || "default") ?? "";
if (process.argv.includes("--help") || !NAMES.includes(name) || !isProfile(profile)) {
  console.log(
    `bun src/main/operator.ts --name ${NAMES.join("|")} [--profile ${Object.keys(PROFILES).join("|")}]`,
  );
  process.exit(process.argv.includes("--help") ? 0 : 64); // EX_USAGE
}

const config = loadConfig(process.env);
const log = createLog("operator", config.logLevel).child({ operator: name });
const operator = await startOperator({
  name,
  profile,
  host: config.apiHost,
  port: config.operatorPort + NAMES.indexOf(name),
  folder: `${config.stateFolder}/operators`,
});
runUntilStopped(log, DRAIN_MS, () => operator.stop());
log.info({ port: operator.port, profile }, "taking messages");
