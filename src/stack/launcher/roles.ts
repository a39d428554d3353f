// The processes that `up` starts, from the table of roles. Each reads its settings from the environment; the
// launcher gives each its own health port, counted from SLUICE_HEALTH_PORT.

import { join, resolve } from "node:path";
import { type Config, healthPortOf } from "../../platform/config.ts";
import { httpAnswers } from "../probe.ts";
import type { ProcessSpec } from "../process.ts";
import { OPERATORS_HOST, processNames, type RoleKind, type RoleRow, ROLES } from "../role-table.ts";
import { projectRoot, type Tools } from "../tools.ts";

export type RoleProcess = ProcessSpec & {
  healthPort: number;
  /** Whether it can do its work now. */
  ready(): Promise<boolean>;
};

const stopMaxMs = 10_000;
/** From the first operator's port to its SMPP port; those of the others follow. */
const SMPP_PORT_OFFSET = 4;

/** The SMPP port of a simulated operator, by its place among them. */
const smppPortOf = ({ operatorPort }: Pick<Config, "operatorPort">, at: number): number =>
  operatorPort + SMPP_PORT_OFFSET + at;

export type RolesOptions = {
  ingest: number;
  operators: string;
  /** The secret by which ingest recognizes the edge, if there is one. */
  edgeSecret?: string;
  /** The secret of one-time codes, which ingest and senders share. */
  otpSecret?: string;
};

/** What seals codes, and what opens them. */
const HAVE_CODES: ReadonlySet<RoleKind> = new Set(["ingest", "sender-normal", "sender-express"]);

export function createRoles(
  config: Config,
  tools: Tools,
  stateFolder: string,
  options: RolesOptions,
): RoleProcess[] {
  const ports = (kind: RoleKind, at: number): { port: number; healthPort: number } => {
    const { healthOffset }: RoleRow = ROLES[kind];
    if (healthOffset === null) return same(config.operatorPort + at);
    const healthPort = healthPortOf(config.healthPort, healthOffset, at + 1);
    if (kind === "admin") return { port: config.adminPort, healthPort };
    return kind === "ingest" ? { port: config.apiPort, healthPort } : same(healthPort);
  };
  const role = (kind: RoleKind, name: string, at: number): RoleProcess => {
    const { runtime, command, ready, nice, names }: RoleRow = ROLES[kind];
    const [file, ...args] = command;
    const { port, healthPort } = ports(kind, at);
    const { operators } = options;
    const own = Array.isArray(names)
      ? ["--name", names[at] as string, "--profile", operators, "--smpp-port", String(smppPortOf(config, at))]
      : [];
    return {
      role: kind,
      name,
      port,
      healthPort,
      command: [tools[runtime], join(projectRoot, "src/main", file), ...args, ...own],
      cwd: projectRoot,
      env: {
        ...process.env,
        SLUICE_STATE: stateFolder,
        SLUICE_ROUTES: resolve(config.routesFile),
        SLUICE_HEALTH_PORT: String(healthPort),
        ...(kind === "ingest" && options.edgeSecret ? { SLUICE_EDGE_SECRET: options.edgeSecret } : {}),
        ...(HAVE_CODES.has(kind) && options.otpSecret ? { SLUICE_OTP_SECRET: options.otpSecret } : {}),
      },
      logFile: join(stateFolder, "logs", `${name}.log`),
      nice,
      stopMaxMs,
      ready: () => httpAnswers(healthPort, ready, kind === "operator" ? OPERATORS_HOST : config.healthHost),
    };
  };
  return (Object.keys(ROLES) as RoleKind[]).flatMap((kind) =>
    processNames(kind, options.ingest).map((name, at) => role(kind, name, at)),
  );
}

const same = (port: number) => ({ port, healthPort: port });
