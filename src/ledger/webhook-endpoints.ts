// Where a customer's webhooks go, and whether they arrive there: the queue of webhook deliveries, one row an
// endpoint. An endpoint is an origin of callback_urls, or the customer's own URL (named ''); beyond
// WEBHOOK_ORIGINS_MAX all further origins of a customer are one. States: active → paused (nothing succeeded
// for WEBHOOK_RETRY_MS) or gone (410 from the customer's own URL); a replay or a person makes it active
// again. An active one is idle (run_at NULL), due, leased (a process works on it), or waits for run_at. What
// is idle for WEBHOOK_TTL_MS is forgotten, except that the customer's own URL has stopped.
// Owns which endpoint is worked on and when; leaves its deliveries to webhook-deliveries.ts, telling its
// customer that it stopped to webhook-pauses.ts, calls to src/webhook/.
// Invariants: run_at is set while anything is pending: whoever adds a delivery wakes its endpoint in the same
// transaction, and whoever ends a lease looks for pending ones under the row's lock. Locks in one order:
// deliveries, then endpoints by key; only what is pending at a stopped endpoint is ended after locking that,
// and a deadlock is repeated. Bound: one process at a time on an endpoint, for WEBHOOK_LEASE_MS.

import {
  WEBHOOK_LEASE_MS,
  WEBHOOK_ORIGINS_MAX,
  WEBHOOK_PAUSE_FAILURES_MIN,
  WEBHOOK_PROBE_FAILURES_MIN,
  WEBHOOK_PROBE_FIRST_MS,
  WEBHOOK_PROBE_MAX_MS,
  WEBHOOK_RETRY_MS,
  WEBHOOK_TTL_MS,
} from "../core/webhook-limits.ts";
import { STOPPED_STATES, type StoppedState } from "../core/webhook-pause.ts";
import { type Connection, type Pool, withRetries } from "../platform/mysql.ts";
import { dateTime, quote } from "./sql-text.ts";

export const ENDPOINT_STATES = ["active", ...STOPPED_STATES] as const;
export type EndpointState = (typeof ENDPOINT_STATES)[number];
export type EndpointKey = { customerId: number; endpoint: string };
export type ClaimedEndpoint = EndpointKey & { state: EndpointState; failures: number; isSlow: boolean };

type ClaimedRow = { customer_id: number; endpoint: string; state: EndpointState; failures: number };

/** Leases due endpoints, the longest due first: so many quick and slow ones, and none of some customers. */
export function claimEndpoints(
  pool: Pick<Pool, "use">,
  lease: string,
  { quick, slow, without = [] }: { quick: number; slow: number; without?: readonly number[] },
): Promise<ClaimedEndpoint[]> {
  const others = without.length === 0 ? "" : `AND customer_id NOT IN (${without.join(",")}) `;
  const due = (isSlow: 0 | 1, limit: number) =>
    "SELECT customer_id, endpoint, state, failures FROM webhook_endpoints FORCE INDEX (due) " +
    `WHERE is_slow=${isSlow} AND run_at<=NOW(3) ${others}` +
    `ORDER BY run_at, customer_id, endpoint LIMIT ${limit} FOR UPDATE SKIP LOCKED`;
  return withRetries(pool, async (conn) => {
    const sql = `BEGIN;${due(0, quick)};${due(1, slow)}`;
    const [, quickRows, slowRows] = await conn.query<[unknown, ClaimedRow[], ClaimedRow[]]>(sql);
    const claimed = [
      ...quickRows.map((row) => claimedOf(row, false)),
      ...slowRows.map((row) => claimedOf(row, true)),
    ];
    if (claimed.length === 0) {
      await conn.query("ROLLBACK");
      return [];
    }
    await conn.query(
      `UPDATE webhook_endpoints FORCE INDEX (PRIMARY) SET lease='${lease}', ` +
        `run_at=NOW(3) + INTERVAL ${WEBHOOK_LEASE_MS * 1_000} MICROSECOND WHERE ${isOneOf(claimed)}`,
    );
    await conn.query("COMMIT");
    return claimed;
  });
}

const claimedOf = ({ customer_id, ...row }: ClaimedRow, isSlow: boolean): ClaimedEndpoint => ({
  ...row,
  customerId: customer_id,
  isSlow,
});

const isOneOf = (keys: readonly EndpointKey[]): string =>
  `(customer_id,endpoint) IN (${keys.map((key) => `(${key.customerId},${quote(key.endpoint)})`).join(",")})`;

/** Where the origins wait that a customer names beyond WEBHOOK_ORIGINS_MAX; no URL has this origin. */
const OTHERS = "*";

/** Items with the endpoint at which they wait: their own, unless it is new and its customer has too many. */
export async function placed<T extends EndpointKey>(
  conn: Pick<Connection, "query">,
  items: readonly T[],
): Promise<readonly T[]> {
  const named = items.filter(({ endpoint }) => endpoint !== "");
  if (named.length === 0) return items;
  const customerIds = [...new Set(named.map(({ customerId }) => customerId))];
  const full = await conn.query<{ customer_id: number }[]>(
    "SELECT customer_id, COUNT(*) AS n FROM webhook_endpoints FORCE INDEX (PRIMARY) " +
      `WHERE customer_id IN (${customerIds}) GROUP BY customer_id HAVING n>=${WEBHOOK_ORIGINS_MAX}`,
  );
  if (full.length === 0) return items;
  const isFull = new Set(full.map((row) => row.customer_id));
  const ofFull = named.filter(({ customerId }) => isFull.has(customerId));
  const known = await conn.query<{ customer_id: number; endpoint: string }[]>(
    `SELECT customer_id, endpoint FROM webhook_endpoints FORCE INDEX (PRIMARY) WHERE ${isOneOf(ofFull)}`,
  );
  const isKnown = new Set(known.map((row) => `${row.customer_id} ${row.endpoint}`));
  return items.map((item) => {
    const { customerId, endpoint } = item;
    const stays = endpoint === "" || !isFull.has(customerId) || isKnown.has(`${customerId} ${endpoint}`);
    return stays ? item : { ...item, endpoint: OTHERS };
  });
}

// The time of a probe by the pace of an endpoint that fails, as probeDelayMs (src/webhook/outcome.ts) has it.
const PROBE_FIRST = WEBHOOK_PROBE_FAILURES_MIN + 1;
const PROBE_STEPS = Math.ceil(Math.log2(WEBHOOK_PROBE_MAX_MS / WEBHOOK_PROBE_FIRST_MS));
const PROBE_AT =
  `NOW(3) + INTERVAL LEAST(${WEBHOOK_PROBE_MAX_MS * 1_000}, ${WEBHOOK_PROBE_FIRST_MS * 1_000} * ` +
  `POW(2, LEAST(GREATEST(failures, ${PROBE_FIRST}) - ${PROBE_FIRST}, ${PROBE_STEPS}))) MICROSECOND`;

/**
 * One INSERT that makes these endpoints due, within the transaction that adds deliveries to them. One that
 * fails keeps its pace, however long what it refused before still waits, unless `resume`, which also ends a
 * pause. An origin that nobody knows yet counts as slow: a customer can name any number of them.
 */
export function wakeSql(keys: readonly EndpointKey[], { resume }: { resume: boolean }): string {
  const distinct = new Map(keys.map((key) => [`${key.customerId} ${key.endpoint}`, key]));
  const values = [...distinct.values()]
    .sort(byKey)
    .map((key) => `(${key.customerId},${quote(key.endpoint)},${Number(key.endpoint !== "")},NOW(3))`);
  const isFailing = `run_at IS NOT NULL AND failures>=${WEBHOOK_PROBE_FAILURES_MIN}`;
  const runAt = resume ? "NOW(3)" : `IF(${isFailing}, LEAST(run_at, ${PROBE_AT}), NOW(3))`;
  // Assigned from left to right: run_at is decided by the failures of before.
  const health = resume ? ", state='active', failures=0, failing_since=NULL" : "";
  return (
    `INSERT INTO webhook_endpoints (customer_id,endpoint,is_slow,run_at) VALUES ${values.join(",")} ` +
    `ON DUPLICATE KEY UPDATE run_at=IF(lease IS NOT NULL, run_at, ${runAt})${health}`
  );
}

const byKey = (a: EndpointKey, b: EndpointKey): number =>
  a.customerId - b.customerId || (a.endpoint < b.endpoint ? -1 : a.endpoint > b.endpoint ? 1 : 0);

/** How the work of a lease went. Without any call it only ends the lease. */
export type Worked = EndpointKey & {
  lease: string;
  succeeded: number;
  /** Failures since the last success, or all of them. */
  failed: number;
  /** The customer's own URL answered 410. */
  isGone: boolean;
  /** null: as it was. */
  isSlow: boolean | null;
  /** The callback_url that acknowledged last; null: none did. */
  url: string | null;
  error: string | null;
};
/** An endpoint that takes no calls from now on. */
export type Stopped = EndpointKey & {
  state: StoppedState;
  failures: number;
  error: string | null;
  /** A callback_url that it once acknowledged; null: none, or it is the customer's own URL. */
  url: string | null;
  /** By MySQL's clock, Unix ms. */
  atMs: number;
};

type LockedRow = ClaimedRow & {
  lease: string | null;
  url: string | null;
  failing_ms: number | string | null;
  read_at: Date;
};

/** `burySql`: a statement that ends what is pending at an endpoint, some of it at a time. */
export type Ending = { probeDelayMs: (failures: number) => number; burySql: (key: EndpointKey) => string };

/**
 * Ends leases within the caller's transaction, after its deliveries, and what is pending at endpoints that
 * had stopped before. Returns the endpoints it stopped.
 */
export async function endLeases(
  conn: Connection,
  worked: readonly Worked[],
  { probeDelayMs, burySql }: Ending,
): Promise<Stopped[]> {
  if (worked.length === 0) return [];
  const rows = await conn.query<LockedRow[]>(
    "SELECT customer_id, endpoint, state, failures, lease, url, NOW(3) AS read_at, " +
      "TIMESTAMPDIFF(MICROSECOND, failing_since, NOW(3)) / 1000 AS failing_ms " +
      `FROM webhook_endpoints FORCE INDEX (PRIMARY) WHERE ${isOneOf(worked)} ` +
      "ORDER BY customer_id, endpoint FOR UPDATE",
  );
  // Another process may have it by now, if this one slept.
  const held = rows.flatMap((row) => {
    const work = worked.find(
      (one) => one.customerId === row.customer_id && one.endpoint === row.endpoint && one.lease === row.lease,
    );
    return work === undefined ? [] : [{ row, work }];
  });
  if (held.length === 0) return [];
  // By the row under its lock: a replay may have made it active since it was leased.
  const buried = held.filter(({ row }) => row.state !== "active").map(({ work }) => burySql(work));
  if (buried.length > 0) await conn.query(buried.join(";"));
  const next = await conn.query<{ run_at: Date }[][]>(
    `${held.map(({ work }) => nextSql(work)).join(";")};DO 0`,
  );
  const stopped: Stopped[] = [];
  const updates = held.map(({ row, work }, at) => {
    const failures = work.succeeded > 0 ? work.failed : row.failures + work.failed;
    const state = stateAfter(row, work, failures);
    const stoppedAtMs = row.state === "active" && state !== "active" ? row.read_at.getTime() : null;
    if (state !== "active" && stoppedAtMs !== null) {
      const { customerId, endpoint, error } = work;
      stopped.push({ customerId, endpoint, state, failures, error, url: row.url, atMs: stoppedAtMs });
    }
    const nextMs = next[at]?.[0]?.run_at.getTime() ?? null;
    const delayMs = failures >= WEBHOOK_PROBE_FAILURES_MIN ? probeDelayMs(failures) : 0;
    return endSql(work, { state, failures, delayMs, nextMs, stoppedAtMs });
  });
  await conn.query(updates.join(";"));
  return stopped;
}

function stateAfter(row: LockedRow, work: Worked, failures: number): EndpointState {
  if (row.state !== "active") return row.state;
  if (work.isGone) return "gone";
  const failsForLong = work.succeeded === 0 && Number(row.failing_ms ?? 0) >= WEBHOOK_RETRY_MS;
  return failsForLong && work.failed > 0 && failures >= WEBHOOK_PAUSE_FAILURES_MIN ? "paused" : "active";
}

const nextSql = ({ customerId, endpoint }: EndpointKey): string =>
  "SELECT run_at FROM webhook_deliveries FORCE INDEX (due) " +
  `WHERE customer_id=${customerId} AND endpoint=${quote(endpoint)} AND run_at IS NOT NULL ` +
  "ORDER BY run_at LIMIT 1";

type After = {
  state: EndpointState;
  failures: number;
  delayMs: number;
  nextMs: number | null;
  /** null: it did not stop now. */
  stoppedAtMs: number | null;
};

function endSql(work: Worked, after: After): string {
  const { state, failures, stoppedAtMs } = after;
  const since = failures === 0 ? "NULL" : work.succeeded > 0 ? "NOW(3)" : "COALESCE(failing_since, NOW(3))";
  return (
    `UPDATE webhook_endpoints FORCE INDEX (PRIMARY) SET lease=NULL, state='${state}', ` +
    `failures=${failures}, failing_since=${since}, run_at=${runAtSql(after)}, ` +
    `error=${failures === 0 ? "NULL" : `COALESCE(${quote(work.error)}, error)`}` +
    `${work.isSlow === null ? "" : `, is_slow=${Number(work.isSlow)}`}` +
    `${work.url === null ? "" : `, url=${quote(work.url)}`}` +
    `${stoppedAtMs === null ? "" : `, stopped_at=${dateTime(stoppedAtMs)}`} ` +
    `WHERE customer_id=${work.customerId} AND endpoint=${quote(work.endpoint)}`
  );
}

/** What is pending at an endpoint that stopped is ended at once. */
function runAtSql({ state, delayMs, nextMs }: After): string {
  if (nextMs === null) return "NULL";
  if (state !== "active") return "NOW(3)";
  const soonest = `NOW(3) + INTERVAL ${Math.round(delayMs * 1_000)} MICROSECOND`;
  return `GREATEST(TIMESTAMP${dateTime(nextMs)}, ${soonest})`;
}

/** Takes the endpoints of a customer that stopped, or one of them, up again. Returns how many there were. */
export async function resumeEndpoints(
  pool: Pool,
  customerId: number,
  endpoint: string | null = null,
): Promise<number> {
  const { affectedRows } = await pool.write(
    "UPDATE webhook_endpoints FORCE INDEX (PRIMARY) SET state='active', failures=0, failing_since=NULL, " +
      "run_at=IF(lease IS NULL, NOW(3), run_at) WHERE customer_id=? AND state<>'active'" +
      (endpoint === null ? "" : ` AND endpoint=${quote(endpoint)}`),
    [customerId],
  );
  return affectedRows;
}

/**
 * Forgets how a customer's endpoints were doing, because it has removed its webhook: what still comes for
 * them is ended as soon as it is taken, at no probe's pace.
 */
export async function forgetFailures(pool: Pick<Pool, "write">, customerId: number): Promise<void> {
  await pool.write(
    "UPDATE webhook_endpoints FORCE INDEX (PRIMARY) SET state='active', failures=0, failing_since=NULL, " +
      "error=NULL, run_at=IF(lease IS NULL AND run_at IS NOT NULL, NOW(3), run_at) WHERE customer_id=?",
    [customerId],
  );
}

/**
 * Forgets endpoints at which nothing was pending for WEBHOOK_TTL_MS, so that origins that stopped don't keep
 * the places of others; what then comes for one is called again. That the customer's own URL has stopped is
 * never forgotten. They are found without locks, as no index leads to them.
 */
export async function purgeEndpoints(pool: Pick<Pool, "query" | "write">, rowsMax: number): Promise<number> {
  const idle =
    "run_at IS NULL AND (state='active' OR endpoint<>'') " +
    `AND changed_at < NOW(3) - INTERVAL ${WEBHOOK_TTL_MS * 1_000} MICROSECOND`;
  const rows = await pool.query<{ customer_id: number; endpoint: string }[]>(
    `SELECT customer_id, endpoint FROM webhook_endpoints WHERE ${idle} LIMIT ${rowsMax}`,
  );
  if (rows.length === 0) return 0;
  const keys = rows.map((row) => `(${row.customer_id},${quote(row.endpoint)})`);
  const { affectedRows } = await pool.write(
    `DELETE FROM webhook_endpoints WHERE (customer_id, endpoint) IN (${keys}) AND ${idle}`,
  );
  return affectedRows;
}

export type EndpointRow = {
  endpoint: string;
  state: EndpointState;
  failures: number;
  failing_since: Date | null;
  stopped_at: Date | null;
  run_at: Date | null;
  error: string | null;
};

/** A customer's endpoints, by name: its own URL ('') first. */
export const listEndpoints = (pool: Pool, customerId: number, limit: number): Promise<EndpointRow[]> =>
  pool.query<EndpointRow[]>(
    "SELECT endpoint, state, failures, failing_since, stopped_at, run_at, error FROM webhook_endpoints " +
      "WHERE customer_id=? ORDER BY endpoint LIMIT ?",
    [customerId, limit],
  );

export type EndpointCounts = { active: number; failing: number; paused: number; gone: number };

/** How many endpoints there are in each state; `failing` are those that get one call at a time. */
export async function countEndpoints(pool: Pick<Pool, "query">): Promise<EndpointCounts> {
  const rows = await pool.query<{ what: keyof EndpointCounts; n: number }[]>(
    `SELECT IF(state='active' AND failures>=${WEBHOOK_PROBE_FAILURES_MIN}, 'failing', state) AS what, ` +
      "COUNT(*) AS n FROM webhook_endpoints GROUP BY what",
  );
  const counts: EndpointCounts = { active: 0, failing: 0, paused: 0, gone: 0 };
  for (const { what, n } of rows) counts[what] = Number(n);
  return counts;
}
