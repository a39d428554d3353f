// Submits a batch of messages: chooses an operator for each, fails over to the next one on refusal or when no
// connection can be made, and reports one outcome for every message. Runs in a worker. Owns the windows and
// rates: how many submits each operator has under way, and how many parts a second it gets. A message waits
// its turn while all operators it may still try are full. Leaves the choice to route.ts, and the health of
// operators to the sender, which gives each batch an allowance per operator.
// Invariants: no submit starts after the batch's deadline or the end of its message's validity, nor one of an
// express message that might be answered after its guaranteed_by; a message whose answer was lost is not
// submitted again, but for express whose customer wants that: once, to another operator; each message has
// exactly one outcome. Bound: the windows, and the batches the sender lets in.

import type { Refusal } from "../core/event-record.ts";
import {
  DRAIN_SUBMITS_MS,
  LATE_ANSWER_MAX_MS,
  SUBMIT_OPERATORS_MAX,
  SUBMIT_TIMEOUT_MS,
} from "../core/limits.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { validUntilOf } from "../core/retries.ts";
import type { Answer, Connector } from "../operators/connectors/connector.ts";
import { type Candidate, candidatesOf, draw, route, type Router } from "../operators/route.ts";
import type { OperatorTerms } from "../operators/terms.ts";
import { afterLost, type Outcome, outcomeOf } from "./outcome.ts";
import { createRate, type Rate } from "./rate.ts";
import { type CodeOf, withoutCode, withText } from "./sealed-codes.ts";
import { createWaiting } from "./waiting.ts";

/** By operator: the most submits that a batch may send to it; no limit for one that isn't there. */
export type Allowance = ReadonlyMap<string, number>;
export type SubmitBatch = {
  messages: readonly LaneRecord[];
  allowance: Allowance;
  /** On the clock of DispatchDeps.monotonicMs. */
  deadlineMs: number;
};
/** Answers of one operator, for its breaker. `good` includes refusals: only a working operator refuses. */
export type Tally = { good: number; bad: number };
/** By operator; without those that were not asked. */
export type Tallies = ReadonlyMap<string, Tally>;
export type DispatchDeps = {
  monotonicMs: () => number;
  wallMs: () => number;
  random: () => number;
  /** Absent: no code can be opened here. */
  codeOf?: CodeOf;
};

/** An operator as dispatch uses it; made once and kept as long as its terms stay the same. */
export type Line = {
  name: string;
  window: number;
  rate: Rate | null;
  connector: Connector;
  underWay: number;
  /** Until then an answer may still come to a submit that was given up as lost. */
  lateUntilMs: number;
};
export type Dispatch = {
  submit(batch: SubmitBatch, done: (index: number, outcome: Outcome) => void): Promise<Tallies>;
  /** From now on these are the operators. Messages that wait are routed anew; those under way go on. */
  use(lines: readonly Line[], router: Router): void;
  /** The sender stops: after DRAIN_SUBMITS_MS no submit starts, and what waits is refused for now. */
  drain(): void;
};

export const createLine = (
  { name, window, rate }: Pick<OperatorTerms, "name" | "window" | "rate">,
  connector: Connector,
  monotonicMs: () => number,
): Line => ({
  name,
  window,
  rate: rate === undefined ? null : createRate(rate, monotonicMs),
  connector,
  underWay: 0,
  lateUntilMs: 0,
});

/** Many answers of an operator that works; far less than a batch has. */
const SPLIT_WAIT_MS = 1_000;

type Batch = { deadlineMs: number; allowance: Map<string, number>; tallies: Map<string, Tally> };
type Job = {
  message: LaneRecord;
  batch: Batch;
  /** By this the candidates were found. */
  router: Router;
  candidates: Candidate[];
  /** The operator of a split that it falls to, and how long it waits for that one's room. */
  drawn: Candidate | null;
  patientUntilMs: number;
  tries: number;
  /** True while every refusal so far was permanent. */
  permanent: boolean;
  reason: string;
  /** null: none, as for most. */
  refusals: Refusal[] | null;
  /** Operators that refused it and may report on it all the same; null: none. */
  lostAt: string[] | null;
  /** Its first submit was lost, and it is submitted once more. */
  lost: Extract<Outcome, { kind: "unknown" }> | null;
  end: (outcome: Outcome) => void;
};

export function createDispatch(deps: DispatchDeps): Dispatch {
  const lines = new Map<string, Line>();
  const lineOf = ({ operator }: Candidate): Line => lines.get(operator) as Line;
  let router: Router = { find: () => null };
  let drainedAtMs = Number.POSITIVE_INFINITY;

  const start = (job: Job): "started" | "waits" | "ended" => {
    const { batch, message } = job;
    if (job.router !== router) routeAnew(job, router);
    const { candidates } = job;
    if (deps.wallMs() >= validUntilOf(message)) return expire(job);
    if (isPastPromise(message)) return expire(job);
    const nowMs = deps.monotonicMs();
    if (nowMs > batch.deadlineMs) return giveUp(job, "not submitted in time");
    if (job.tries >= SUBMIT_OPERATORS_MAX) return giveUp(job, job.reason);
    if (candidates.length === 0) return giveUp(job, "no operator takes this number");
    const code = message.sealedCode === undefined ? undefined : (deps.codeOf?.(message) ?? null);
    // Another sender may be able to, or this one with another secret: it is tried until its time is over.
    if (code === null) return giveUp(job, "its code can't be opened here");
    let isAnyLeft = false;
    let noneReason = "no operator available";
    let waitMs = Number.POSITIVE_INFINITY;
    for (const candidate of candidates) {
      const line = lineOf(candidate);
      const spanMs = line.connector.spanMs?.(message.parts) ?? 0;
      const isInTime = nowMs + spanMs <= batch.deadlineMs && !isPastPromise(message, spanMs);
      candidate.allowed = isInTime && allowanceOf(batch, line) > 0;
      if (!isInTime) noneReason = "its parts would not be sent in time at an operator's rate";
      if (candidate.allowed && !candidate.tried) isAnyLeft = true;
      candidate.free = candidate.allowed ? line.window - line.underWay : 0;
      if (candidate.free <= 0 || candidate.tried || line.rate === null) continue;
      const ownMs = line.rate.waitMs(message.parts);
      if (ownMs <= 0) continue;
      candidate.free = 0;
      waitMs = Math.min(waitMs, ownMs);
    }
    if (!isAnyLeft) return giveUp(job, job.tries === 0 ? noneReason : job.reason);
    if (nowMs > drainedAtMs) return giveUp(job, "the sender stops");
    const drawn = candidates.some(({ split }) => split) ? drawnOf(job, nowMs) : null;
    if (drawn !== null && drawn.free <= 0) waitMs = Math.min(waitMs, job.patientUntilMs - nowMs);
    const next = drawn === null ? route(candidates, deps.random) : drawn.free > 0 ? drawn : null;
    if (next === null) {
      if (waitMs < Number.POSITIVE_INFINITY) waiting.wakeIn(waitMs);
      return "waits";
    }
    next.tried = true;
    job.tries++;
    const line = lineOf(next);
    batch.allowance.set(line.name, allowanceOf(batch, line) - 1);
    line.underWay++;
    line.rate?.take(message.parts);
    const given = code === undefined ? message : withText(message, code);
    const done = (answer: Answer) =>
      onAnswer(job, line, code === undefined ? answer : withoutCode(answer, code));
    line.connector.submit(given, done, batch.deadlineMs - nowMs);
    return "started";
  };

  // A split is kept while its operators answer: a burst fills the window of one with the larger share first.
  // But no message waits long for a slow one.
  const drawnOf = (job: Job, nowMs: number): Candidate | null => {
    const { drawn } = job;
    if (drawn === null || drawn.tried || !drawn.allowed) {
      job.drawn = draw(job.candidates, deps.random);
      job.patientUntilMs = nowMs + SPLIT_WAIT_MS;
    }
    return nowMs < job.patientUntilMs ? job.drawn : null;
  };

  const onAnswer = (job: Job, line: Line, answer: Answer) => {
    line.underWay--;
    const tally = tallyOf(job.batch, line.name);
    if (answer.kind === "accepted" || answer.kind === "refused") tally.good++;
    else tally.bad++;
    if (answer.kind === "lost") line.lateUntilMs = deps.monotonicMs() + LATE_ANSWER_MAX_MS;
    const atMs = deps.wallMs();
    const outcome = outcomeOf(line.name, answer, atMs);
    const isAgain = outcome.kind === "unknown" && mayResend(job);
    if (outcome.kind === "refused") {
      if (outcome.lostAt !== undefined) (job.lostAt ??= []).push(...outcome.lostAt);
      job.permanent &&= outcome.permanent;
      job.reason = outcome.reason;
    }
    if (isAgain) job.lost = outcome;
    if (outcome.kind === "refused" || isAgain) {
      const error = answer.kind === "accepted" ? "" : answer.reason;
      (job.refusals ??= []).push({ operator: line.name, error, atMs });
      if (start(job) === "waits") waiting.add(job);
    } else end(job, outcome);
    waiting.startAll();
  };

  const end = (job: Job, last: Outcome): void => {
    let outcome = job.lost === null ? last : afterLost(job.lost, last);
    if (job.refusals !== null) outcome = { ...outcome, refusals: job.refusals };
    if (job.lostAt !== null) outcome = { ...outcome, lostAt: [...(outcome.lostAt ?? []), ...job.lostAt] };
    job.end(outcome);
  };

  // A submit has SUBMIT_TIMEOUT_MS for its answer. One that starts later than that before the promised time
  // may end after it, and its operator would be paid for a message that is refunded. `spanMs`: so much later
  // its last part starts.
  const isPastPromise = ({ guaranteedByMs }: LaneRecord, spanMs = 0): boolean =>
    guaranteedByMs !== null && deps.wallMs() + spanMs > guaranteedByMs - SUBMIT_TIMEOUT_MS;

  /** Once, and only if the answer can come within the promise. */
  const mayResend = ({ message, lost }: Job): boolean =>
    message.mayResend === true && lost === null && !isPastPromise(message);

  const giveUp = (job: Job, reason: string): "ended" => {
    // Permanent only if every operator for such numbers was asked: one that was away might have accepted it.
    const areAllAsked = job.tries >= SUBMIT_OPERATORS_MAX || job.candidates.every(({ tried }) => tried);
    const permanent = job.permanent && areAllAsked;
    end(job, { kind: "refused", permanent, reason });
    return "ended";
  };

  const expire = (job: Job): "ended" => {
    const why = isPastPromise(job.message)
      ? "guaranteed_by could not be kept"
      : "not sent while it was valid";
    end(job, { kind: "expired", reason: job.reason || why });
    return "ended";
  };

  const waiting = createWaiting<Job>({
    start,
    keyOf,
    customerOf: ({ message }) => message.customerId,
    partsOf: ({ message }) => message.parts,
    isOver: ({ batch, message }) =>
      deps.monotonicMs() > Math.min(batch.deadlineMs, drainedAtMs) ||
      deps.wallMs() >= validUntilOf(message) ||
      isPastPromise(message),
    monotonicMs: deps.monotonicMs,
  });

  return {
    use(next, nextRouter) {
      lines.clear();
      for (const line of next) lines.set(line.name, line);
      router = nextRouter;
      for (const job of waiting.takeAll()) if (start(job) === "waits") waiting.add(job);
    },
    drain: () => void (drainedAtMs = deps.monotonicMs() + DRAIN_SUBMITS_MS),
    submit: ({ messages, allowance, deadlineMs }, done) =>
      new Promise((resolve) => {
        const batch: Batch = { deadlineMs, allowance: new Map(allowance), tallies: new Map() };
        let left = messages.length;
        if (left === 0) resolve(batch.tallies);
        messages.forEach((message, index) => {
          const onEnd = (outcome: Outcome) => {
            done(index, outcome);
            if (--left === 0) resolve(batch.tallies);
          };
          const candidates = candidatesOf(router.find(message.phone, message.lane));
          const none = { drawn: null, patientUntilMs: 0, tries: 0, permanent: true, reason: "" };
          const nothing = { refusals: null, lostAt: null, lost: null };
          const job: Job = { message, batch, router, candidates, end: onEnd, ...none, ...nothing };
          if (start(job) === "waits") waiting.add(job);
        });
      }),
  };
}

const allowanceOf = ({ allowance }: Batch, { name }: Line): number =>
  allowance.get(name) ?? Number.POSITIVE_INFINITY;

function tallyOf({ tallies }: Batch, name: string): Tally {
  let tally = tallies.get(name);
  if (tally === undefined) tallies.set(name, (tally = { good: 0, bad: 0 }));
  return tally;
}

/** The operators have changed since the job was routed. Those it has tried stay tried. */
function routeAnew(job: Job, router: Router): void {
  const tried = new Set(job.candidates.filter((each) => each.tried).map(({ operator }) => operator));
  // Also if the file in between was without it: what it may have isn't submitted to it again.
  if (job.lost?.operator != null) tried.add(job.lost.operator);
  job.router = router;
  job.drawn = null;
  job.candidates = candidatesOf(router.find(job.message.phone, job.message.lane));
  for (const candidate of job.candidates) candidate.tried = tried.has(candidate.operator);
}

/** Jobs that may still try the same operators, and fell to the same one, wait for the same thing. */
const keyOf = ({ candidates, drawn }: Job): string =>
  [drawn?.operator ?? "", ...candidates.flatMap(({ operator, tried }) => (tried ? [] : [operator]))].join(
    " ",
  );
