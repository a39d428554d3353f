// The background check: cycles through all customers in small batches, at a low rate. It counts and logs what
// it finds, and sends events again that the reports lack. It also reads all messages in the order of their
// ids for any without a reserve, which no check of single customers can find. Owns the order and its own
// position; leaves what is checked to reconcile.ts, rows of messages to rows.ts, and how long it rests after
// each piece of work to pace.ts.
// States: standby (another process holds the lock) → at work → waiting until the next cycle is due.
// Invariants: one process at a time; after a restart, or in another process, it continues where it stopped.
// Bounds: a snapshot of STEP_MAX_MS, normally of STEP_TARGET_MS; SCAN_ROWS messages at once; RESEND_MAX
// events a step.

import type { Clickhouse } from "../platform/clickhouse.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { takeLock } from "../platform/named-lock.ts";
import { sleep } from "../platform/retry.ts";
import { createCheckPace } from "./pace.ts";
import { reconcile } from "./reconcile.ts";
import { type Drift, RECONCILE_INVARIANTS, type CustomerRange } from "./result.ts";
import { orphansAfter } from "./rows.ts";
import { createCycleState, readCycle, writeCycle } from "./state.ts";

export type CycleDeps = {
  pool: Pool;
  clickhouse: Clickhouse;
  metrics: Metrics;
  log: Log;
  now: () => number;
  monotonicMs: () => number;
};
export type CycleOptions = {
  /** The target duration of a cycle through all customers; with too many customers it takes longer. */
  cycleMs: number;
  /** Delay before the first look, because a process that is being restarted has more urgent work. */
  startAfterMs?: number;
};
export type Cycle = { stop(): Promise<void> };

/** Connections in the pool: the lock's, a snapshot's, and one for reads beside it. */
export const CYCLE_CONNECTIONS = 3;
const START_AFTER_MS = 10_000;
const STANDBY_MS = 5_000;
const STOP_CHECK_MS = 100;
const STEP_MAX_MS = 60_000;
/** A hanging server must not hold the lock for ever; waiting for a place may take as long as a step. */
export const CYCLE_ANSWER_MAX_MS = STEP_MAX_MS + 30_000;
/** A step takes as many customers as fit this time, because an open snapshot holds up the purge. */
const STEP_TARGET_MS = 500;
const CUSTOMERS_FIRST = 8;
const CUSTOMERS_MAX = 500;
const REST_MIN_MS = 250;
/** Pause after a step that failed because of an engine. */
const FAILED_MS = 10_000;
/** So often ClickHouse is asked about a customer while it answers others, before that one is skipped. */
const ALONE_TRIES = 3;
const SCAN_ROWS = 5_000;
/** The shortest pause between two passes through all messages. */
const SCAN_PAUSE_MS = 60_000;
const DRIFTS_LOGGED_MAX = 20;

export function startReconcileCycle(deps: CycleDeps, options: CycleOptions): Cycle {
  const worker = createWorker(deps, options);
  const abort = new AbortController();
  const { signal } = abort;
  const loop = async () => {
    await pause(options.startAfterMs ?? START_AFTER_MS, signal);
    while (!signal.aborted) {
      const ended = new AbortController();
      await deps.pool
        .use(async (conn) => {
          signal.addEventListener("abort", () => conn.destroy(), { signal: ended.signal });
          const lock = await takeLock(conn, "reconcile-cycle");
          if (lock === null) return worker.look(conn);
          await worker.hold(conn, signal);
          await lock.release();
        })
        .catch((err: unknown) => {
          if (!signal.aborted)
            deps.log.debug({ err }, "could not check the books: the database failed; trying again");
        })
        .finally(() => ended.abort());
      await pause(STANDBY_MS, signal);
    }
  };
  const done = loop();
  return {
    async stop() {
      abort.abort();
      await done;
    },
  };
}

type Worker = {
  /** Works for as long as this connection, which holds the lock, lives. */
  hold(conn: Connection, signal: AbortSignal): Promise<void>;
  /** Reads the progress of whichever process holds the lock, for the metrics. */
  look(conn: Connection): Promise<void>;
};

function createWorker(deps: CycleDeps, { cycleMs }: CycleOptions): Worker {
  const { metrics, log, now, monotonicMs } = deps;
  const counts = metrics.counts("sluice_reconcile", [
    "customers_total",
    "messages_total",
    "resent_total",
    "failed_total",
    "too_long_total",
    "cycles_total",
  ]);
  const drifts = new Map(
    RECONCILE_INVARIANTS.map((invariant) => [
      invariant,
      metrics.counter("sluice_reconcile_drifts_total", { invariant }),
    ]),
  );
  const observe = metrics.histogram("sluice_reconcile_step_duration_seconds", {});
  let state = createCycleState();
  let active = false;
  const startedMs = monotonicMs();
  metrics.gauge("sluice_reconcile_active", () => (active ? 1 : 0));
  metrics.gauge("sluice_reconcile_cycle_age_seconds", () => {
    const { endedMs } = state;
    const isKnown = endedMs !== null && endedMs <= now();
    return (isKnown ? now() - endedMs : monotonicMs() - startedMs) / 1_000;
  });
  metrics.gauge("sluice_reconcile_cycle_duration_seconds", () => state.tookMs / 1_000);
  metrics.gauge("sluice_reconcile_cycle_drifts", () => state.driftsLast);

  const tell = (found: readonly Drift[]) => {
    state.drifts += found.length;
    for (const drift of found) drifts.get(drift.invariant)?.(1);
    for (const drift of found.slice(0, DRIFTS_LOGGED_MAX))
      log.error({ drift }, "drift: the books do not add up");
  };

  const pace = createCheckPace(deps.pool, monotonicMs);
  let scanBeganMs = monotonicMs();
  let batch = CUSTOMERS_FIRST;
  let customers = 1;
  let triesAlone = 0;
  /** Checks some customers; returns how long to wait before the next ones. */
  const step = async (conn: Connection, signal: AbortSignal): Promise<number> => {
    if (state.nextCustomer === 0) {
      // A start that lies ahead is from a clock that has been set back since, and says nothing.
      const sinceMs = now() - (state.startedMs ?? 0);
      if (sinceMs >= 0 && sinceMs < cycleMs) return cycleMs - sinceMs;
      Object.assign(state, { startedMs: now(), nextCustomer: 1, drifts: 0 });
      customers = await countCustomers(conn);
    }
    const { scope, next } = await someCustomers(conn, state.nextCustomer, batch);
    if (scope === null) return endCycle(conn);
    const beganMs = monotonicMs();
    const own = { ...deps, pool: pace.pool };
    const result = await reconcile(own, { scope, resend: true, maxMs: STEP_MAX_MS, signal });
    const tookMs = monotonicMs() - beganMs;
    observe(tookMs / 1_000);
    if (result.kind === "could_not_check") {
      if (signal.aborted) return 0;
      const alone = scope.low === scope.high;
      // A ClickHouse that is there and doesn't answer was asked for too much.
      const isMuch = result.tooLong === true || (result.noReport === true && (await deps.clickhouse.ping()));
      if (isMuch && !alone) {
        batch = Math.max(1, Math.floor(batch / 4));
        return pace.restMs(conn);
      }
      const isSkipped = result.tooLong === true || (isMuch && ++triesAlone >= ALONE_TRIES);
      counts[isSkipped ? "too_long_total" : "failed_total"]++;
      log.warn({ ...result, scope }, "customers could not be checked");
      if (!isSkipped) return FAILED_MS;
    } else {
      counts.customers_total += result.checked.customers;
      counts.resent_total += result.resent;
      if (result.resent > 0) log.warn({ events: result.resent, scope }, "events were sent again");
      if (result.kind === "drift") tell(result.drifts);
    }
    const part = batch / Math.max(1, customers);
    batch = Math.max(1, Math.min(CUSTOMERS_MAX, tookMs < STEP_TARGET_MS ? batch * 2 : Math.ceil(batch / 2)));
    state.nextCustomer = next ?? 0;
    triesAlone = 0;
    if (next === null) return endCycle(conn);
    await writeCycle(conn, state);
    return Math.max(REST_MIN_MS, await pace.restMs(conn), cycleMs * part - tookMs);
  };

  const endCycle = async (conn: Connection): Promise<number> => {
    const endedMs = now();
    const tookMs = Math.max(0, endedMs - (state.startedMs ?? endedMs)); // the clock may be set back
    Object.assign(state, { nextCustomer: 0, endedMs, tookMs, driftsLast: state.drifts, drifts: 0 });
    counts.cycles_total++;
    await writeCycle(conn, state);
    return REST_MIN_MS;
  };

  /** Checks some messages; returns how long to wait before the next ones. */
  const scan = async (conn: Connection): Promise<number> => {
    if (state.nextMessage === "") scanBeganMs = monotonicMs();
    const after = state.nextMessage;
    const { drifts: found, rows, last } = await orphansAfter(pace.counted(conn), after, SCAN_ROWS);
    counts.messages_total += rows;
    tell(found);
    state.nextMessage = rows < SCAN_ROWS ? "" : last;
    await writeCycle(conn, state);
    if (rows < SCAN_ROWS) return Math.max(SCAN_PAUSE_MS, cycleMs - (monotonicMs() - scanBeganMs));
    return Math.max(REST_MIN_MS, await pace.restMs(conn));
  };

  return {
    look: async (conn) => {
      state = await readCycle(conn);
    },
    async hold(conn, signal) {
      state = await readCycle(conn);
      active = true;
      let [stepAt, scanAt] = [0, 0];
      try {
        while (!signal.aborted) {
          // One at a time, the longer overdue first, so that neither adds to the other's cost.
          if (stepAt <= scanAt) stepAt = (await step(conn, signal)) + monotonicMs();
          else scanAt = (await scan(conn)) + monotonicMs();
          await pause(Math.max(REST_MIN_MS, Math.min(stepAt, scanAt) - monotonicMs()), signal);
        }
      } finally {
        active = false;
      }
    },
  };
}

async function countCustomers(conn: Connection): Promise<number> {
  const [row] = await conn.query<{ n: number }[]>("SELECT COUNT(*) AS n FROM customers");
  return Number(row?.n ?? 0);
}

/** The next `count` customers from this one on, and the first one after them. */
async function someCustomers(
  conn: Connection,
  from: number,
  count: number,
): Promise<{ scope: CustomerRange | null; next: number | null }> {
  const rows = await conn.query<{ customer_id: number }[]>(
    `SELECT customer_id FROM customers WHERE customer_id >= ${from} ORDER BY customer_id LIMIT ${count + 1}`,
  );
  const ids = rows.map((row) => Number(row.customer_id));
  const [low, next] = [ids[0], ids[count] ?? null];
  if (low === undefined) return { scope: null, next: null };
  return { scope: { low, high: ids[Math.min(ids.length, count) - 1] as number }, next };
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  for (let waitedMs = 0; waitedMs < ms && !signal.aborted; waitedMs += STOP_CHECK_MS)
    await sleep(Math.min(STOP_CHECK_MS, ms - waitedMs));
}
