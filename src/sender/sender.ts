// One lane's sender: records → claim → submit → settle → offsets. Owns the flow and its bounds; leaves SQL to the ledger, submits
// to the workers, what an outcome means to outcome.ts.
// A batch: read → claimed → submitted → settled in one or more parts → its offsets may be stored. Batches overlap, so one hanging
// call holds up its own batch's end only. Invariants: nothing is submitted that isn't claimed; an outcome is settled until the
// database has it; offsets pass a batch only when all of it is settled. Bound: BATCHES_MAX before their first settlement,
// UNSETTLED_MAX messages in all.

import assert from "node:assert/strict";
import { CLAIM_ROWS_MAX, CLAIM_TTL_MS, SUBMIT_TIMEOUT_MS } from "../core/limits.ts";
import type { Lane } from "../core/message.ts";
import { type LaneRecord, RecordError, unpackLaneRecord } from "../core/record.ts";
import { type Claimed, claimMessages } from "../ledger/claim.ts";
import { type Change, reapClaim, settleClaim } from "../ledger/settle.ts";
import type { Consumer, InRecord } from "../platform/kafka.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { Pool } from "../platform/mysql.ts";
import { backoffMs, sleep } from "../platform/retry.ts";
import type { Tracing } from "../platform/otlp.ts";
import { traceIdOf } from "../platform/trace.ts";
import type { Breaker } from "./breaker.ts";
import { monotonicMs } from "./monotonic.ts";
import type { Offsets } from "./offsets.ts";
import { changeOf, retryDelayMs } from "./outcome.ts";
import type { Submitters } from "./submitters.ts";
import type { Indexed } from "./worker.ts";

export type SenderDeps = {
  pool: Pool;
  consumer: Consumer;
  offsets: Offsets;
  submitters: Submitters;
  /** In the order of the operators that the workers know. */
  breakers: readonly Breaker[];
  /** Stores a record nobody can read. Resolves when it is stored. */
  deadLetter: (value: Buffer) => Promise<void>;
  metrics: Metrics;
  tracing: Tracing;
  log: Log;
  id: () => string;
  now: () => number;
};
export type Sender = { databaseUp(): boolean; stop(): Promise<void> };

const BATCHES_MAX = 3;
const UNSETTLED_MAX = 20 * CLAIM_ROWS_MAX;
const READ_WAIT_MS = 100;
const NO_OPERATOR_WAIT_MS = 200;
const DATABASE_RETRY = { firstMs: 50, mostMs: 1_000 };
// After this the process starts anew; what it held becomes `unknown` by its claims.
const DATABASE_WAIT_MAX_MS = 10 * 60_000;
const REAP_EVERY_MS = 1_000;
const REAP_AT_ONCE_MAX = 20;
assert(REAP_EVERY_MS * 10 < CLAIM_TTL_MS, "an expired claim is found soon after");

export function startSender(deps: SenderDeps, { lane }: { lane: Lane }): Sender {
  const { consumer, log } = deps;
  const counts = deps.metrics.counts("sluice_sender", COUNTS);
  const observeBatch = deps.metrics.histogram(
    "sluice_sender_batch_seconds",
    "from a batch's reading to its first settlement",
  );
  let stopping = false;
  let databaseFailures = 0;
  let batches = 0;
  let unsettled = 0;
  let wake: () => void = () => undefined;
  const open = new Set<Promise<void>>();
  deps.metrics.gauge("sluice_sender_unsettled", "messages claimed or read, and not settled", () => unsettled);

  /** Repeats `body` while the database is away. It must be safe to repeat. */
  const persist = async <T>(what: string, body: (isRepeated: boolean) => Promise<T>): Promise<T> => {
    const startedMs = monotonicMs();
    for (let attempt = 1; ; attempt++) {
      try {
        const result = await body(attempt > 1);
        databaseFailures = 0;
        return result;
      } catch (err) {
        databaseFailures++;
        if (err instanceof assert.AssertionError || monotonicMs() - startedMs > DATABASE_WAIT_MAX_MS)
          throw err;
        log.warn({ err, attempt }, `${what} waits: the database failed`);
        await sleep(backoffMs(DATABASE_RETRY, attempt));
      }
    }
  };

  const decode = async (read: readonly InRecord[]): Promise<LaneRecord[]> => {
    const records: LaneRecord[] = [];
    for (const { value, partition, offset } of read) {
      try {
        records.push(unpackLaneRecord(value));
      } catch (error) {
        if (!(error instanceof RecordError)) throw error;
        counts.dead_total++;
        log.error({ partition, offset, reason: error.message }, "dead letter: the record can't be read");
        await deps.deadLetter(value);
      }
    }
    return records;
  };

  const settle = async (claimId: string, changes: Change[], left: Set<string>) => {
    for (const change of changes) left.delete(change.record.id);
    const settlement = { claimId, lane, changes, idsLeft: [...left], nowMs: deps.now(), retryDelayMs: delay };
    const settled = await persist("settlement", () =>
      settleClaim(deps, { ...settlement, nowMs: deps.now() }),
    );
    count(counts, settled.changes);
    if (settled.late) counts.late_total += settled.changes.length;
    for (const change of settled.changes) if (change.to !== "sent") logChange(log, change);
  };
  const delay = (attempt: number) => retryDelayMs(lane, attempt);

  const runBatch = async (read: InRecord[], allowance: number[], afterFirst: () => void): Promise<void> => {
    const handles = deps.offsets.begin(read);
    const startedMs = monotonicMs();
    const startedAtMs = deps.now();
    const records = await decode(read);
    const claimId = deps.id();
    let claimedAtMs = monotonicMs();
    const firstTryMs = claimedAtMs;
    const { records: claimed, wasStored }: Claimed =
      records.length === 0
        ? { records: [], wasStored: false }
        : await persist("claim", (again) => {
            if (stopping && again) throw new assert.AssertionError({ message: "stopped before the claim" });
            claimedAtMs = monotonicMs();
            return claimMessages(deps.pool, { claimId, lane, records, nowMs: deps.now() }, again);
          });
    counts.skipped_total += records.length - claimed.length;
    if (claimed.length === 0) {
      deps.breakers.forEach((breaker) => breaker.report({ good: 0, bad: 0 }));
      return deps.offsets.end(handles);
    }
    const left = new Set(claimed.map((r) => r.id));
    let settling: Promise<void> = Promise.resolve();
    const onOutcomes = (outcomes: Indexed[]) => {
      const changes = outcomes.map(([index, outcome]) => changeOf(claimed[index] as LaneRecord, outcome));
      // One after the other: each writes what is left of the claim.
      settling = settling.then(async () => {
        await settle(claimId, changes, left);
        for (const change of changes) traceChange(deps, lane, change, startedAtMs);
        if (left.size < claimed.length) afterFirst();
      });
      settling.catch(() => undefined); // awaited below
    };
    const submits = claimed.map(
      (r) =>
        [r.id, r.phone, r.text, r.from, r.traceparent] as [string, string, string, string | null, string],
    );
    const deadlineMs = (wasStored ? firstTryMs : claimedAtMs) + CLAIM_TTL_MS - SUBMIT_TIMEOUT_MS;
    const tallies = await deps.submitters.submit({ submits, allowance, deadlineMs }, onOutcomes);
    tallies.forEach((tally, index) => deps.breakers[index]?.report(tally));
    await settling;
    observeBatch((monotonicMs() - startedMs) / 1_000);
    deps.offsets.end(handles);
  };

  const startBatch = (read: InRecord[], allowance: number[]) => {
    batches++;
    unsettled += read.length;
    counts.read_total += read.length;
    let isFirst = true;
    const afterFirst = () => {
      if (isFirst) batches--;
      isFirst = false;
      wake();
    };
    const work: Promise<void> = runBatch(read, allowance, afterFirst)
      .catch((err: unknown) => {
        if (stopping) return log.warn({ err }, "a batch was left to its claim");
        throw err; // a broken invariant, or the database away for too long: start anew
      })
      .finally(() => {
        afterFirst();
        unsettled -= read.length;
        open.delete(work);
        wake();
      });
    open.add(work);
  };

  const loop = async () => {
    while (!stopping) {
      if (batches >= BATCHES_MAX || unsettled >= UNSETTLED_MAX) {
        await new Promise<void>((resolve) => (wake = resolve));
        continue;
      }
      const allowance = deps.breakers.map((breaker) => breaker.allow());
      const allowed = allowance.reduce((sum, n) => sum + n, 0);
      if (allowed === 0) {
        await sleep(NO_OPERATOR_WAIT_MS);
        continue;
      }
      const read = await consumer
        .read(Math.min(CLAIM_ROWS_MAX, allowed), READ_WAIT_MS)
        .catch(async (err: unknown) => {
          log.warn({ err }, "reading waits: Kafka failed");
          await sleep(READ_WAIT_MS);
          return [];
        });
      if (read.length > 0) startBatch(read, allowance);
      else deps.breakers.forEach((breaker) => breaker.report({ good: 0, bad: 0 }));
    }
  };
  const reaping = reapLoop(deps, counts, () => stopping);
  const done = loop();
  return {
    databaseUp: () => databaseFailures === 0,
    async stop() {
      stopping = true;
      wake();
      await done;
      await Promise.all(open);
      await reaping;
    },
  };
}

async function reapLoop(
  { pool, id, now, log }: SenderDeps,
  counts: Counts,
  isStopping: () => boolean,
): Promise<void> {
  while (!isStopping()) {
    try {
      for (let n = 0; n < REAP_AT_ONCE_MAX && !isStopping(); n++) {
        const changes = await reapClaim({ pool, id }, now());
        if (changes === null) break;
        counts.reaped_total += changes.length;
        count(counts, changes);
        log.warn({ to: changes[0]?.to, ids: changes.map((c) => c.record.id) }, "a claim expired");
      }
    } catch (err) {
      log.warn({ err }, "reaping waits: the database failed");
    }
    for (let waitedMs = 0; waitedMs < REAP_EVERY_MS && !isStopping(); waitedMs += 100) await sleep(100);
  }
}

const COUNTS = {
  read_total: "records read",
  skipped_total: "records whose message wasn't queued at their attempt: delivered twice, or ended",
  dead_total: "records that can't be read, sent to sms.dlq",
  sent_total: "messages an operator took",
  refunded_total: "messages refunded, late express ones included",
  failed_total: "messages that ended unsent",
  requeued_total: "messages to be tried again later",
  unknown_total: "messages whose answer was lost",
  late_total: "outcomes that came after their claim had expired",
  reaped_total: "messages whose claim expired",
} as const;
type Counts = Record<keyof typeof COUNTS, number>;

function count(counts: Counts, changes: readonly Change[]): void {
  for (const { to, money } of changes) {
    if (money === "refund") counts.refunded_total++;
    if (to === "sent") counts.sent_total++;
    else if (to === "failed") counts.failed_total++;
    else if (to === "queued") counts.requeued_total++;
    else if (to === "unknown") counts.unknown_total++;
  }
}

function traceChange({ tracing, now }: SenderDeps, lane: Lane, change: Change, startedAtMs: number): void {
  const { traceparent, id, attempt } = change.record;
  if (!traceparent.endsWith("1")) return; // not sampled
  const attributes = { id, attempt, status: change.to, operator: change.operator ?? "" };
  tracing.span(`send ${lane}`, traceparent, startedAtMs, now(), attributes);
}

function logChange(log: Log, { record, to, reason }: Change): void {
  const { id, attempt, traceparent } = record;
  log.info({ id, attempt, to, reason, trace_id: traceIdOf(traceparent) }, "message not sent");
}
