// Finds the messages that reports are about: by our id where the operator names it, else by the operator's,
// among its submits, first those of messages that were accepted lately, then those of messages that waited
// for their send_at; at last, if the answer that named the operator's id was lost, by the recipient. Says of
// each report that ends a submit which one it ends, and of each what it is about; sets the result of all
// others. Bound: three look-ups per operator for all reports given, and one at messages without an answer.

import assert from "node:assert/strict";
import { isUlid } from "../core/id.ts";
import { CLAIM_TTL_MS, LATE_ANSWER_MAX_MS, SUBMISSION_TTL_MS, SUBMIT_TIMEOUT_MS } from "../core/limits.ts";
import type { ReportedEnd } from "../ledger/settle-reports.ts";
import { findRecipients, findSubmissions, type PartEnd, type Submission } from "../ledger/submissions.ts";
import { findUnsure, PHONE_END_DIGITS, type UnsureSubmit } from "../ledger/unsure.ts";
import { lastErrorOf } from "../operators/reports/codes.ts";
import {
  idKeys,
  idNames,
  isSamePhone,
  match,
  PHONE_DIGITS_MIN,
  storableId,
  storedId,
} from "../operators/reports/matching.ts";
import type { Reading, ReportTerms } from "../operators/reports/report.ts";
import type { Connection } from "../platform/mysql.ts";
import type { Open } from "./take.ts";

/**
 * A report that is so old is about no message whose answer may still come and name the id: only then it is
 * looked for by its recipient, and among messages that were accepted long before they were sent.
 */
const BY_PHONE_AFTER_MS = 60_000;
/** Messages that were accepted since then are looked at first: they are nearly all. */
const LATELY_MS = SUBMISSION_TTL_MS + 86_400_000;
assert(
  CLAIM_TTL_MS + 2 * SUBMIT_TIMEOUT_MS + LATE_ANSWER_MAX_MS < BY_PHONE_AFTER_MS,
  "by then every answer has come, or its message is unknown",
);
assert(PHONE_END_DIGITS <= PHONE_DIGITS_MIN, "two forms of one number have the same end");
/** Between the time of submit that a report names and that at which its message became unknown. */
const SUBMIT_APART_MS = 5 * 60_000;

/** The ends among these reports; sets `about`, and `result` of those that end nothing. */
export async function findEnds(
  conn: Connection,
  open: readonly Open[],
  nowMs: number,
): Promise<Map<Open, ReportedEnd>> {
  const ends = new Map<Open, ReportedEnd>();
  const keysOf = new Map<Open, readonly string[]>();
  for (const one of open) {
    const { reading, terms } = one;
    if (statusOf(reading) === null) one.result = "notice";
    else if (reading.ourId !== null) {
      const messageId = reading.ourId.toUpperCase();
      if (isUlid(messageId)) {
        one.about = [messageId];
        ends.set(one, endOf(one, { messageId, part: 0, submits: 1 }));
      } else one.result = "unmatched";
    } else {
      one.about = idNames(reading.operatorMessageIds, terms.idForm);
      keysOf.set(one, one.about);
    }
  }
  if (keysOf.size === 0) return ends;
  const latelyMs = Math.max(0, nowMs - LATELY_MS);
  await matchSubmits(conn, keysOf, ends, { fromMs: latelyMs });
  const unmatchedOf = () => [...keysOf].filter(([one]) => one.result === "unmatched");
  // What was sent before its operator's `id_form` was changed is stored under other keys.
  const others = unmatchedOf().map(([one, known]) => [one, otherKeys(one, known)] as const);
  await matchSubmits(conn, new Map(others.filter(([, keys]) => keys.length > 0)), ends, { fromMs: latelyMs });
  const unmatched = unmatchedOf().filter(([one]) => isOld(one, nowMs));
  if (unmatched.length === 0) return ends;
  const every = unmatched.map(([one, known]) => [one, [...known, ...otherKeys(one, known)]] as const);
  await matchSubmits(conn, new Map(every), ends, { untilMs: latelyMs });
  const old = unmatched
    .map(([one]) => one)
    .filter((one) => one.result === "unmatched" && mayFindByPhone(one));
  const unsure = old.length === 0 ? null : await findUnsure(conn, phoneEndsOf(old));
  for (const one of old) {
    if (unsure === null) one.result = "crowded";
    const message = unsure === null ? null : onlyUnknown(one, unsure);
    if (message === null) continue;
    const [idKey = "", operatorMessageId = ""] = [one.about[0], one.reading.operatorMessageIds[0]];
    const end = endOf(one, { messageId: message.id, part: 0, submits: 1 });
    ends.set(one, { ...end, named: { idKey, operatorMessageId: storedId(operatorMessageId) } });
    one.result = null;
  }
  return ends;
}

const otherKeys = ({ reading, terms }: Open, known: readonly string[]): string[] =>
  idKeys(reading.operatorMessageIds, terms.idForm).filter((key) => !known.includes(key));

/** Sets `result` of those that are about no submit of these messages, and adds the ends of the others. */
async function matchSubmits(
  conn: Connection,
  keysOf: ReadonlyMap<Open, readonly string[]>,
  ends: Map<Open, ReportedEnd>,
  accepted: Parameters<typeof findSubmissions>[2],
): Promise<void> {
  const wanted = new Map<string, Set<string>>();
  for (const [{ raw }, keys] of keysOf) {
    const of = wanted.get(raw.operator) ?? new Set();
    wanted.set(raw.operator, of);
    for (const key of keys) of.add(key);
  }
  const asked = new Map([...wanted].map(([name, keys]) => [name, [...keys]]));
  const submits = await findSubmissions(conn, asked, accepted);
  const byKey = Map.groupBy(submits, ({ operator, idKey }) => `${operator} ${idKey}`);
  for (const [one, keys] of keysOf) {
    const { raw, reading, terms } = one;
    const all = keys.flatMap((key) => byKey.get(`${raw.operator} ${key}`) ?? []);
    let found = match(reading, all, terms.idForm);
    if (found === "ambiguous") found = match(reading, await withRecipients(conn, all), terms.idForm);
    one.result = found === null ? "unmatched" : found === "ambiguous" ? found : null;
    if (one.result !== null) continue;
    const submit = found as Submission;
    const own = all.filter(
      ({ messageId, operatorMessageId }) =>
        messageId === submit.messageId && operatorMessageId === submit.operatorMessageId,
    );
    one.isShared = own.length > 1;
    ends.set(one, endOf(one, nextOf(submit, own)));
  }
}

/**
 * The submit that this report ends, of those of its message that have its id. Parts may share one: then each
 * report ends the next of them, also of several that are taken together. A repeat, when all have ended, is
 * about the one it found.
 */
function nextOf(found: Submission, own: readonly Submission[]): Submission {
  const [next = found] = own.filter(({ isEnded }) => !isEnded).toSorted((a, b) => a.part - b.part);
  next.isEnded = true;
  return next;
}

const isOld = ({ raw }: Open, nowMs: number): boolean => nowMs - raw.receivedAtMs >= BY_PHONE_AFTER_MS;

const mayFindByPhone = ({ reading, about }: Open): boolean => reading.phone !== null && about.length > 0;

const phoneEndsOf = (open: readonly Open[]): string[] => [
  ...new Set(open.map(({ reading }) => (reading.phone ?? "").replaceAll(/\D/g, "").slice(-PHONE_END_DIGITS))),
];

/**
 * The message without an answer that this report is about: the only one that its operator may have for that
 * recipient. Those of which nobody knows the operator count as others, and so do those that it refused, on
 * which some operators report by an id all the same. Not one of several parts: a part's report says nothing
 * of the rest.
 */
function onlyUnknown({ raw, reading }: Open, unsure: readonly UnsureSubmit[]): UnsureSubmit | null {
  const fitting = unsure.filter(
    ({ operator, operatorMessageId, parts, phone }) =>
      (operator === null || operator === raw.operator) &&
      // Of one part, and its id is known: a report with another id isn't about it.
      (operatorMessageId === null || parts > 1) &&
      isSamePhone(phone, reading.phone ?? ""),
  );
  const [message] = fitting;
  if (message === undefined || fitting.length > 1) return null;
  const { status, operator, parts, changedAtMs } = message;
  if (status !== "unknown" || operator === null || parts > 1) return null;
  const { submittedAtMs } = reading;
  const isThen = submittedAtMs === null || Math.abs(submittedAtMs - changedAtMs) <= SUBMIT_APART_MS;
  return isThen ? message : null;
}

async function withRecipients(conn: Connection, candidates: readonly Submission[]) {
  const recipients = await findRecipients(
    conn,
    candidates.map(({ messageId }) => messageId),
  );
  return candidates.map((candidate) => {
    const recipient = recipients.get(candidate.messageId);
    return { ...candidate, phone: recipient?.phone ?? null, submittedAtMs: recipient?.changedAtMs ?? null };
  });
}

function endOf(
  { raw, reading, terms }: Open,
  { messageId, part, submits }: Pick<Submission, "messageId" | "part" | "submits">,
): ReportedEnd {
  return {
    ...(partEndOf({ raw, reading, terms }) as PartEnd),
    messageId,
    part,
    submits,
    isOnly: (terms.receiptParts ?? "each") !== "each",
    operator: raw.operator,
    operatorMessageId: storableId(reading.operatorMessageIds),
    receivedAtMs: raw.receivedAtMs,
  };
}

/** How a submit ended, as this reading says; null if it hasn't ended. */
export function partEndOf({ raw, reading, terms }: Pick<Open, "raw" | "reading" | "terms">): PartEnd | null {
  const status = statusOf(reading);
  if (status === null) return null;
  // What is reported has happened. A later time is from a clock that is ahead, or of another time zone.
  // A date without seconds proves no more than that it was done by the end of its minute.
  const doneByMs = reading.doneByMs ?? reading.doneAtMs;
  const doneAtMs = doneByMs === null ? null : Math.min(doneByMs, raw.receivedAtMs);
  return { status, error: errorOf(reading, terms), doneAtMs };
}

const errorOf = (reading: Reading, terms: ReportTerms): string | null =>
  reading.status === "delivered" ? null : lastErrorOf(reading, terms);

/** An operator had taken the message, so however it ended there, it is delivered or it is not. */
function statusOf({ status }: Reading): PartEnd["status"] | null {
  switch (status) {
    case "delivered":
      return "delivered";
    case "undelivered":
    case "expired":
    case "rejected":
      return "undelivered";
    case "unknown":
    case "none":
      return null;
  }
}
