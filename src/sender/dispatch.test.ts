import { expect, test } from "bun:test";
import type { LaneRecord } from "../core/lane-record.ts";
import type { Answer, OperatorTerms } from "../operators/connectors/connector.ts";
import { createDispatch } from "./dispatch.ts";
import type { Outcome } from "./outcome.ts";

const INFINITE = Number.POSITIVE_INFINITY;
const accepted: Answer = { kind: "accepted", operatorMessageIds: ["x"] };
const busy: Answer = { kind: "refused", permanent: false, reason: "503 busy" };
const never: Answer = { kind: "refused", permanent: true, reason: "400 no" };
const away: Answer = { kind: "not-connected", reason: "ECONNREFUSED" };
const lost: Answer = { kind: "lost", reason: "timed out" };

/** Operators A, B, … in order of price, which give these answers at once; `hold` withholds an answer. */
function dispatchTo(answers: (Answer | "hold")[], window = 10) {
  const clock = { ms: 0 };
  const submitted: string[] = [];
  const held: (() => void)[] = [];
  const operators = answers.map(
    (_, index): OperatorTerms => ({
      name: "ABC".charAt(index),
      price: index,
      weight: 1,
      window,
      prefixes: ["+98"],
    }),
  );
  const connectors = answers.map((answer, index) => ({
    submit({ id }: LaneRecord, done: (answer: Answer) => void) {
      submitted.push(`${"ABC".charAt(index)}${id}`);
      if (answer === "hold") held.push(() => done(accepted));
      else done(answer);
    },
    close: async () => undefined,
  }));
  const dispatch = createDispatch({
    operators,
    connectors,
    monotonicMs: () => clock.ms,
    wallMs: () => 5,
    random: () => 0,
  });
  const outcomes = new Map<number, Outcome>();
  const run = (
    count: number,
    allowance = answers.map(() => INFINITE),
    { deadlineMs = 100, phone = "+989121234567" } = {},
  ) => {
    const messages = Array.from({ length: count }, (_, i) => ({ id: String(i), phone }) as LaneRecord);
    return dispatch({ messages, allowance, deadlineMs }, (index, outcome) => outcomes.set(index, outcome));
  };
  return { run, outcomes, submitted, held, clock };
}

test("a refusal or a failed connection leads to the next operator", async () => {
  const { run, outcomes, submitted } = dispatchTo([busy, away, accepted]);
  const tally = await run(1);
  expect(submitted).toEqual(["A0", "B0", "C0"]);
  expect(outcomes.get(0)).toEqual({ kind: "accepted", operator: "C", operatorMessageIds: ["x"], atMs: 5 });
  expect(tally).toEqual([
    { good: 1, bad: 0 },
    { good: 0, bad: 1 },
    { good: 1, bad: 0 },
  ]);
});

test("a lost answer is unknown, and the message goes to no other operator", async () => {
  const { run, outcomes, submitted } = dispatchTo([lost, accepted]);
  await run(1);
  expect(submitted).toEqual(["A0"]);
  expect(outcomes.get(0)).toMatchObject({ kind: "unknown", operator: "A" });
});

test("refused for good means by every operator; one that was away or busy might have accepted it", async () => {
  for (const [answers, permanent] of [
    [[never, never, never], true],
    [[never, busy, never], false],
    [[away, never, never], false],
  ] as const) {
    const { run, outcomes } = dispatchTo([...answers]);
    await run(1);
    expect(outcomes.get(0)).toMatchObject({ kind: "refused", permanent });
  }
  const { run, outcomes } = dispatchTo([never, accepted, never]);
  await run(1, [INFINITE, 0, INFINITE]);
  expect(outcomes.get(0)).toMatchObject({ kind: "refused", permanent: false });
});

test("a full window leads to the next operator, and a message without room waits for an answer", async () => {
  const { run, outcomes, submitted, held } = dispatchTo(["hold", "hold"], 1);
  const done = run(3);
  expect(submitted).toEqual(["A0", "B1"]);
  held.shift()?.();
  expect(submitted).toEqual(["A0", "B1", "A2"]);
  for (const answer of held) answer();
  await done;
  expect(outcomes.size).toBe(3);
});

test("nothing is submitted after the deadline", async () => {
  const { run, outcomes, submitted, held, clock } = dispatchTo(["hold"], 1);
  const done = run(2);
  clock.ms = 101;
  held.shift()?.();
  await done;
  expect(submitted).toEqual(["A0"]);
  expect(outcomes.get(1)).toMatchObject({
    kind: "refused",
    permanent: false,
    reason: "not submitted in time",
  });
});

test("an allowance of one is one submit, and with none a message is refused for now", async () => {
  const { run, outcomes, submitted } = dispatchTo([accepted]);
  await run(2, [1]);
  expect(submitted).toEqual(["A0"]);
  expect(outcomes.get(1)).toEqual({ kind: "refused", permanent: false, reason: "no operator available" });
});

test("a number that no operator serves is refused for good, and submitted to none", async () => {
  const { run, outcomes, submitted } = dispatchTo([accepted]);
  await run(1, [INFINITE], { phone: "+14155552671" });
  expect(submitted).toEqual([]);
  expect(outcomes.get(0)).toEqual({
    kind: "refused",
    permanent: true,
    reason: "no operator takes this number",
  });
});
