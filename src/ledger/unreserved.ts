// Unreserved messages: those of customers of mode `async`, until their first claim, and for ever those that
// ended without one. Owns the rows of unreserved_messages, by which they are found for their customer as all
// others are by their reserve entries, and the reserves that claims make: locks wallets in customer_id order,
// after the messages, as settlements do. Leaves which messages are paid to claim-credit.ts, and their moves
// to `sending` to claim.ts.
// Invariants: a message has a row here exactly while its own row says `unreserved`; its reserve and the end
// of both are one transaction, that of its claim. Bound: CLAIM_ROWS_MAX messages.

import { createHash } from "node:crypto";
import { ulidOf, ulidTimeMs } from "../core/id.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { entryOf, type Entry, walletChanges } from "../core/ledger.ts";
import { MESSAGE_ATTEMPTS_MAX } from "../core/limits.ts";
import { retryInMs } from "../core/retries.ts";
import type { Connection } from "../platform/mysql.ts";
import { type ClaimVerdict, type ClaimWallet, decideClaims } from "./claim-credit.ts";
import { customersOf, lockSql } from "./lease-rows.ts";
import type { Change } from "./move.ts";
import { entriesSql, eventsSql, walletsSql } from "./posting.ts";
import { apply } from "./settle.ts";
import { changeTo } from "./settle-plan.ts";
import { type Caps, capsSql, NO_CAPS, readCaps, roomsOf } from "./spend-caps.ts";

export const isUnreserved = ({ unreserved }: LaneRecord): boolean => unreserved === true;

/** A record of a message that its claim has reserved. */
export function asReserved(record: LaneRecord): LaneRecord {
  if (record.unreserved === undefined) return record;
  const reserved = { ...record };
  delete reserved.unreserved;
  return reserved;
}

/** One INSERT of messages that are stored as unreserved. */
export const keepUnreservedSql = (records: readonly LaneRecord[]): string =>
  `INSERT INTO unreserved_messages (customer_id,message_id) VALUES ${records.map(keyOf)}`;

const keyOf = ({ customerId, id }: LaneRecord): string => `(${customerId},'${id}')`;

// Its statistics change too fast to be believed: the table may have been empty a moment ago.
const BY_KEY = "/*+ INDEX(unreserved_messages PRIMARY) */";

/** `unpaid`: what became of the messages that could not be paid. */
export type Reserved = { paid: LaneRecord[]; unpaid: Change[] };
type Context = { claimId: string; nowMs: number };

/**
 * Reserves the cost of those of these unreserved messages that their wallets and spend caps pay for, in the
 * order of the records; the caller, who has locked them as `queued`, moves them to `sending`. Of the others,
 * one that leases could pay for is queued again, and their credit recalled; what nobody can pay for is
 * rejected. All within the caller's transaction.
 */
export async function reserveQueued(
  conn: Connection,
  records: readonly LaneRecord[],
  context: Context,
): Promise<Reserved> {
  const ids = customersOf(records);
  const { wallets, caps } = await lockWallets(conn, ids);
  const paid: LaneRecord[] = [];
  const unpaid: Change[] = [];
  const entries: Entry[] = [];
  const granted = new Map<number, number>();
  const recalled: number[] = [];
  for (const [customerId, of] of Map.groupBy(records, (record) => record.customerId)) {
    const wallet = wallets.get(customerId) ?? { balance: 0, unspent: 0 };
    const costs = of.map(({ cost }) => cost);
    const verdicts = decideClaims({ ...wallet, ...roomsOf(caps, customerId) }, costs);
    const own = of.filter((_, at) => verdicts[at] === "paid");
    const amount = own.reduce((sum, { cost }) => sum + cost, 0);
    if (amount > 0) {
      granted.set(customerId, amount);
      entries.push(
        entryOf(grantIdOf(context.claimId, customerId), "grant", customerId, amount, context.nowMs),
      );
      for (const { id, cost } of own) entries.push(entryOf(id, "reserve", customerId, cost, context.nowMs));
      paid.push(...own);
    }
    if (verdicts.includes("elsewhere")) recalled.push(customerId);
    of.forEach((record, at) => {
      const verdict = verdicts[at] as ClaimVerdict;
      if (verdict !== "paid") unpaid.push(changeOf(record, verdict, context.nowMs));
    });
  }
  const sql = [...paidSql(paid, entries), ...recallSql(recalled), ...capsSql(caps, granted)];
  if (sql.length > 0) await conn.query(sql.join(";"));
  unpaid.sort((a, b) => (a.record.id < b.record.id ? -1 : 1));
  if (unpaid.length > 0) await apply(conn, unpaid, { nowMs: context.nowMs, id: () => "" });
  return { paid, unpaid };
}

/**
 * A claim makes at most one grant for each customer, so its entry's id follows from both: none is made twice.
 */
const grantIdOf = (claimId: string, customerId: number): string =>
  ulidOf(ulidTimeMs(claimId), createHash("sha256").update(`${claimId}:${customerId}`).digest());

type Locked = { wallets: ReadonlyMap<number, ClaimWallet>; caps: ReadonlyMap<number, Caps> };

/**
 * Leases and caps are read after the wallets are locked: until the commit, nothing is granted or returned.
 */
async function lockWallets(conn: Connection, ids: readonly number[]): Promise<Locked> {
  const [found, leases, capped] = await conn.query<
    [
      { customer_id: number; balance: number }[],
      { customer_id: number; unspent: number | string }[],
      { customer_id: number }[],
    ]
  >(
    `${lockSql(ids, false)};SELECT customer_id, SUM(granted - spent) AS unspent FROM credit_leases ` +
      `WHERE customer_id IN (${ids}) GROUP BY customer_id;` +
      `SELECT customer_id FROM spend_caps WHERE customer_id IN (${ids})`,
  );
  const unspent = new Map(leases.map((row) => [row.customer_id, Number(row.unspent)]));
  const wallets = new Map(
    found.map(({ customer_id, balance }) => [
      customer_id,
      { balance, unspent: unspent.get(customer_id) ?? 0 },
    ]),
  );
  const withCaps = capped.map((row) => row.customer_id);
  return { wallets, caps: withCaps.length === 0 ? NO_CAPS : await readCaps(conn, withCaps) };
}

function paidSql(paid: readonly LaneRecord[], entries: Entry[]): string[] {
  if (paid.length === 0) return [];
  return [
    walletsSql(walletChanges(entries)),
    `DELETE ${BY_KEY} FROM unreserved_messages WHERE (customer_id,message_id) IN (${paid.map(keyOf)})`,
    entriesSql(entries),
    eventsSql([], entries),
  ];
}

const recallSql = (customerIds: readonly number[]): string[] =>
  customerIds.length === 0
    ? []
    : [
        `UPDATE credit_leases SET recall=TRUE WHERE customer_id IN (${customerIds}) ` +
          "AND spent<granted AND NOT recall",
      ];

/** A message that leases could pay for waits as one that was refused for now, and expires as such a one. */
function changeOf(record: LaneRecord, verdict: Exclude<ClaimVerdict, "paid">, nowMs: number): Change {
  if (verdict !== "elsewhere") return changeTo("rejected", record, "queued", verdict);
  const hasAttempts = record.attempt + 1 < MESSAGE_ATTEMPTS_MAX;
  const inMs = hasAttempts ? retryInMs(record, nowMs, 1) : null;
  if (inMs === null) return changeTo("expired", record, "queued", CREDIT_ELSEWHERE);
  return { ...changeTo("queued", record, "queued", CREDIT_ELSEWHERE), retryInMs: inMs };
}

/** Its `last_error` then. */
const CREDIT_ELSEWHERE = "credit_elsewhere";
