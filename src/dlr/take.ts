// One transaction over stored reports: takes due rows of the inbox, reads them, finds and settles their
// messages, stores inbound messages, and deletes the rows. Owns what becomes of each report; leaves its
// reading and matching to src/operators/reports/, SQL, moves and inbound messages to the ledger. States of a
// report: due → settled | late or without news (gone) | deferred, because its message isn't found or is
// still being sent | a dead letter, because it can't be read, or fails by itself (alone.ts) | dropped after
// REPORT_TTL_MS. Invariant: a report is deleted in the transaction in which what it says is stored. All of it
// repeats safely. Bound: ROWS_MAX rows of INBOX_ROW_REPORTS_MAX reports, SETTLED_AT_ONCE_MAX of them in one
// statement.

import type { DeadLetter } from "../core/dead-letter.ts";
import type { Inbound } from "../core/inbound.ts";
import { CLAIM_ROWS_MAX, REPORT_TTL_MS } from "../core/limits.ts";
import { RecordError } from "../core/packed.ts";
import { packReports, type RawReport, unpackReports } from "../core/raw-report.ts";
import { keepLetters } from "../ledger/dead-letters.ts";
import { deferReports, deleteInbox, type InboxRow, takeInbox } from "../ledger/inbox-rows.ts";
import { type InboundResult, storeInbound } from "../ledger/inbound.ts";
import type { Change } from "../ledger/move.ts";
import { type EndResult, settleReported } from "../ledger/settle-reports.ts";
import type { PartEnd } from "../ledger/submissions.ts";
import { type Connection, type Pool, withRetries } from "../platform/mysql.ts";
import type { REPORT_RESULTS } from "../platform/metrics-table.ts";
import { endOfParts } from "../operators/reports/ends.ts";
import { readInbound } from "../operators/reports/inbound.ts";
import { readReport } from "../operators/reports/read.ts";
import { type Reading, ReportError, type ReportTerms } from "../operators/reports/report.ts";
import { isOfRows, nothingTaken, placeOf, takeAlone } from "./alone.ts";
import { againAfterMs } from "./again.ts";
import { findEnds } from "./find.ts";
import { forgetDropped, keepOrder, withFirstEnds } from "./order.ts";

export type TakeDeps = {
  pool: Pick<Pool, "use">;
  /** What an operator's entry says about its reports; undefined if it has none any more. */
  termsOf: (operator: string) => ReportTerms | undefined;
  now: () => number;
};
/** What became of one reading: as in metrics-table.ts. */
export type Result = (typeof REPORT_RESULTS)[number];
export type Taken = {
  rows: number;
  results: { operator: string; result: Result; disagrees: boolean; ageMs: number }[];
  changes: Change[];
  /** What became of each inbound message. */
  inbound: InboundResult[];
  /** Those that failed by themselves, with their dead letters' places. */
  failures: { place: string; error: unknown }[];
};

export const ROWS_MAX = 40;
const SETTLED_AT_ONCE_MAX = CLAIM_ROWS_MAX;
/** Its message may still be found, or get its own outcome. */
const WAITS: readonly Result[] = ["unmatched", "crowded", "ambiguous", "nowhere", "early"];

/** Takes what is due and settles it. `rows` is ROWS_MAX if there may be more. */
export async function takeReports(deps: TakeDeps): Promise<Taken> {
  try {
    return await takeRows(deps, ROWS_MAX);
  } catch (error) {
    if (!isOfRows(error)) throw error;
    return takeAlone(deps.pool, ROWS_MAX, (locked) => takeRows(deps, 1, locked));
  }
}

/** In one transaction. `locked` is told of the rows, which may be others when it is repeated. */
function takeRows(
  deps: TakeDeps,
  limit: number,
  locked: (rows: readonly InboxRow[]) => void = () => undefined,
): Promise<Taken> {
  return withRetries(deps.pool, async (conn) => {
    const rows = await takeInbox(conn, limit);
    locked(rows);
    const taken = nothingTaken(rows.length);
    if (rows.length > 0) {
      const { open: read, inbound } = await readRows(deps, conn, rows, taken);
      taken.inbound = await storeInbound(conn, inbound);
      for (let at = 0; at < read.length; at += SETTLED_AT_ONCE_MAX)
        await settle(deps, conn, read.slice(at, at + SETTLED_AT_ONCE_MAX), taken);
      await defer(deps, conn, read, taken);
      await deleteInbox(conn, rows);
    }
    await conn.query("COMMIT");
    return taken;
  });
}

/** A reading on its way. */
export type Open = {
  raw: RawReport;
  reading: Reading;
  terms: ReportTerms;
  /** Our id of its message, or names of the operator's: reports with one of them are about the same. */
  about: readonly string[];
  /** Several submits of its message have its id, so that only their order says which of them it is about. */
  isShared: boolean;
  /** null until it is known */
  result: Result | null;
};

async function readRows(
  { termsOf }: TakeDeps,
  conn: Connection,
  rows: readonly InboxRow[],
  taken: Taken,
): Promise<{ open: Open[]; inbound: Inbound[] }> {
  const open: Open[] = [];
  const inbound: Inbound[] = [];
  const dead: DeadLetter[] = [];
  const keep = (payload: Buffer, place: string, reason: string, operator = "") => {
    dead.push({ source: "report", place, reason, payload });
    taken.results.push({ operator, result: "unreadable", disagrees: false, ageMs: 0 });
  };
  const keepRaw = (raw: RawReport, reason: string) =>
    keep(packReports([raw]), placeOf(raw), reason, raw.operator);
  for (const row of rows) {
    let raws: RawReport[];
    try {
      raws = unpackReports(row.payload);
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      keep(row.payload, `inbox/${row.id}`, error.message);
      continue;
    }
    for (const raw of raws) {
      const terms = termsOf(raw.operator);
      if (terms === undefined) {
        keepRaw(raw, "the routes file has no such operator");
        continue;
      }
      try {
        const readings = raw.via === "mo" ? [] : readReport(raw, terms);
        const received = raw.via === "http" || readings.length > 0 ? [] : readInbound(raw, terms);
        inbound.push(...received);
        open.push(
          ...readings.map((reading) => ({ raw, reading, terms, about: [], isShared: false, result: null })),
        );
        if (readings.length + received.length === 0)
          taken.results.push({ operator: raw.operator, result: "foreign", disagrees: false, ageMs: 0 });
      } catch (error) {
        // Reading touches nothing else, so even a bug in it holds up no other report.
        keepRaw(raw, error instanceof ReportError ? error.message : `reading failed: ${String(error)}`);
      }
    }
  }
  await keepLetters(conn, dead);
  return { open, inbound };
}

async function settle(
  { now }: TakeDeps,
  conn: Connection,
  open: readonly Open[],
  taken: Taken,
): Promise<void> {
  const found = await findEnds(conn, open, now());
  const ordered = await withFirstEnds(conn, found);
  const { results, changes } = await settleReported(conn, ordered.ends, {
    nowMs: now(),
    endOf: (parts) => endOfParts(parts) as PartEnd | null,
  });
  [...found.keys()].forEach((one, at) => (one.result = results[at] as EndResult));
  taken.changes.push(...changes);
  await keepOrder(conn, open, ordered);
}

// A report with several entries is deferred whole: what it has settled already stays as it is.
async function defer(
  { now }: TakeDeps,
  conn: Connection,
  read: readonly Open[],
  taken: Taken,
): Promise<void> {
  const nowMs = now();
  const later = new Set<RawReport>();
  const dropped: Open[] = [];
  for (const one of read) {
    const { raw, result, reading } = one;
    const waits = result !== null && WAITS.includes(result);
    const isOver = waits && nowMs - raw.receivedAtMs >= REPORT_TTL_MS;
    if (waits && !isOver) later.add(raw);
    if (isOver) dropped.push(one);
    taken.results.push({
      operator: raw.operator,
      result: isOver ? "dropped" : (result as Result),
      disagrees: reading.disagrees,
      ageMs: nowMs - raw.receivedAtMs,
    });
  }
  const together = Map.groupBy(later, ({ receivedAtMs }) => againAfterMs(nowMs - receivedAtMs));
  for (const [delayMs, raws] of together) await deferReports(conn, raws, delayMs);
  await forgetDropped(conn, dropped);
}
