// The status machine, its numbers and the charging table, compared with what was asked for.

import { expect, test } from "bun:test";
import { MESSAGE_ATTEMPTS_MAX } from "./limits.ts";
import {
  ACCEPTED,
  attemptAfter,
  CHARGING,
  canMove,
  chargeOf,
  chargeOfUnreserved,
  FINAL,
  isFinal,
  isLane,
  isLate,
  isStatus,
  LANES,
  type Move,
  STATUSES,
  type Status,
  sequenceOf,
  settlementOf,
  eventStatus,
  sequencesSinceEvent,
  UNRESERVED,
} from "./message.ts";

// The status machine as it was asked for, one line a status: what may follow it.
const MACHINE = `
  scheduled → queued failed rejected expired canceled
  queued → queued sending failed rejected expired
  sending → queued sent delivered undelivered failed expired unknown
  unknown → sent delivered undelivered failed
  sent → delivered undelivered
  delivered →
  undelivered →
  failed →
  rejected →
  expired →
  canceled →`;
const MOVES: Move[] = [null, ...STATUSES].flatMap((from) =>
  STATUSES.filter((to) => canMove(from, to)).map((to) => ({ from, to })),
);

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

test("a message is accepted as queued or scheduled, and as nothing else", () => {
  expect(ACCEPTED).toEqual(["queued", "scheduled"]);
  for (const to of STATUSES) expect(canMove(null, to)).toBe(to === "queued" || to === "scheduled");
});

test("nothing but a status can be reached", () => {
  for (const from of [null, ...STATUSES])
    for (const to of ["", "done", "Stryker was here"]) expect(canMove(from, to as Status)).toBe(false);
});

test("nothing follows a final status", () => {
  expect(FINAL).toEqual(["delivered", "undelivered", "failed", "rejected", "expired", "canceled"]);
  for (const from of FINAL) for (const to of STATUSES) expect(canMove(from, to)).toBe(false);
});

test("every status that is not final can still end", () => {
  for (const from of STATUSES.filter((status) => !isFinal(status)))
    expect(STATUSES.some((to) => canMove(from, to) && isFinal(to))).toBe(true);
});

test("the usual path is allowed, and its reverse is not", () => {
  const way: Status[] = ["scheduled", "queued", "sending", "sent", "delivered"];
  for (const [i, to] of way.slice(1).entries()) {
    expect(canMove(way[i] as Status, to)).toBe(true);
    if (to !== "sending") expect(canMove(to, way[i] as Status)).toBe(false);
  }
});

test("only queued and sending messages are queued again, always under the next attempt, which no other move changes", () => {
  const raising = MOVES.filter((move) => attemptAfter(move, 2) !== 2);
  expect(raising).toEqual([
    { from: "queued", to: "queued" },
    { from: "sending", to: "queued" },
  ]);
  for (const move of raising) expect(attemptAfter(move, 2)).toBe(3);
});

test("a status follows itself only where a requeue raises the attempt", () => {
  for (const status of STATUSES) expect(canMove(status, status)).toBe(status === "queued");
});

test("unknown may end either way, but is never sent again", () => {
  expect(canMove("unknown", "sent")).toBe(true);
  expect(canMove("unknown", "failed")).toBe(true);
  expect(canMove("unknown", "sending")).toBe(false);
  expect(canMove("unknown", "queued")).toBe(false);
});

// ---- numbers ----

test("a sequence is 6 × attempt + rank", () => {
  const ranks = STATUSES.map((status) => [status, sequenceOf(0, status)]);
  expect(Object.fromEntries(ranks)).toEqual({
    scheduled: 0,
    queued: 1,
    sending: 2,
    unknown: 3,
    sent: 4,
    delivered: 5,
    undelivered: 5,
    failed: 5,
    rejected: 5,
    expired: 5,
    canceled: 5,
  });
  for (const status of STATUSES) expect(sequenceOf(7, status)).toBe(42 + sequenceOf(0, status));
});

test("the sequence grows with every move, at every attempt", () => {
  for (const move of MOVES) {
    if (move.from === null) continue;
    for (let attempt = 0; attempt < MESSAGE_ATTEMPTS_MAX; attempt++)
      expect(sequenceOf(attemptAfter(move, attempt), move.to)).toBeGreaterThan(
        sequenceOf(attempt, move.from),
      );
  }
});

test("no two changes that one message can make have the same number", () => {
  // Every path through two attempts: no number occurs twice on any of them.
  const walk = (from: Status | null, attempt: number, seen: readonly number[]): void => {
    for (const to of STATUSES.filter((status) => canMove(from, status))) {
      const next = attemptAfter({ from, to }, attempt);
      const number = sequenceOf(next, to);
      expect(seen).not.toContain(number);
      if (next < 2) walk(to, next, [...seen, number]);
    }
  };
  walk(null, 0, []);
});

test("the sequence of a message stored with the old numbering still grows with every move", () => {
  // Before decision 0006 the numbers were 2 × attempt + 1, 2, 3 and, after unknown or sent, 4.
  const before = (status: Status, attempt: number): number =>
    2 * attempt + ({ scheduled: 0, queued: 1, sending: 2, unknown: 3 }[status as "queued"] ?? 4);
  for (const { from, to } of MOVES) {
    if (from === null) continue;
    for (let attempt = 0; attempt < MESSAGE_ATTEMPTS_MAX; attempt++)
      expect(sequenceOf(attemptAfter({ from, to }, attempt), to)).toBeGreaterThan(before(from, attempt));
  }
});

test("sending is the only status without an event; its latest event is queued, one number before", () => {
  for (const status of STATUSES) {
    expect(eventStatus(status)).toBe(status === "sending" ? "queued" : status);
    expect(sequencesSinceEvent(status)).toBe(status === "sending" ? 1 : 0);
  }
});

// ---- money ----

test("what an operator accepted is captured, what ended before that is refunded, the rest stays reserved", () => {
  const by = (kind: "capture" | "refund" | null) =>
    STATUSES.filter((status) => settlementOf(status) === kind);
  expect(by("capture")).toEqual(["sent", "delivered", "undelivered"]);
  expect(by("refund")).toEqual(["failed", "rejected", "expired", "canceled"]);
  expect(by(null)).toEqual(["scheduled", "queued", "sending", "unknown"]);
});

test("acceptance reserves, whatever status it stores", () => {
  for (const to of ACCEPTED) {
    expect(chargeOf({ from: null, to }, false)).toBe("reserve");
    expect(chargeOf({ from: null, to }, true)).toBe("reserve");
  }
});

test("express that an operator accepted too late is refunded, and only an accepted message can be late", () => {
  for (const to of STATUSES) {
    const move: Move = { from: "sending", to };
    const taken = ["sent", "delivered", "undelivered"].includes(to);
    expect(chargeOf(move, true)).toBe(taken ? "refund" : settlementOf(to));
    expect(chargeOf(move, false)).toBe(settlementOf(to));
  }
});

test("late means accepted by an operator after guaranteed_by, where there is one", () => {
  expect(isLate({ guaranteedByMs: 10 }, 11)).toBe(true);
  expect(isLate({ guaranteedByMs: 10 }, 10)).toBe(false);
  expect(isLate({ guaranteedByMs: 0 }, 1)).toBe(true);
  expect(isLate({ guaranteedByMs: 10 }, null)).toBe(false);
  expect(isLate({ guaranteedByMs: null }, 11)).toBe(false);
});

test("whatever path a message takes, its money is settled once: by the first move that captures or refunds", () => {
  const walk = (from: Status | null, attempt: number, charges: readonly string[]): void => {
    expect(charges.filter((charge) => charge !== "reserve").length).toBeLessThanOrEqual(1);
    if (from !== null && isFinal(from)) {
      expect(charges).toHaveLength(2);
      return;
    }
    for (const to of STATUSES.filter((status) => canMove(from, status))) {
      const next = attemptAfter({ from, to }, attempt);
      if (next === 2) continue;
      for (const late of [false, true]) {
        const charge = chargeOf({ from, to }, late);
        walk(to, next, charge === null ? charges : [...charges, charge]);
      }
    }
  };
  walk(null, 0, []);
});

test("the charging table has a row for every status, and a separate one for late express", () => {
  const rows = CHARGING.filter(({ late }) => late !== true);
  expect(rows.flatMap(({ to }) => to).toSorted()).toEqual(STATUSES.toSorted());
  for (const { when } of CHARGING) expect(when).not.toBe("");
  expect(CHARGING.filter(({ late }) => late === true).map(({ charge }) => charge)).toEqual(["refund"]);
});

test("nothing is reserved for what can be reached without a claim, and for nothing else", () => {
  const reached = new Set<Status>(ACCEPTED);
  for (const from of reached)
    for (const to of STATUSES) if (to !== "sending" && canMove(from, to)) reached.add(to);
  expect(UNRESERVED.toSorted()).toEqual([...reached].toSorted());
});

test("what nothing is reserved for yet is reserved by its claim, and moves no money however it ends before", () => {
  expect(chargeOfUnreserved({ from: "queued", to: "sending" })).toBe("reserve");
  for (const from of [null, "scheduled", "queued"] as const)
    for (const to of UNRESERVED.filter((status) => canMove(from, status)))
      expect(chargeOfUnreserved({ from, to })).toBeNull();
  expect(() => chargeOfUnreserved({ from: "sending", to: "failed" })).toThrow("sending has a reserve");
  expect(() => chargeOfUnreserved({ from: "queued", to: "sent" })).toThrow("sent has a reserve");
  expect(() => chargeOfUnreserved({ from: "scheduled", to: "sending" })).toThrow("sending has a reserve");
  expect(() => chargeOfUnreserved({ from: "rejected", to: "failed" })).toThrow("rejected has a reserve");
});

// ---- names ----

test("only the exact words are statuses and lanes", () => {
  for (const status of STATUSES) expect(isStatus(status)).toBe(true);
  for (const no of ["SENT", "", "toString", "__proto__", null, 1, ["sent"]]) expect(isStatus(no)).toBe(false);
  for (const lane of LANES) expect(isLane(lane)).toBe(true);
  expect(LANES).toEqual(["normal", "express"]);
  for (const no of ["Express", "events", undefined]) expect(isLane(no)).toBe(false);
});
