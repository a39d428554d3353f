import { describe, expect, test } from "bun:test";
import {
  accepted,
  away,
  busy,
  dispatchTo,
  FAR_MS,
  lost,
  never,
  type Options,
} from "../../test/support/dispatch.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { DRAIN_SUBMITS_MS, SUBMIT_TIMEOUT_MS } from "../core/limits.ts";
import type { Answer } from "../operators/connectors/connector.ts";
import { createRouter } from "../operators/route.ts";
import type { OperatorTerms } from "../operators/terms.ts";
import { operatorTerms } from "../../test/support/operator-terms.ts";
import { sleep } from "../platform/retry.ts";
import { createLine, type Line } from "./dispatch.ts";

test("every operator that is asked gets the text with its code, and what it says is passed on without", async () => {
  const echo: Answer = { kind: "refused", permanent: false, reason: "503 code 4711" };
  const { run, outcomes, texts } = dispatchTo([echo, accepted]);
  await run(1, {}, { text: "code {code}", sealedCode: "sealed" });
  expect(texts).toEqual(["code 4711", "code 4711"]);
  expect(outcomes.get(0)).toMatchObject({ kind: "accepted", refusals: [{ error: "503 code {code}" }] });
});

test("a message whose code can't be opened is not submitted, and refused for now only", async () => {
  const { run, outcomes, submitted } = dispatchTo([accepted]);
  await run(1, {}, { text: "code {code}", sealedCode: "by others" });
  expect(submitted).toEqual([]);
  const reason = "its code can't be opened here";
  expect(outcomes.get(0)).toEqual({ kind: "refused", permanent: false, reason });
});

test("a refusal or a failed connection leads to the next operator", async () => {
  const { run, outcomes, submitted } = dispatchTo([busy, away, accepted]);
  const tally = await run(1);
  expect(submitted).toEqual(["A0", "B0", "C0"]);
  expect(outcomes.get(0)).toEqual({
    kind: "accepted",
    operator: "C",
    operatorMessageIds: ["x"],
    atMs: 5,
    refusals: [
      { operator: "A", error: "503 busy", atMs: 5 },
      { operator: "B", error: "ECONNREFUSED", atMs: 5 },
    ],
  });
  expect(tally).toEqual({ A: { good: 1, bad: 0 }, B: { good: 0, bad: 1 }, C: { good: 1, bad: 0 } });
});

test("of a message that its first operator takes nothing is said about refusals; of one that none takes all are named", async () => {
  const taken = dispatchTo([accepted, busy]);
  await taken.run(1);
  expect(taken.outcomes.get(0)).not.toHaveProperty("refusals");
  const refused = dispatchTo([busy, never]);
  await refused.run(1);
  expect(refused.outcomes.get(0)).toMatchObject({
    kind: "refused",
    reason: "B: 400 no",
    refusals: [{ operator: "A" }, { operator: "B", error: "400 no" }],
  });
});

test("operators that may report on what they refused are named in every outcome", async () => {
  const mayReport: Answer = { kind: "refused", permanent: false, reason: "0x45", mayReport: true };
  for (const [answers, kind] of [
    [[mayReport, busy, accepted], "accepted"],
    [[mayReport, lost], "unknown"],
    [[mayReport, busy], "refused"],
  ] as const) {
    const { run, outcomes } = dispatchTo([...answers]);
    await run(1);
    expect(outcomes.get(0)).toMatchObject({ kind, lostAt: ["A"] });
  }
  const again = dispatchTo([mayReport, lost, accepted]);
  await again.run(1, {}, { lane: "express", guaranteedByMs: FAR_MS, mayResend: true });
  expect(again.outcomes.get(0)).toMatchObject({ kind: "accepted", operator: "C", lostAt: ["B", "A"] });
  const refused = dispatchTo([busy, accepted]);
  await refused.run(1);
  expect(refused.outcomes.get(0)).not.toHaveProperty("lostAt");
});

test("a lost answer is unknown, and the message goes to no other operator", async () => {
  const { run, outcomes, submitted } = dispatchTo([lost, accepted]);
  await run(1);
  expect(submitted).toEqual(["A0"]);
  expect(outcomes.get(0)).toMatchObject({ kind: "unknown", operator: "A" });
});

describe("express whose customer wants to have it sent again", () => {
  const express = { lane: "express", mayResend: true, guaranteedByMs: 5 + SUBMIT_TIMEOUT_MS } as const;
  const run = async (answers: Answer[], fields: Options = express, tookMs = 0) => {
    const of = dispatchTo(answers, {}, tookMs);
    await of.run(1, {}, fields);
    return { outcome: of.outcomes.get(0), submitted: of.submitted };
  };

  test("goes to another operator when its answer is lost, and is taken if that one takes it", async () => {
    const { outcome, submitted } = await run([lost, accepted]);
    expect(submitted).toEqual(["A0", "B0"]);
    expect(outcome).toMatchObject({
      kind: "accepted",
      operator: "B",
      refusals: [{ operator: "A", error: "timed out" }],
    });
  });

  test("is unknown at the first operator if no other one has it, and at either if both answers are lost", async () => {
    expect((await run([lost, busy, away])).outcome).toMatchObject({ kind: "unknown", operator: "A" });
    expect((await run([lost])).outcome).toMatchObject({ kind: "unknown", operator: "A" });
    const both = await run([lost, lost, accepted]);
    expect(both.submitted).toEqual(["A0", "B0"]);
    expect(both.outcome).toMatchObject({ kind: "unknown", operator: null });
  });

  test("is not sent again if the answer could come after its promise, or if its customer didn't ask for it", async () => {
    const unasked = { lane: "express", guaranteedByMs: express.guaranteedByMs } as const;
    for (const { outcome, submitted } of [
      await run([lost, accepted], express, 1),
      await run([lost, accepted], unasked),
    ]) {
      expect(submitted).toEqual(["A0"]);
      expect(outcome).toMatchObject({ kind: "unknown", operator: "A" });
    }
  });
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
  await run(1, { B: 0 });
  expect(outcomes.get(0)).toMatchObject({ kind: "refused", permanent: false });
});

test("a full window leads to the next operator, and a message without room waits for an answer", async () => {
  const { run, outcomes, submitted, held } = dispatchTo(["hold", "hold"], { window: 1 });
  const done = run(3);
  expect(submitted).toEqual(["A0", "B1"]);
  held.shift()?.();
  expect(submitted).toEqual(["A0", "B1", "A2"]);
  for (const answer of held) answer();
  await done;
  expect(outcomes.size).toBe(3);
});

test("nothing is submitted once its validity is over: it expires, whatever is free", async () => {
  const { run, outcomes, submitted } = dispatchTo([accepted, accepted]);
  await run(1, {}, { validUntilMs: 5 });
  expect(submitted).toEqual([]);
  expect(outcomes.get(0)).toEqual({ kind: "expired", reason: "not sent while it was valid" });
});

test("nothing is submitted after the deadline", async () => {
  const { run, outcomes, submitted, held, clock } = dispatchTo(["hold"], { window: 1 });
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

test("of a sender that stops, what has room soon is submitted, what waits is refused for now, and answers count", async () => {
  const { run, outcomes, submitted, held, clock, dispatch } = dispatchTo(["hold"], { window: 2 });
  const done = run(5, {}, { deadlineMs: FAR_MS });
  dispatch.drain();
  clock.ms += DRAIN_SUBMITS_MS;
  held.shift()?.();
  expect(submitted).toEqual(["A0", "A1", "A2"]);
  clock.ms++;
  await sleep(1_000); // no answer comes, only the sweep
  const stopped = { kind: "refused", permanent: false, reason: "the sender stops" } as const;
  expect([outcomes.size, outcomes.get(3), outcomes.get(4)]).toEqual([3, stopped, stopped]);
  for (const answer of held) answer();
  await done;
  expect(outcomes.get(2)).toMatchObject({ kind: "accepted", operator: "A" });
  await run(1, {}, { deadlineMs: FAR_MS }); // it was being claimed meanwhile
  expect([outcomes.get(0), submitted]).toEqual([stopped, ["A0", "A1", "A2"]]);
});

test("a message of parts that an operator gets one by one is not begun if its last one would be late", async () => {
  const { run, outcomes, submitted, lines, operators, dispatch } = dispatchTo([accepted, accepted]);
  const [first, second] = lines as [Line, Line];
  first.connector.spanMs = (parts) => (parts - 1) * 50;
  await run(3, {}, { of: [{ parts: 3 }, { parts: 4 }, { parts: 4, guaranteedByMs: 10_000 }] });
  expect(submitted).toEqual(["A0", "B1", "B2"]);
  second.connector.spanMs = first.connector.spanMs;
  dispatch.use(lines, createRouter(operators, []));
  await run(1, {}, { parts: 4 });
  const reason = "its parts would not be sent in time at an operator's rate";
  expect(outcomes.get(0)).toEqual({ kind: "refused", permanent: false, reason });
  const lastMs = 5 + SUBMIT_TIMEOUT_MS + 100;
  await run(2, {}, { parts: 3, of: [{ guaranteedByMs: lastMs }, { guaranteedByMs: lastMs - 1 }] });
  expect(submitted.slice(3)).toEqual(["A0"]);
  expect(outcomes.get(1)).toEqual({ kind: "refused", permanent: false, reason });
});

test("an allowance of one is one submit, and with none a message is refused for now", async () => {
  const { run, outcomes, submitted } = dispatchTo([accepted]);
  await run(2, { A: 1 });
  expect(submitted).toEqual(["A0"]);
  expect(outcomes.get(1)).toEqual({ kind: "refused", permanent: false, reason: "no operator available" });
});

test("a number that no operator serves is refused for good, and submitted to none", async () => {
  const { run, outcomes, submitted } = dispatchTo([accepted]);
  await run(1, {}, { phone: "+14155552671" });
  expect(submitted).toEqual([]);
  expect(outcomes.get(0)).toEqual({
    kind: "refused",
    permanent: true,
    reason: "no operator takes this number",
  });
});

test("messages that only a full operator takes don't delay those of another one", async () => {
  const { run, submitted, held, dispatch, lines } = dispatchTo(["hold", "hold"], { window: 1 });
  const [a, b] = ["+9891", "+9892"].map((prefix, at) =>
    operatorTerms({ name: "AB".charAt(at), prefixes: [prefix], window: 1 }),
  ) as [OperatorTerms, OperatorTerms];
  dispatch.use(lines, createRouter([a, b], []));
  const phones = [...Array.from({ length: 6 }, () => "+989121234567"), "+989221234567", "+989221234567"];
  const done = run(8, {}, { phones });
  expect(submitted).toEqual(["A0", "B6"]);
  held[1]?.();
  expect(submitted).toEqual(["A0", "B6", "B7"]);
  held[0]?.();
  expect(submitted).toEqual(["A0", "B6", "B7", "A1"]);
  for (let at = 2; at < held.length; at++) held[at]?.();
  await done;
});

test("a used-up rate leads to the next operator; without another one a message waits for it, not for an answer", async () => {
  const two = dispatchTo([accepted, accepted], { rate: 10 });
  await two.run(2);
  expect(two.submitted).toEqual(["A0", "B1"]);

  const { run, submitted, clock, outcomes } = dispatchTo([accepted], { rate: 50 });
  const done = run(7, {}, { deadlineMs: 1_000 });
  expect(submitted).toHaveLength(5);
  clock.ms = 20;
  await sleep(40);
  expect(submitted).toHaveLength(6);
  clock.ms = 40;
  await done;
  expect(submitted).toHaveLength(7);
  expect([...outcomes.values()].every(({ kind }) => kind === "accepted")).toBe(true);
});

test("a message that waits is routed anew when the operators change, but never to one that refused it", async () => {
  const { run, outcomes, submitted, held, dispatch, lines, operators } = dispatchTo(
    [never, "hold", accepted],
    { window: 1 },
  );
  const [A, B, C] = lines.map((line, at) => ({ line, terms: operators[at] as OperatorTerms }));
  const use = (...of: (typeof A)[]) =>
    dispatch.use(
      of.map((each) => each?.line as NonNullable<typeof each>["line"]),
      createRouter(
        of.map((each) => each?.terms as OperatorTerms),
        [],
      ),
    );
  use(A, B);
  const done = run(2);
  expect(submitted).toEqual(["A0", "B0", "A1"]);
  use(A, C);
  expect(submitted).toEqual(["A0", "B0", "A1", "C1"]);
  held[0]?.();
  await done;
  expect(outcomes.get(0)).toMatchObject({ kind: "accepted", operator: "B" });
  expect(outcomes.get(1)).toMatchObject({ kind: "accepted", operator: "C" });
});

test("a message that waits for an operator that is gone goes to another one; one under way gets its answer", async () => {
  const { run, outcomes, held, dispatch } = dispatchTo(["hold"], { window: 1 });
  const other = operatorTerms({ name: "D", prefixes: ["+98"] });
  const line = createLine(other, { submit: (_, done) => done(busy), close: async () => undefined }, () => 0);
  const done = run(2);
  dispatch.use([line], createRouter([other], []));
  held[0]?.();
  expect(await done).toEqual({ A: { good: 1, bad: 0 }, D: { good: 1, bad: 0 } });
  expect(outcomes.get(0)).toMatchObject({ kind: "accepted", operator: "A" });
  expect(outcomes.get(1)).toMatchObject({ kind: "refused", permanent: false, reason: "D: 503 busy" });
});

test("a message of a split waits a second for the operator it falls to, then another one may take it; if that one refuses, at once", async () => {
  const { run, submitted, held, dispatch, lines, operators, clock } = dispatchTo(["hold", busy, accepted], {
    window: 1,
  });
  const shares = [
    { operator: "A", weight: 50 },
    { operator: "B", weight: 50 },
  ];
  const tiers = [shares, [{ operator: "C", weight: 1 }]];
  dispatch.use(lines, createRouter(operators, [{ name: "r", prefixes: ["+98"], lanes: ["normal"], tiers }]));
  // `random` always lets a message fall to A.
  const done = run(2, {}, { deadlineMs: 10_000 });
  expect(submitted).toEqual(["A0"]);
  held[0]?.();
  expect(submitted).toEqual(["A0", "A1"]);
  const more = run(1, {}, { deadlineMs: 10_000 });
  await sleep(20);
  expect(submitted).toEqual(["A0", "A1"]);
  clock.ms = 1_000;
  await sleep(1_020);
  expect(submitted).toEqual(["A0", "A1", "B0", "C0"]);
  held[1]?.();
  await Promise.all([done, more]);
});

test("customers take turns for the room of a full operator: one with a message passes one with a thousand", async () => {
  const { run, submitted, held } = dispatchTo(["hold"], { window: 1 });
  const of = Array.from({ length: 1_001 }, (_, n) => ({ customerId: n < 1_000 ? 1 : 2 }));
  const done = run(1_001, {}, { of });
  for (let n = 0; n < 20; n++) held[n]?.();
  expect(submitted).toContain("A1000");
  for (let n = 20; n < 1_001; n++) held[n]?.();
  await done;
  expect(submitted).toHaveLength(1_001);
});

test("an express message is not submitted when its answer may come after its guaranteed_by: it expires", async () => {
  const promised = 100_000;
  const { run, outcomes, submitted, clock } = dispatchTo([accepted]);
  const express: Partial<LaneRecord> = { lane: "express", guaranteedByMs: promised };
  clock.wallMs = promised - SUBMIT_TIMEOUT_MS;
  await run(1, {}, { of: [express] });
  expect(outcomes.get(0)).toMatchObject({ kind: "accepted" });
  clock.wallMs++;
  await run(1, {}, { of: [express] });
  expect(outcomes.get(0)).toEqual({ kind: "expired", reason: "guaranteed_by could not be kept" });
  expect(submitted).toHaveLength(1);
});

test("an express message that waits for room, or was refused, expires when its last moment is over", async () => {
  const { run, outcomes, submitted, held, clock } = dispatchTo(["hold"], { window: 1 });
  const express: Partial<LaneRecord> = { lane: "express", guaranteedByMs: 10_000 };
  const done = run(2, {}, { of: [express, express] });
  clock.wallMs = 9_000;
  held.shift()?.();
  await done;
  expect(submitted).toEqual(["A0"]);
  expect(outcomes.get(0)).toMatchObject({ kind: "accepted" });
  expect(outcomes.get(1)).toMatchObject({ kind: "expired" });
});
