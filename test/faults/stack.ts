// The real stack of a run, with the fault suite as its launcher: the engines and roles of `./sluice up`, a
// proxy on each line between roles and engines, and on request MySQL's folder on a small disk of its own.
// Leaves keeping processes alive to keeper.ts and faults to kinds/. Invariant: everything started here is
// recorded in the state folder, so that the next run finds and ends it.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { migrate } from "../../src/stack/launcher/migrate.ts";
import { createRoles } from "../../src/stack/launcher/roles.ts";
import { LEASE_TTL_MIN_MS } from "../../src/core/limits.ts";
import { type Config, loadConfig } from "../../src/platform/config.ts";
import { sleep } from "../../src/platform/retry.ts";
import { createEngines, type Engine } from "../../src/stack/engines.ts";
import type { ProfileName } from "../../src/stack/operator-behaviour.ts";
import { SMPP_PASSWORD } from "../../src/stack/operator-smpp.ts";
import { httpAnswers } from "../../src/stack/probe.ts";
import { type Identity, identify, type ProcessSpec } from "../../src/stack/process.ts";
import { type RoleKind, ROLES } from "../../src/stack/role-table.ts";
import { clearOrphans, sortRecords, startEngines, stopAll } from "../../src/stack/stack.ts";
import { testSettings } from "../../src/stack/test-env.ts";
import { findTools, projectRoot } from "../../src/stack/tools.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { mount, unmount } from "./disk.ts";
import { type Keeper, startKeeper } from "./keeper.ts";
import type { LINES } from "./plan.ts";

export type Line = (typeof LINES)[number];
export type FaultStack = {
  config: Config;
  stateFolder: string;
  /** The settings that every process gets. */
  env: Record<string, string>;
  node: string;
  keeper: Keeper;
  lines: Record<Line, TcpProxy>;
  /** Where MySQL's disk is mounted; null if it has no disk of its own. */
  disk: string | null;
  /** Starts a second sender of a lane, which is never restarted. Returns its name. */
  startSecondSender(lane: string): string;
  isReady(name: string): Promise<boolean>;
  untilReady(maxMs: number): Promise<void>;
  /** The value of a counter in a role's /metrics; NaN if the role doesn't answer. */
  metric(name: string, metric: string): Promise<number>;
  /** Ends everything, unmounts the disk, removes the folder. */
  stop(): Promise<void>;
};

export type StackOptions = {
  folder: string;
  portOffset: number;
  ingest: number;
  /** Size of MySQL's own disk, a tmpfs; null: use the disk of the state folder. */
  diskMb: number | null;
  /** How the operators behave. */
  operators: ProfileName;
  env: Readonly<Record<string, string>>;
  report: (line: string) => void;
};

const READY_MAX_MS = 120_000;
// As short as allowed, so that a dead process's credit is back within the run.
const LEASE_TTL_MS = LEASE_TTL_MIN_MS;
const HEALTH_MAX_MS = 3_000; // a machine busy with faults answers late

export async function startStack(options: StackOptions): Promise<FaultStack> {
  const settings = testSettings({
    SLUICE_TEST_PORTS: String(options.portOffset),
    SLUICE_TEST_STATE: options.folder,
  });
  const env = {
    ...settings,
    SLUICE_LEASE_TTL_MS: String(LEASE_TTL_MS),
    // A copy, because faults change it.
    SLUICE_ROUTES: join(settings.SLUICE_STATE as string, "routes.yaml"),
    ...options.env,
  };
  const config = loadConfig({ ...process.env, ...env });
  const { stateFolder } = config;
  const own = identify(process.pid) as Identity;
  const disk = await freshFolder(stateFolder, options);
  writeRoutes(config);
  const lines = await startLines(config);
  const keeper = startKeeper(stateFolder, own, options.report);
  // The evidence of an interrupted run is worthless, so everything ends at once.
  const breakOff = () => {
    keeper.killAll();
    if (disk !== null) unmount(disk);
    process.exit(130); // a shell's exit code for an interrupted command
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, breakOff);
  const tools = findTools(process.env);
  const stack: FaultStack = {
    config,
    stateFolder,
    env,
    node: tools.node,
    keeper,
    lines,
    disk,
    ...checksOf(keeper),
    startSecondSender(lane) {
      const spec = secondOf(keeper.spec(`sender-${lane}`), stateFolder);
      keeper.add(spec, { held: true });
      return spec.name;
    },
    async stop() {
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, breakOff);
      await stopAll(await keeper.stop(), stateFolder, () => undefined);
      for (const proxy of Object.values(lines)) proxy.close();
      if (disk !== null) unmount(disk);
      rmSync(stateFolder, { recursive: true, force: true });
    },
  };
  try {
    const engines = createEngines(config, tools, stateFolder).map((engine) =>
      engine.name === "kafka" ? throughProxy(engine, stateFolder, config, lines.kafka.port) : engine,
    );
    const records = await startEngines(engines, stateFolder, own, () => undefined);
    for (const engine of engines) {
      const record = records.find(({ name }) => name === engine.name);
      keeper.add(engine, record === undefined ? { engine } : { engine, record });
    }
    await migrate(tools, () => undefined, { env });
    const roles = createRoles(config, tools, stateFolder, {
      ingest: options.ingest,
      operators: options.operators,
    });
    for (const role of roles)
      keeper.add({
        ...role,
        env: { ...role.env, ...env, ...lineEnv(role, lines), SLUICE_HEALTH_PORT: String(role.healthPort) },
      });
    await stack.untilReady(READY_MAX_MS);
    return stack;
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

function writeRoutes({ routesFile, stateFolder }: Config): void {
  const text = readFileSync(join(projectRoot, "test/faults/routes.yaml"), "utf8");
  writeFileSync(routesFile, text);
  writeFileSync(join(stateFolder, "smpp-password"), `${SMPP_PASSWORD}\n`);
}

/** Clears what an earlier run left. Returns where MySQL's own disk is mounted, if it has one. */
async function freshFolder(stateFolder: string, { diskMb, report }: StackOptions): Promise<string | null> {
  await clearOrphans(stateFolder, report);
  const [other] = sortRecords(stateFolder).supervised;
  if (other !== undefined) throw new Error(`another run has this stack: pid ${other.owner?.pid}`);
  const folder = join(stateFolder, "mysql");
  unmount(folder);
  rmSync(stateFolder, { recursive: true, force: true });
  mkdirSync(stateFolder, { recursive: true });
  if (diskMb === null) return null;
  mount(folder, diskMb);
  return folder;
}

async function startLines({ mysqlPort, kafkaPort }: Config): Promise<Record<Line, TcpProxy>> {
  return {
    "ingest-mysql": await startTcpProxy(mysqlPort, mysqlPort + 1),
    "relay-mysql": await startTcpProxy(mysqlPort, mysqlPort + 2),
    "sender-mysql": await startTcpProxy(mysqlPort, mysqlPort + 3),
    kafka: await startTcpProxy(kafkaPort, kafkaPort + 3),
  };
}

// Roles reach MySQL through the proxy for their kind.
function lineEnv({ role }: ProcessSpec, lines: Record<Line, TcpProxy>): Record<string, string> {
  const line = role.startsWith("sender") ? "sender-mysql" : role === "relay" ? "relay-mysql" : "ingest-mysql";
  return { SLUICE_MYSQL_PORT: String(lines[line].port) };
}

// The broker tells its clients to connect to the proxy; only their first connection is direct.
function throughProxy(engine: Engine, stateFolder: string, config: Config, port: number): Engine {
  const file = join(stateFolder, "kafka", "server.properties");
  const direct = `advertised.listeners=PLAINTEXT://127.0.0.1:${config.kafkaPort}`;
  return {
    ...engine,
    async prepare(signal) {
      await engine.prepare(signal);
      const text = readFileSync(file, "utf8");
      if (!text.includes(direct)) throw new Error("the broker's advertised listener isn't where it was");
      writeFileSync(file, text.replace(direct, `advertised.listeners=PLAINTEXT://127.0.0.1:${port}`));
    },
  };
}

function secondOf(first: ProcessSpec, stateFolder: string): ProcessSpec {
  const name = `${first.name}-2`;
  const port = (first.port ?? 0) + 1;
  const logFile = join(stateFolder, "logs", `${name}.log`);
  return { ...first, name, port, logFile, env: { ...first.env, SLUICE_HEALTH_PORT: String(port) } };
}

function checksOf(keeper: Keeper): Pick<FaultStack, "isReady" | "untilReady" | "metric"> {
  const isReady = async (name: string): Promise<boolean> => {
    const engine = keeper.engine(name);
    if (engine !== null) return engine.ready();
    const { role, env } = keeper.spec(name);
    return httpAnswers(Number(env.SLUICE_HEALTH_PORT), ROLES[role as RoleKind].ready);
  };
  return {
    isReady,
    async untilReady(maxMs) {
      for (const endMs = performance.now() + maxMs; ; ) {
        const names = keeper.names().filter((name) => !keeper.isHeld(name));
        const ready = await Promise.all(names.map(isReady));
        if (ready.every(Boolean)) return;
        if (performance.now() > endMs)
          throw new Error(`not ready after ${maxMs} ms: ${names.filter((_, i) => !ready[i])}`);
        await sleep(100);
      }
    },
    async metric(name, metric) {
      try {
        const url = `http://127.0.0.1:${keeper.spec(name).env.SLUICE_HEALTH_PORT}/metrics`;
        const answer = await fetch(url, { signal: AbortSignal.timeout(HEALTH_MAX_MS) });
        const found = new RegExp(`^${metric}(?:\\{[^}]*\\})? (.*)$`, "m").exec(await answer.text());
        return Number(found?.[1] ?? Number.NaN);
      } catch {
        return Number.NaN;
      }
    },
  };
}
