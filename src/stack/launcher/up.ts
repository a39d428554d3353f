// `up`: locks the state folder, starts the engines, migrates, seeds, starts every role and supervises
// everything until SIGINT, SIGTERM or SIGHUP; then stops it in order, within 30 s. Everything it starts has a
// session of its own, so a Ctrl-C reaches only this process, and is recorded in the state folder from the
// first moment, so that a stop at any point finds it.

import { resolve } from "node:path";
import { requireRoutes } from "../../operators/routes-file.ts";
import type { Config } from "../../platform/config.ts";
import { sleep } from "../../platform/retry.ts";
import { composeEngines, composeStop, migrateEnv, type StackKind } from "../compose.ts";
import { createEdge, edgeSecret } from "../edge.ts";
import { createEngines, type Engine } from "../engines.ts";
import { ownCpus } from "../own-cpus.ts";
import { type Identity, prioritise, recordChild, sameProcess, startProcess } from "../process.ts";
import { otpSecret } from "../secrets.ts";
import { clearOrphans, refuseTakenPort, sortRecords, startEngine, startEngines, stopAll } from "../stack.ts";
import { findTools } from "../tools.ts";
import { lockHolder, releaseLock, takeLock } from "./lock.ts";
import { migrate } from "./migrate.ts";
import { createRoles } from "./roles.ts";
import { createSupervisor, type Supervised } from "./supervisor.ts";
import { createView, type StatusView } from "./view.ts";
import { type Demo, welcome } from "./welcome.ts";

export type UpOptions = {
  enginesOnly: boolean;
  edge: boolean;
  ingest: number;
  operators: string;
  stack: StackKind;
  /** Creates the demo customers; the launcher itself knows nothing about wallets. */
  seed: (config: Config, stateFolder: string) => Promise<Demo>;
};

const tickMs = 200;
const readyMaxMs = 60_000;

export async function up(config: Config, options: UpOptions): Promise<void> {
  const stateFolder = resolve(config.stateFolder);
  if (options.enginesOnly) return enginesOnly(config, stateFolder, options.stack);
  requireRoutes(resolve(config.routesFile), process.env); // no role would start with a bad one
  const own = takeLock(stateFolder);
  const stopped = new AbortController();
  const view = createView(process.stdout);
  let signals = 0;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => {
      if (++signals === 1) view.line(`${signal}: draining and stopping, at most 30 s …`);
      stopped.abort();
    });
  // A closed terminal takes no more lines, but what is running must still be stopped in order.
  process.stdout.on("error", () => undefined);
  let failure: unknown = null;
  try {
    await run(config, stateFolder, options, own, view, stopped.signal);
  } catch (error) {
    if (!stopped.signal.aborted) failure = error;
  }
  view.hold();
  await stopAll(ownRecords(stateFolder, own), stateFolder, view.line);
  if (options.stack === "compose")
    await composeStop(config, view.line).catch((error: unknown) => (failure ??= error));
  releaseLock(stateFolder, own);
  if (failure !== null) throw asError(failure);
  view.line("everything is stopped; data stays in " + stateFolder);
  process.exit(0);
}

async function run(
  config: Config,
  stateFolder: string,
  options: UpOptions,
  own: Identity,
  view: StatusView,
  signal: AbortSignal,
): Promise<void> {
  const tools = findTools(process.env);
  const secret = options.edge ? edgeSecret(config, stateFolder) : config.edgeSecret;
  const edge = options.edge ? [createEdge(config, tools, stateFolder, secret)] : [];
  const anyEngines = options.stack === "compose" ? [] : createEngines(config, tools, stateFolder);
  const anyRoles = createRoles(config, tools, stateFolder, {
    ...options,
    edgeSecret: secret,
    otpSecret: otpSecret(config, stateFolder),
  });
  const cpuOf = ownCpus([...anyEngines, ...anyRoles]);
  const engines = anyEngines.map((engine) => ({ ...engine, cpu: cpuOf.get(engine.name) }));
  const roles = anyRoles.map((role) => ({ ...role, cpu: cpuOf.get(role.name) }));
  await clearOrphans(stateFolder, view.line);
  for (const { name, port, healthPort } of roles) {
    refuseTakenPort({ name, port });
    refuseTakenPort({ name, port: healthPort });
  }
  for (const { name, ports } of edge) for (const port of ports) refuseTakenPort({ name, port });
  const supervisor = createSupervisor({
    start: async (spec) => {
      const record = isEngine(spec)
        ? await startEngine(spec, stateFolder, own, signal)
        : startProcess(spec, stateFolder, own);
      if (spec.nice < 0) prioritise(record.pid, spec.nice); // the others have theirs when they are ready
      return record;
    },
    report: view.line,
    monotonicMs: () => performance.now(),
  });
  view.line("starting the engines …");
  if (options.stack === "compose") await composeEngines(config, view.line, signal);
  const records = await startEngines(engines, stateFolder, own, view.line, signal);
  for (const engine of engines)
    supervisor.add(
      engine,
      records.find((record) => record.name === engine.name),
    );
  await migrate(tools, view.line, {
    signal,
    env: migrateEnv(options.stack),
    record: (pid) => recordChild("migrate", pid, stateFolder, own),
  });
  const demo = await options.seed(config, stateFolder);
  signal.throwIfAborted();
  for (const role of [...roles, ...edge]) supervisor.add(role);
  view.line("starting the roles …");
  await supervise(supervisor, view, signal, () => view.line(welcome(config, demo, options.edge)));
}

async function supervise(
  supervisor: ReturnType<typeof createSupervisor>,
  view: StatusView,
  signal: AbortSignal,
  onReady: () => void,
): Promise<void> {
  const lateAtMs = performance.now() + readyMaxMs;
  const prioritised = new Map<string, number>();
  let announced = false;
  let saidLate = false;
  while (!signal.aborted) {
    await supervisor.tick();
    const views = supervisor.views();
    const missing = views.filter(({ state }) => state !== "ready").map(({ spec }) => spec.name);
    if (missing.length === 0 && !announced) onReady();
    announced ||= missing.length === 0;
    if (announced)
      for (const { spec, state, pid } of views)
        if (state === "ready" && pid !== null && prioritised.get(spec.name) !== pid) {
          prioritise(pid, spec.nice);
          prioritised.set(spec.name, pid);
        }
    if (!announced && !saidLate && performance.now() > lateAtMs) {
      saidLate = true;
      view.line(
        `not ready after ${readyMaxMs / 1000} s: ${missing.join(", ")}. Why: ./sluice logs NAME. Still ` +
          `waiting`,
      );
    }
    view.show(views);
    await sleep(tickMs);
  }
}

async function enginesOnly(config: Config, stateFolder: string, stack: StackKind): Promise<void> {
  const report = (line: string) => console.log(line);
  if (stack === "compose") {
    await composeEngines(config, report);
    return report("next: ./sluice migrate --stack compose");
  }
  const holder = lockHolder(stateFolder);
  if (holder !== null)
    throw new Error(`the engines are already running, under ./sluice up with pid ${holder.pid}`);
  await clearOrphans(stateFolder, report);
  await startEngines(createEngines(config, findTools(process.env), stateFolder), stateFolder, null, report);
}

const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));

const ownRecords = (stateFolder: string, own: Identity) =>
  sortRecords(stateFolder).supervised.filter(
    (record) => record.owner !== null && sameProcess(record.owner, own),
  );

const isEngine = (spec: Supervised): spec is Engine => "prepare" in spec;
