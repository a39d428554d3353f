// The connections to MySQL of an ingest process: what each pool serves, and their end. Owns who waits for
// whom: what sends wait for never waits behind a commit, nor behind what one customer asked for.

import { MYSQL_ANSWER_MAX_MS } from "../core/limits.ts";
import {
  CUSTOMER_RUNNING_MAX,
  CUSTOMER_WAITING_MAX,
  KEY_LOADS_RUNNING_MAX,
  KEY_LOADS_WAITING_MAX,
  LEASE_CONNECTIONS,
  LOOK_UP_CONNECTIONS,
  NONCE_CONNECTIONS,
  OTP_CONNECTIONS,
  READ_CONNECTIONS,
  TURNS_MAX,
  WATCH_CONNECTIONS,
  WRITE_CONNECTIONS,
} from "../core/pool-limits.ts";
import type { Pool } from "../platform/mysql.ts";
import { createMeteredPool } from "../platform/pool-meter.ts";
import { type PoolOf, sharePool } from "../platform/pool-shares.ts";
import { within } from "../platform/retry.ts";
import type { Role } from "../platform/role.ts";

export type Pools = {
  commit: Pool;
  /** Leases and rate limits. */
  lease: Pool;
  /** The polls that everything depends on. */
  watch: Pool;
  /** Statements on a row or two that sends of all customers wait for, one at a time. */
  lookUp: Pool;
  /** Those of one customer. */
  lookUpOf: PoolOf;
  /** For one load of a key, by whoever brings it. */
  keyLoads: () => Pool;
  /** What a customer reads. */
  readOf: PoolOf;
  /** What a customer changes besides sending. */
  writeOf: PoolOf;
  /** Jobs that nobody waits for. */
  jobs: Pool;
  /** Counts and verification of a customer's one-time codes. */
  otpOf: PoolOf;
  /** Nonces of a customer's signed requests; only those pay for its connections. */
  nonceOf: PoolOf;
};

/** All key loads share what a customer would have: whose they are is known when they end. */
const NOBODY = 0;
/** A MySQL that hangs doesn't close its connections; the process ends without that. */
const CLOSE_MAX_MS = 1_000;

export function openPools(role: Role): Pools {
  const bounded = { answerMaxMs: MYSQL_ANSWER_MAX_MS };
  const several = { ...bounded, multipleStatements: true };
  const toShare = { ...bounded, queueMax: 0 };
  const severalToShare = { ...toShare, multipleStatements: true };
  const commit = createMeteredPool(role, "commit", {
    ...several,
    connections: role.config.commitConnections,
  });
  const lease = createMeteredPool(role, "lease", { ...several, connections: LEASE_CONNECTIONS });
  const watch = createMeteredPool(role, "watch", { ...bounded, connections: WATCH_CONNECTIONS });
  const lookUp = createMeteredPool(role, "look-up", { ...toShare, connections: LOOK_UP_CONNECTIONS });
  const read = createMeteredPool(role, "read", { ...toShare, connections: READ_CONNECTIONS });
  const write = createMeteredPool(role, "write", { ...severalToShare, connections: WRITE_CONNECTIONS });
  const otp = createMeteredPool(role, "otp", { ...severalToShare, connections: OTP_CONNECTIONS });
  const nonce = createMeteredPool(role, "nonce", { ...toShare, connections: NONCE_CONNECTIONS });
  const all = [commit, lease, watch, lookUp, read, write, otp, nonce];
  role.onStop(() => within(CLOSE_MAX_MS, Promise.all(all.map((pool) => pool.end()))));
  const bounds = {
    runningMax: CUSTOMER_RUNNING_MAX,
    waitingMax: CUSTOMER_WAITING_MAX,
    turnsMax: TURNS_MAX,
  };
  const shared = (pool: Pool) => sharePool(pool, bounds);
  const keyLoads = sharePool(lookUp, {
    runningMax: KEY_LOADS_RUNNING_MAX,
    waitingMax: KEY_LOADS_WAITING_MAX,
    turnsMax: TURNS_MAX,
    detail: "Too many API keys wait to be looked up.",
  });
  return {
    commit,
    lease,
    watch,
    lookUp,
    jobs: read,
    lookUpOf: shared(lookUp),
    readOf: shared(read),
    writeOf: shared(write),
    otpOf: shared(otp),
    nonceOf: shared(nonce),
    keyLoads: () => keyLoads(NOBODY),
  };
}
