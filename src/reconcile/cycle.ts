// The check that goes round by itself: turn after turn over all customers, a few at a time, at a low rate.
// What it finds is counted and logged, and events that the report lost are sent again. Beside it all messages
// are looked through by their ids for any without a reserve, which no check of single customers can see. Owns
// pace and place; leaves what is checked to reconcile.ts, rows of messages to reconcile-rows.ts. States:
// standby (another process holds the turn's lock) → turning → resting until the next turn is due. Invariants:
// one process at a time; a restart, or another process, goes on where the last one was. Bounds: a snapshot of
// STEP_MAX_MS; REST_FACTOR times as long a rest after each piece of work, so at most a fifth of one
// connection; SCAN_ROWS messages at once; RESEND_MAX events a step.

import type { Clickhouse } from "../platform/clickhouse.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { takeLock } from "../platform/named-lock.ts";
import { sleep } from "../platform/retry.ts";
import { reconcile } from "./reconcile.ts";
import { type Drift, RECONCILE_INVARIANTS, type Scope } from "./result.ts";
import { orphansAfter } from "./rows.ts";
import { createTurnState, readTurn, writeTurn } from "./state.ts";

export type TurnDeps = {
  pool: Pool;
  clickhouse: Clickhouse;
  metrics: Metrics;
  log: Log;
  now: () => number;
  monotonicMs: () => number;
};
export type TurnOptions = {
  /** How long a turn over all customers should take; it takes longer when they are too many for that. */
  turnMs: number;
  /** Before the first look, so that a process that is being restarted has better things to do. */
  startAfterMs?: number;
};
export type Turn = { stop(): Promise<void> };

/** Connections of the pool: the lock's, a snapshot's, one for what is read beside it. */
export const TURN_CONNECTIONS = 3;
const START_AFTER_MS = 10_000;
const STANDBY_MS = 5_000;
const STOP_CHECK_MS = 100;
const STEP_MAX_MS = 60_000;
/** A server that hangs must not hold the turn for ever; a place is waited for as long as a step may take. */
export const TURN_ANSWER_MAX_MS = STEP_MAX_MS + 30_000;
/** The customers of a step are as many as take about this long. */
const STEP_TARGET_MS = 1_000;
const CUSTOMERS_FIRST = 8;
const CUSTOMERS_MAX = 500;
const REST_FACTOR = 4;
const REST_MIN_MS = 250;
/** After a step that an engine failed. */
const FAILED_MS = 10_000;
const SCAN_ROWS = 5_000;
/** Pause of the look through all messages after it has reached the last one. */
const SCAN_PAUSE_MS = 60_000;
const DRIFTS_LOGGED_MAX = 20;

export function startReconcileTurn(deps: TurnDeps, options: TurnOptions): Turn {
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
          const lock = await takeLock(conn, "reconcile-turn");
          if (lock === null) return worker.look(conn);
          await worker.hold(conn, signal);
          await lock.release();
        })
        .catch((err: unknown) => {
          if (!signal.aborted) deps.log.debug({ err }, "the check of the books waits: the database failed");
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
  /** How far whoever holds it has come, for the metrics. */
  look(conn: Connection): Promise<void>;
};

function createWorker(deps: TurnDeps, { turnMs }: TurnOptions): Worker {
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
  let state = createTurnState();
  let active = false;
  const startedMs = now();
  metrics.gauge("sluice_reconcile_active", () => (active ? 1 : 0));
  metrics.gauge("sluice_reconcile_cycle_age_seconds", () =>
    Math.max(0, (now() - (state.endedMs ?? startedMs)) / 1_000),
  );
  metrics.gauge("sluice_reconcile_cycle_duration_seconds", () => state.tookMs / 1_000);
  metrics.gauge("sluice_reconcile_cycle_drifts", () => state.driftsLast);

  const tell = (found: readonly Drift[]) => {
    state.drifts += found.length;
    for (const drift of found) drifts.get(drift.invariant)?.(1);
    for (const drift of found.slice(0, DRIFTS_LOGGED_MAX)) log.error({ drift }, "the books drift");
  };

  let batch = CUSTOMERS_FIRST;
  let customers = 1;
  /** Some customers; how long to wait for the next ones. */
  const step = async (conn: Connection, signal: AbortSignal): Promise<number> => {
    if (state.nextCustomer === 0) {
      const dueMs = (state.startedMs ?? 0) + turnMs - now();
      if (dueMs > 0) return dueMs;
      Object.assign(state, { startedMs: now(), nextCustomer: 1, drifts: 0 });
      customers = await countCustomers(conn);
    }
    const { scope, next } = await someCustomers(conn, state.nextCustomer, batch);
    if (scope === null) return endTurn(conn);
    const beganMs = monotonicMs();
    const result = await reconcile(deps, { scope, resend: true, maxMs: STEP_MAX_MS, signal });
    const tookMs = monotonicMs() - beganMs;
    observe(tookMs / 1_000);
    if (result.kind === "could_not_check") {
      if (signal.aborted) return 0;
      const alone = scope.low === scope.high;
      if (result.tooLong && !alone) {
        batch = Math.max(1, Math.floor(batch / 4));
        return tookMs * REST_FACTOR;
      }
      counts[result.tooLong ? "too_long_total" : "failed_total"]++;
      log.warn({ ...result, scope }, "customers could not be checked");
      if (!result.tooLong) return FAILED_MS;
    } else {
      counts.customers_total += result.checked.customers;
      counts.resent_total += result.resent;
      if (result.resent > 0) log.warn({ events: result.resent, scope }, "events were sent again");
      if (result.kind === "drift") tell(result.drifts);
    }
    const part = batch / Math.max(1, customers);
    batch = Math.max(1, Math.min(CUSTOMERS_MAX, tookMs < STEP_TARGET_MS ? batch * 2 : Math.ceil(batch / 2)));
    state.nextCustomer = next ?? 0;
    if (next === null) return endTurn(conn);
    await writeTurn(conn, state);
    return Math.max(REST_MIN_MS, tookMs * REST_FACTOR, turnMs * part - tookMs);
  };

  const endTurn = async (conn: Connection): Promise<number> => {
    const endedMs = now();
    const tookMs = endedMs - (state.startedMs ?? endedMs);
    Object.assign(state, { nextCustomer: 0, endedMs, tookMs, driftsLast: state.drifts, drifts: 0 });
    counts.cycles_total++;
    await writeTurn(conn, state);
    return REST_MIN_MS;
  };

  /** Some messages; how long to wait for the next ones. */
  const scan = async (conn: Connection): Promise<number> => {
    const beganMs = monotonicMs();
    const { drifts: found, rows, last } = await orphansAfter(conn, state.nextMessage, SCAN_ROWS);
    counts.messages_total += rows;
    tell(found);
    state.nextMessage = rows < SCAN_ROWS ? "" : last;
    await writeTurn(conn, state);
    if (rows < SCAN_ROWS) return SCAN_PAUSE_MS;
    return Math.max(REST_MIN_MS, (monotonicMs() - beganMs) * REST_FACTOR);
  };

  return {
    look: async (conn) => {
      state = await readTurn(conn);
    },
    async hold(conn, signal) {
      state = await readTurn(conn);
      active = true;
      let [stepAt, scanAt] = [0, 0];
      try {
        while (!signal.aborted) {
          // One after the other, and the longer overdue first: neither adds to what the other costs.
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

/** The next `count` customers from this one on, and whoever comes after them. */
async function someCustomers(
  conn: Connection,
  from: number,
  count: number,
): Promise<{ scope: Scope | null; next: number | null }> {
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
