// Submits a batch of messages: chooses an operator for each, fails over to the next one on refusal or when no
// connection can be made, and reports one outcome for every message. Runs in a worker. Owns the windows: how
// many submits each operator has under way. A message waits its turn while all operators it may still try are
// full. Leaves the health of operators to the sender, which gives each batch an allowance per operator.
// Invariants: no submit starts after the batch's deadline; a message whose answer was lost is not submitted
// again; each message has exactly one outcome. Bound: the windows, and the batches the sender lets in.

import { SUBMIT_OPERATORS_MAX } from "../core/limits.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import type { Answer, Connector, OperatorTerms } from "../operators/connectors/connector.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";
import { type Candidate, candidatesFor, route } from "../operators/route.ts";

export type SubmitBatch = {
  messages: readonly LaneRecord[];
  /** By operator: the most submits that this batch may send to it. */
  allowance: readonly number[];
  /** On the clock of DispatchDeps.monotonicMs. */
  deadlineMs: number;
};
/** Answers of one operator, for its breaker. `good` includes refusals: only a working operator refuses. */
export type Tally = { good: number; bad: number };
export type DispatchDeps = {
  operators: readonly OperatorTerms[];
  connectors: readonly Connector[];
  monotonicMs: () => number;
  wallMs: () => number;
  random: () => number;
};
export type Dispatch = (
  batch: SubmitBatch,
  done: (index: number, outcome: Outcome) => void,
) => Promise<Tally[]>;

type Job = {
  message: LaneRecord;
  batch: SubmitBatch;
  candidates: Candidate[];
  tries: number;
  /** True while every refusal so far was permanent. */
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

  // First come, first served, but a job that can't start doesn't block later ones that may use another
  // operator. Usually nothing waits. The scan stops after as many blocked jobs as there are operators, so it
  // stays cheap when all operators are full.
  const startWaiting = () => {
    for (let at = 0, blocked = 0; at < waiting.length && blocked < operators.length; ) {
      if (start(waiting[at] as Job) === "waits") {
        blocked++;
        at++;
      } else waiting.splice(at, 1);
    }
  };

  const giveUp = (job: Job, reason: string): "ended" => {
    // Permanent only if every operator for such numbers was asked: one that was away might have accepted it.
    const permanent = job.permanent && job.tries >= Math.min(job.candidates.length, SUBMIT_OPERATORS_MAX);
    job.end({ kind: "refused", permanent, reason });
    return "ended";
  };

  // Usually answers drive the queue; this ends jobs that wait past their deadline when no answer comes.
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
