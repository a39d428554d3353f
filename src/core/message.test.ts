// The status machine and the table of charges, held against product.md.

import { expect, test } from "bun:test";
import {
  canMove,
  FINAL,
  isFinal,
  isLane,
  isStatus,
  LANES,
  lateSequence,
  outcomeSequence,
  queuedSequence,
  STATUSES,
  type Status,
  sendingSequence,
  settlementOf,
} from "./message.ts";

// product.md, "Status of a message", one line a status: what may follow it.
const MACHINE = `
  scheduled → queued failed rejected expired canceled
  queued → sending failed rejected expired
  sending → queued sent delivered undelivered failed expired unknown
  unknown → sent delivered undelivered failed
  sent → delivered undelivered
  delivered →
  undelivered →
  failed →
  rejected →
  expired →
  canceled →`;

test("the machine has these moves and no other", () => {
  const moves = STATUSES.map((from) => {
    const after = STATUSES.filter((to) => canMove(from, to));
    return `${from} → ${after.join(" ")}`.trim();
  });
  const inOrder = (line: string): string => {
    const [from = "", ...after] = line.trim().split(/ →? ?/);
    return `${from} → ${STATUSES.filter((to) => after.includes(to)).join(" ")}`.trim();
  };
  expect(moves.toSorted()).toEqual(MACHINE.trim().split("\n").map(inOrder).toSorted());
  expect(STATUSES).toHaveLength(11);
});

test("what is no status is reached from none", () => {
  for (const from of STATUSES)
    for (const to of ["", "done", "Stryker was here"]) expect(canMove(from, to as Status)).toBe(false);
});

test("nothing follows a final status", () => {
  for (const from of FINAL) for (const to of STATUSES) expect(canMove(from, to)).toBe(false);
});

test("every status that is not final can still end", () => {
  for (const from of STATUSES.filter((status) => !isFinal(status))) {
    expect(
      STATUSES.some((to) => canMove(from, to) && (isFinal(to) || to === "sent" || to === "queued")),
    ).toBe(true);
  }
});

test("the usual way is allowed, and its way back is not", () => {
  const way: Status[] = ["scheduled", "queued", "sending", "sent", "delivered"];
  for (const [i, to] of way.slice(1).entries()) {
    expect(canMove(way[i] as Status, to)).toBe(true);
    if (to !== "sending") expect(canMove(to, way[i] as Status)).toBe(false);
  }
});

test("only sending goes back, and only to queued", () => {
  expect(canMove("sending", "queued")).toBe(true);
  for (const from of ["unknown", "sent", "failed"] as const) expect(canMove(from, "queued")).toBe(false);
});

test("a status never follows itself", () => {
  for (const status of STATUSES) expect(canMove(status, status)).toBe(false);
});

test("unknown may end either way, but is never sent again", () => {
  expect(canMove("unknown", "sent")).toBe(true);
  expect(canMove("unknown", "failed")).toBe(true);
  expect(canMove("unknown", "sending")).toBe(false);
});

test("what an operator took is captured, what ended before is refunded, the rest stays reserved", () => {
  const by = (kind: "capture" | "refund" | null) =>
    STATUSES.filter((status) => settlementOf(status) === kind);
  expect(by("capture")).toEqual(["sent", "delivered", "undelivered"]);
  expect(by("refund")).toEqual(["failed", "rejected", "expired", "canceled"]);
  expect(by(null)).toEqual(["scheduled", "queued", "sending", "unknown"]);
});

test("no move turns a capture into a refund or back", () => {
  for (const from of STATUSES) {
    for (const to of STATUSES) {
      if (!canMove(from, to) || settlementOf(from) === null) continue;
      expect(settlementOf(to)).toBe(settlementOf(from));
    }
  }
});

test("every final status settles the money", () => {
  for (const status of FINAL) expect(settlementOf(status)).not.toBeNull();
});

test("sequences of one attempt rise, and a retry's are higher than all before it", () => {
  for (let attempt = 0; attempt < 10; attempt++) {
    const steps = [queuedSequence, sendingSequence, outcomeSequence, lateSequence].map((of) => of(attempt));
    expect(steps).toEqual([2 * attempt + 1, 2 * attempt + 2, 2 * attempt + 3, 2 * attempt + 4]);
    expect(outcomeSequence(attempt)).toBe(queuedSequence(attempt + 1));
  }
});

test("words from outside are statuses and lanes only when they are exactly that", () => {
  expect(isStatus("sent")).toBe(true);
  for (const no of ["SENT", "", "toString", "__proto__", null, 1, ["sent"]]) expect(isStatus(no)).toBe(false);
  for (const lane of LANES) expect(isLane(lane)).toBe(true);
  expect(LANES).toEqual(["normal", "express"]);
  for (const no of ["Express", "events", undefined]) expect(isLane(no)).toBe(false);
});
