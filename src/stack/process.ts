// Child processes that may outlive their parent: each is started in a session of its own (so a terminal's
// Ctrl-C doesn't reach it), logs to a file, and is recorded in <state>/run/<name>.json, so that the next
// command finds what a killed launcher left behind. Invariant: a recorded pid is trusted only together with
// its start time and boot id, because pids are reused.

import { execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { sleep } from "../platform/retry.ts";

export type ProcessSpec = {
  role: string;
  /** Unique in the state folder: mysql, ingest-1 … */
  name: string;
  port: number | null;
  /** Of its health, readiness and metrics, if it has one. */
  healthPort?: number;
  command: readonly string[];
  cwd: string;
  env: Readonly<Record<string, string | undefined>>;
  logFile: string;
  /** Its niceness once the gateway is ready (`prioritise`): above 0 less of a short CPU, below 0 more. */
  nice: number;
  /** The only CPU that it may use, or any. */
  cpu?: number | undefined;
  /** The signal that asks it to end, SIGTERM by default; SIGKILL follows after stopMaxMs. */
  stopSignal?: StopSignal;
  stopMaxMs: number;
};
/** nginx uses SIGQUIT for: finish the requests under way, then end. */
export type StopSignal = "SIGTERM" | "SIGQUIT";

/** Distinguishes a process from another one with the same pid. */
export type Identity = { pid: number; startTicks: number; boot: string };
/** `owner` is the launcher that supervises it; null in a background stack (`make up`). */
export type ProcessRecord = Identity & {
  role: string;
  name: string;
  port: number | null;
  healthPort?: number;
  stopSignal?: StopSignal;
  stopMaxMs: number;
  owner: Identity | null;
};

const pollMs = 20;
const CHILD_STOP_MAX_MS = 10_000;
/** A log longer than this is rotated when its process starts, and shortened while it runs. */
export const logBytesMax = 64 * 1024 * 1024;

/**
 * Starts the process detached and records it. Returns at once; a ready check must find out whether it works.
 */
export function startProcess(spec: ProcessSpec, stateFolder: string, owner: Identity | null): ProcessRecord {
  mkdirSync(dirname(spec.logFile), { recursive: true });
  rotateLog(spec.logFile);
  const out = openSync(spec.logFile, "a");
  const pin = spec.cpu === undefined ? [] : ["taskset", "-c", String(spec.cpu)];
  const [file = "", ...args] = [...pin, ...spec.command];
  try {
    const child = spawn(file, args, {
      cwd: spec.cwd,
      env: spec.env,
      detached: true,
      stdio: ["ignore", out, out],
    });
    child.on("error", () => undefined); // noticed as "did not start" below
    child.unref();
    const identity = child.pid === undefined ? null : identify(child.pid);
    if (identity === null)
      throw new Error(`${spec.name} did not start: ${file} cannot be run (see ${spec.logFile})`);
    const { role, name, port, healthPort, stopSignal = "SIGTERM", stopMaxMs } = spec;
    const health = healthPort === undefined ? {} : { healthPort };
    const record = { ...identity, role, name, port, ...health, stopSignal, stopMaxMs, owner };
    writeRecord(stateFolder, record);
    return record;
  } finally {
    closeSync(out);
  }
}

/**
 * Records a child that its launcher waits for, so that the next command ends it if the launcher is killed.
 * Returns what removes the record once the child has ended.
 */
export function recordChild(name: string, pid: number, stateFolder: string, owner: Identity): () => void {
  const identity = identify(pid);
  if (identity === null) return () => undefined;
  const stop = { port: null, stopMaxMs: CHILD_STOP_MAX_MS };
  const record: ProcessRecord = { ...identity, role: name, name, ...stop, owner };
  writeRecord(stateFolder, record);
  return () => forgetProcess(stateFolder, record);
}

/**
 * Gives the process, its threads and its children their share of a CPU that is short. For a process that is
 * ready, in a gateway that is: until then nothing works, and with a small share beside busy strangers a start
 * takes minutes. Does nothing where it is not allowed: only root gives a process more than others have.
 */
export function prioritise(pid: number, nice: number): void {
  try {
    execFileSync("renice", ["-n", String(nice), "-g", String(pid)], { stdio: "ignore" });
    // Where the kernel groups processes by session (sched_autogroup), niceness only counts within a session;
    // each of these processes has its own, which gets the same. Elsewhere the file is absent.
    writeFileSync(`/proc/${pid}/autogroup`, String(nice));
  } catch {
    return; // it has ended, or this isn't root
  }
}

/** Asks it to end and waits; kills its session if that takes too long, and then resolves to false. */
export async function stopProcess(record: ProcessRecord, stateFolder: string): Promise<boolean> {
  signal(record, record.stopSignal ?? "SIGTERM");
  const endedByItself = await ended(record, record.stopMaxMs);
  if (!endedByItself) {
    signal(record, "SIGKILL");
    await ended(record, 5_000);
  }
  forgetProcess(stateFolder, record);
  return endedByItself;
}

/** Asks it to read its files again; does nothing if it has ended. */
export const reloadProcess = (record: ProcessRecord): void => signal(record, "SIGHUP");

/** Waits for the process to end; resolves to false if it still runs after `maxMs`. */
export async function ended(identity: Identity, maxMs: number): Promise<boolean> {
  const deadlineMs = performance.now() + maxMs;
  while (isAlive(identity)) {
    if (performance.now() > deadlineMs) return false;
    await sleep(pollMs);
  }
  return true;
}

/** All records in the state folder, including those of dead processes. */
export function readRecords(stateFolder: string): ProcessRecord[] {
  let files: string[];
  try {
    files = readdirSync(runFolder(stateFolder));
  } catch {
    return []; // no folder: nothing was ever started
  }
  return files
    .filter((file) => file.endsWith(".json"))
    .flatMap((file) => readRecord(join(runFolder(stateFolder), file)) ?? []);
}

/** Removes a dead process's record, unless a newer process has its name, and ends what it left behind. */
export function forgetProcess(stateFolder: string, record: ProcessRecord): void {
  if (!isAlive(record)) killRemains(record);
  const file = recordFile(stateFolder, record.name);
  const present = readRecord(file);
  if (present === null || sameProcess(present, record)) rmSync(file, { force: true });
}

/** The identity of the process that has this pid now; null if there is none. */
export function identify(pid: number): Identity | null {
  const stat = readStat(pid);
  return stat === null ? null : { pid, startTicks: stat.startTicks, boot: bootId() };
}

/** Whether the very same process is still running; a zombie is not. */
export function isAlive(identity: Identity): boolean {
  const stat = readStat(identity.pid);
  return (
    stat !== null &&
    stat.state !== "Z" &&
    stat.startTicks === identity.startTicks &&
    identity.boot === bootId()
  );
}

export const sameProcess = (a: Identity, b: Identity): boolean =>
  a.pid === b.pid && a.startTicks === b.startTicks && a.boot === b.boot;

// When its process starts, no one has the log open, and it can be renamed. Keeps one older file.
function rotateLog(logFile: string): void {
  if (isLong(logFile)) renameSync(logFile, `${logFile}.1`);
}

/**
 * Empties a log that has grown too long under a running process, which has it open to append; the older lines
 * are kept in `.1`, but for those that were written during the copy.
 */
export function shortenLog(logFile: string): void {
  if (!isLong(logFile)) return;
  copyFileSync(logFile, `${logFile}.1`);
  truncateSync(logFile);
}

const isLong = (logFile: string): boolean =>
  (statSync(logFile, { throwIfNoEntry: false })?.size ?? 0) > logBytesMax;

/** Ends what the last process of this name left behind when it died. */
export function clearRemains(stateFolder: string, name: string): void {
  const record = readRecord(recordFile(stateFolder, name));
  if (record !== null && !isAlive(record)) killRemains(record);
}

// A process may die and leave children in its session (nginx's workers then keep their ports). Its pid isn't
// reused while such a process group exists, so if another process has the pid now, nothing was left behind.
function killRemains(record: ProcessRecord): void {
  if (record.boot !== bootId() || identify(record.pid) !== null) return;
  kill(-record.pid, "SIGKILL");
}

function signal(record: ProcessRecord, name: StopSignal | "SIGHUP" | "SIGKILL"): void {
  if (!isAlive(record)) return;
  // SIGKILL goes to the session, whose leader it is, so that none of its children remain; the request to end
  // goes to the process alone.
  kill(name === "SIGKILL" ? -record.pid : record.pid, name);
}

function kill(pid: number, name: StopSignal | "SIGHUP" | "SIGKILL"): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // ended in the meantime
  }
}

// The command's name is in parentheses and may contain anything, so fields are counted from the last
// parenthesis (proc(5)).
function readStat(pid: number): { state: string; startTicks: number } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] ?? "", startTicks: Number(fields[19]) };
  } catch {
    return null; // no such process
  }
}

let boot: string | undefined;
function bootId(): string {
  boot ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return boot;
}

const runFolder = (stateFolder: string): string => join(stateFolder, "run");
const recordFile = (stateFolder: string, name: string): string =>
  join(runFolder(stateFolder), `${name}.json`);

// Written to a temporary file and renamed: a launcher killed here leaves no partial file.
function writeRecord(stateFolder: string, record: ProcessRecord): void {
  mkdirSync(runFolder(stateFolder), { recursive: true });
  const file = recordFile(stateFolder, record.name);
  writeFileSync(`${file}.new`, `${JSON.stringify(record)}\n`);
  renameSync(`${file}.new`, file);
}

function readRecord(file: string): ProcessRecord | null {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as ProcessRecord;
  } catch {
    return null; // removed in the meantime
  }
}
