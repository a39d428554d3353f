// Finds the messages that reports are about: by our id where the operator names it, else by the operator's,
// among its submits. Says of each report that ends a submit which one it ends, and sets the result of all
// others. Bound: one look-up per operator for all reports given.

import { isUlid } from "../core/id.ts";
import type { ReportedEnd } from "../ledger/settle-reports.ts";
import { findRecipients, findSubmissions, type Submission } from "../ledger/submissions.ts";
import { lastErrorOf } from "../operators/reports/codes.ts";
import { idKeys, match } from "../operators/reports/matching.ts";
import type { Reading, ReportTerms } from "../operators/reports/report.ts";
import type { Connection } from "../platform/mysql.ts";
import type { Open } from "./take.ts";

/** The ends among these reports; sets `result` of those that end nothing. */
export async function findEnds(conn: Connection, open: readonly Open[]): Promise<Map<Open, ReportedEnd>> {
  const ends = new Map<Open, ReportedEnd>();
  const keysOf = new Map<Open, readonly string[]>();
  const wanted = new Map<string, Set<string>>();
  for (const one of open) {
    const { raw, reading, terms } = one;
    if (statusOf(reading) === null) one.result = "notice";
    else if (reading.ourId !== null) {
      const messageId = reading.ourId.toUpperCase();
      if (isUlid(messageId)) ends.set(one, endOf(one, { messageId, part: 0, submits: 1 }));
      else one.result = "unmatched";
    } else {
      const keys = idKeys(reading.operatorMessageIds, terms.idForm);
      keysOf.set(one, keys);
      const of = wanted.get(raw.operator) ?? new Set();
      wanted.set(raw.operator, of);
      for (const key of keys) of.add(key);
    }
  }
  if (keysOf.size === 0) return ends;
  const found = await findSubmissions(conn, new Map([...wanted].map(([name, keys]) => [name, [...keys]])));
  const byKey = Map.groupBy(found, ({ operator, idKey }) => `${operator} ${idKey}`);
  for (const [one, keys] of keysOf) {
    const { raw, reading, terms } = one;
    const all = keys.flatMap((key) => byKey.get(`${raw.operator} ${key}`) ?? []);
    // Parts of one message may share an id: then each report ends the next of them.
    const waiting = all.filter(({ isEnded }) => !isEnded);
    let found = match(reading, waiting, terms.idForm) ?? match(reading, all, terms.idForm);
    if (found === "ambiguous") found = match(reading, await withRecipients(conn, all), terms.idForm);
    if (found === null) one.result = "unmatched";
    else if (found === "ambiguous") one.result = "ambiguous";
    else ends.set(one, endOf(one, found as Submission));
  }
  return ends;
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
    messageId,
    part,
    submits,
    operator: raw.operator,
    operatorMessageId: reading.operatorMessageIds[0] ?? null,
    receivedAtMs: raw.receivedAtMs,
    doneAtMs: reading.doneAtMs,
    status: statusOf(reading) as ReportedEnd["status"],
    error: errorOf(reading, terms),
  };
}

const errorOf = (reading: Reading, terms: ReportTerms): string | null =>
  reading.status === "delivered" ? null : lastErrorOf(reading, terms);

/** An operator had taken the message, so however it ended there, it is delivered or it is not. */
function statusOf({ status }: Reading): ReportedEnd["status"] | null {
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
