// One batch of records, from reading to the end: decode → claim → submit → settle, the last in one or more
// parts.
// Leaves SQL to the ledger, submits to the workers, the meaning of outcomes to outcome.ts, and how many
// batches run to sender.ts.
// Invariants: nothing is submitted that isn't claimed; settlement is retried until stored; the batch ends
// only when all its outcomes are settled.

import type { DeadLetter } from "../core/dead-letter.ts";
import { CLAIM_TTL_MS, SUBMIT_TIMEOUT_MS } from "../core/limits.ts";
import type { Lane } from "../core/message.ts";
import { type LaneRecord, unpackLaneRecord } from "../core/lane-record.ts";
import { RecordError } from "../core/packed.ts";
import { type Claimed, claimMessages } from "../ledger/claim.ts";
import { keepLetters } from "../ledger/dead-letters.ts";
import type { Change } from "../ledger/move.ts";
import { settleClaim } from "../ledger/settle.ts";
import type { InRecord } from "../platform/kafka/consumer.ts";
import type { Log } from "../platform/log.ts";
import type { Pool } from "../platform/mysql.ts";
import type { Tracing } from "../platform/otlp.ts";
import { isSampled, traceIdOf } from "../platform/trace.ts";
import { type Counts, countChanges } from "./counts.ts";
import type { Allowance, Tallies } from "./dispatch.ts";
import type { Fleet } from "./fleet.ts";
import { monotonicMs } from "./monotonic.ts";
import { changeOf } from "./outcome.ts";
import { type Persist, StoppedError } from "./persist.ts";
import type { Submitters } from "./submitters.ts";
import type { Indexed } from "./worker.ts";

export type BatchDeps = {
  pool: Pool;
  persist: Persist;
  submitters: Submitters;
  fleet: Pick<Fleet, "report">;
  /** Where its records come from; named in dead letters. */
  topic: string;
  counts: Counts;
  tracing: Tracing;
  log: Log;
  id: () => string;
  now: () => number;
  /** From 0 to 1: spreads retries. */
  random: () => number;
  isStopping: () => boolean;
};
export type BatchRequest = { lane: Lane; read: readonly InRecord[]; allowance: Allowance };

/**
 * Runs the batch to its end. `onPart` is called after each settlement; a batch has several if one hanging
 * call delays part of its outcomes.
 */
export async function runBatch(deps: BatchDeps, request: BatchRequest, onPart: () => void): Promise<void> {
  const { lane, read, allowance } = request;
  const startedAtMs = deps.now();
  const { records, dead } = decode(deps, read);
  if (dead.length > 0) await keepDead(deps, dead);
  const { claimId, claimed, deadlineMs } = await claim(deps, lane, records);
  deps.counts.skipped_total += records.length - claimed.length;
  if (claimed.length === 0) {
    deps.fleet.report(NO_TALLIES);
    onPart();
    return;
  }

  const left = new Set(claimed.map((r) => r.id));
  let settling: Promise<void> = Promise.resolve();
  const onOutcomes = (outcomes: Indexed[]) => {
    const moment = { nowMs: deps.now(), jitter: deps.random() };
    const changes = outcomes.map(([index, outcome]) =>
      changeOf(claimed[index] as LaneRecord, outcome, moment),
    );
    // One at a time, because each writes what is left of the claim.
    settling = settling.then(async () => {
      await settle(deps, { claimId, lane, changes, left });
      for (const change of changes) traceChange(deps, change, startedAtMs);
      onPart();
    });
    settling.catch(() => undefined); // awaited below
  };
  deps.fleet.report(await deps.submitters.submit({ messages: claimed, allowance, deadlineMs }, onOutcomes));
  await settling;
}

/** Of a batch that submitted nothing. */
export const NO_TALLIES: Tallies = new Map();

function decode(deps: BatchDeps, read: readonly InRecord[]): { records: LaneRecord[]; dead: DeadLetter[] } {
  const records: LaneRecord[] = [];
  const dead: DeadLetter[] = [];
  for (const { value, partition, offset } of read) {
    try {
      records.push(unpackLaneRecord(value));
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      deps.counts.dead_total++;
      const { message: reason } = error;
      deps.log.error({ partition, offset, reason }, "dead letter: the record can't be read");
      const place = `${deps.topic}/${partition}/${offset}`;
      dead.push({ source: "record", place, reason, payload: value });
    }
  }
  return { records, dead };
}

// Before their offsets may be stored. What holds letters up, the database, would hold up all others too.
function keepDead({ pool, persist, isStopping }: BatchDeps, dead: readonly DeadLetter[]): Promise<void> {
  return persist.run("store dead letters", (again) => {
    if (again && isStopping()) throw new StoppedError("stopped before dead letters were stored");
    return keepLetters(pool, dead);
  });
}

type Held = { claimId: string; claimed: LaneRecord[]; deadlineMs: number };

// The deadline counts from before the claim was sent. It leaves room for a submit that uses its whole
// time-out to connect and again to answer, and for settling its outcome under the claim.
async function claim(deps: BatchDeps, lane: Lane, records: readonly LaneRecord[]): Promise<Held> {
  const claimId = deps.id();
  const firstTryMs = monotonicMs();
  if (records.length === 0) return { claimId, claimed: [], deadlineMs: firstTryMs };
  let lastTryMs = firstTryMs;
  const result: Claimed = await deps.persist.run("claim", (again) => {
    if (again && deps.isStopping()) throw new StoppedError("stopped before the claim");
    lastTryMs = monotonicMs();
    return claimMessages(deps.pool, { claimId, lane, records, nowMs: deps.now() }, again);
  });
  const sinceMs = result.wasStored ? firstTryMs : lastTryMs;
  return { claimId, claimed: result.records, deadlineMs: sinceMs + CLAIM_TTL_MS - 2 * SUBMIT_TIMEOUT_MS };
}

type Part = { claimId: string; lane: Lane; changes: Change[]; left: Set<string> };

async function settle(deps: BatchDeps, { claimId, lane, changes, left }: Part): Promise<void> {
  for (const change of changes) left.delete(change.record.id);
  const settled = await deps.persist.run("settle", () =>
    settleClaim(deps, { claimId, lane, changes, idsLeft: [...left], nowMs: deps.now() }),
  );
  countChanges(deps.counts, settled.changes);
  if (settled.late) deps.counts.late_total += settled.changes.length;
  for (const change of settled.changes) if (change.to !== "sent") logChange(deps.log, change);
}

function traceChange({ tracing, now }: BatchDeps, change: Change, startedAtMs: number): void {
  const { traceparent, id, attempt, lane } = change.record;
  if (!isSampled(traceparent)) return;
  const attributes = { id, attempt, status: change.to, operator: change.operator ?? "" };
  tracing.span(`send ${lane}`, traceparent, startedAtMs, now(), attributes);
}

function logChange(log: Log, { record, to, reason }: Change): void {
  const { id, attempt, traceparent } = record;
  log.info({ id, attempt, to, reason, trace_id: traceIdOf(traceparent) }, "message not sent");
}
