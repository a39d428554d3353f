// A dispatch of the sender with lines to scripted operators, on clocks that a test sets, for tests of it.

import type { LaneRecord } from "../../src/core/lane-record.ts";
import type { Answer } from "../../src/operators/connectors/connector.ts";
import { createRouter } from "../../src/operators/route.ts";
import type { OperatorTerms } from "../../src/operators/terms.ts";
import { createDispatch, createLine } from "../../src/sender/dispatch.ts";
import type { Outcome } from "../../src/sender/outcome.ts";
import { operatorTerms } from "./operator-terms.ts";

export const accepted: Answer = { kind: "accepted", operatorMessageIds: ["x"] };
export const busy: Answer = { kind: "refused", permanent: false, reason: "503 busy" };
export const never: Answer = { kind: "refused", permanent: true, reason: "400 no" };
export const away: Answer = { kind: "not-connected", reason: "ECONNREFUSED" };
export const lost: Answer = { kind: "lost", reason: "timed out" };

/** After all that is tested here. */
export const FAR_MS = 10_000_000;

/** `of`: fields of each message; the others are those of all. */
export type Options = {
  deadlineMs?: number;
  phones?: string[];
  of?: Partial<LaneRecord>[];
} & Partial<LaneRecord>;

/**
 * Operators A, B, … in order of price, which give these answers at once, or when `tookMs` have passed;
 * `hold` withholds an answer.
 */
export function dispatchTo(answers: (Answer | "hold")[], terms: Partial<OperatorTerms> = {}, tookMs = 0) {
  const clock = { ms: 0, wallMs: 5 };
  const submitted: string[] = [];
  const texts: string[] = [];
  const held: (() => void)[] = [];
  const operators = answers.map((_, index) =>
    operatorTerms({ name: "ABC".charAt(index), price: index, window: 10, prefixes: ["+98"], ...terms }),
  );
  const lines = operators.map((operator, index) => {
    const submit = ({ id, text }: LaneRecord, done: (answer: Answer) => void) => {
      const answer = answers[index] as Answer | "hold";
      texts.push(text);
      submitted.push(`${operator.name}${id}`);
      if (answer === "hold") held.push(() => done(accepted));
      else {
        clock.wallMs += tookMs;
        done(answer);
      }
    };
    return createLine(operator, { submit, close: async () => undefined }, () => clock.ms);
  });
  const clocks = { monotonicMs: () => clock.ms, wallMs: () => clock.wallMs };
  const codeOf = ({ sealedCode }: LaneRecord) => (sealedCode === "sealed" ? "4711" : null);
  const dispatch = createDispatch({ ...clocks, random: () => 0, codeOf });
  dispatch.use(lines, createRouter(operators, []));
  const outcomes = new Map<number, Outcome>();
  const run = (
    count: number,
    allowance: Record<string, number> = {},
    {
      deadlineMs = 100,
      phone = "+989121234567",
      phones = [] as string[],
      of = [] as Partial<LaneRecord>[],
      ...fields
    }: Options = {},
  ) => {
    const messages = Array.from({ length: count }, (_, i) => {
      const record = { id: String(i), phone: phones[i] ?? phone, lane: "normal", parts: 1, customerId: 1 };
      return { ...record, guaranteedByMs: null, validUntilMs: FAR_MS, ...fields, ...of[i] } as LaneRecord;
    });
    const batch = { messages, allowance: new Map(Object.entries(allowance)), deadlineMs };
    return dispatch
      .submit(batch, (index, outcome) => outcomes.set(index, outcome))
      .then((tallies) => Object.fromEntries(tallies));
  };
  return { run, outcomes, submitted, texts, held, clock, dispatch, operators, lines };
}
