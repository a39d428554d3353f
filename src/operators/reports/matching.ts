// Finds the message that a report is about, among the submits that its ids may mean. Two steps, because the
// second can't be a query: candidates by a normalized key, then `match`.
// Invariants: whatever `match` accepts is among the candidates that the keys find; a report is never given to
// one of several messages by chance.

import { createHash } from "node:crypto";
import { ID_FORMS, type IdForm, type Reading } from "./report.ts";

/** One part of a message, as an operator accepted it. */
export type Submission = {
  operatorMessageId: string;
  messageId: string;
  part: number;
  /** These two only tell messages with one id apart; without them such messages stay ambiguous. */
  phone?: string | null;
  submittedAtMs?: number | null;
};

/** Characters of a key; longer ones become a hash. */
export const ID_KEY_CHARS_MAX = 64;

// ---- keys ----

/** The key under which the id in a submit's answer is stored. */
export function submitIdKey(id: string, idForm: IdForm): string {
  return bounded(numberOf(id, baseOfResponse(idForm))?.toString() ?? folded(id));
}

/**
 * The keys to look up for the ids of a report, in the order of the ids: those under which a submit that it
 * matches may be stored, whatever `idForm` was at that time. At most four for each.
 */
export function idKeys(ids: readonly string[], idForm: IdForm): string[] {
  const keys = ids.flatMap((id) => {
    const number = numberOf(id, baseOfReport(idForm));
    // As the answer to the submit had it: in the other base, or, equal as it stands, whatever its base.
    const answers = number === null ? [id] : [id, number.toString(baseOfResponse(idForm) ?? 10)];
    return answers.flatMap((answer) => ID_FORMS.map((form) => submitIdKey(answer, form)));
  });
  return [...new Set(keys)];
}

/** The keys of `idKeys` for an id that somebody quotes, who says nothing of its form: in either base. */
export const quotedIdKeys = (id: string): string[] => [
  ...new Set(ID_FORMS.flatMap((idForm) => idKeys([id], idForm))),
];

/**
 * What reports are about whose message isn't known: one or two names for each id. Fewer than `idKeys`, since
 * nothing else keeps those with one name apart.
 */
export function idNames(ids: readonly string[], idForm: IdForm): string[] {
  const names = ids.flatMap((id) => {
    const number = numberOf(id, baseOfReport(idForm));
    return [...(number === null ? [] : [bounded(number.toString())]), submitIdKey(id, idForm)];
  });
  return [...new Set(names)];
}

/** In one letter case and without leading zeros: equal for all ids that `match` may take for each other. */
function folded(id: string): string {
  return id.toLowerCase().replace(/^0+(?=.)/s, "");
}

// Keys are indexed: short, ASCII, and no id of an operator makes them otherwise.
function bounded(key: string): string {
  if (key.length <= ID_KEY_CHARS_MAX && /^[\x21-\x7e]+$/.test(key)) return key;
  return `sha256-${createHash("sha256").update(key).digest("hex").slice(0, 48)}`;
}

/** Whether columns of operators' ids, which are ASCII, take this one. */
const isStorable = (id: string): boolean => /^[\x20-\x7e]*$/.test(id);

/** The first of a report's ids that a message's row can have; null if none can. */
export const storableId = (ids: readonly string[]): string | null => ids.find(isStorable) ?? null;

/** An id as the row of its submit has it: its key, if it isn't ASCII. */
export const storedId = (id: string): string => (isStorable(id) ? id : bounded(folded(id)));

// ---- numbers ----

type Base = 10 | 16;

const baseOfResponse = (idForm: IdForm): Base | null =>
  idForm === "same" ? null : idForm === "hex_in_response" ? 16 : 10;
const baseOfReport = (idForm: IdForm): Base | null =>
  idForm === "same" ? null : idForm === "hex_in_report" ? 16 : 10;

/** The number that an id is; null if it is none in that base. Of any size: ids of 64 bits are common. */
function numberOf(id: string, base: Base | null): bigint | null {
  if (base === 10) return /^\d+$/.test(id) ? BigInt(id) : null;
  if (base === 16) return /^[0-9a-f]+$/i.test(id) ? BigInt(`0x${id}`) : null;
  return null;
}

// ---- matching ----

type Rule = (submitted: string, reported: string, idForm: IdForm) => boolean;

/** From strict to lenient; each is tried only if those before it fit no message, or more than one. */
const RULES: readonly Rule[] = [
  (submitted, reported) => submitted === reported || submitted === storedId(reported),
  (submitted, reported) => submitted.toLowerCase() === reported.toLowerCase(),
  (submitted, reported) => folded(submitted) === folded(reported),
  (submitted, reported, idForm) => {
    const number = numberOf(submitted, baseOfResponse(idForm));
    return number !== null && number === numberOf(reported, baseOfReport(idForm));
  },
];

type Asked = Pick<Reading, "operatorMessageIds" | "phone" | "submittedAtMs">;

/**
 * The submit that a report is about: for each of its ids in turn, the first rule that fits exactly one
 * message. Messages that were given one id are told apart by recipient or time of submit; if that fails too,
 * the report is "ambiguous". null: no message of ours. Of parts with one id the lowest is returned.
 */
export function match(
  reading: Asked,
  candidates: readonly Submission[],
  idForm: IdForm,
): Submission | "ambiguous" | null {
  let isAmbiguous = false;
  for (const id of reading.operatorMessageIds) {
    for (const rule of RULES) {
      const fitting = candidates.filter(({ operatorMessageId }) => rule(operatorMessageId, id, idForm));
      const near = sameRecipient(fitting, reading);
      const one = only(fitting) ?? only(near) ?? only(sameTime(near.length > 0 ? near : fitting, reading));
      if (one !== null) return one;
      if (fitting.length > 0) isAmbiguous = true;
    }
  }
  return isAmbiguous ? "ambiguous" : null;
}

/** The lowest part, if all are of one message. */
function only(submissions: readonly Submission[]): Submission | null {
  const [first, ...others] = submissions.toSorted((a, b) => a.part - b.part);
  if (first === undefined || others.some(({ messageId }) => messageId !== first.messageId)) return null;
  return first;
}

function sameRecipient(submissions: readonly Submission[], { phone }: Asked): Submission[] {
  if (phone === null) return [];
  return submissions.filter((submission) => isSamePhone(submission.phone ?? "", phone));
}

/** Fewer, without zeros at the start, are no recipient's number: operators also report senders and names. */
export const PHONE_DIGITS_MIN = 7;

/** One may have a country code and the other not: the shorter, without its zeros, ends the longer. */
export function isSamePhone(a: string, b: string): boolean {
  const [short = "", long = ""] = [a, b]
    .map((phone) => phone.replace(/\D/g, "").replace(/^0+/, ""))
    .toSorted((x, y) => x.length - y.length);
  return short.length >= PHONE_DIGITS_MIN && long.endsWith(short);
}

/** Receipts have minutes, and clocks differ a little. */
const SAME_TIME_MS = 2 * 60_000;

function sameTime(submissions: readonly Submission[], { submittedAtMs }: Asked): Submission[] {
  if (submittedAtMs === null) return [];
  return submissions.filter(
    (submission) =>
      submission.submittedAtMs != null && Math.abs(submission.submittedAtMs - submittedAtMs) <= SAME_TIME_MS,
  );
}
