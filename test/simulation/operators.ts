// Simulated operators: each submit is accepted, is refused, never arrives, or is accepted without an answer
// or with one that comes after the sender gave up. They remember what they accepted; the gateway's captures
// are compared with that.

import type { LaneRecord } from "../../src/core/lane-record.ts";
import type { Answer, CertainAnswer, Connector } from "../../src/operators/connectors/connector.ts";
import type { OperatorTerms } from "../../src/operators/terms.ts";
import { LATE_ANSWER_MAX_MS, SUBMIT_TIMEOUT_MS } from "../../src/core/limits.ts";
import { LANES } from "../../src/core/message.ts";
import type { Kernel, Process } from "./kernel.ts";
import { hold } from "./hold.ts";

/** The probabilities of each end of a submit. */
export type OperatorFaults = {
  refusedForNow: number;
  refusedForGood: number;
  notConnected: number;
  takenSilently: number;
  lostBefore: number;
  /** Of the submits without an answer: the share whose answer comes later. */
  late: number;
  slow: number;
};
export type OnReportOf = (operator: string, message: LaneRecord, answer: CertainAnswer) => void;
export type Operators = {
  specs: readonly OperatorTerms[];
  connectorOf(of: Process, operator: string, onReport: OnReportOf): Connector;
  /** The operators that accepted this message, in order. */
  taken: ReadonlyMap<string, string[]>;
  /** When each sender learned that an operator accepted a message, by its own clock: by both, `A ID`. */
  answeredAtMs: ReadonlyMap<string, number>;
  /** Makes all of them refuse for this long. */
  busy(forMs: number): void;
};

/** `submits`: how many it took; `submittedAtMs`: when its sender began. */
export type Taken = { id: string; operator: string; submits: number; submittedAtMs: number };

/** Why an answer is lost that named the first of several submits. */
export const FIRST_TAKEN = "timed out after its first part";

export function createOperators(
  kernel: Kernel,
  faults: OperatorFaults,
  onTaken: (taken: Taken) => void,
): Operators {
  const { random } = kernel;
  const specs = ["A", "B", "C"].map(
    (name, i): OperatorTerms => ({
      name,
      prefixes: ["+"],
      lanes: [...LANES],
      priority: 0,
      price: i === 0 ? 90 : 100,
      weight: 3 - i,
      window: 8,
    }),
  );
  const taken = new Map<string, string[]>();
  const answeredAtMs = new Map<string, number>();
  let busyUntilMs = 0;
  const take = (operator: string, { id, parts }: LaneRecord, submittedAtMs: number) => {
    const by = taken.get(id);
    if (by === undefined) taken.set(id, [operator]);
    else by.push(operator);
    kernel.note("operator", `${operator} takes ${id}`);
    onTaken({ id, operator, submits: submitsOf(operator, parts), submittedAtMs });
  };
  const submit = (
    of: Process,
    operator: string,
    message: LaneRecord,
    done: (answer: Answer) => void,
    onReport: OnReportOf,
  ) => {
    const { id, guaranteedByMs } = message;
    hold(
      guaranteedByMs === null || kernel.wallMs(of) + SUBMIT_TIMEOUT_MS <= guaranteedByMs,
      "no express submit starts that may be answered after its promise",
      () => `${id} was submitted ${kernel.wallMs(of) - Number(guaranteedByMs)} ms before its promise`,
    );
    const answer = (delayMs: number, a: Answer) => void kernel.after(delayMs, of, () => done(a));
    const away = random.between(0.2, 8);
    const back = random.chance(faults.slow) ? random.between(100, 1_900) : random.between(0.2, 20);
    const silence = (later: CertainAnswer, first: string[] = []) => {
      const isBegun = first.length > 1 && random.chance(0.5);
      const ids = { operatorMessageIds: first.map((each, part) => (part === 0 ? each : "")) };
      answer(
        SUBMIT_TIMEOUT_MS,
        isBegun ? { kind: "lost", reason: FIRST_TAKEN, ...ids } : { kind: "lost", reason: "timed out" },
      );
      if (!random.chance(faults.late)) return;
      const lateMs = SUBMIT_TIMEOUT_MS + random.between(1, random.pick([200, LATE_ANSWER_MAX_MS]));
      kernel.after(lateMs, of, () => {
        if (later.kind === "accepted") answeredAtMs.set(`${operator} ${id}`, kernel.wallMs(of));
        onReport(operator, message, later);
      });
    };
    const ids = idsOf(operator, message);
    const taking: CertainAnswer = { kind: "accepted", operatorMessageIds: ids };
    if (random.chance(faults.notConnected))
      return answer(away, { kind: "not-connected", reason: "ECONNREFUSED" });
    if (random.chance(faults.lostBefore))
      return silence({ kind: "refused", permanent: random.chance(0.5), reason: "503 busy" });
    if (kernel.nowMs() < busyUntilMs || random.chance(faults.refusedForNow))
      return answer(away + back, { kind: "refused", permanent: false, reason: "503 busy" });
    if (random.chance(faults.refusedForGood))
      return answer(away + back, { kind: "refused", permanent: true, reason: "400 number_refused" });
    const submittedAtMs = kernel.wallMs(null);
    kernel.after(away, null, () => take(operator, message, submittedAtMs));
    // Which parts of express were taken in time is only known when all are.
    if (random.chance(faults.takenSilently)) return silence(taking, message.lane === "normal" ? ids : []);
    return void kernel.after(away + back, of, () => {
      answeredAtMs.set(`${operator} ${id}`, kernel.wallMs(of));
      done(taking);
    });
  };
  return {
    specs,
    taken,
    answeredAtMs,
    busy(forMs) {
      busyUntilMs = Math.max(busyUntilMs, kernel.nowMs() + forMs);
    },
    connectorOf: (of, operator, onReport) => ({
      submit: (message, done) => submit(of, operator, message, done, onReport),
      close: () => Promise.resolve(),
    }),
  };
}

/** B takes each part of a message in a submit of its own, as over SMPP. */
const submitsOf = (operator: string, parts: number): number => (operator === "B" ? parts : 1);
const idsOf = (operator: string, { id, parts }: LaneRecord): string[] =>
  Array.from({ length: submitsOf(operator, parts) }, (_, part) => `${operator}-${id}-${part}`);
