// Compares how every message ended with what the foreign operator did with its parts. Pure, so that it can be
// tested on planted violations. Knows what Sluice promises about answers that were lost
// (docs/reference/dlr.md), not how it keeps that. Leaves money to money.ts.
// What must have come of a message:
//   all parts taken        delivered, or undelivered if a part was; of one part even if its answer was lost:
//                          its receipt finds it by the recipient
//   refused                failed
//   not taken              unknown: it was on a link that was cut before the operator had read it
// A message of several parts may also be unknown, and one that was refused, if the links were cut at about
// that time: its receipts don't say that no part is missing, and a lost answer said nothing.

import { SUBMIT_TIMEOUT_MS } from "../../src/core/limits.ts";
import type { PeerRecord, Refused, TakenPart } from "./record.ts";

export const VIOLATIONS = {
  not_stored: "the operator got a message that is not stored",
  not_ended: "a message is neither final nor unknown",
  wrong_end: "a message has not ended as its parts did",
  wrong_operator: "a message is said to be with another operator than the one that took it",
  sent_again: "a part was submitted again after it had been taken",
  wrong_parts: "the operator got another number of parts than was paid for",
  receipt_left: "a receipt was never acknowledged",
  unknown_over_bound: "more messages are unknown than were under way when links were cut",
} as const;
type Violation = keyof typeof VIOLATIONS;

export type StoredMessage = {
  id: string;
  reference: string;
  phone: string;
  status: string;
  parts: number;
  operator: string | null;
};
export type Verdict = {
  violations: { violation: Violation; count: number; examples: string[] }[];
  statuses: Record<string, number>;
  /** Parts. */
  taken: number;
  refused: number;
  receipts: number;
  cuts: number;
  unknown: {
    /** The operator has nothing of them. */
    unread: number;
    /** It has parts of them, or refused them. */
    unanswered: number;
  };
};

const EXAMPLES_MAX = 5;
const ENDED = new Set(["delivered", "undelivered", "failed", "unknown"]);
/** A submit without an answer for longer than this is lost whatever happens to its link. */
const BEFORE_CUT_MS = SUBMIT_TIMEOUT_MS;
/** The operator works on what it has read when the link is gone. */
const AFTER_CUT_MS = 1_000;

/** `underWayMax`: submits that may be under way at once, by the windows of all binds. */
export function judge(
  record: PeerRecord,
  messages: readonly StoredMessage[],
  { underWayMax }: { underWayMax: number },
): Verdict {
  const found = new Map<Violation, { violation: Violation; count: number; examples: string[] }>();
  const say = (violation: Violation, example: string) => {
    const known = found.get(violation) ?? { violation, count: 0, examples: [] };
    found.set(violation, known);
    known.count++;
    if (known.examples.length < EXAMPLES_MAX) known.examples.push(example);
  };
  const takenBy = Map.groupBy(record.taken, ({ phone }) => phone);
  const refusedBy = Map.groupBy(record.refused, ({ phone }) => phone);
  const phones = new Set(messages.map(({ phone }) => phone));
  for (const phone of [...takenBy.keys(), ...refusedBy.keys()])
    if (!phones.has(phone)) say("not_stored", phone);
  for (const { id, phone } of record.taken)
    if (!record.ends.has(id)) say("receipt_left", `${id} to ${phone}`);
  const statuses: Record<string, number> = {};
  const unknown = { unread: 0, unanswered: 0 };
  for (const message of messages) {
    const taken = takenBy.get(message.phone) ?? [];
    const refused = refusedBy.get(message.phone) ?? [];
    statuses[message.status] = (statuses[message.status] ?? 0) + 1;
    if (message.status === "unknown")
      unknown[taken.length + refused.length === 0 ? "unread" : "unanswered"]++;
    checkParts(message, taken, say);
    checkEnd(message, taken, refused, record, say);
  }
  const unknownMax = record.cutsMs.length * underWayMax;
  if ((statuses.unknown ?? 0) > unknownMax)
    say("unknown_over_bound", `${statuses.unknown} unknown, ${unknownMax} may be`);
  return {
    violations: [...found.values()],
    statuses,
    taken: record.taken.length,
    refused: record.refused.length,
    receipts: record.ends.size,
    cuts: record.cutsMs.length,
    unknown,
  };
}

type Say = (violation: Violation, example: string) => void;

function checkParts({ reference, parts, operator }: StoredMessage, taken: readonly TakenPart[], say: Say) {
  const seen = new Set<number>();
  for (const one of taken) {
    if (seen.has(one.part)) say("sent_again", `part ${one.part} of ${reference} as ${one.id}`);
    seen.add(one.part);
    if (one.parts !== parts || one.part < 1 || one.part > parts)
      say("wrong_parts", `${reference}: ${one.part}/${one.parts} of ${parts}`);
    if (one.account !== operator)
      say("wrong_operator", `${reference} is with ${operator}, ${one.account} took it`);
  }
}

function checkEnd(
  { reference, status, parts }: StoredMessage,
  taken: readonly TakenPart[],
  refused: readonly Refused[],
  { ends, cutsMs }: PeerRecord,
  say: Say,
): void {
  if (!ENDED.has(status)) return say("not_ended", `${reference} is ${status}`);
  const isAtCut = [...taken, ...refused].some(({ atMs }) =>
    cutsMs.some((cutMs) => atMs >= cutMs - BEFORE_CUT_MS && atMs <= cutMs + AFTER_CUT_MS),
  );
  const allowed: string[] = [];
  const areAllTaken = new Set(taken.map(({ part }) => part)).size === parts;
  if (taken.some(({ id }) => ends.has(id) && ends.get(id) !== "DELIVRD")) allowed.push("undelivered");
  else if (areAllTaken) allowed.push("delivered");
  else if (taken.length === 0) allowed.push(refused.length > 0 ? "failed" : "unknown");
  const mayBeUnknown = taken.length > 0 ? parts > 1 : refused.length > 0;
  if (isAtCut && mayBeUnknown) allowed.push("unknown");
  if (!allowed.includes(status)) say("wrong_end", `${reference} is ${status}, not ${allowed.join(" or ")}`);
}
