// Which of several ends that an operator reports counts: the one that was stored first, even if it can't end
// its message yet and a later one can. So the first end about a message that is still being sent, or about an
// id that nobody knows yet, is kept until a report about the same ends the message; that one then brings the
// kept end instead of its own.
// Leaves what a report is about to find.ts, the rows to the ledger.
// Invariants: reports are taken in the order in which they were stored (inbox-rows.ts), so what is kept was
// stored first; an end is kept until its message has ended, or its report is dropped. Bound: the caller's.

import { keepLateReports } from "../ledger/late-reports.ts";
import type { ReportedEnd } from "../ledger/settle-reports.ts";
import {
  type About,
  findFirstEnds,
  forgetFirstEnds,
  keepFirstEnds,
  type WaitingEnd,
} from "../ledger/waiting-ends.ts";
import { isSamePhone, PHONE_DIGITS_MIN } from "../operators/reports/matching.ts";
import type { Connection } from "../platform/mysql.ts";
import { partEndOf } from "./find.ts";
import type { Open } from "./take.ts";

/** A message that may still become able to end. An ambiguous report is about no message in particular. */
const KEPT = ["early", "unmatched", "crowded"];
const OVER = ["settled", "part", "late"];

export type Ordered = {
  /** How these reports end their submits: as they say, unless an earlier report is kept. */
  ends: ReportedEnd[];
  /** Those for which one is. */
  kept: Open[];
  /** What those say themselves, if it is something else. */
  overruled: Map<Open, ReportedEnd>;
};

export async function withFirstEnds(
  conn: Connection,
  ends: ReadonlyMap<Open, ReportedEnd>,
): Promise<Ordered> {
  const kept: Open[] = [];
  const overruled = new Map<Open, ReportedEnd>();
  if (ends.size === 0) return { ends: [], kept, overruled };
  const found = await findFirstEnds(conn, aboutOf([...ends.keys()]));
  const byName = new Map(found.map((end) => [`${end.operator} ${end.about}`, end]));
  const first = [...ends].map(([one, end]) => {
    const { raw, about, reading } = one;
    const known = about.flatMap((name) => byName.get(`${raw.operator} ${name}`) ?? []);
    const earlier = known.find(({ phone }) => isAboutSame(phone, reading.phone));
    if (earlier === undefined) return end;
    kept.push(one);
    if (one.isShared) return end; // the earlier one may end another part
    if (earlier.status !== end.status) overruled.set(one, end);
    const { status, error, doneAtMs, receivedAtMs } = earlier;
    return { ...end, status, error, doneAtMs, receivedAtMs };
  });
  return { ends: first, kept, overruled };
}

/**
 * Keeps the ends of reports that are put back, forgets what is kept about messages that have ended, and keeps
 * what was overruled for their timelines. All results are known by now.
 */
export async function keepOrder(
  conn: Connection,
  open: readonly Open[],
  { kept, overruled }: Ordered,
): Promise<void> {
  const waiting = open.filter(({ result }) => result !== null && KEPT.includes(result));
  if (waiting.length > 0) await keepFirstEnds(conn, waiting.flatMap(waitingEnds));
  const isOver = ({ result }: Open) => result !== null && OVER.includes(result);
  const over = kept.filter(isOver);
  if (over.length > 0) await forgetFirstEnds(conn, aboutOf(over));
  await keepLateReports(
    conn,
    [...overruled].flatMap(([one, end]) => (isOver(one) ? [end] : [])),
  );
}

/** Forgets what is kept of reports that are dropped. */
export async function forgetDropped(conn: Connection, dropped: readonly Open[]): Promise<void> {
  if (dropped.length > 0) await forgetFirstEnds(conn, aboutOf(dropped));
}

function waitingEnds({ raw, reading, terms, about }: Open): WaitingEnd[] {
  const end = partEndOf({ raw, reading, terms });
  if (end === null) return [];
  const { operator, receivedAtMs } = raw;
  const phone = digitsOf(reading.phone);
  return about.map((name) => ({ ...end, operator, about: name, phone, receivedAtMs }));
}

/** Operators give one id to several messages: then only the recipient tells their reports apart. */
function isAboutSame(a: string | null, b: string | null): boolean {
  const [one, other] = [digitsOf(a), digitsOf(b)];
  return one === null || other === null || isSamePhone(one, other);
}

const PHONE_DIGITS_MAX = 20;

/** null if it is no recipient's number, but a name or a short code. */
function digitsOf(phone: string | null): string | null {
  const digits = phone?.replaceAll(/\D/g, "").replace(/^0+/, "") ?? "";
  return digits.length < PHONE_DIGITS_MIN ? null : digits.slice(-PHONE_DIGITS_MAX);
}

function aboutOf(open: readonly Open[]): About {
  const about = new Map<string, string[]>();
  for (const { raw, about: names } of open) {
    const of = about.get(raw.operator);
    if (of === undefined) about.set(raw.operator, [...names]);
    else of.push(...names);
  }
  return about;
}
