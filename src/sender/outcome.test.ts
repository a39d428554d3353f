import { expect, test } from "bun:test";
import { MESSAGE_ATTEMPTS_MAX, RETRY_DELAY_MAX_MS } from "../core/limits.ts";
import { canMove, settlementOf } from "../core/message.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import type { Change } from "../ledger/move.ts";
import { afterUnknown, chargeOfChange } from "../ledger/settle-plan.ts";
import type { ReportTerms } from "../operators/reports/report.ts";
import { changeOf, type Outcome, outcomeOf, retryDelayMs, withReported } from "./outcome.ts";

const record = (fields: Partial<LaneRecord> = {}) =>
  ({ id: "m", lane: "normal", attempt: 0, guaranteedByMs: null, ...fields }) as LaneRecord;
const accepted: Outcome = { kind: "accepted", operator: "A", operatorMessageIds: ["a1"], atMs: 1_000 };
const refused = (permanent: boolean): Outcome => ({ kind: "refused", permanent, reason: "A: 503 busy" });
const unknown: Outcome = { kind: "unknown", operator: "B", reason: "B: timed out" };

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
  for (const outcome of [accepted, refused(true), refused(false), unknown]) {
    for (let attempt = 0; attempt < MESSAGE_ATTEMPTS_MAX; attempt++) {
      const change = changeOf(record({ attempt }), outcome);
      expect(canMove(change.from, change.to)).toBe(true);
      expect(chargeOfChange(change)).toBe(settlementOf(change.to));
    }
  }
});

test("refused for now is queued again while attempts are left; refused for good ends at once", () => {
  expect(costed(changeOf(record(), refused(false)))).toMatchObject({ to: "queued", money: null });
  const last = record({ attempt: MESSAGE_ATTEMPTS_MAX - 1 });
  expect(costed(changeOf(last, refused(false)))).toMatchObject({ to: "failed", money: "refund" });
  expect(costed(changeOf(record(), refused(true)))).toMatchObject({ to: "failed", money: "refund" });
});

test("a lost answer is unknown and moves no money", () => {
  expect(costed(changeOf(record(), unknown))).toMatchObject({ to: "unknown", money: null, operator: "B" });
});

test("a late outcome settles an unknown message, which never goes back to queued", () => {
  expect(costed(afterUnknown(changeOf(record(), accepted)))).toMatchObject({
    from: "unknown",
    to: "sent",
    money: "capture",
  });
  expect(costed(afterUnknown(changeOf(record(), refused(false))))).toMatchObject({
    from: "unknown",
    to: "failed",
    money: "refund",
  });
  expect(costed(afterUnknown(changeOf(record(), unknown)))).toBeNull();
});

test("retries wait longer each time, less in the express lane, and never longer than the sweep allows for", () => {
  const delays = (lane: LaneRecord["lane"]) =>
    [0, 1, 2, 3, 4, 9].map((attempt) => retryDelayMs(lane, attempt));
  expect(delays("normal")).toEqual([1_000, 4_000, 16_000, 60_000, 60_000, 60_000]);
  expect(delays("express")).toEqual([300, 1_000, 3_000, 10_000, 10_000, 10_000]);
  expect(Math.max(...delays("normal"), ...delays("express"))).toBeLessThanOrEqual(RETRY_DELAY_MAX_MS);
});

test("an answer becomes an outcome that names its operator; no connection is a refusal for now", () => {
  expect(outcomeOf("A", { kind: "accepted", operatorMessageIds: ["a1"] }, 1_000)).toEqual(accepted);
  expect(outcomeOf("B", { kind: "lost", reason: "timed out" }, 1)).toEqual(unknown);
  for (const permanent of [true, false])
    expect(outcomeOf("A", { kind: "refused", permanent, reason: "503 busy" }, 1)).toEqual(refused(permanent));
  expect(outcomeOf("A", { kind: "not-connected", reason: "ECONNREFUSED" }, 1)).toEqual({
    kind: "refused",
    permanent: false,
    reason: "A: ECONNREFUSED",
  });
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
  for (const outcome of [refused(true), unknown]) {
    const asked = () => {
      throw new Error("no terms are needed");
    };
    expect(withReported(outcome, asked)).toBe(outcome);
  }
});

test("a change has its reported submits, and no such field without them", () => {
  const reported = [{ idKey: "a1", operatorMessageId: "a1" }];
  const outcome: Outcome = { ...accepted, reported } as Outcome;
  expect(changeOf(record(), outcome).reported).toEqual(reported);
  expect("reported" in changeOf(record(), accepted)).toBe(false);
});
