// Judges a run of the fault suite: reads the evidence, and reports what is wrong and how often. Pure, so that
// it can be tested on planted violations and run again on a kept folder. Knows what Sluice promises
// (docs/reference/message.md), but not how it keeps that.

import { type Answer, type EntryRow, type Evidence, type MessageRow, type SendRequest } from "./evidence.ts";
import {
  checkAdjustments,
  checkBooks,
  checkCaps,
  checkSnapshots,
  checkTopups,
  EXPECTED,
  OPEN,
} from "./checker-money.ts";
import { checkDoorCalls } from "./door-calls.ts";
import { checkInbound } from "./inbound.ts";
import { checkWebhooks } from "./webhooks.ts";

export const VIOLATIONS = {
  accepted_lost: "a 202 was given for a message that is not stored",
  accepted_differs: "a stored message has another customer or cost than its 202 said",
  stored_twice: "one request without a key is stored more than once",
  key_stored_twice: "one Idempotency-Key has more than one message",
  key_two_answers: "one Idempotency-Key was answered with different ids or bytes",
  replay_unmarked: "one Idempotency-Key was accepted more than once without Idempotent-Replayed",
  refused_but_stored: "every try was certainly refused, but the message is stored",
  batch_split: "a batch is stored in part, although that was not asked for, or not from its beginning",
  message_nobody_sent: "a message is stored that no request asked for",
  cancel_lost: "a cancel was confirmed, but its message is not canceled",
  false_402: "a customer with money got a 402, or its message was rejected",
  rejected_wrong:
    "a message that was reserved is rejected, or one that wasn't did not end before an operator took it",
  strange_answer: "an answer that no fault explains",
  not_ended: "a message is neither final, nor sent, nor unknown",
  sequence_wrong: "a message's sequence isn't 6 × attempt + the rank of its status",
  reserve_wrong: "a message doesn't have exactly one reserve of its cost",
  settled_twice: "a message is captured or refunded more than once",
  close_wrong: "a message's capture or refund doesn't match its status",
  entry_without_message: "an entry belongs to a message that is not stored",
  captured_not_taken: "a message is captured that no operator accepted",
  taken_not_stored: "an operator accepted a message that is not stored",
  taken_and_refunded: "an operator accepted a message in time, but it was refunded",
  report_lost: "a message has not ended as its operator reported",
  report_invented: "a message is delivered, or not, that no operator reported on",
  copies_over_bound: "operators have more extra copies than messages were under way at the faults",
  unknown_over_bound: "more messages are unknown than faults and unanswered phones explain",
  books_differ: "a wallet differs from its entries, or from its leases and open messages",
  not_conserved: "in a snapshot top-ups differ from balance + leases + open reserves + captured",
  went_back: "a customer's top-ups or captures decreased between two snapshots",
  snapshots_missing: "there are too few snapshots for a verdict",
  topup_lost: "a confirmed top-up is not stored, or with another amount",
  topup_twice: "a top-up was confirmed twice as new",
  topup_nobody_made: "a top-up is stored that no request asked for",
  adjustment_not_once: "a confirmed adjustment is not in the ledger once, by the entry that was answered",
  adjustment_nobody_made: "an adjustment is in the ledger twice, or nobody asked for it, or it was refused",
  cap_exceeded: "a customer spent more than its spend caps allow, or its leases could",
  clickhouse_lacks: "MySQL has an entry that ClickHouse doesn't have",
  clickhouse_extra: "ClickHouse has an entry that MySQL doesn't have",
  clickhouse_differs: "an entry differs in ClickHouse",
  clickhouse_status: "a message's status differs in ClickHouse",
  webhook_lost: "a customer was not told of a change that it wanted to hear of",
  webhook_two_ids: "one change was told under two ids, or two changes under one",
  webhook_invented: "a customer was told of a change that did not happen, or that it doesn't want",
  callback_lost: "a door's client was not told of a change that it asked for",
  callback_invented: "a door's client was told of a change that did not happen, or that it didn't ask for",
  callback_unsigned: "a callback is not signed as its client verifies it",
  inbound_not_once: "an acknowledged inbound message is not stored, or twice, or for another customer",
  inbound_not_told: "an inbound message was not told to its customer, or one that nobody sent was",
} as const;
export type Violation = keyof typeof VIOLATIONS;
export type Found = { violation: Violation; count: number; examples: string[] };
export type Counts = {
  requests: number;
  tries: number;
  accepted: number;
  stored: number;
  storedWithoutAnswer: number;
  replays: number;
  /** Calls to clients of doors. */
  callbacks: number;
  answers: Record<string, number>;
  statuses: Record<string, number>;
  captured: number;
  refunded: number;
  takenByOperators: number;
  extraIds: { unknown: number; lateExpress: number };
  copies: number;
  copiesMax: number;
  unknownMax: number;
  topups: number;
  snapshots: number;
  entries: number;
};
export type Verdict = { violations: Found[]; counts: Counts };

const EXAMPLES_MAX = 5;
const SNAPSHOTS_MIN = 3;
// How many submits one fault may leave without an answer even if no message was under a claim when it struck.
const UNKNOWN_PER_FAULT = 300;
const CAPTURED = new Set(["sent", "delivered", "undelivered"]);
const REFUNDED = new Set(["failed", "rejected", "expired", "canceled"]);
// Ranks within one attempt; any final status has 5.
const RANKS: Record<string, number> = { scheduled: 0, queued: 1, sending: 2, unknown: 3, sent: 4 };
const SEQUENCES_AN_ATTEMPT = 6;
/** Answers that mean that nothing was stored, whatever else happened. */
const REFUSALS = new Set([402, 409, 422, 429]);
const REFUSAL_CODES = new Set(["overloaded", "credit_elsewhere", "lane_saturated"]);

export type Say = (violation: Violation, example: string, count?: number) => void;

/** Judges a run. `snapshotsMin`: the least number of snapshots it must have. */
export function check(evidence: Evidence, { snapshotsMin = SNAPSHOTS_MIN } = {}): Verdict {
  const found = new Map<Violation, Found>();
  const say: Say = (violation, example, count = 1) => {
    const known = found.get(violation) ?? { violation, count: 0, examples: [] };
    found.set(violation, known);
    known.count += count;
    if (known.examples.length < EXAMPLES_MAX) known.examples.push(example);
  };
  const counts = countsOf(evidence);
  const messages = new Map(evidence.messages.map((m) => [m.id, m]));
  checkRequests(evidence, messages, say);
  for (const id of evidence.canceled)
    if (messages.get(id)?.status !== "canceled") say("cancel_lost", `${id} is ${messages.get(id)?.status}`);
  const closes = checkMessages(evidence, messages, say);
  checkOperators(evidence, messages, closes, counts, say);
  checkReports(evidence, messages, say);
  if (counts.copies > counts.copiesMax)
    say("copies_over_bound", `${counts.copies} copies, ${counts.copiesMax} on their way`);
  const unknown = counts.statuses.unknown ?? 0;
  if (unknown > counts.unknownMax)
    say("unknown_over_bound", `${unknown} unknown, ${counts.unknownMax} may be`);
  checkBooks(evidence, say);
  checkSnapshots(evidence.snapshots, snapshotsMin, say);
  checkTopups(evidence, say);
  checkAdjustments(evidence, say);
  checkCaps(evidence, say);
  checkClickhouse(evidence, messages, say);
  checkWebhooks(evidence, messages, say);
  checkDoorCalls(evidence, say);
  checkInbound(evidence, say);
  return { violations: [...found.values()], counts };
}

function checkRequests(
  { requests, rich, messages }: Evidence,
  byId: Map<string, MessageRow>,
  say: Say,
): void {
  const byReference = Map.groupBy(messages, (m) => m.reference ?? "");
  const known = new Set<string>();
  for (const request of requests) {
    const { n, customer, key, tries } = request;
    const reference = `r${n}`;
    known.add(reference);
    const stored = byReference.get(reference) ?? [];
    const accepted = tries.filter((t) => t.status === 202);
    for (const answer of accepted) {
      // Kannel's answer has no id.
      const of = request.door?.peer === "kannel" ? stored[0] : byId.get(answer.id ?? "");
      checkAccepted(request, answer, of, say);
    }
    if (stored.length > 1)
      say(key === null ? "stored_twice" : "key_stored_twice", `${reference}: ${stored.map((m) => m.id)}`);
    if (key !== null && new Set(accepted.map((a) => `${a.id} ${a.body}`)).size > 1)
      say("key_two_answers", `${reference}: ${accepted.map((a) => a.id)}`);
    if (accepted.filter((a) => !a.replayed).length > 1) say("replay_unmarked", reference);
    if (stored.length > 0 && tries.every(isRefusal))
      say("refused_but_stored", `${reference}: ${tries.map((t) => t.code ?? t.status)}`);
    for (const { status, code } of tries) {
      if (status === 402 && rich.has(customer)) say("false_402", `${reference} of customer ${customer}`);
      if (!EXPECTED.has(status)) say("strange_answer", `${reference}: ${status} ${code}`);
    }
  }
  checkBatches(requests, (n) => byReference.has(`r${n}`), say);
  for (const m of messages)
    if (m.status === "rejected" && rich.has(m.customer))
      say("false_402", `${m.id} of customer ${m.customer}`);
  for (const m of messages)
    if (!known.has(m.reference ?? "")) say("message_nobody_sent", `${m.id} (${m.reference})`);
}

function checkBatches(requests: readonly SendRequest[], isStored: (n: number) => boolean, say: Say): void {
  for (const [first, of] of Map.groupBy(requests, ({ batch }) => batch?.first)) {
    if (first === undefined) continue;
    const stored = of.toSorted((a, b) => a.n - b.n).map(({ n }) => isStored(n));
    const count = stored.filter(Boolean).length;
    const isBeginning = stored.slice(0, count).every(Boolean);
    const mayBePart = of[0]?.batch?.partial === true;
    if (!isBeginning || !(mayBePart || count === 0 || count === stored.length))
      say("batch_split", `r${first}: ${count} of ${stored.length}`);
  }
}

const isRefusal = ({ status, code }: Answer): boolean =>
  REFUSALS.has(status) || (status === 503 && code !== null && REFUSAL_CODES.has(code));

function checkAccepted(
  { n, customer }: SendRequest,
  answer: Answer,
  message: MessageRow | undefined,
  say: Say,
) {
  if (message === undefined) return say("accepted_lost", `r${n}: ${answer.id}`);
  if (message.customer !== customer || message.reference !== `r${n}` || message.cost !== answer.cost)
    say("accepted_differs", `r${n}: ${answer.id}`);
}

/** Returns what became of each message's money. */
function checkMessages(
  { messages, entries }: Evidence,
  byId: Map<string, MessageRow>,
  say: Say,
): Map<string, string> {
  const reserves = new Map<string, number>();
  const closes = new Map<string, string>();
  for (const { customer, entry, op, amount } of entries) {
    if (op !== "reserve" && op !== "capture" && op !== "refund") continue;
    const message = byId.get(entry);
    if (message === undefined || message.customer !== customer) {
      say("entry_without_message", `${op} ${entry}`);
      continue;
    }
    if (op === "reserve") {
      reserves.set(entry, (reserves.get(entry) ?? 0) + 1);
      if (amount !== message.cost) say("reserve_wrong", `${entry}: ${amount}, not ${message.cost}`);
      continue;
    }
    if (closes.has(entry)) say("settled_twice", `${entry}: ${closes.get(entry)}, ${op}`);
    closes.set(entry, op);
    if (amount !== message.cost) say("close_wrong", `${op} ${entry}: ${amount}, not ${message.cost}`);
  }
  for (const { id, lane, status, attempt, sequence, unreserved } of messages) {
    if (sequence !== SEQUENCES_AN_ATTEMPT * attempt + (RANKS[status] ?? 5))
      say("sequence_wrong", `${id} is ${status} at attempt ${attempt} with ${sequence}`);
    const isUnreserved = unreserved === 1;
    const own = reserves.get(id) ?? 0;
    if (own !== (isUnreserved ? 0 : 1)) say("reserve_wrong", `${id} has ${own}`);
    if (isUnreserved ? CAPTURED.has(status) : status === "rejected")
      say("rejected_wrong", `${id} is ${status}`);
    if (OPEN.has(status)) say("not_ended", `${id} is ${status}`);
    const close = closes.get(id) ?? null;
    // Express that an operator accepted after `guaranteed_by` is sent and refunded, as promised.
    const isRight = CAPTURED.has(status)
      ? close === "capture" || (close === "refund" && lane === "express")
      : close === (REFUNDED.has(status) && !isUnreserved ? "refund" : null);
    if (!isRight) say("close_wrong", `${id} is ${status} with ${close ?? "nothing"}`);
  }
  return closes;
}

function checkOperators(
  { operators }: Evidence,
  messages: Map<string, MessageRow>,
  closes: Map<string, string>,
  counts: Counts,
  say: Say,
): void {
  const taken = new Map<string, number>();
  for (const ids of operators) for (const id of ids) taken.set(id, (taken.get(id) ?? 0) + 1);
  for (const [id, times] of taken) {
    counts.copies += times - 1;
    const message = messages.get(id);
    if (message === undefined) say("taken_not_stored", id);
    else if (message.unreserved === 1) say("rejected_wrong", `${id} was taken`);
    else if (message.status === "unknown") counts.extraIds.unknown++;
    else if (closes.get(id) === "refund") {
      if (CAPTURED.has(message.status) && message.lane === "express") counts.extraIds.lateExpress++;
      else say("taken_and_refunded", `${id} is ${message.status}`);
    }
  }
  counts.takenByOperators = taken.size;
  for (const [id, op] of closes) if (op === "capture" && !taken.has(id)) say("captured_not_taken", id);
}

/** Only the first operator names our id: if an answer of another one was lost, its reports find nothing. */
function checkReports({ reports }: Evidence, messages: Map<string, MessageRow>, say: Say): void {
  const reported = new Set<string>();
  for (const [at, ends] of reports.entries()) {
    for (const [id, end] of ends) {
      reported.add(id);
      const status = messages.get(id)?.status;
      const mayBeUnknown = at > 0;
      if (status !== end && !(status === "unknown" && mayBeUnknown))
        say("report_lost", `${id} is ${status}, reported ${end}`);
    }
  }
  for (const { id, status } of messages.values())
    if (status.endsWith("delivered") && !reported.has(id)) say("report_invented", `${id} is ${status}`);
}

function checkClickhouse(
  { entries, clickhouse }: Evidence,
  messages: Map<string, MessageRow>,
  say: Say,
): void {
  const keyOf = (e: EntryRow) => `${e.customer} ${e.entry} ${e.leg}`;
  const there = new Map(clickhouse.entries.map((e) => [keyOf(e), e]));
  for (const entry of entries) {
    const other = there.get(keyOf(entry));
    there.delete(keyOf(entry));
    if (other === undefined) say("clickhouse_lacks", `${entry.op} ${keyOf(entry)}`);
    else if (other.op !== entry.op || other.amount !== entry.amount) say("clickhouse_differs", keyOf(entry));
  }
  for (const key of there.keys()) say("clickhouse_extra", key);
  const statuses = new Map(clickhouse.statuses.map((s) => [s.id, s]));
  for (const { id, status, sequence } of messages.values()) {
    const other = statuses.get(id);
    if (other?.status !== status || other.sequence !== sequence)
      say(
        "clickhouse_status",
        `${id} is ${status} (${sequence}), there ${other?.status} (${other?.sequence})`,
      );
  }
}

function countsOf(evidence: Evidence): Counts {
  const { requests, messages, entries, faults, hangs, topups, snapshots } = evidence;
  const answers: Record<string, number> = {};
  let accepted = 0;
  let replays = 0;
  let tries = 0;
  const answered = new Set<string>();
  for (const request of requests) {
    if (request.tries.some((t) => t.status === 202)) accepted++;
    for (const { status, code, id, replayed } of request.tries) {
      tries++;
      if (replayed) replays++;
      if (status === 202) answered.add(id ?? `r${request.n}`);
      const name = status === 0 ? "none" : code === null ? String(status) : `${status} ${code}`;
      answers[name] = (answers[name] ?? 0) + 1;
    }
  }
  const statuses: Record<string, number> = {};
  for (const { status } of messages) statuses[status] = (statuses[status] ?? 0) + 1;
  const inFlight = faults.reduce((sum, f) => sum + f.inFlight, 0);
  return {
    requests: requests.length,
    tries,
    accepted,
    stored: messages.length,
    storedWithoutAnswer: messages.filter((m) => !answered.has(m.id) && !answered.has(m.reference ?? ""))
      .length,
    replays,
    callbacks: evidence.doorCalls.length,
    answers,
    statuses,
    captured: entries.filter((e) => e.op === "capture").length,
    refunded: entries.filter((e) => e.op === "refund").length,
    takenByOperators: 0,
    extraIds: { unknown: 0, lateExpress: 0 },
    copies: 0,
    copiesMax: inFlight,
    unknownMax: hangs + 2 * inFlight + UNKNOWN_PER_FAULT * faults.length,
    topups: topups.length,
    snapshots: snapshots.length,
    entries: entries.length,
  };
}
