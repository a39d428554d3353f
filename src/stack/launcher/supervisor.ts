// Keeps processes running: restarts what dies, at once the first time and then with backoff, and reports it.
//
//   starting ──ready──► ready ──no longer answers──► unready ──answers──► ready
//      └──────dies──────────┴──────────dies─────────────┴──► down ──after the wait──► starting
//
// A process that lives but isn't ready is left alone: it is waiting for something itself and logs what.
// Also keeps their logs short. Bound: one look at every process per tick, one probe of each at a time; waits
// of restartMostMs; a log of a minute more than logBytesMax.

import { isAlive, type ProcessRecord, type ProcessSpec, shortenLog } from "../process.ts";

export type Supervised = ProcessSpec & { ready(): Promise<boolean> };
export type State = "starting" | "ready" | "unready" | "down";
export type View = { spec: Supervised; state: State; pid: number | null; restarts: number };

export type SupervisorDeps = {
  /** Starts the process and returns its record; a failure counts as a death. */
  start(spec: Supervised): Promise<ProcessRecord>;
  report(line: string): void;
  monotonicMs(): number;
};

export type Supervisor = {
  /** From now on this process is kept running. Without a record it is started. */
  add(spec: Supervised, running?: ProcessRecord): void;
  views(): View[];
  /** Looks at all processes once; resolves when everything that this look started has been started. */
  tick(): Promise<void>;
};

const restartFirstMs = 1_000;
export const restartMostMs = 30_000;
/** After this long up, the next death counts as a first one again. */
export const steadyMs = 60_000;
export const logLookMs = 60_000;

type Entry = {
  spec: Supervised;
  record: ProcessRecord | null;
  state: State;
  restarts: number;
  /** Deaths since it was last steady. */
  deaths: number;
  startedAtMs: number;
  startAtMs: number;
  probing: boolean;
  logLookAtMs: number;
};

export function createSupervisor({ start, report, monotonicMs }: SupervisorDeps): Supervisor {
  const entries: Entry[] = [];

  async function tickOne(entry: Entry): Promise<void> {
    if (entry.record !== null && !isAlive(entry.record)) died(entry, `died (pid ${entry.record.pid})`);
    if (entry.record === null && entry.state === "down" && monotonicMs() >= entry.startAtMs)
      await restart(entry);
    if (entry.record !== null) probe(entry);
    if (monotonicMs() >= entry.logLookAtMs) lookAtLog(entry);
  }

  function lookAtLog(entry: Entry): void {
    entry.logLookAtMs = monotonicMs() + logLookMs;
    try {
      shortenLog(entry.spec.logFile);
    } catch (error) {
      report(`${entry.spec.name}: its log could not be shortened: ${String(error)}`); // as on a full disk
    }
  }

  function died(entry: Entry, what: string): void {
    if (monotonicMs() - entry.startedAtMs > steadyMs) entry.deaths = 0;
    const waitMs = entry.deaths === 0 ? 0 : Math.min(restartMostMs, restartFirstMs * 2 ** (entry.deaths - 1));
    entry.deaths++;
    entry.record = null;
    entry.state = "down";
    entry.startAtMs = monotonicMs() + waitMs;
    const when = waitMs === 0 ? "now" : `in ${waitMs / 1000} s`;
    report(`${entry.spec.name}: ${what}; restarting it ${when} (./sluice logs ${entry.spec.name})`);
  }

  async function restart(entry: Entry): Promise<void> {
    entry.state = "starting";
    entry.startedAtMs = monotonicMs();
    try {
      entry.record = await start(entry.spec);
      entry.restarts++;
    } catch (error) {
      died(entry, `could not be started: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  // Not awaited: a process that hangs must not delay the checks of the others.
  function probe(entry: Entry): void {
    if (entry.probing) return;
    entry.probing = true;
    const { record } = entry;
    entry.spec.ready().then(
      (ready) => {
        entry.probing = false;
        if (entry.record !== record || record === null) return; // restarted in the meantime
        const next: State = ready ? "ready" : entry.state === "starting" ? "starting" : "unready";
        if (next !== entry.state && next === "ready") report(`${entry.spec.name}: ready (pid ${record.pid})`);
        if (next !== entry.state && next === "unready")
          report(`${entry.spec.name}: running, but not ready (pid ${record.pid})`);
        entry.state = next;
      },
      () => {
        entry.probing = false;
      },
    );
  }

  return {
    add(spec, running) {
      const entry: Entry = {
        spec,
        record: running ?? null,
        state: running === undefined ? "down" : "ready", // a record is only passed once it answers
        restarts: running === undefined ? -1 : 0, // its first start doesn't count
        deaths: 0,
        startedAtMs: monotonicMs(),
        startAtMs: 0,
        probing: false,
        logLookAtMs: monotonicMs() + logLookMs,
      };
      entries.push(entry);
    },
    views: () =>
      entries.map(({ spec, state, record, restarts }) => ({
        spec,
        state,
        pid: record?.pid ?? null,
        restarts: Math.max(0, restarts),
      })),
    tick: () => Promise.all(entries.map(tickOne)).then(() => undefined),
  };
}
