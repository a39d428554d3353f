// The SQL of dead letters: stores, lists, finds, drops and purges them. Leaves what a letter is to
// core/dead-letter.ts, and putting one back to requeue-letter.ts.
// Invariant: whoever finds bytes that can't be read or sent lets go of them only after their letter is
// committed, or in the same transaction. Bound: LETTERS_AT_ONCE_MAX letters a list, INSERT_ROWS_MAX and
// INSERT_BYTES_MAX a statement that stores some; a letter lives DEAD_LETTER_TTL_MS.

import { type DeadLetter, fingerprintOf, LETTER_SOURCES, type LetterSource } from "../core/dead-letter.ts";
import { DEAD_LETTER_TTL_MS, LETTER_PURGE_ROWS_MAX } from "../core/limits.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { blob, quote } from "./sql-text.ts";

export type StoredLetter = DeadLetter & { id: number; createdAtMs: number };
export type LetterRow = Omit<StoredLetter, "payload"> & { bytes: number };

const PLACE_CHARS_MAX = 300;
const REASON_CHARS_MAX = 200;
/** Counting stops at this many letters. */
const COUNTED_MAX = 10_000;

const INSERT_ROWS_MAX = 200;
// As hex it is twice as long, which fits MySQL's max_allowed_packet of 64 MiB with any one letter.
const INSERT_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Stores letters in as few statements as their size allows, because whoever finds one often finds many. A
 * letter that is there already stays as it is.
 */
export async function keepLetters(
  conn: Pick<Connection, "write">,
  letters: readonly DeadLetter[],
): Promise<void> {
  let values: string[] = [];
  let bytes = 0;
  const insert = async () => {
    await conn.write(
      `INSERT INTO dead_letters (source,place,reason,fingerprint,payload) VALUES ${values.join(",")} ` +
        "ON DUPLICATE KEY UPDATE fingerprint=dead_letters.fingerprint",
    );
    values = [];
    bytes = 0;
  };
  for (const letter of letters) {
    const { length } = letter.payload;
    if (values.length === INSERT_ROWS_MAX || (values.length > 0 && bytes + length > INSERT_BYTES_MAX))
      await insert();
    values.push(rowOf(letter));
    bytes += length;
  }
  if (values.length > 0) await insert();
}

function rowOf(letter: DeadLetter): string {
  const { source, place, reason, payload } = letter;
  return (
    `('${source}',${quote(place.slice(0, PLACE_CHARS_MAX))},${quote(reason.slice(0, REASON_CHARS_MAX))},` +
    `${blob(fingerprintOf(letter))},${blob(payload)})`
  );
}

type Listed = { id: number; source: LetterSource; place: string; reason: string; created_at: Date };

/** Letters, the oldest first, without their bytes; only those of one source if one is given. */
export async function listLetters(
  pool: Pick<Pool, "query">,
  { source, limit }: { source: LetterSource | null; limit: number },
): Promise<LetterRow[]> {
  const rows = await pool.query<(Listed & { bytes: number })[]>(
    "SELECT id, source, place, reason, created_at, LENGTH(payload) AS bytes FROM dead_letters " +
      `${source === null ? "" : `FORCE INDEX (by_source) WHERE source='${source}' `}` +
      `ORDER BY id LIMIT ${limit}`,
  );
  return rows.map(({ created_at, ...row }) => ({ ...row, createdAtMs: created_at.getTime() }));
}

/** One letter with its bytes, locked; null if there is none. */
export async function lockLetter(conn: Connection, id: number): Promise<StoredLetter | null> {
  const [row] = await conn.query<(Listed & { payload: Buffer })[]>(
    `SELECT id, source, place, reason, created_at, payload FROM dead_letters WHERE id=${id} FOR UPDATE`,
  );
  if (row === undefined) return null;
  const { created_at, ...letter } = row;
  return { ...letter, createdAtMs: created_at.getTime() };
}

/** Whether there was such a letter. */
export async function dropLetter(conn: Pick<Connection, "write">, id: number): Promise<boolean> {
  return (await conn.write(`DELETE FROM dead_letters WHERE id=${id}`)).affectedRows === 1;
}

/** Deletes the oldest letters whose time is over; LETTER_PURGE_ROWS_MAX: there may be more. */
export async function purgeLetters(pool: Pick<Pool, "write">): Promise<number> {
  const { affectedRows } = await pool.write(
    "DELETE /*+ INDEX(dead_letters by_age) */ FROM dead_letters " +
      `WHERE created_at < NOW(3) - INTERVAL ${DEAD_LETTER_TTL_MS * 1_000} MICROSECOND ` +
      `ORDER BY created_at LIMIT ${LETTER_PURGE_ROWS_MAX}`,
  );
  return affectedRows;
}

/** How many letters there are of each source; COUNTED_MAX: there may be more. */
export async function countLetters(conn: Pick<Connection, "query">): Promise<Record<LetterSource, number>> {
  const counts = LETTER_SOURCES.map(
    (source) =>
      "(SELECT COUNT(*) FROM (SELECT 1 FROM dead_letters FORCE INDEX (by_source) " +
      `WHERE source='${source}' LIMIT ${COUNTED_MAX}) AS some) AS \`${source}\``,
  );
  const [row] = await conn.query<Record<LetterSource, number | string>[]>(`SELECT ${counts.join(",")}`);
  return Object.fromEntries(LETTER_SOURCES.map((source) => [source, Number(row?.[source] ?? 0)])) as Record<
    LetterSource,
    number
  >;
}
