// Claims: which sender works on which messages, and until when. Owns the move `queued → sending`; settle.ts
// ends claims, held.ts has the ones of held rows, and unreserved.ts reserves what was accepted without.
// Invariants: a message is claimed at most once per attempt. The record's attempt must equal the row's, and
// the row must be queued, so a record delivered twice finds nothing. What is claimed is reserved, and what
// its row calls unreserved, whatever its record says, is reserved in the claim's transaction. Bound:
// CLAIM_ROWS_MAX messages. Time limits are measured by MySQL's clock.

import assert from "node:assert/strict";
import { CLAIM_ROWS_MAX, CLAIM_TTL_MS } from "../core/limits.ts";
import type { Lane } from "../core/message.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { type Connection, type Pool, withRetries, type WriteResult } from "../platform/mysql.ts";
import { type Change, moveSql, reservingMoveSql } from "./move.ts";
import { asReserved, isUnreserved, reserveQueued } from "./unreserved.ts";

const CLAIM = { from: "queued", to: "sending" } as const;

export type ClaimRequest = { claimId: string; lane: Lane; records: readonly LaneRecord[]; nowMs: number };

/**
 * `unpaid`: what became of messages that nobody could pay for; they are not claimed. `wasStored`: an earlier
 * try of this claim had succeeded, so its time limit counts from that one, and `unpaid` is not known.
 */
export type Claimed = { records: LaneRecord[]; unpaid: readonly Change[]; wasStored: boolean };

const ALL_PAID: readonly Change[] = [];
const NONE_OWED: readonly LaneRecord[] = [];

/**
 * Claims, in one transaction, those records that may be sent now, and returns them. After a lost connection
 * call it again with the same claimId and `again`: a claim that was stored is then returned as it is.
 */
export function claimMessages(pool: Pool, request: ClaimRequest, again = false): Promise<Claimed> {
  assert(
    request.records.length > 0 && request.records.length <= CLAIM_ROWS_MAX,
    "a claim has 1 to CLAIM_ROWS_MAX rows",
  );
  const records = distinct(request.records);
  return withRetries(pool, async (conn) => {
    if (again) {
      const stored = await storedClaim(conn, request.claimId);
      if (stored !== null) return asStored(records.filter((r) => stored.has(r.id)));
    }
    if (records.some(isUnreserved)) {
      await conn.query("BEGIN");
      const claimed = await claimWithin(conn, request, records);
      await conn.query("COMMIT");
      return { ...claimed, wasStored: false };
    }
    const results = await conn.query<WriteResult[]>(`BEGIN;${claimSql(request, records)}`);
    let changed = 0;
    for (const result of results.slice(1, -1)) changed += result.affectedRows;
    if (changed === records.length) {
      await conn.query("COMMIT");
      return { records, unpaid: ALL_PAID, wasStored: false };
    }
    await conn.query("ROLLBACK;BEGIN");
    const claimed = await claimWithin(conn, request, records);
    await conn.query("COMMIT");
    return { ...claimed, wasStored: false };
  });
}

/** A claim that was stored: all its messages were reserved by it, if not before. */
export const asStored = (records: readonly LaneRecord[]): Claimed => ({
  records: records.map(asReserved),
  unpaid: ALL_PAID,
  wasStored: true,
});

/**
 * Claims those of the records whose messages are queued at their attempt, and paid, and returns them; within
 * the caller's transaction.
 */
export async function claimWithin(
  conn: Connection,
  request: Omit<ClaimRequest, "records">,
  records: readonly LaneRecord[],
): Promise<Pick<Claimed, "records" | "unpaid">> {
  const all = distinct(records);
  const mayOwe = all.some(isUnreserved);
  const found = await conn.query<{ id: string; attempt: number; unreserved?: 0 | 1 }[]>(
    `SELECT id, attempt${mayOwe ? ", unreserved" : ""} FROM messages FORCE INDEX (PRIMARY) ` +
      `WHERE id IN (${list(all)}) AND status='queued' ORDER BY id FOR UPDATE`,
  );
  const rows = new Map(found.map((row) => [row.id, row]));
  const queued = all.filter((r) => rows.get(r.id)?.attempt === r.attempt);
  const owing = mayOwe ? queued.filter((r) => rows.get(r.id)?.unreserved === 1) : [];
  if (owing.length === 0) {
    if (queued.length > 0) await conn.query(claimSql(request, queued));
    return { records: mayOwe ? queued.map(asReserved) : queued, unpaid: ALL_PAID };
  }
  const { paid, unpaid } = await reserveQueued(conn, owing, request);
  const reserved = queued.filter((r) => rows.get(r.id)?.unreserved !== 1);
  if (reserved.length + paid.length > 0) await conn.query(claimSql(request, reserved, paid));
  return { records: [...reserved, ...paid].map(asReserved), unpaid };
}

/** `paid`: those of which the transaction reserves the cost. */
function claimSql(
  { claimId, lane, nowMs }: Omit<ClaimRequest, "records">,
  records: readonly LaneRecord[],
  paid: readonly LaneRecord[] = NONE_OWED,
): string {
  const movesOf = (claimed: readonly LaneRecord[], sqlOf: typeof moveSql) =>
    [...Map.groupBy(claimed, (r) => r.attempt)].map(([attempt, of]) =>
      sqlOf(
        CLAIM,
        attempt,
        of.map((r) => r.id),
        nowMs,
      ),
    );
  const updates = movesOf(records, moveSql);
  if (paid.length > 0) updates.push(...movesOf(paid, reservingMoveSql));
  const claimed = paid.length === 0 ? records : [...records, ...paid];
  const ids = claimed.map((r) => r.id).join(",");
  return (
    `${updates.join(";")};INSERT INTO claims (claim_id,kind,lane,expires_at,ids) VALUES ` +
    `('${claimId}','sending','${lane}',NOW(3) + INTERVAL ${CLAIM_TTL_MS * 1000} MICROSECOND,'${ids}')`
  );
}

/**
 * The messages of a claim that was stored, or null. The locking read waits for a COMMIT that is still under
 * way, so the answer is final.
 */
export async function storedClaim(conn: Connection, claimId: string): Promise<Set<string> | null> {
  const found = await conn.query<{ ids: string }[]>(
    `SELECT ids FROM claims WHERE claim_id='${claimId}' FOR UPDATE`,
  );
  return found[0] === undefined ? null : new Set(found[0].ids.split(","));
}

function distinct(records: readonly LaneRecord[]): LaneRecord[] {
  // The highest attempt wins: an older record of the same message is a duplicate.
  const byId = new Map<string, LaneRecord>();
  for (const record of records) {
    const known = byId.get(record.id);
    if (known === undefined || known.attempt < record.attempt) byId.set(record.id, record);
  }
  return [...byId.values()];
}

const list = (records: readonly LaneRecord[]): string => `'${records.map((r) => r.id).join("','")}'`;
