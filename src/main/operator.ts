// One simulated operator: a process with an HTTP port, and with one of SMPP if asked for, for development and
// tests.

import { loadConfig } from "../platform/config.ts";
import { runUntilStopped } from "../platform/lifecycle.ts";
import { createLog } from "../platform/log.ts";
import { startOperator } from "../stack/operator.ts";
import { createBehaviour, isProfile, PROFILES } from "../stack/operator-behaviour.ts";
import { startSmppOperator } from "../stack/operator-smpp.ts";
import { reachable } from "../stack/probe.ts";
import { OPERATORS_HOST, ROLES } from "../stack/role-table.ts";

const NAMES: readonly string[] = ROLES.operator.names;
const DRAIN_MS = 5_000;
const SEEDS = 2 ** 32;

function option(name: string, fallback: string | undefined): string | undefined {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : process.argv[at + 1];
}

const name = option("name", undefined) ?? "";
const profile = option("profile", process.env.SLUICE_OPERATORS_PROFILE || "default") ?? "";
const smppPort = Number(option("smpp-port", "0"));
const seed = Number(option("seed", String(Math.floor(Math.random() * SEEDS))));
const isSound = NAMES.includes(name) && smppPort >= 0 && Number.isInteger(seed) && seed >= 0 && seed < SEEDS;
if (process.argv.includes("--help") || !isSound || !isProfile(profile)) {
  console.log(
    `bun src/main/operator.ts --name ${NAMES.join("|")} [--profile ${Object.keys(PROFILES).join("|")}]`,
    `[--smpp-port PORT] [--seed 0 to ${SEEDS - 1}]\nWhile it runs: ./sluice operator set|show NAME`,
  );
  process.exit(process.argv.includes("--help") ? 0 : 64); // EX_USAGE
}

const config = loadConfig(process.env);
const log = createLog("operator", config.logLevel).child({ operator: name });
const behaviour = createBehaviour(PROFILES[profile], seed);
const own = { name, host: OPERATORS_HOST, folder: `${config.stateFolder}/operators` };
const { profile: now, random } = behaviour;
const smpp = smppPort > 0 ? await startSmppOperator({ ...own, port: smppPort, profile: now, random }) : null;
const operator = await startOperator({
  ...own,
  behaviour,
  smpp,
  port: config.operatorPort + NAMES.indexOf(name),
  reportsUrl: `http://${reachable(config.apiHost)}:${config.apiPort}/dlr/${name}`,
  echoesId: name !== "C", // so that both ways of finding a message are tried
});
runUntilStopped(log, DRAIN_MS, async () => {
  await smpp?.stop();
  await operator.stop();
});
log.info({ port: operator.port, smppPort, profile, seed }, "taking messages");
