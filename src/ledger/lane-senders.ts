// What the senders of a lane say about how long its messages wait (`lane_senders`), and the wait that follows
// from it and from the outbox. Times are by MySQL's clock. Leaves the measuring to the senders, and what can
// be promised to src/ingest/express-promise.ts.
// Bound: rows of senders that said nothing for FORGOTTEN_MS don't count while another one does.

import assert from "node:assert/strict";
import type { Lane } from "../core/message.ts";
import type { Pool } from "../platform/mysql.ts";
import { quote } from "./sql-text.ts";

export type SenderReport = { lane: Lane; instance: string; waitMs: number };

/** Stores what this sender measured, in place of what it said before. */
export async function reportSender(
  pool: Pick<Pool, "write">,
  { lane, instance, waitMs }: SenderReport,
): Promise<void> {
  assert(Number.isSafeInteger(waitMs) && waitMs >= 0, "a wait is a whole number of milliseconds");
  await pool.write(
    "INSERT INTO lane_senders (lane,instance,wait_ms,renewed_at) VALUES " +
      `('${lane}',${quote(instance)},${waitMs},NOW(3)) AS n ` +
      "ON DUPLICATE KEY UPDATE wait_ms=n.wait_ms, renewed_at=n.renewed_at",
  );
}

/** `ageMs`: how long ago it said that. */
export type SenderWait = { waitMs: number; ageMs: number };

/**
 * How long a message of this lane that is accepted now will wait until an operator takes it, as far as the
 * lane's senders and its outbox show.
 */
export async function readLaneWait(pool: Pick<Pool, "query">, lane: Lane): Promise<number> {
  const rows = await pool.query<{ wait_ms: number; age_us: number }[]>(
    "SELECT wait_ms, TIMESTAMPDIFF(MICROSECOND, renewed_at, NOW(3)) AS age_us FROM lane_senders " +
      `WHERE lane='${lane}'`,
  );
  const [oldest] = await pool.query<{ age_us: number }[]>(
    "SELECT TIMESTAMPDIFF(MICROSECOND, run_at, NOW(3)) AS age_us FROM outbox FORCE INDEX (due) " +
      `WHERE lane='${lane}' AND run_at<=NOW(3) ORDER BY run_at, id LIMIT 1`,
  );
  const senders = rows.map((row) => ({ waitMs: Number(row.wait_ms), ageMs: Number(row.age_us) / 1_000 }));
  return laneWaitOf(senders, oldest === undefined ? 0 : Number(oldest.age_us) / 1_000);
}

/** A renewal is due every half second; one that a busy machine delays says nothing about the lane. */
const RENEWED_MS = 2_000;
/**
 * By then its partitions have another reader: the session time-out of consumer.ts is 20 s, also after a clean
 * stop, because members are static. Longer would keep the promises of a lane down after it has recovered.
 */
const FORGOTTEN_MS = 30_000;

/** Pure. 0 before the first sender has said anything: then nothing is known against the usual promise. */
export function laneWaitOf(senders: readonly SenderWait[], outboxMs: number): number {
  const present = senders.filter(({ ageMs }) => ageMs < FORGOTTEN_MS);
  // With none left, messages wait since the last one was heard of.
  const waits =
    present.length > 0
      ? present.map(({ waitMs, ageMs }) => (ageMs < RENEWED_MS ? waitMs : waitMs + ageMs))
      : senders.length > 0
        ? [Math.min(...senders.map(({ ageMs }) => ageMs))]
        : [];
  return Math.max(0, outboxMs, ...waits);
}
