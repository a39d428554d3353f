// Tests the checker: correct evidence has no violation, and each violation, planted alone, is found under its
// name and no other.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check, type Violation, VIOLATIONS } from "./checker.ts";
import { type Evidence, files, OPERATOR_NAMES, readClient, readEvidence, writeLines } from "./evidence.ts";
import { called, clean, COST, no, request, told, yes } from "./sample-evidence.ts";

const at = <T>(list: T[], index: number): T => list[index] as T;
const entryOf = (e: Evidence, id: string, leg: string) =>
  e.entries.find((entry) => entry.entry === id && entry.leg === leg) as Evidence["entries"][number];

/** Each violation, planted alone. Those that can't occur alone list what comes with them. */
const PLANTED: Record<Violation, { plant: (e: Evidence) => void; comes?: Violation[] }> = {
  accepted_lost: { plant: (e) => e.requests.push(request(9, null, yes("M9"))) },
  accepted_differs: { plant: (e) => (at(at(e.requests, 0).tries, 0).cost = COST + 1) },
  stored_twice: { plant: (e) => (at(e.messages, 1).reference = "r1"), comes: ["accepted_differs"] },
  key_stored_twice: {
    plant: (e) => {
      at(e.messages, 5).reference = "r2";
    },
  },
  key_two_answers: { plant: (e) => (at(at(e.requests, 7).tries, 1).body = "another") },
  replay_unmarked: { plant: (e) => (at(at(e.requests, 7).tries, 1).replayed = false) },
  refused_but_stored: { plant: (e) => (at(e.requests, 5).tries = [no(503, "overloaded")]) },
  batch_split: {
    plant: (e) => {
      for (const i of [5, 6]) at(e.requests, i).batch = { first: 6, partial: false };
    },
  },
  message_nobody_sent: { plant: (e) => e.requests.splice(5, 1) },
  cancel_lost: { plant: (e) => e.canceled.push("M1") },
  false_402: { plant: (e) => at(e.requests, 6).tries.push(no(402, "insufficient_balance")) },
  rejected_wrong: {
    plant: (e) => (at(e.messages, 2).status = "rejected"),
    comes: ["false_402", "clickhouse_status"],
  },
  strange_answer: { plant: (e) => at(e.requests, 6).tries.push(no(500, "internal")) },
  not_ended: {
    plant: (e) => {
      for (const row of [at(e.messages, 3), at(e.clickhouse.statuses, 3)])
        Object.assign(row, { status: "sending", sequence: 2 });
    },
  },
  sequence_wrong: {
    plant: (e) => {
      for (const row of [at(e.messages, 0), at(e.clickhouse.statuses, 0)]) row.sequence = 3;
    },
    comes: ["webhook_invented", "webhook_lost"],
  },
  reserve_wrong: {
    plant: (e) => {
      // One unit of a message's reserve is missing, in both databases.
      entryOf(e, "M4", "open").amount -= 1;
      const twin = e.clickhouse.entries.find((entry) => entry.entry === "M4");
      if (twin) twin.amount -= 1;
    },
  },
  settled_twice: {
    plant: (e) => {
      // A refund besides the capture, with all sums adjusted to fit.
      const refund = { ...entryOf(e, "M1", "close"), leg: "close2", op: "refund" };
      e.entries.push(refund);
      e.clickhouse.entries.push({ ...refund });
      const wallet = at(e.wallets, 0);
      wallet.balance += COST;
      wallet.reserved -= COST;
      wallet.leases -= COST;
    },
    comes: ["close_wrong", "taken_and_refunded"],
  },
  close_wrong: {
    plant: (e) => {
      at(e.messages, 5).status = "failed";
      at(e.clickhouse.statuses, 5).status = "failed";
    },
    comes: ["report_lost", "webhook_invented", "webhook_lost"],
  },
  entry_without_message: {
    plant: (e) => {
      const reserve = { customer: "1", entry: "M99", leg: "open", op: "reserve", amount: COST };
      e.entries.push(reserve);
      e.clickhouse.entries.push({ ...reserve });
    },
  },
  captured_not_taken: { plant: (e) => at(e.operators, 0).shift() },
  taken_not_stored: { plant: (e) => at(e.operators, 2).push("M77") },
  taken_and_refunded: { plant: (e) => at(e.operators, 2).push("M3") },
  report_lost: { plant: (e) => at(e.reports, 0).set("M1", "delivered") },
  report_invented: { plant: (e) => at(e.reports, 1).clear() },
  copies_over_bound: { plant: (e) => at(e.operators, 1).push("M1", "M1") },
  unknown_over_bound: {
    plant: (e) => {
      e.faults = [];
      e.hangs = 0;
    },
  },
  books_differ: { plant: (e) => (at(e.wallets, 0).balance += 1) },
  not_conserved: { plant: (e) => (at(at(e.snapshots, 1).customers, 0).leases += 1) },
  went_back: {
    plant: (e) => {
      const last = at(at(e.snapshots, 0).customers, 0);
      last.captured += 2_500;
      last.balance -= 2_500;
    },
  },
  snapshots_missing: { plant: (e) => e.snapshots.pop() },
  topup_lost: { plant: (e) => (at(e.topups, 0).amount -= 1) },
  topup_twice: {
    plant: (e) => {
      for (const t of at(e.topupRequests, 0).tries) Object.assign(t, { status: 200, idempotent: false });
    },
  },
  topup_nobody_made: { plant: (e) => e.topups.push({ customer: "1", request: "t9", amount: 1 }) },
  adjustment_not_once: { plant: (e) => (at(at(e.adjustments, 0).tries, 1).entry = "A2") },
  adjustment_nobody_made: { plant: (e) => e.adjustments.pop() },
  cap_exceeded: { plant: (e) => e.caps.set("1", { daily: 4_999, monthly: null }) },
  clickhouse_lacks: { plant: (e) => e.clickhouse.entries.pop() },
  clickhouse_extra: {
    plant: (e) =>
      e.clickhouse.entries.push({ customer: "1", entry: "X", leg: "open", op: "grant", amount: 1 }),
  },
  clickhouse_differs: { plant: (e) => (at(e.clickhouse.entries, 0).amount += 1) },
  clickhouse_status: { plant: (e) => (at(e.clickhouse.statuses, 0).status = "queued") },
  webhook_lost: { plant: (e) => e.webhooks.splice(1, 1) },
  webhook_two_ids: { plant: (e) => (at(e.webhooks, 5).event = "E6-5b") },
  webhook_invented: { plant: (e) => e.webhooks.push(told(8, "sent", 4)) },
  callback_lost: { plant: (e) => e.doorCalls.pop() },
  callback_invented: { plant: (e) => e.doorCalls.push(called("twilio", 12, "delivered")) },
  callback_unsigned: { plant: (e) => (at(e.doorCalls, 3).isSigned = false) },
  inbound_not_once: { plant: (e) => e.inbound.answers.push({ id: "mo-3", customer: "1" }) },
  inbound_not_told: { plant: (e) => e.webhooks.pop() },
};

const named = (e: Evidence) => check(e).violations.map(({ violation }) => violation);

test("evidence without a violation is clean, and is counted", () => {
  const { violations, counts } = check(clean());
  expect(violations).toEqual([]);
  expect(counts).toMatchObject({
    requests: 10,
    tries: 14,
    accepted: 8,
    stored: 9,
    storedWithoutAnswer: 1,
    replays: 2,
    callbacks: 4,
    captured: 6,
    refunded: 2,
    takenByOperators: 8,
    extraIds: { unknown: 1, lateExpress: 1 },
    copies: 0,
    copiesMax: 1,
  });
});

for (const [violation, { plant, comes = [] }] of Object.entries(PLANTED))
  test(`${violation}: ${VIOLATIONS[violation as Violation]}`, () => {
    const evidence = clean();
    plant(evidence);
    expect(named(evidence).toSorted()).toEqual([violation as Violation, ...comes].toSorted());
  });

test("a copy at an operator is counted, but is no violation while as many messages were under way", () => {
  const evidence = clean();
  at(evidence.operators, 1).push("M1");
  expect(check(evidence)).toMatchObject({ violations: [], counts: { copies: 1 } });
});

test("a batch may be stored in part if that was asked for, but only its beginning", () => {
  const evidence = clean();
  for (const i of [5, 6]) at(evidence.requests, i).batch = { first: 6, partial: true };
  expect(named(evidence)).toEqual([]);
  for (const i of [6, 7]) at(evidence.requests, i).batch = { first: 7, partial: true };
  expect(named(evidence)).toEqual(["batch_split"]);
});

test("an adjustment that was certainly refused must not be in the ledger", () => {
  const evidence = clean();
  at(evidence.adjustments, 0).tries = [{ status: 402, entry: null, replayed: false }];
  expect(named(evidence)).toEqual(["adjustment_nobody_made"]);
});

test("a cap must have no room for what it refuses, and a run over midnight may spend the caps of two days", () => {
  const evidence = clean();
  evidence.rich.clear();
  at(evidence.requests, 6).tries.push(no(402, "spend_cap_reached"));
  expect(named(evidence)).toEqual([]);
  evidence.caps.set("1", { daily: null, monthly: 7_000 });
  expect(named(evidence)).toEqual(["false_402"]);
  evidence.caps.set("1", { daily: 2_500, monthly: null });
  expect(named(evidence)).toEqual(["cap_exceeded"]);
  at(evidence.snapshots, 2).at += 43_200_000;
  expect(named(evidence)).toEqual([]);
});

test("only a few examples are kept, but all are counted", () => {
  const evidence = clean();
  for (let n = 100; n < 150; n++) evidence.requests.push(request(n, null, yes(`M${n}`)));
  const [lost] = check(evidence).violations;
  expect(lost).toMatchObject({ violation: "accepted_lost", count: 50 });
  expect(lost?.examples).toHaveLength(5);
});

test("the client's log is grouped by request, and a try without an answer counts as unanswered", () => {
  const at = 0;
  const answer = { what: "answer", at, n: 1, ...no(503, "unavailable") } as const;
  const { requests, topupRequests, rich, hangs } = readClient([
    { what: "customer", customer: "1", rich: true },
    { what: "send", at, n: 1, customer: "1", key: "k1", hangs: true },
    answer,
    { what: "send", at, n: 1, customer: "1", key: "k1", hangs: true },
    { what: "topup", at, request: "t", customer: "1", amount: 5 },
    { what: "topup", at, request: "t", customer: "1", amount: 5 },
    { what: "topup-answer", at, request: "t", customer: "1", status: 200, idempotent: true, replayed: false },
  ]);
  expect([...rich]).toEqual(["1"]);
  expect(hangs).toBe(1);
  expect(requests.map(({ n, key, tries }) => [n, key, tries.map((t) => t.status)])).toEqual([
    [1, "k1", [503, 0]],
  ]);
  expect(topupRequests[0]?.tries.map((t) => t.status)).toEqual([200, 0]);
});

test("a change in the middle that a customer wasn't told is missed: an attempt, and what a report ended", () => {
  const untold = clean();
  untold.webhooks.splice(2, 1);
  expect(check(untold).violations).toMatchObject([
    { violation: "webhook_lost", examples: ["M6 sent (4) or M6 unknown (3)"] },
  ]);
  const again = clean();
  for (const row of [at(again.messages, 0), at(again.clickhouse.statuses, 0)]) row.sequence = 10;
  at(again.messages, 0).attempt = 1;
  again.webhooks.push(told(1, "sent", 10));
  again.webhooks.splice(1, 1);
  expect(check(again).violations).toMatchObject([{ violation: "webhook_lost", examples: ["M1 queued (7)"] }]);
});

test("a door's client is told of each change that it asked for, once and in its own words, and of no other", () => {
  const doors: [string, (e: Evidence) => void, Violation][] = [
    ["another's message", (e) => (at(e.doorCalls, 3).n = 11), "callback_invented"],
    ["another customer", (e) => (at(e.doorCalls, 3).customer = "2"), "callback_invented"],
    ["no door's message", (e) => e.doorCalls.push(called("kannel", 8, "8")), "callback_invented"],
    ["not asked for", (e) => e.doorCalls.push(called("kannel", 11, "4")), "callback_invented"],
    ["one change under two ids", (e) => (at(e.doorCalls, 2).event = "D"), "callback_invented"],
    [
      "one id for two changes",
      (e) => e.doorCalls.push({ ...at(e.doorCalls, 3), word: "failed" }),
      "callback_invented",
    ],
    ["only another word", (e) => (at(e.doorCalls, 3).word = "delivered"), "callback_lost"],
    [
      "as often as it was queued",
      (e) => (at(e.requests, 8).door = { peer: "kannel", mask: 13 }),
      "callback_lost",
    ],
  ];
  for (const [name, plant, violation] of doors) {
    const evidence = clean();
    plant(evidence);
    expect([name, named(evidence).includes(violation)]).toEqual([name, true]);
  }
});

test("of a delivered message that it was sent must be told if ClickHouse knows of it; of an unknown one nothing", () => {
  const evidence = clean();
  evidence.doorCalls.shift();
  expect(named(evidence)).toEqual(["callback_lost"]);
  at(evidence.clickhouse.statuses, 7).wasSent = 0;
  at(evidence.messages, 8).status = "unknown";
  evidence.doorCalls.pop();
  expect(named(evidence).filter((violation) => violation.startsWith("callback"))).toEqual([]);
});

test("a message that Kannel's client never got an answer for is stored once at most, and none that was refused", () => {
  const evidence = clean();
  at(evidence.requests, 8).tries = [no(0)];
  expect(named(evidence)).toEqual([]);
  at(evidence.requests, 8).tries = [no(402, "kannel Not enough credit, rejected")];
  expect(named(evidence).toSorted()).toEqual(["false_402", "refused_but_stored"]);
  at(evidence.requests, 8).tries = [yes("M11", { id: null })];
  at(evidence.messages, 7).reference = null;
  expect(named(evidence)).toContain("accepted_lost");
});

test("evidence written to a folder is read back unchanged", () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-test-evidence-"));
  try {
    const evidence = clean();
    const caps = evidence.caps.get("1");
    writeLines(folder, files.client, [{ what: "customer", customer: "1", rich: true, caps }]);
    for (const [file, rows] of [
      [files.messages, evidence.messages],
      [files.entries, evidence.entries],
      [files.wallets, evidence.wallets],
      [files.topups, evidence.topups],
      [files.clickhouseEntries, evidence.clickhouse.entries],
      [files.clickhouseStatuses, evidence.clickhouse.statuses],
      [files.adjustments, evidence.adjustments],
      [files.webhooks, evidence.webhooks],
      [files.doorCalls, evidence.doorCalls],
      [files.inbound, evidence.inbound.answers],
      [files.inboundRows, evidence.inbound.rows],
      [files.snapshots, evidence.snapshots],
      [files.faults, evidence.faults],
    ] as const)
      writeLines(folder, file, rows);
    OPERATOR_NAMES.forEach((name, index) =>
      writeFileSync(join(folder, files.operator(name)), `${at(evidence.operators, index).join("\n")}\n`),
    );
    OPERATOR_NAMES.forEach((name, index) => {
      const lines = [...at(evidence.reports, index).keys()].map(
        (id) => `DELIVRD its-${id} ${id}\nack its-${id}\n`,
      );
      writeFileSync(join(folder, files.reports(name)), lines.join(""));
      for (const file of [files.smpp(name), files.smppReports(name)]) writeFileSync(join(folder, file), "");
    });
    const { requests, topupRequests, hangs, ...stored } = evidence;
    expect(readEvidence(folder)).toEqual({ ...stored, requests: [], topupRequests: [], hangs: 0 });
    expect([requests.length, topupRequests.length, hangs]).toEqual([10, 1, 1]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
