import { expect, test } from "bun:test";
import { MESSAGE_ATTEMPTS_MAX, VALID_FOR_MS } from "../core/limits.ts";
import { canMove, settlementOf } from "../core/message.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import type { Change } from "../ledger/move.ts";
import { afterUnknown, chargeOfChange } from "../ledger/settle-plan.ts";
import { DEFAULT_TERMS, type ReportTerms } from "../operators/reports/report.ts";
import { afterLost, changeOf as changeAt, type Outcome, outcomeOf, withReported } from "./outcome.ts";

const NOW_MS = 1_000;
const record = (fields: Partial<LaneRecord> = {}) => {
  const times = { createdAtMs: 0, guaranteedByMs: null, validUntilMs: null };
  return { id: "m", lane: "normal", attempt: 0, ...times, ...fields } as LaneRecord;
};
const changeOf = (of: LaneRecord, outcome: Outcome) => changeAt(of, outcome, { nowMs: NOW_MS, jitter: 1 });
const accepted = {
  kind: "accepted",
  operator: "A",
  operatorMessageIds: ["a1"],
  atMs: 1_000,
} as const satisfies Outcome;
const refused = (permanent: boolean): Outcome => ({ kind: "refused", permanent, reason: "A: 503 busy" });
const unknown = { kind: "unknown", operator: "B", reason: "B: timed out" } as const satisfies Outcome;
const expired: Outcome = { kind: "expired", reason: "not sent in time" };

/** What a change is, and what it does with the money. */
const costed = (change: Change | null) =>
  change === null ? null : { ...change, money: chargeOfChange(change) };

test("accepted is captured; accepted after guaranteed_by is refunded", () => {
  expect(costed(changeOf(record(), accepted))).toMatchObject({ to: "sent", money: "capture", operator: "A" });
  expect(costed(changeOf(record({ guaranteedByMs: 1_000 }), accepted))).toMatchObject({
    to: "sent",
    money: "capture",
  });
  expect(costed(changeOf(record({ guaranteedByMs: 999 }), accepted))).toMatchObject({
    to: "sent",
    money: "refund",
  });
});

test("a change has the record, its move from sending, and who accepted it or why nobody did", () => {
  const of = record({ guaranteedByMs: 999 });
  expect(costed(changeOf(of, accepted))).toEqual({
    record: of,
    from: "sending",
    to: "sent",
    takenAtMs: 1_000,
    money: "refund",
    operator: "A",
    operatorMessageIds: ["a1"],
    reason: "taken after guaranteed_by",
  });
  expect(changeOf(record(), accepted).reason).toBeNull();
  expect(costed(changeOf(of, refused(true)))).toEqual({
    record: of,
    from: "sending",
    to: "failed",
    takenAtMs: null,
    money: "refund",
    operator: null,
    operatorMessageIds: [],
    reason: "A: 503 busy",
  });
  expect(costed(changeOf(of, unknown))).toMatchObject({ from: "sending", operatorMessageIds: [] });
});

test("every outcome at every attempt is a move of the machine, with the money that its status asks for", () => {
  for (const outcome of [accepted, refused(true), refused(false), unknown, expired]) {
    for (let attempt = 0; attempt < MESSAGE_ATTEMPTS_MAX; attempt++) {
      const change = changeOf(record({ attempt }), outcome);
      expect(canMove(change.from, change.to)).toBe(true);
      expect(chargeOfChange(change)).toBe(settlementOf(change.to));
    }
  }
});

test("refused for now is queued again until its time is over, then it expires; refused for good fails at once", () => {
  const waits = { to: "queued", money: null };
  expect(costed(changeOf(record(), refused(false)))).toMatchObject({ ...waits, retryInMs: 1_000 });
  expect(costed(changeOf(record({ attempt: 3 }), refused(false)))).toMatchObject({ retryInMs: 8_000 });
  const isOver = { to: "expired", money: "refund", reason: "A: 503 busy" };
  for (const of of [
    record({ validUntilMs: NOW_MS + 500 }),
    record({ createdAtMs: NOW_MS - VALID_FOR_MS }),
    record({ lane: "express", guaranteedByMs: NOW_MS + 200 }),
  ]) {
    expect(costed(changeOf(of, refused(false)))).toMatchObject(isOver);
    expect(costed(changeOf(of, refused(true)))).toMatchObject({ to: "failed", money: "refund" });
  }
  expect(costed(changeOf(record(), refused(true)))).toMatchObject({ to: "failed", money: "refund" });
  const last = record({ attempt: MESSAGE_ATTEMPTS_MAX - 1 });
  expect(costed(changeOf(last, refused(false)))).toMatchObject({ to: "failed", money: "refund" });
});

test("a message whose time was over before an operator was asked expires and is refunded", () => {
  expect(costed(changeOf(record(), expired))).toMatchObject({
    to: "expired",
    money: "refund",
    operator: null,
    reason: "not sent in time",
  });
});

test("express that can't be submitted in time any more is expired and refunded", () => {
  expect(costed(changeOf(record({ guaranteedByMs: 1 }), expired))).toMatchObject({
    to: "expired",
    money: "refund",
    takenAtMs: null,
  });
});

test("a lost answer is unknown and moves no money", () => {
  expect(costed(changeOf(record(), unknown))).toMatchObject({ to: "unknown", money: null, operator: "B" });
});

test("the submits that were taken before another one's answer was lost are kept, and only those", () => {
  const terms = (fields: Partial<ReportTerms> = {}): ReportTerms => ({
    ...DEFAULT_TERMS,
    shape: "smpp",
    ...fields,
  });
  const ids = ["Id-1", "", "Id-3"];
  const answer = { kind: "lost", reason: "part 2: timed out", operatorMessageIds: ids } as const;
  const outcome = outcomeOf("B", answer, 1);
  expect(outcome).toMatchObject({ kind: "unknown", operatorMessageIds: ids });
  const change = changeOf(
    record(),
    withReported(outcome, () => terms()),
  );
  expect(change).toMatchObject({ to: "unknown", operatorMessageIds: ids });
  expect(change.reported).toEqual([
    { idKey: "id-1", operatorMessageId: "Id-1" },
    { idKey: "", operatorMessageId: "" },
    { idKey: "id-3", operatorMessageId: "Id-3" },
  ]);
  const only = (receiptParts: "first" | "last", operatorMessageIds: string[]) => {
    const lost = withReported({ ...outcome, operatorMessageIds } as Outcome, () => terms({ receiptParts }));
    return changeOf(record(), lost).reported?.map(({ idKey }) => idKey);
  };
  // What is reported comes first, as in an accepted message; the others count.
  expect(only("first", ids)).toEqual(["id-1", "", ""]);
  expect(only("last", ids)).toEqual(["id-3", "", ""]);
  expect(only("first", ["a", "b"])).toEqual(["a"]);
  expect(withReported(outcome, () => terms({ echoesId: true }))).toEqual(outcome);
  expect(withReported(unknown, () => terms())).toEqual(unknown);
  expect(changeOf(record(), unknown)).not.toHaveProperty("reported");
});

test("a message submitted again after a lost answer is taken, or as unknown as before, or so at two operators", () => {
  const first = { ...unknown, operator: "A", reason: "A: timed out" } as const;
  expect(afterLost(first, { ...accepted, operator: "B" })).toMatchObject({ operator: "B", lostAt: ["A"] });
  for (const again of [refused(true), refused(false), expired])
    expect(afterLost(first, again)).toEqual(first);
  const both = afterLost(first, unknown);
  expect(both).toEqual({
    kind: "unknown",
    operator: null,
    reason: "A: timed out; B: timed out",
    lostAt: ["A", "B"],
  });
  expect(costed(changeOf(record(), both))).toMatchObject({ operator: null, money: null, lostAt: ["A", "B"] });
  expect(afterLost(first, { ...unknown, operator: null })).toMatchObject({ lostAt: ["A"] });
});

test("a late outcome settles an unknown message, which never goes back to queued", () => {
  expect(costed(afterUnknown(changeOf(record(), accepted)))).toMatchObject({
    from: "unknown",
    to: "sent",
    money: "capture",
  });
  for (const outcome of [refused(false), refused(true), expired])
    expect(costed(afterUnknown(changeOf(record(), outcome)))).toMatchObject({
      from: "unknown",
      to: "failed",
      money: "refund",
    });
  expect(costed(afterUnknown(changeOf(record(), unknown)))).toBeNull();
});

test("an answer becomes an outcome that names its operator; no connection is a refusal for now", () => {
  expect(outcomeOf("A", { kind: "accepted", operatorMessageIds: ["a1"] }, 1_000)).toEqual(accepted);
  expect(outcomeOf("B", { kind: "lost", reason: "timed out" }, 1)).toStrictEqual(unknown);
  for (const permanent of [true, false])
    expect(outcomeOf("A", { kind: "refused", permanent, reason: "503 busy" }, 1)).toEqual(refused(permanent));
  expect(outcomeOf("A", { kind: "not-connected", reason: "ECONNREFUSED" }, 1)).toEqual({
    kind: "refused",
    permanent: false,
    reason: "A: ECONNREFUSED",
  });
});

test("an operator that may report on what it refused is named, whatever becomes of the message", () => {
  const refusal = outcomeOf("A", { kind: "refused", permanent: true, reason: "0x45", mayReport: true }, 1);
  expect(refusal).toEqual({ kind: "refused", permanent: true, reason: "A: 0x45", lostAt: ["A"] });
  expect(changeOf(record(), refusal)).toMatchObject({ to: "failed", lostAt: ["A"] });
  const forNow = { ...refusal, permanent: false } as Outcome;
  expect(changeOf(record(), forNow)).toMatchObject({ to: "queued", lostAt: ["A"] });
  expect(afterUnknown(changeOf(record(), refusal))).toMatchObject({ to: "failed", lostAt: ["A"] });
});

test("the submits that will be reported by the operator's id are those that its terms name", () => {
  const terms = (fields: Partial<ReportTerms>) =>
    ({ echoesId: false, idForm: "same", ...fields }) as ReportTerms;
  const parts: Outcome = { ...accepted, operatorMessageIds: ["a1", "", "a3"] };
  const reportedOf = (fields: Partial<ReportTerms>) => {
    const outcome = withReported(parts, (operator) => (operator === "A" ? terms(fields) : undefined));
    expect(outcome).toMatchObject(parts);
    return "reported" in outcome ? outcome.reported : "none";
  };
  const of = (...ids: string[]) => ids.map((id) => ({ idKey: id, operatorMessageId: id }));
  expect(reportedOf({})).toEqual(of("a1", "", "a3"));
  expect(reportedOf({ receiptParts: "each" })).toEqual(of("a1", "", "a3"));
  expect(reportedOf({ receiptParts: "first" })).toEqual(of("a1"));
  expect(reportedOf({ receiptParts: "last" })).toEqual(of("a3"));
  expect(reportedOf({ echoesId: true })).toBe("none");
});

test("an operator without reports gets no submits, and nobody is asked about what was not accepted", () => {
  for (const none of [null, undefined]) expect(withReported(accepted, () => none)).toBe(accepted);
  const ofTwo = { ...unknown, operator: null, operatorMessageIds: ["b1"] } as const satisfies Outcome;
  for (const outcome of [refused(true), unknown, ofTwo]) {
    const asked = () => {
      throw new Error("no terms are needed");
    };
    expect(withReported(outcome, asked)).toBe(outcome);
  }
});

test("a change has its reported submits, and no such field without them", () => {
  const reported = [{ idKey: "a1", operatorMessageId: "a1" }];
  const outcome: Outcome = { ...accepted, reported };
  expect(changeOf(record(), outcome).reported).toEqual(reported);
  expect("reported" in changeOf(record(), accepted)).toBe(false);
});
