// The local stack as a whole: starts engines in parallel and waits for them, stops everything cleanly, and
// finds and clears what a killed launcher left behind. Leaves supervision to launcher/. Invariant: a process
// is stopped only if its record says that it is ours and no living launcher supervises it.

import { existsSync, readFileSync } from "node:fs";
import { sleep } from "../platform/retry.ts";
import type { Engine } from "./engines.ts";
import { listenerPid } from "./probe.ts";
import {
  clearRemains,
  forgetProcess,
  type Identity,
  isAlive,
  type ProcessRecord,
  type ProcessSpec,
  readRecords,
  startProcess,
  stopProcess,
} from "./process.ts";
import { stopStages } from "./role-table.ts";

export type ReportLine = (line: string) => void;

/** The records of a state folder, by who is responsible for the processes. */
export type Recorded = {
  /** Started by `make up`, for any command to use. */
  background: ProcessRecord[];
  /** A living launcher supervises it. */
  supervised: ProcessRecord[];
  /** Its launcher is dead. */
  orphans: ProcessRecord[];
};

/** Also removes the records of dead processes. */
export function sortRecords(stateFolder: string): Recorded {
  const sorted: Recorded = { background: [], supervised: [], orphans: [] };
  for (const record of readRecords(stateFolder)) {
    if (!isAlive(record)) forgetProcess(stateFolder, record);
    else if (record.owner === null) sorted.background.push(record);
    else if (isAlive(record.owner)) sorted.supervised.push(record);
    else sorted.orphans.push(record);
  }
  return sorted;
}

/** Stops what a dead launcher left behind: roles first, so that they can still settle on their engines. */
export async function clearOrphans(stateFolder: string, report: ReportLine): Promise<void> {
  const { orphans } = sortRecords(stateFolder);
  if (orphans.length === 0) return;
  report(
    `stopping what a killed ./sluice up left behind: ` +
      `${orphans.map(({ name, pid }) => `${name} (pid ${pid})`).join(", ")}`,
  );
  await stopAll(orphans, stateFolder, report);
}

const sayWaitingMs = 15_000;
const engineRoles = new Set(["mysql", "kafka", "clickhouse"]);
const stopOrder = [["edge"], ...stopStages, [...engineRoles]];

/** Stops everything, each group in parallel, in the order that lets every role finish its work. */
export async function stopAll(
  records: readonly ProcessRecord[],
  stateFolder: string,
  report: ReportLine,
): Promise<void> {
  const known = new Set(stopOrder.flat());
  const strangers = [...new Set(records.map((each) => each.role))].filter((role) => !known.has(role));
  for (const roles of [strangers, ...stopOrder]) {
    const group = records.filter((record) => roles.includes(record.role));
    await Promise.all(
      group.map(async (record) => {
        const byItself = await stopProcess(record, stateFolder);
        report(
          byItself
            ? `${record.name}: stopped`
            : `${record.name}: did not stop in ${record.stopMaxMs} ms and was killed`,
        );
      }),
    );
  }
}

/**
 * Starts what isn't running yet and waits until each engine answers; keeps background engines that are
 * running.
 * @throws Error if a port is taken, or an engine ends or doesn't answer in time; the other engines continue,
 * and are recorded
 */
export async function startEngines(
  engines: readonly Engine[],
  stateFolder: string,
  owner: Identity | null,
  report: ReportLine,
  signal?: AbortSignal,
): Promise<ProcessRecord[]> {
  const { background } = sortRecords(stateFolder);
  const results = await Promise.allSettled(
    engines.map(async (engine) => {
      const running = background.find((record) => record.name === engine.name && record.port === engine.port);
      const record = running ?? (await startEngine(engine, stateFolder, owner, signal));
      await waitReady(engine, record, report, signal);
      report(`${engine.name}: ready on port ${engine.port}`);
      return record;
    }),
  );
  const failures = results.flatMap((result) =>
    result.status === "rejected" ? [messageOf(result.reason)] : [],
  );
  if (failures.length > 0) throw new Error(failures.join("\n"));
  return results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
}

/** Prepares and starts one engine. @throws Error if its port is taken or preparing fails */
export async function startEngine(
  engine: Engine,
  stateFolder: string,
  owner: Identity | null,
  signal?: AbortSignal,
): Promise<ProcessRecord> {
  clearRemains(stateFolder, engine.name);
  refuseTakenPort(engine);
  await engine.prepare(signal);
  signal?.throwIfAborted();
  return startProcess(engine, stateFolder, owner);
}

/**
 * Two servers can listen on one port without an error (reusePort), so this looks the port up and names the
 * pid.
 */
export function refuseTakenPort(
  spec: Pick<ProcessSpec, "name" | "port">,
  port: number | null = spec.port,
): void {
  const pid = port === null ? null : listenerPid(port);
  if (pid === null) return;
  const who = pid === 0 ? "a process of another user" : `pid ${pid}${commandOf(pid)}`;
  throw new Error(
    `${spec.name}: port ${port} is taken by ${who}. Stop it, or choose another port ` +
      `(./sluice --help lists the settings)`,
  );
}

// An engine may have a full redo log to read, or a busy machine: while it lives it is waited for, and that is
// said, up to readyMaxMs.
async function waitReady(
  engine: Engine,
  record: ProcessRecord,
  report: ReportLine,
  signal?: AbortSignal,
): Promise<void> {
  const startedAtMs = performance.now();
  let sayAtMs = sayWaitingMs;
  while (!(await engine.ready())) {
    signal?.throwIfAborted();
    const waitedMs = performance.now() - startedAtMs;
    if (!isAlive(record))
      throw new Error(`${engine.name} ended while starting:\n${lastLines(engine.logFile)}`);
    if (waitedMs > engine.readyMaxMs)
      throw new Error(
        `${engine.name} does not answer after ${engine.readyMaxMs / 1000} s:\n${lastLines(engine.logFile)}`,
      );
    if (waitedMs > sayAtMs) {
      report(`${engine.name}: does not answer after ${sayAtMs / 1000} s; still waiting (${engine.logFile})`);
      sayAtMs += sayWaitingMs;
    }
    await sleep(50);
  }
}

/** The last lines of a log, indented, after the file's name. */
function lastLines(file: string, lines = 8): string {
  const text = existsSync(file)
    ? readFileSync(file, "utf8").trimEnd().split("\n").slice(-lines).join("\n    ")
    : "";
  return `    ${text}\n  (${file})`;
}

function commandOf(pid: number): string {
  try {
    return ` (${readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim().slice(0, 80)})`;
  } catch {
    return ""; // ended in the meantime
  }
}

const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));
