// Takes the inbox row by row after a transaction over many failed for a reason that lies in one of them: what
// nobody foresaw in a report must not hold up all others for ever. A row of several reports that fails by
// itself is replaced by rows of one, a row of one becomes a dead letter. Leaves the work on a row to take.ts.
// Invariants: a row is set aside only in the transaction that locked it again; a failure of the database is
// never put down to a row. Bound: the caller's rows.

import type { DeadLetter } from "../core/dead-letter.ts";
import { RecordError } from "../core/packed.ts";
import { type RawReport, unpackReports } from "../core/raw-report.ts";
import { keepLetters } from "../ledger/dead-letters.ts";
import { deleteInbox, type InboxRow, lockInbox, storeApart } from "../ledger/inbox-rows.ts";
import { type Pool, withRetries } from "../platform/mysql.ts";
import { isConnectionLost, isRetryable, isSchemaError, isServerTrouble } from "../platform/mysql-errors.ts";
import type { Taken } from "./take.ts";

export const nothingTaken = (rows: number): Taken => ({
  rows,
  results: [],
  changes: [],
  inbound: [],
  failures: [],
});

/** Where a report's dead letter says that it is from. */
export const placeOf = ({ operator, via }: RawReport): string => `${operator} by ${via}`;

/** Whether the same rows would fail again, as far as anyone can tell. */
export const isOfRows = (error: unknown): boolean =>
  !isConnectionLost(error) && !isRetryable(error) && !isSchemaError(error) && !isServerTrouble(error);

/** `takeOne` takes the oldest due row in a transaction, and says which one it has locked. */
export async function takeAlone(
  pool: Pick<Pool, "use">,
  rowsMax: number,
  takeOne: (locked: (rows: readonly InboxRow[]) => void) => Promise<Taken>,
): Promise<Taken> {
  const all = nothingTaken(0);
  while (all.rows < rowsMax) {
    let rows: readonly InboxRow[] = [];
    const one = await takeOne((locked) => (rows = locked)).catch((error: unknown) => {
      const [row] = rows;
      if (row === undefined || !isOfRows(error)) throw error;
      return setAside(pool, row, error);
    });
    if (one.rows === 0) break;
    all.rows += one.rows;
    all.results.push(...one.results);
    all.changes.push(...one.changes);
    all.inbound.push(...one.inbound);
    all.failures.push(...one.failures);
  }
  return all;
}

/** Returns what became of it. */
function setAside(pool: Pick<Pool, "use">, row: InboxRow, error: unknown): Promise<Taken> {
  const raws = reportsOf(row);
  const [first] = raws;
  const operator = first?.operator ?? "";
  const place = first === undefined ? `inbox/${row.id}` : placeOf(first);
  const reason = `settling failed: ${String(error)}`;
  const letter: DeadLetter = { source: "report", place, reason, payload: row.payload };
  return withRetries(pool, async (conn) => {
    const taken = nothingTaken(1);
    await conn.query("BEGIN");
    const locked = await lockInbox(conn, row);
    if (locked !== null) {
      if (raws.length > 1) await storeApart(conn, raws, locked.runAtMs);
      else {
        await keepLetters(conn, [letter]);
        taken.results.push({ operator, result: "unreadable", disagrees: false, ageMs: 0 });
        taken.failures.push({ place, error });
      }
      await deleteInbox(conn, [row]);
    }
    await conn.query("COMMIT");
    return taken;
  });
}

/** None of a row that can't be read. */
function reportsOf({ payload }: InboxRow): RawReport[] {
  try {
    return unpackReports(payload);
  } catch (error) {
    if (error instanceof RecordError) return [];
    throw error;
  }
}
