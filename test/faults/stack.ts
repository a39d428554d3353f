// The real stack of a run, with the fault suite as its launcher: the engines and roles of `./sluice up`, each
// process started again at once when it dies, unless it is held down on purpose; a proxy on each line between
// roles and engines; MySQL's folder on a small disk of its own when asked. Leaves faults to kinds/.
// Invariant: everything started here stands in the state folder's records, so that `./sluice down` and the
// next run find it. Bound: one look at every process each LOOK_MS.

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { migrate } from "../../src/main/cli/migrate.ts";
import { createRoles, type Role } from "../../src/main/cli/roles.ts";
import { type Config, loadConfig } from "../../src/platform/config.ts";
import { sleep } from "../../src/platform/retry.ts";
import { createEngines, type Engine } from "../../src/stack/engines.ts";
import { httpAnswers } from "../../src/stack/probe.ts";
import {
  ended,
  type Identity,
  identify,
  isAlive,
  type ProcessRecord,
  type ProcessSpec,
  startProcess,
} from "../../src/stack/process.ts";
import { clearOrphans, sortRecords, startEngines, stopAll } from "../../src/stack/stack.ts";
import { testSettings } from "../../src/stack/test-env.ts";
import { findTools } from "../../src/stack/tools.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import type { LINES } from "./plan.ts";

export type Line = (typeof LINES)[number];
export type FaultStack = {
  config: Config;
  stateFolder: string;
  /** The settings every process gets. */
  env: Record<string, string>;
  node: string;
  lines: Record<Line, TcpProxy>;
  /** Where MySQL's disk is mounted; null: it is no disk of its own. */
  disk: string | null;
  names(): string[];
  isAlive(name: string): boolean;
  /** False when it isn't running. SIGKILL goes to all of its session. */
  signal(name: string, signal: NodeJS.Signals): boolean;
  /** Not started again until `release`. */
  hold(name: string): void;
  release(name: string): void;
  untilDead(name: string, maxMs: number): Promise<boolean>;
  /** A second sender of a lane, never started again by itself. Returns its name. */
  startSecondSender(lane: string): string;
  isReady(name: string): Promise<boolean>;
  untilReady(maxMs: number): Promise<void>;
  /** A count of a role's /metrics; NaN when it doesn't answer. */
  metric(name: string, metric: string): Promise<number>;
  /** Starts by name: how often each was started. */
  starts(): Record<string, number>;
  /** Ends everything, releases the disk, and removes the folder unless it is kept. */
  stop(options: { keep: boolean }): Promise<void>;
};

const LOOK_MS = 50;
const READY_MAX_MS = 120_000;
const LEASE_TTL_MS = 5_000; // short, so that what a dead process holds is back within the run
const HEALTH_MAX_MS = 1_000;
const portOfLine = (config: Config): Record<Line, [target: number, own: number]> => ({
  "ingest-mysql": [config.mysqlPort, config.mysqlPort + 1],
  "relay-mysql": [config.mysqlPort, config.mysqlPort + 2],
  "sender-mysql": [config.mysqlPort, config.mysqlPort + 3],
  kafka: [config.kafkaPort, config.kafkaPort + 3],
});

export type StackOptions = {
  folder: string;
  portOffset: number;
  ingest: number;
  /** Size of MySQL's own disk, a tmpfs; null: the disk of the state folder. */
  diskMb: number | null;
  env: Readonly<Record<string, string>>;
  report: (line: string) => void;
};

type Kept = {
  spec: ProcessSpec;
  engine: Engine | null;
  record: ProcessRecord | null;
  held: boolean;
  starts: number;
};

/** Whether this machine lets us mount a tmpfs: null, or why not. */
export function whyNoDisk(folder: string): string | null {
  mkdirSync(folder, { recursive: true });
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "sluice-faults", folder]);
  if (mounted.status !== 0)
    return mounted.error?.message ?? (mounted.stderr.toString().trim() || "mount failed");
  spawnSync("umount", [folder]);
  return null;
}

export async function startStack(options: StackOptions): Promise<FaultStack> {
  const settings = testSettings({
    SLUICE_TEST_PORTS: String(options.portOffset),
    SLUICE_TEST_STATE: options.folder,
  });
  const env = { ...settings, SLUICE_LEASE_TTL_MS: String(LEASE_TTL_MS), ...options.env };
  const config = loadConfig({ ...process.env, ...env });
  const { stateFolder } = config;
  const own = identify(process.pid) as Identity;
  const quiet = () => undefined;
  await clearOrphans(stateFolder, options.report);
  const others = sortRecords(stateFolder).supervised;
  if (others.length > 0) throw new Error(`another run has this stack: pid ${others[0]?.owner?.pid}`);
  const disk = options.diskMb === null ? null : join(stateFolder, "mysql");
  unmount(join(stateFolder, "mysql"));
  rmSync(stateFolder, { recursive: true, force: true });
  mkdirSync(stateFolder, { recursive: true });
  if (disk !== null) mount(disk, options.diskMb as number);

  const lines = {} as Record<Line, TcpProxy>;
  for (const [name, [target, port]] of Object.entries(portOfLine(config)))
    lines[name as Line] = await startTcpProxy(target, port);
  const tools = findTools(process.env);
  const kept = new Map<string, Kept>();
  const add = (spec: ProcessSpec, engine: Engine | null, record: ProcessRecord | null = null) =>
    kept.set(spec.name, { spec, engine, record, held: false, starts: record === null ? 0 : 1 });
  const start = async (one: Kept) => {
    await one.engine?.prepare();
    one.record = startProcess(one.spec, stateFolder, own);
    one.starts++;
  };

  const engines = createEngines(config, tools, stateFolder).map((engine) =>
    engine.name === "kafka" ? throughProxy(engine, stateFolder, config, lines.kafka.port) : engine,
  );
  const records = await startEngines(engines, stateFolder, own, quiet);
  for (const engine of engines)
    add(engine, engine, records.find((record) => record.name === engine.name) ?? null);
  await migrate(tools, quiet, { env });
  const roles = createRoles(config, tools, stateFolder, { ingest: options.ingest, operators: "default" }).map(
    (role): Role => ({ ...role, env: { ...role.env, ...env, ...lineEnv(role, lines), ...ownEnv(role) } }),
  );
  for (const role of roles) add(role, null);

  let stopped = false;
  // What is left of a run that is broken off is worth nothing: it ends at once.
  const breakOff = () => {
    stopped = true;
    for (const { record } of kept.values()) if (record !== null) killSession(record);
    if (disk !== null) unmount(disk);
    process.exit(130); // as a shell says of an interrupted command
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, breakOff);
  const look = async () => {
    while (!stopped) {
      for (const one of kept.values()) {
        if (one.record !== null && !isAlive(one.record)) one.record = null;
        if (one.record === null && !one.held && !stopped)
          await start(one).catch((error: unknown) => options.report(`${one.spec.name}: ${String(error)}`));
      }
      await sleep(LOOK_MS);
    }
  };
  const looking = look();

  const get = (name: string): Kept => {
    const one = kept.get(name);
    if (one === undefined) throw new Error(`no process ${name}`);
    return one;
  };
  const isReady = async (name: string): Promise<boolean> => {
    const { spec, engine } = get(name);
    if (engine !== null) return engine.ready();
    return httpAnswers(Number(spec.env.SLUICE_HEALTH_PORT), spec.role === "operator" ? "/health" : "/ready");
  };
  const stack: FaultStack = {
    config,
    stateFolder,
    env,
    node: tools.node,
    lines,
    disk,
    names: () => [...kept.keys()],
    isAlive: (name) => {
      const { record } = get(name);
      return record !== null && isAlive(record);
    },
    signal(name, signal) {
      const { record } = get(name);
      if (record === null || !isAlive(record)) return false;
      try {
        process.kill(signal === "SIGKILL" ? -record.pid : record.pid, signal);
        return true;
      } catch {
        return false; // ended in the meantime
      }
    },
    hold: (name) => void (get(name).held = true),
    release: (name) => void (get(name).held = false),
    async untilDead(name, maxMs) {
      const { record } = get(name);
      return record === null || ended(record, maxMs);
    },
    startSecondSender(lane) {
      const first = get(`sender-${lane}`).spec;
      const name = `${first.name}-2`;
      const port = (first.port ?? 0) + 1;
      const spec: ProcessSpec = {
        ...first,
        name,
        port,
        env: { ...first.env, SLUICE_HEALTH_PORT: String(port) },
        logFile: join(stateFolder, "logs", `${name}.log`),
      };
      const record = startProcess(spec, stateFolder, own);
      kept.set(name, { spec, engine: null, record, held: true, starts: 1 });
      return name;
    },
    isReady,
    async untilReady(maxMs) {
      for (const endMs = performance.now() + maxMs; ; ) {
        const names = [...kept.keys()].filter((name) => !get(name).held);
        const ready = await Promise.all(names.map(isReady));
        if (ready.every(Boolean)) return;
        if (performance.now() > endMs)
          throw new Error(`not ready after ${maxMs} ms: ${names.filter((_, i) => !ready[i])}`);
        await sleep(100);
      }
    },
    async metric(name, metric) {
      try {
        const url = `http://127.0.0.1:${get(name).spec.env.SLUICE_HEALTH_PORT}/metrics`;
        const answer = await fetch(url, { signal: AbortSignal.timeout(HEALTH_MAX_MS) });
        const found = new RegExp(`^${metric}(?:\\{[^}]*\\})? (.*)$`, "m").exec(await answer.text());
        return Number(found?.[1] ?? Number.NaN);
      } catch {
        return Number.NaN;
      }
    },
    starts: () => Object.fromEntries([...kept].map(([name, { starts }]) => [name, starts])),
    async stop({ keep }) {
      stopped = true;
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, breakOff);
      await looking;
      for (const { record } of kept.values()) if (record !== null) goOn(record);
      const running = [...kept.values()].flatMap(({ record }) => (record === null ? [] : [record]));
      await stopAll(running, stateFolder, quiet);
      for (const proxy of Object.values(lines)) proxy.close();
      if (disk !== null) unmount(disk);
      if (!keep) rmSync(stateFolder, { recursive: true, force: true });
    },
  };
  try {
    await stack.untilReady(READY_MAX_MS);
  } catch (error) {
    await stack.stop({ keep: true });
    throw error;
  }
  return stack;
}

// Roles reach MySQL by the line of their kind.
function lineEnv({ role }: ProcessSpec, lines: Record<Line, TcpProxy>): Record<string, string> {
  const line = role.startsWith("sender") ? "sender-mysql" : role === "relay" ? "relay-mysql" : "ingest-mysql";
  return { SLUICE_MYSQL_PORT: String(lines[line].port) };
}

const ownEnv = ({ healthPort }: Role): Record<string, string> => ({ SLUICE_HEALTH_PORT: String(healthPort) });

// The broker tells its clients to come by the proxy; only their first connection is direct.
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

function mount(folder: string, sizeMb: number): void {
  mkdirSync(folder, { recursive: true });
  const done = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${sizeMb}m`, "sluice-faults", folder]);
  if (done.status !== 0) throw new Error(`no disk for MySQL: ${done.stderr?.toString().trim()}`);
}

// What an earlier run that was killed left mounted; nothing is mounted most often.
function unmount(folder: string): void {
  while (readFileSync("/proc/mounts", "utf8").includes(` ${folder} `))
    if (spawnSync("umount", [folder]).status !== 0 && spawnSync("umount", ["-l", folder]).status !== 0)
      return;
}

function killSession({ pid }: ProcessRecord): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    return; // it has ended
  }
}

function goOn({ pid }: ProcessRecord): void {
  try {
    process.kill(pid, "SIGCONT");
  } catch {
    return; // it has ended
  }
}
