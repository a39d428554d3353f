// One simulated operator: a process with an HTTP port, and with one of SMPP if asked for, for development and
// tests.

import { loadConfig } from "../platform/config.ts";
import { runUntilStopped } from "../platform/lifecycle.ts";
import { createLog } from "../platform/log.ts";
import { isProfile, PROFILES, startOperator } from "../stack/operator.ts";
import { startSmppOperator } from "../stack/operator-smpp.ts";

const NAMES = ["A", "B", "C"];
const DRAIN_MS = 5_000;

function option(name: string, fallback: string | undefined): string | undefined {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : process.argv[at + 1];
}

const name = option("name", undefined) ?? "";
const profile = option("profile", process.env.SLUICE_OPERATORS_PROFILE || "default") ?? "";
const smppPort = Number(option("smpp-port", "0"));
if (process.argv.includes("--help") || !NAMES.includes(name) || !isProfile(profile) || !(smppPort >= 0)) {
  console.log(
    `bun src/main/operator.ts --name ${NAMES.join("|")} [--profile ${Object.keys(PROFILES).join("|")}]`,
    "[--smpp-port PORT]",
  );
  process.exit(process.argv.includes("--help") ? 0 : 64); // EX_USAGE
}

const config = loadConfig(process.env);
const log = createLog("operator", config.logLevel).child({ operator: name });
const own = { name, host: config.apiHost, folder: `${config.stateFolder}/operators` };
const operator = await startOperator({
  ...own,
  profile,
  port: config.operatorPort + NAMES.indexOf(name),
  reportsUrl: `http://${config.apiHost}:${config.apiPort}/dlr/${name}`,
  echoesId: name !== "C", // so that both ways of finding a message are tried
});
const smpp =
  smppPort > 0 ? await startSmppOperator({ ...own, port: smppPort, profile: operator.profile }) : null;
runUntilStopped(log, DRAIN_MS, async () => {
  await smpp?.stop();
  await operator.stop();
});
log.info({ port: operator.port, profile }, "taking messages");
