// Held rows (`outbox_held`): records of customers that have more waiting than their share of a lane, or whose
// operators are slow. A row is of one customer and one link, which are those of its records when they were
// held. A record only moves on: outbox → Kafka → held → claimed, or from its acceptance straight into a held
// row; never to another row. The sweep's proof relies on that (src/relay/sweep.ts). Holding doesn't touch
// messages: they stay queued at their attempt, and a claim lets each through once, however many rows name it.
// Invariant: a row is deleted, or cut, only in the transaction that claims its messages. Crash points: a kill
// before that commit leaves the row; after it the claim has the messages.
// Bound: CLAIM_ROWS_MAX records a row; the caller's customers and rows a claim.

import { CLAIM_ROWS_MAX } from "../core/limits.ts";
import type { Lane } from "../core/message.ts";
import { type LaneRecord, packLaneRow, unpackLaneRow } from "../core/lane-record.ts";
import { RecordError } from "../core/packed.ts";
import { type Connection, type Pool, withRetries } from "../platform/mysql.ts";
import { asStored, type Claimed, claimWithin, storedClaim } from "./claim.ts";
import { blob, quote } from "./sql-text.ts";

/** Customers that one look finds, counted once for each link of theirs. */
export const HELD_CUSTOMERS_MAX = 10_000;
// As in the relay: the table's statistics change too fast to be believed.
const BY_CUSTOMER = "outbox_held FORCE INDEX (by_customer)";
const BY_ID = "/*+ INDEX(outbox_held PRIMARY) */";

/** The link of a message (src/operators/route.ts). */
export type LinkOf = (record: LaneRecord) => string;
/** A customer with held rows of this link. */
export type HeldCustomer = { customerId: number; link: string };

/** One INSERT with a row for each customer, link and CLAIM_ROWS_MAX of their records. */
export function holdSql(lane: Lane, records: readonly LaneRecord[], linkOf: LinkOf): string {
  const rows: string[] = [];
  for (const [customerId, own] of Map.groupBy(records, (r) => r.customerId))
    for (const [link, of] of Map.groupBy(own, linkOf))
      for (let at = 0; at < of.length; at += CLAIM_ROWS_MAX) {
        const payload = blob(packLaneRow(of.slice(at, at + CLAIM_ROWS_MAX)));
        rows.push(`('${lane}',${customerId},${quote(link)},${payload})`);
      }
  return `INSERT INTO outbox_held (lane,customer_id,link,payload) VALUES ${rows}`;
}

/** Holds records that were read from Kafka; their offsets may be stored afterwards. May be repeated. */
export async function holdRecords(
  pool: Pick<Pool, "write">,
  lane: Lane,
  records: readonly LaneRecord[],
  linkOf: LinkOf,
): Promise<void> {
  await pool.write(holdSql(lane, records, linkOf));
}

/**
 * The customers above `after` that have held rows in this lane, in the order of their ids, once for each link
 * of theirs; if they are HELD_CUSTOMERS_MAX there may be more. With the lane among the columns MySQL can read
 * one entry of each.
 */
export async function heldCustomers(
  pool: Pick<Pool, "query">,
  lane: Lane,
  after = 0,
): Promise<HeldCustomer[]> {
  const found = await pool.query<{ customer_id: number; link: string }[]>(
    `SELECT DISTINCT lane, customer_id, link FROM ${BY_CUSTOMER} ` +
      `WHERE lane='${lane}' AND customer_id>${after} LIMIT ${HELD_CUSTOMERS_MAX}`,
  );
  return found.map((row) => ({ customerId: row.customer_id, link: row.link }));
}

/**
 * The customers that have held rows in this lane, once for each link of theirs, with the milliseconds that
 * the oldest of those rows has waited; HELD_CUSTOMERS_MAX at most. Reads two index entries of each, however
 * many rows there are.
 */
export async function heldAges(
  pool: Pick<Pool, "query">,
  lane: Lane,
): Promise<(HeldCustomer & { ageMs: number })[]> {
  const found = await pool.query<{ customer_id: number; link: string; age_us: number }[]>(
    "SELECT h.customer_id, h.link, TIMESTAMPDIFF(MICROSECOND, h.created_at, NOW(3)) AS age_us FROM " +
      `(SELECT lane, customer_id, link, MIN(id) AS id FROM ${BY_CUSTOMER} WHERE lane='${lane}' ` +
      `GROUP BY lane, customer_id, link LIMIT ${HELD_CUSTOMERS_MAX}) AS oldest ` +
      "STRAIGHT_JOIN outbox_held AS h FORCE INDEX (PRIMARY) ON h.id=oldest.id",
  );
  return found.map((row) => ({
    customerId: row.customer_id,
    link: row.link,
    ageMs: Number(row.age_us) / 1_000,
  }));
}

export type HeldClaim = {
  claimId: string;
  lane: Lane;
  link: string;
  /** Whose rows of this link to claim, in this order, until there are enough. */
  customers: readonly number[];
  nowMs: number;
  recordsMax: number;
  /** It ends with the record that brings them to so many parts. */
  partsMax: number;
  /** Of one customer. */
  rowsMax: number;
};
/**
 * `read`: the records that left their rows; `rows`: the rows in which they were; `empty`: who had none of
 * this link.
 */
export type ClaimedHeld = Claimed & { read: number; rows: number; empty: number[] };
type HeldRow = { id: number; payload: Buffer };

const NONE = { records: [], unpaid: [] };

/**
 * Claims customers' oldest held records of a link that no other sender is claiming, in one transaction with
 * the end of their rows. `seen` keeps what was claimed: after a lost connection call it again with the same
 * one, the same claimId and `again`; a claim that was stored is then returned as it is.
 */
export function claimHeld(
  pool: Pool,
  request: HeldClaim,
  seen: Map<string, LaneRecord>,
  again = false,
): Promise<ClaimedHeld> {
  return withRetries(pool, async (conn) => {
    if (again) {
      const stored = await storedClaim(conn, request.claimId);
      if (stored !== null) {
        const claimed = asStored([...stored].flatMap((id) => seen.get(id) ?? []));
        return { ...claimed, read: claimed.records.length, rows: 1, empty: [] };
      }
    }
    await conn.query("BEGIN");
    const split: Split = { taken: [], parts: 0, rows: 0, ended: [], cut: null, unreadable: [] };
    const empty: number[] = [];
    for (const customerId of request.customers) {
      if (isFull(split, request)) break;
      const rows = await lockHeld(conn, request, customerId);
      if (rows.length === 0) empty.push(customerId);
      splitRows(split, rows, request);
    }
    const { taken } = split;
    if (split.rows > 0) await conn.query(endSql(split));
    const claimed = taken.length === 0 ? NONE : await claimWithin(conn, request, taken);
    // Not all that was read: another row may have had an older record of the same message.
    for (const record of claimed.records) seen.set(record.id, record);
    await conn.query("COMMIT");
    return { ...claimed, wasStored: false, read: taken.length, rows: split.rows, empty };
  });
}

function lockHeld(
  conn: Connection,
  { lane, link, rowsMax }: HeldClaim,
  customerId: number,
): Promise<HeldRow[]> {
  const own = `lane='${lane}' AND customer_id=${customerId} AND link=${quote(link)}`;
  return conn.query<HeldRow[]>(
    `SELECT id, payload FROM ${BY_CUSTOMER} WHERE ${own} ` +
      `ORDER BY id LIMIT ${rowsMax} FOR UPDATE SKIP LOCKED`,
  );
}

/** What becomes of locked rows: those that end, the one of which something is left, and the unreadable. */
type Split = {
  taken: LaneRecord[];
  parts: number;
  rows: number;
  ended: number[];
  cut: { id: number; rest: LaneRecord[] } | null;
  unreadable: number[];
};

type Most = Pick<HeldClaim, "recordsMax" | "partsMax">;
const isFull = ({ taken, parts }: Split, { recordsMax, partsMax }: Most): boolean =>
  taken.length >= recordsMax || parts >= partsMax;

/** Adds these rows' records to those taken, up to `most` in all. */
function splitRows(split: Split, rows: readonly HeldRow[], most: Most): void {
  for (const { id, payload } of rows) {
    if (isFull(split, most)) return;
    split.rows++;
    const records = recordsIn(payload);
    if (records === null) {
      split.unreadable.push(id);
      continue;
    }
    let count = 0;
    for (; count < records.length && !isFull(split, most); count++) {
      const record = records[count] as LaneRecord;
      split.taken.push(record);
      split.parts += record.parts;
    }
    if (count === records.length) split.ended.push(id);
    else split.cut = { id, rest: records.slice(count) };
  }
}

function recordsIn(payload: Buffer): LaneRecord[] | null {
  try {
    return unpackLaneRow(payload);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    return null;
  }
}

function endSql({ ended, cut, unreadable }: Split): string {
  const statements: string[] = [];
  // The relay has a way for rows that can't be read: a dead letter, and a refund.
  if (unreadable.length > 0)
    statements.push(
      `INSERT INTO outbox (lane,payload) SELECT lane,payload FROM outbox_held WHERE id IN (${unreadable})`,
    );
  const gone = [...ended, ...unreadable];
  if (gone.length > 0) statements.push(`DELETE ${BY_ID} FROM outbox_held WHERE id IN (${gone})`);
  if (cut !== null)
    statements.push(`UPDATE outbox_held SET payload=${blob(packLaneRow(cut.rest))} WHERE id=${cut.id}`);
  return statements.join(";");
}

/** The newest held row of any lane; 0 if there is none. */
export async function lastHeldRow(pool: Pick<Pool, "query">): Promise<number> {
  const [row] = await pool.query<{ id: number | null }[]>("SELECT MAX(id) AS id FROM outbox_held");
  return row?.id ?? 0;
}

/** Whether a held row of this lane is left that is no newer than `lastRow`. */
export async function hasHeldRows(pool: Pick<Pool, "query">, lane: Lane, lastRow: number): Promise<boolean> {
  const rows = await pool.query(
    `SELECT 1 FROM ${BY_CUSTOMER} WHERE lane='${lane}' AND id<=${lastRow} LIMIT 1`,
  );
  return rows.length > 0;
}
