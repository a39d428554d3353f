// Wires everything that accepting messages needs, once for all doors: connection pools, the clock guard, API
// keys, leases and the group commit.
// Invariant: nothing in here knows HTTP.

import { randomBytes } from "node:crypto";
import { LEASES_RETURN_MAX_MS } from "../core/limits.ts";
import type { OtpRules } from "../core/otp-guard.ts";
import { createOtpSecret } from "../core/otp-secret.ts";
import { createAcceptStore } from "../ledger/accept.ts";
import type { LinkOf } from "../ledger/held.ts";
import { findKeys } from "../ledger/idempotency.ts";
import { createLeaseStore } from "../ledger/lease.ts";
import type { LeaseDeps } from "../ledger/lease-rows.ts";
import type { Pool } from "../platform/mysql.ts";
import type { OfCustomer, PoolOf } from "../platform/pool-shares.ts";
import type { Role } from "../platform/role.ts";
import { compareOnce } from "../platform/mysql-clock.ts";
import { systemTimers } from "../platform/timers.ts";
import { tablesAnswer } from "../schema/tables.ts";
import { type AcceptBatch, createAcceptBatch } from "./accept-batch.ts";
import { type AcceptMessage, createAcceptMessage } from "./accept-message.ts";
import { type Callers, startCallers } from "./callers.ts";
import type { Room } from "./admission.ts";
import { createClockGuard } from "./clock-guard.ts";
import { createGroupCommit } from "./group-commit.ts";
import { createIdempotency, type Idempotency } from "./idempotency.ts";
import { startKeyUpkeep } from "./key-upkeep.ts";
import { startLaneWatch } from "./lane-watch.ts";
import { createLeaseBook } from "./lease-book.ts";
import { createOtps, type Otps } from "./otp.ts";
import { startOtpUpkeep } from "./otp-upkeep.ts";
import { openPools } from "./pools.ts";
import { createRateLimits, type RateLimits } from "./rate-limits.ts";
import { type OptOuts, startOptOuts } from "./opt-outs.ts";
import { startRateSharing } from "./rate-sharing.ts";
import { meteredAccept, meteredLeases } from "./store-metrics.ts";

export type Accepting = {
  accept: AcceptMessage;
  acceptBatch: AcceptBatch;
  otps: Otps;
  /** Who calls, by its API key. */
  callers: Callers;
  /** Runs one request per Idempotency-Key and replays its answer. */
  keys: Idempotency;
  room: Room;
  /** What `accept` takes from, for requests that are limited with it. */
  limits: RateLimits;
  /** Which phones don't want a customer's messages. */
  optOuts: OptOuts;
  /** MySQL's time in Unix ms, whatever this machine's clock says. */
  mysqlNow: () => number;
  /** For what a customer changes besides sending. */
  ledgerOf: OfCustomer<LeaseDeps>;
  /** For statements on a row or two that sends of all customers wait for, one at a time. */
  lookUpPool: Pool;
  /** For those of one customer. */
  lookUpPoolOf: PoolOf;
  /** For what a customer reads. */
  readPoolOf: PoolOf;
  /** Call it once no door takes requests any more: commits what was admitted and returns the leases. */
  stop(): Promise<void>;
};

/** Waits until MySQL is up and has its tables. */
export async function startAccepting(role: Role, linkOf: LinkOf): Promise<Accepting> {
  const { config, log, metrics } = role;
  const secret = createOtpSecret(config.otpSecret);
  const { monotonicMs } = systemTimers;
  const clockGuard = createClockGuard({ now: Date.now, monotonicMs });
  const { entryId: id, now } = clockGuard;
  const pools = openPools(role);
  await role.waitFor("MySQL and its tables (./sluice migrate)", () => tablesAnswer(pools.watch));
  // Before anything has a time: the polls that compare it from then on begin later.
  await role.waitFor("MySQL's clock", () => compareOnce(pools.watch, clockGuard));
  const nodeId = id();

  const ledger = { pool: pools.lease, id, now };
  const limits = createRateLimits();
  const callers = startCallers(role, { pools, limits, onSkew: clockGuard.observe });
  role.check("clock", () => (clockGuard.isRight() ? "ok" : "down"));

  const counts = metrics.counts("sluice_ingest", [
    "commits_total",
    "accepted_total",
    "stored_with_grant_total",
    "in_doubt_total",
  ]);
  const jobs = { timers: systemTimers, metrics, log };
  const largestMs = Math.max(config.expressPromiseMs, config.expressPromiseMaxMs);
  const terms = { usualMs: config.expressPromiseMs, largestMs };
  const lanes = startLaneWatch({ ...jobs, pool: pools.watch, linkOf }, terms);
  const leaseDeps = { ...ledger, heldLinkOf: lanes.heldLinkOf };
  const leases = meteredLeases(createLeaseStore(leaseDeps, { nodeId, ttlMs: config.leaseTtlMs }), metrics);
  const book = createLeaseBook({ store: leases, timers: systemTimers, log }, config);
  const store = meteredAccept(createAcceptStore(pools.commit, lanes.heldLinkOf), metrics);
  const commits = createGroupCommit(
    { store, book, counts, timers: systemTimers, log },
    { connections: config.commitConnections, nodeId, now },
  );
  metrics.gauge("sluice_ingest_queue_messages", () => commits.admitted());
  metrics.gauge("sluice_ingest_leases", () => book.stats().leases);
  metrics.gauge("sluice_ingest_lease_credit", () => book.stats().available);
  metrics.gauge("sluice_ingest_waiting_for_credit", () => book.stats().waiting);
  const upkeep = startKeyUpkeep({ ...jobs, pool: pools.jobs });
  const sharing = startRateSharing({ ...jobs, pool: pools.lease, limits });
  const optOuts = startOptOuts({ ...jobs, pool: pools.watch, poolOf: pools.lookUpOf });
  const otpUpkeep = startOtpUpkeep({ ...jobs, pool: pools.jobs });
  const stop = async () => {
    const untilMs = monotonicMs() + LEASES_RETURN_MAX_MS;
    const stopping = [upkeep, otpUpkeep, sharing, lanes, callers];
    await Promise.all(stopping.map((one) => one.stop()));
    await optOuts.stop();
    await commits.drained();
    await book.stop(untilMs);
  };
  const saturated = (result: "refused" | "fallback") =>
    metrics.counter("sluice_ingest_express_saturated_total", { result });
  const acceptDeps = {
    book,
    commits,
    limits,
    optOuts,
    id: clockGuard.messageId,
    promise: lanes.promise,
    saturated: { refused: saturated("refused"), fallback: saturated("fallback") },
  };
  const accept = createAcceptMessage(acceptDeps, terms);
  const acceptBatch = createAcceptBatch(acceptDeps, terms);
  const codes = { poolOf: pools.otpOf, secret, rules: otpRulesOf(config), randomBytes };
  const otps = createOtps({ ...codes, accept, id, log });
  const keys = createIdempotency({
    find: (refs) => findKeys(pools.lookUp, refs),
    timers: systemTimers,
    counts: metrics.counts("sluice_idempotency", ["replayed_total"]),
  });
  log.info({ node_id: nodeId }, "accepting");
  const doors = { accept, acceptBatch, otps, callers, keys, room: commits, limits, optOuts };
  const ledgerOf = (customerId: number) => ({ pool: pools.writeOf(customerId), id, now });
  const lookUps = { lookUpPool: pools.lookUp, lookUpPoolOf: pools.lookUpOf };
  return { ...doors, ...lookUps, readPoolOf: pools.readOf, ledgerOf, mysqlNow: now, stop };
}

const otpRulesOf = (config: Role["config"]): OtpRules => ({
  resendMs: config.otpResendS * 1_000,
  phoneMax: config.otpPhoneHourly,
  customerMax: config.otpCustomerHourly,
  rangeMax: config.otpRangeHourly,
  verifiedPercent: config.otpVerifiedPercent,
  sample: config.otpVerifiedSample,
});
