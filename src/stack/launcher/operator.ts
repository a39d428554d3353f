// `operator`: how a simulated operator of this machine behaves, and making it behave otherwise while it runs.
// Leaves reading the settings to the operator itself (operator-behaviour.ts).

import type { Command } from "commander";
import { type Config, loadConfig } from "../../platform/config.ts";
import { say } from "../../platform/output.ts";
import { PROFILES, SETTINGS } from "../operator-behaviour.ts";
import { OPERATORS_HOST, ROLES } from "../role-table.ts";

type Json = { json?: true };

const NAMES: readonly string[] = ROLES.operator.names;
const ANSWER_MAX_MS = 2_000;

export function declareOperators(program: Command): void {
  const operator = program
    .command("operator")
    .description("show and change how the simulated operators behave, for development and tests");
  operator
    .command("show")
    .description("show how an operator behaves")
    .argument("<name>", NAMES.join(", "))
    .option("--json", "print JSON")
    .action(async (name: string, options: Json) => print(await ask(name, null), options));
  operator
    .command("set")
    .description("change some settings of an operator while it runs; the others stay")
    .argument("<name>", NAMES.join(", "))
    .argument("<settings...>", "name=value …, such as: slow=200ms refuse=0.1 reports=late:0.1+duplicate:0.2")
    .option("--json", "print JSON")
    .addHelpText("after", `\nSettings:\n${describeSettings()}`)
    .action(async (name: string, settings: string[], options: Json) =>
      print(await ask(name, settings.join(" ")), options),
    );
}

/** @throws Error if there is no such operator, it doesn't answer, or a setting has a fault */
async function ask(name: string, settings: string | null): Promise<Record<string, string>> {
  const at = NAMES.indexOf(name);
  if (at < 0) throw new Error(`no simulated operator ${JSON.stringify(name)}; they are ${NAMES.join(", ")}`);
  const config: Config = loadConfig(process.env);
  const origin = `http://${OPERATORS_HOST}:${config.operatorPort + at}`;
  const answer = await fetch(`${origin}/behaviour`, {
    ...(settings === null ? {} : { method: "POST", body: settings }),
    signal: AbortSignal.timeout(ANSWER_MAX_MS),
  }).catch((cause: unknown) => {
    throw new Error(`operator ${name} does not answer on ${origin}. Start it: ./sluice up`, { cause });
  });
  const text = await answer.text();
  if (answer.status === 422) {
    const { faults } = JSON.parse(text) as { faults: string[] };
    throw new Error(faults.join("\n        "));
  }
  if (!answer.ok) throw new Error(`operator ${name} answered ${answer.status} on ${origin}: ${text}`);
  return JSON.parse(text) as Record<string, string>;
}

function print(settings: Record<string, string>, { json }: Json): void {
  if (json) say(JSON.stringify(settings));
  else for (const [name, value] of Object.entries(settings)) say(`${name}=${value}`);
}

const describeSettings = (): string =>
  [
    ...Object.entries(SETTINGS).map(([name, { value, what }]) => `  ${name}: ${what}.\n    ${value}`),
    `  profile: all of these at once.\n    ${Object.keys(PROFILES).join(", ")}`,
    "  seed: what the following random decisions follow from.\n    a whole number",
  ].join("\n");
