// Keeps the processes of a run alive: restarts at once what dies, unless it is deliberately held down.
// Owns signals to them, and counts which ended on their own. The launcher's own supervisor
// (src/stack/launcher/) waits longer after each death and can't leave a process down on request; it has its
// own tests.
// Bound: one look at every process each LOOK_MS.

import { sleep } from "../../src/platform/retry.ts";
import type { Engine } from "../../src/stack/engines.ts";
import {
  ended,
  type Identity,
  isAlive,
  type ProcessRecord,
  type ProcessSpec,
} from "../../src/stack/process.ts";
import { startProcess } from "../../src/stack/process.ts";

export type Keeper = {
  /** From now on the process is kept running; without a record it is started. */
  add(spec: ProcessSpec, options?: { engine?: Engine; record?: ProcessRecord; held?: boolean }): void;
  names(): string[];
  spec(name: string): ProcessSpec;
  engine(name: string): Engine | null;
  isAlive(name: string): boolean;
  isHeld(name: string): boolean;
  /** Returns false if it isn't running. SIGKILL goes to its whole session. */
  signal(name: string, signal: NodeJS.Signals): boolean;
  /** Prevents restarts until `release`. */
  hold(name: string): void;
  release(name: string): void;
  untilDead(name: string, maxMs: number): Promise<boolean>;
  /** How often each process was started, by name. */
  starts(): Record<string, number>;
  /** How often each process ended without a signal from us, by name. */
  endedByThemselves(): Record<string, number>;
  /** Stops restarting; resolves with the running processes, none of them stopped by SIGSTOP. */
  stop(): Promise<ProcessRecord[]>;
  /** Kills everything at once; nothing is restarted. */
  killAll(): void;
};

type Kept = {
  spec: ProcessSpec;
  engine: Engine | null;
  record: ProcessRecord | null;
  held: boolean;
  starts: number;
  /** The pid that was last told to end. */
  told: number;
  byItself: number;
};

const LOOK_MS = 50;
// A start that fails, for instance on a full disk, is tried again after this time.
const RETRY_MS = 500;

export function startKeeper(stateFolder: string, own: Identity, report: (line: string) => void): Keeper {
  const kept = new Map<string, Kept>();
  let stopped = false;
  const get = (name: string): Kept => {
    const one = kept.get(name);
    if (one === undefined) throw new Error(`no process ${name}`);
    return one;
  };
  const start = async (one: Kept) => {
    try {
      await one.engine?.prepare();
      if (stopped || one.held) return;
      one.record = startProcess(one.spec, stateFolder, own);
      one.starts++;
    } catch (error) {
      report(`${one.spec.name} can't be started: ${error instanceof Error ? error.message : String(error)}`);
      await sleep(RETRY_MS);
    }
  };
  const look = async (one: Kept) => {
    while (!stopped) {
      if (one.record !== null && !isAlive(one.record)) {
        if (one.told !== one.record.pid) one.byItself++;
        one.record = null;
      }
      if (one.record === null && !one.held) await start(one);
      await sleep(LOOK_MS);
    }
  };
  const looking: Promise<void>[] = [];
  const counts = (of: (one: Kept) => number) =>
    Object.fromEntries([...kept].map(([name, one]): [string, number] => [name, of(one)]));
  return {
    add(spec, { engine, record, held = false } = {}) {
      const one: Kept = {
        spec,
        engine: engine ?? null,
        record: record ?? null,
        held: false,
        starts: record === undefined ? 0 : 1,
        told: 0,
        byItself: 0,
      };
      const known = kept.get(spec.name);
      if (known !== undefined) Object.assign(one, { starts: known.starts, byItself: known.byItself });
      kept.set(spec.name, one);
      if (held) {
        one.record = startProcess(spec, stateFolder, own);
        one.starts++;
        one.held = true;
      }
      looking.push(look(one));
    },
    names: () => [...kept.keys()],
    spec: (name) => get(name).spec,
    engine: (name) => get(name).engine,
    isAlive(name) {
      const { record } = get(name);
      return record !== null && isAlive(record);
    },
    isHeld: (name) => get(name).held,
    signal(name, signal) {
      const one = get(name);
      if (one.record === null || !isAlive(one.record)) return false;
      if (signal === "SIGKILL" || signal === "SIGTERM") one.told = one.record.pid;
      return send(one.record, signal);
    },
    hold: (name) => void (get(name).held = true),
    release: (name) => void (get(name).held = false),
    async untilDead(name, maxMs) {
      const { record } = get(name);
      return record === null || ended(record, maxMs);
    },
    starts: () => counts((one) => one.starts),
    endedByThemselves: () =>
      Object.fromEntries(Object.entries(counts((one) => one.byItself)).filter(([, times]) => times > 0)),
    async stop() {
      stopped = true;
      await Promise.all(looking);
      const running = [...kept.values()].flatMap(({ record }) => record ?? []);
      for (const record of running) send(record, "SIGCONT");
      return running;
    },
    killAll() {
      stopped = true;
      for (const { record } of kept.values()) if (record !== null) send(record, "SIGKILL");
    },
  };
}

function send(record: ProcessRecord, signal: NodeJS.Signals): boolean {
  if (!isAlive(record)) return false;
  try {
    process.kill(signal === "SIGKILL" ? -record.pid : record.pid, signal);
    return true;
  } catch {
    return false; // ended in the meantime
  }
}
