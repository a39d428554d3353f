// One batch of messages, from its claim to the end: claim → submit → settle, the last in one or more parts.
// Leaves SQL to the ledger, submits to the workers, the meaning of outcomes to outcome.ts, and which messages
// are claimed and how many batches run to sender.ts.
// Invariants: nothing is submitted that isn't claimed; settlement is retried until stored; the batch ends
// only when all its outcomes are settled. All its messages are of one link.

import { CLAIM_TTL_MS, SUBMIT_TIMEOUT_MS } from "../core/limits.ts";
import type { Lane } from "../core/message.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import type { Claimed } from "../ledger/claim.ts";
import type { Change } from "../ledger/move.ts";
import { settleClaim } from "../ledger/settle.ts";
import type { Log } from "../platform/log.ts";
import type { Pool } from "../platform/mysql.ts";
import type { Tracing } from "../platform/otlp.ts";
import { isSampled, traceIdOf } from "../platform/trace.ts";
import { type Counts, countChanges } from "./counts.ts";
import type { Allowance, Tallies } from "./dispatch.ts";
import type { Fleet } from "./fleet.ts";
import { attemptOf, type LaneWait } from "./lane-wait.ts";
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
  counts: Counts;
  tracing: Tracing;
  log: Log;
  id: () => string;
  now: () => number;
  /** From 0 to 1: spreads retries. */
  random: () => number;
  isStopping: () => boolean;
};
/** What a batch asks to be claimed under this id. `again`: an earlier try of the same claim may be stored. */
export type ClaimAttempt = { claimId: string; nowMs: number; again: boolean };
export type BatchRequest = {
  lane: Lane;
  link: string;
  allowance: Allowance;
  /** `read`: how many records it was about, claimed or not. */
  claim: (attempt: ClaimAttempt) => Promise<Claimed & { read: number }>;
  /** Called with each attempt that says something about the lane's wait, once it is settled. */
  took: LaneWait["took"];
};

/** What becomes of a batch while it runs. */
export type BatchProgress = {
  /** Its messages are claimed, which have so many parts, and are submitted now. */
  onSubmit(parts: number): void;
  /** Some of them were answered. */
  onAnswer(): void;
  /** Some were settled: in several parts, if one hanging call delays part of the outcomes. */
  onPart(): void;
};

/** Runs the batch to its end. */
export async function runBatch(
  deps: BatchDeps,
  request: BatchRequest,
  { onSubmit, onAnswer, onPart }: BatchProgress,
): Promise<void> {
  const { lane, link, allowance, took } = request;
  const startedAtMs = deps.now();
  const { claimId, claimed, claimedAtMs, deadlineMs } = await claim(deps, request);
  if (claimed.length === 0) {
    deps.fleet.report(link, NO_TALLIES);
    onPart();
    return;
  }
  onSubmit(claimed.reduce((sum, { parts }) => sum + parts, 0));

  const left = new Set(claimed.map((r) => r.id));
  let settling: Promise<void> = Promise.resolve();
  const onOutcomes = (outcomes: Indexed[]) => {
    onAnswer();
    const moment = { nowMs: deps.now(), jitter: deps.random(), claimedAtMs };
    const changes = outcomes.map(([index, outcome]) =>
      changeOf(claimed[index] as LaneRecord, outcome, moment),
    );
    // One at a time, because each writes what is left of the claim.
    settling = settling.then(async () => {
      await settle(deps, { claimId, lane, changes, left, took });
      for (const change of changes) traceChange(deps, change, startedAtMs);
      onPart();
    });
    settling.catch(() => undefined); // awaited below
  };
  const batch = { messages: claimed, allowance, deadlineMs };
  deps.fleet.report(link, await deps.submitters.submit(batch, onOutcomes));
  await settling;
}

/** Of a batch that submitted nothing. */
export const NO_TALLIES: Tallies = new Map();

type OwnClaim = { claimId: string; claimed: LaneRecord[]; claimedAtMs: number; deadlineMs: number };

// The deadline counts from before the claim was sent. It leaves room for a submit that uses its whole
// time-out to connect and again to answer, and for settling its outcome under the claim.
async function claim(deps: BatchDeps, request: BatchRequest): Promise<OwnClaim> {
  const claimId = deps.id();
  const firstTryMs = monotonicMs();
  let lastTryMs = firstTryMs;
  let claimedAtMs = 0;
  const result = await deps.persist.run("claim", (again) => {
    if (again && deps.isStopping()) throw new StoppedError("stopped before the claim");
    lastTryMs = monotonicMs();
    const nowMs = deps.now();
    if (!again || claimedAtMs === 0) claimedAtMs = nowMs;
    return request.claim({ claimId, nowMs, again });
  });
  const { unpaid } = result;
  deps.counts.skipped_total += result.read - result.records.length - unpaid.length;
  countChanges(deps.counts, unpaid);
  for (const change of unpaid) logChange(deps.log, change);
  const sinceMs = result.wasStored ? firstTryMs : lastTryMs;
  return {
    claimId,
    claimed: result.records,
    claimedAtMs,
    deadlineMs: sinceMs + CLAIM_TTL_MS - 2 * SUBMIT_TIMEOUT_MS,
  };
}

type Part = { claimId: string; lane: Lane; changes: Change[]; left: Set<string>; took: LaneWait["took"] };

async function settle(deps: BatchDeps, { claimId, lane, changes, left, took }: Part): Promise<void> {
  for (const change of changes) left.delete(change.record.id);
  const settled = await deps.persist.run("settle", () =>
    settleClaim(deps, { claimId, lane, changes, idsLeft: [...left], nowMs: deps.now() }),
  );
  countChanges(deps.counts, settled.changes);
  const nowMs = deps.now();
  for (const change of settled.changes) {
    const attempt = attemptOf(change, nowMs);
    if (attempt !== null) took(attempt);
  }
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
