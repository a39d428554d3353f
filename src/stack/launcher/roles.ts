// The roles that `up` starts, as processes: command, ports, CPU weight. Each reads its settings from the
// environment; the launcher gives each a health port of its own, counted from its own SLUICE_HEALTH_PORT.

import { join } from "node:path";
import type { Config } from "../../platform/config.ts";
import { httpAnswers } from "../probe.ts";
import type { ProcessSpec } from "../process.ts";
import { projectRoot, type Tools } from "../tools.ts";

export type Role = ProcessSpec & {
  healthPort: number;
  /** It would do its work now. */
  ready(): Promise<boolean>;
};

const OPERATORS = ["A", "B", "C"] as const;
// Offsets from the first health port; ingest n has offset n (1 to 16).
const healthOffset = { relay: 20, "sender-normal": 30, "sender-express": 40 } as const;
// Accepting goes first when not everything can be had at once, then what the express lane needs, then the
// rest: a backlog further down only grows a little.
const niceness = { relay: 10, "sender-express": 5, "sender-normal": 19, operator: 10 } as const;
const stopMaxMs = 10_000;

export type RolesOptions = {
  ingest: number;
  operators: string;
  /** What the edge proves itself with, where one runs. */
  edgeSecret?: string;
};

export function createRoles(
  config: Config,
  tools: Tools,
  stateFolder: string,
  options: RolesOptions,
): Role[] {
  const main = (file: string) => join(projectRoot, "src/main", file);
  const role = (
    kind: string,
    name: string,
    port: number,
    healthPort: number,
    nice: number,
    command: string[],
  ): Role => ({
    role: kind,
    name,
    port,
    healthPort,
    command,
    cwd: projectRoot,
    env: {
      ...process.env,
      SLUICE_STATE: stateFolder,
      SLUICE_HEALTH_PORT: String(healthPort),
      ...(kind === "ingest" && options.edgeSecret ? { SLUICE_EDGE_SECRET: options.edgeSecret } : {}),
    },
    logFile: join(stateFolder, "logs", `${name}.log`),
    nice,
    stopMaxMs,
    ready: () => httpAnswers(healthPort, kind === "operator" ? "/health" : "/ready"),
  });
  const worker = (kind: keyof typeof healthOffset, args: string[]) => {
    const port = config.healthPort + healthOffset[kind];
    return role(kind, kind, port, port, niceness[kind], [tools.node, ...args]);
  };
  return [
    ...Array.from({ length: options.ingest }, (_, at) =>
      role("ingest", `ingest-${at + 1}`, config.apiPort, config.healthPort + at + 1, 0, [
        tools.bun,
        main("ingest.ts"),
      ]),
    ),
    worker("relay", [main("relay.ts")]),
    worker("sender-normal", [main("sender.ts"), "--lane", "normal"]),
    worker("sender-express", [main("sender.ts"), "--lane", "express"]),
    ...OPERATORS.map((name, at) => {
      const port = config.operatorPort + at;
      const command = [tools.bun, main("operator.ts"), "--name", name, "--profile", options.operators];
      return role("operator", `operator-${name}`, port, port, niceness.operator, command);
    }),
  ];
}
