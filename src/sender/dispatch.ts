// Submits a batch of messages: an operator for each, failover to the next on refusal and on no connection, an
// outcome for every one. Runs in a worker. Owns the windows: how many submits each operator has under way. A
// message waits in turn when all operators it may still try are full. Leaves the health of operators to the
// sender, which gives each batch an allowance.
// Invariants: no submit starts after the batch's deadline; a message whose answer was lost is not submitted
// again; each message has exactly one outcome. Bound: the windows, and the batches the sender lets in.

import { SUBMIT_OPERATORS_MAX } from "../core/limits.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import type { Answer, Connector, OperatorTerms } from "./connectors/connector.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";
import { type Candidate, candidatesFor, route } from "./route.ts";

export type Batch = {
  messages: readonly LaneRecord[];
  /** By operator: how many of this batch it may be given at most. */
  allowance: readonly number[];
  /** On the monotonic clock given as `now`. */
  deadlineMs: number;
};
/** Answers by operator, for its breaker: `good` also counts refusals, which a working operator gives. */
export type Tally = { good: number; bad: number };
export type DispatchDeps = {
  operators: readonly OperatorTerms[];
  connectors: readonly Connector[];
  monotonicMs: () => number;
  wallMs: () => number;
  random: () => number;
};
export type Dispatch = (batch: Batch, done: (index: number, outcome: Outcome) => void) => Promise<Tally[]>;

type Job = {
  message: LaneRecord;
  batch: Batch;
  candidates: Candidate[];
  tries: number;
  /** Of all refusals so far. */
  permanent: boolean;
  reason: string;
  end: (outcome: Outcome) => void;
  tally: Tally[];
};

export function createDispatch(deps: DispatchDeps): Dispatch {
  const { operators, connectors, random } = deps;
  const underWay = operators.map(() => 0);
  const waiting: Job[] = [];

  const start = (job: Job): "started" | "waits" | "ended" => {
    if (deps.monotonicMs() > job.batch.deadlineMs) return giveUp(job, "not submitted in time");
    if (job.tries >= SUBMIT_OPERATORS_MAX) return giveUp(job, job.reason);
    if (job.candidates.length === 0) return giveUp(job, "no operator takes this number");
    let isAnyLeft = false;
    for (const candidate of job.candidates) {
      const o = candidate.operator;
      const allowed = job.batch.allowance[o] as number;
      if (!candidate.tried && allowed > 0) isAnyLeft = true;
      candidate.free = allowed > 0 ? (operators[o] as OperatorTerms).window - (underWay[o] as number) : 0;
    }
    if (!isAnyLeft) return giveUp(job, job.tries === 0 ? "no operator available" : job.reason);
    const next = route(job.candidates, random);
    if (next === null) return "waits";
    next.tried = true;
    job.tries++;
    const o = next.operator;
    (job.batch.allowance as number[])[o] = (job.batch.allowance[o] as number) - 1;
    underWay[o] = (underWay[o] as number) + 1;
    (connectors[o] as Connector).submit(job.message, (answer) => onAnswer(job, o, answer));
    return "started";
  };

  const onAnswer = (job: Job, o: number, answer: Answer) => {
    underWay[o] = (underWay[o] as number) - 1;
    const operator = (operators[o] as OperatorTerms).name;
    const tally = job.tally[o] as Tally;
    if (answer.kind === "accepted" || answer.kind === "refused") tally.good++;
    else tally.bad++;
    const outcome = outcomeOf(operator, answer, deps.wallMs());
    if (outcome.kind === "refused") {
      job.permanent &&= outcome.permanent;
      job.reason = outcome.reason;
      if (start(job) === "waits") waiting.push(job);
    } else job.end(outcome);
    startWaiting();
  };

  // First come, first served; one that can't go yet doesn't stop those behind it that may use another
  // operator. Most often nothing waits. The scan ends at the first few that must wait on, so it stays cheap
  // when everything is full.
  const startWaiting = () => {
    for (let at = 0, blocked = 0; at < waiting.length && blocked < operators.length; ) {
      if (start(waiting[at] as Job) === "waits") {
        blocked++;
        at++;
      } else waiting.splice(at, 1);
    }
  };

  const giveUp = (job: Job, reason: string): "ended" => {
    // Permanent only when all were asked who take such numbers: one that was away might have taken it.
    const permanent = job.permanent && job.tries >= Math.min(job.candidates.length, SUBMIT_OPERATORS_MAX);
    job.end({ kind: "refused", permanent, reason });
    return "ended";
  };

  // Answers drive the queue; this is for when none comes: what waits past its deadline must end too.
  const sweep = setInterval(startWaitingPastDeadline, SWEEP_MS);
  sweep.unref();
  function startWaitingPastDeadline() {
    const nowMs = deps.monotonicMs();
    for (let at = waiting.length - 1; at >= 0; at--) {
      const job = waiting[at] as Job;
      if (nowMs <= job.batch.deadlineMs) continue;
      waiting.splice(at, 1);
      giveUp(job, "not submitted in time");
    }
  }

  return (batch, done) =>
    new Promise((resolve) => {
      const own = { ...batch, allowance: [...batch.allowance] };
      const tally = operators.map((): Tally => ({ good: 0, bad: 0 }));
      let left = batch.messages.length;
      if (left === 0) resolve(tally);
      batch.messages.forEach((message, index) => {
        const end = (outcome: Outcome) => {
          done(index, outcome);
          if (--left === 0) resolve(tally);
        };
        const job: Job = {
          message,
          batch: own,
          candidates: candidatesFor(operators, message.phone),
          tries: 0,
          permanent: true,
          reason: "",
          end,
          tally,
        };
        if (start(job) === "waits") waiting.push(job);
      });
    });
}

const SWEEP_MS = 500;
