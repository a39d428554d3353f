// Messages as the doors of other gateways show them: some with their text and what became of their money, and
// the newest ones. Invariant: every statement is limited to the caller's customer_id. Bound: SCAN_ROWS_MAX
// messages are looked at, LIST_LIMIT_MAX returned.

import { SluiceError } from "../core/errors.ts";
import { LIST_LIMIT_MAX } from "../core/limits.ts";
import type { Lane, Status } from "../core/message.ts";
import { moneyOf } from "../core/money.ts";
import type { Pool } from "../platform/mysql.ts";
import { ID_AFTER_ALL, newestOf } from "./messages-list.ts";

export type DoorMessage = {
  id: string;
  lane: Lane;
  status: Status;
  phone: string;
  from: string | null;
  text: string;
  parts: number;
  /** minor units; captured: an operator took the message in time, so this is spent. */
  cost: number;
  captured: boolean;
  lastError: string | null;
  updatedAtMs: number;
};

/** @throws SluiceError not_found, also for another customer's message */
export async function doorMessage(
  { pool }: { pool: Pool },
  customerId: number,
  id: string,
): Promise<DoorMessage> {
  const [found] = await doorMessages({ pool }, customerId, [id]);
  if (found === undefined) throw new SluiceError("not_found", { detail: "No such message." });
  return found;
}

/** Those of these messages that are the customer's, newest first. */
export async function doorMessages(
  { pool }: { pool: Pool },
  customerId: number,
  ids: readonly string[],
): Promise<DoorMessage[]> {
  if (ids.length === 0) return [];
  const rows = await pool.query<Stored[]>(
    "SELECT m.id, m.lane, m.status, m.phone, m.sender, m.text, m.parts, m.cost, m.last_error, " +
      "m.updated_at, EXISTS (SELECT 1 FROM wallet_ledger AS l WHERE l.customer_id = m.customer_id " +
      "AND l.entry_id = m.id AND l.op = 'capture') AS captured " +
      "FROM messages AS m FORCE INDEX (PRIMARY) WHERE m.id IN (?) AND m.customer_id = ? ORDER BY m.id DESC",
    [ids, customerId],
  );
  return rows.map((row) => ({
    id: row.id,
    lane: row.lane,
    status: row.status,
    phone: row.phone,
    from: row.sender,
    text: row.text,
    parts: row.parts,
    cost: moneyOf(row.cost),
    captured: Number(row.captured) === 1,
    lastError: row.last_error,
    updatedAtMs: row.updated_at.getTime(),
  }));
}

type Stored = {
  id: string;
  lane: Lane;
  status: Status;
  phone: string;
  sender: string | null;
  text: string;
  parts: number;
  cost: unknown;
  last_error: string | null;
  updated_at: Date;
  captured: number | string;
};

export type RecentMessage = {
  id: string;
  lane: Lane;
  status: Status;
  phone: string;
  reference: string | null;
  operator: string | null;
  createdAtMs: number;
  updatedAtMs: number;
};
/** `named`: only those with this reference or id. */
export type RecentFilter = {
  statuses: readonly Status[] | null;
  named: { reference: string; id: string | null } | null;
};

/** Of a customer that one list may look at: some 50 ms. */
const SCAN_ROWS_MAX = 10_000;

/** Newest first, among the customer's last SCAN_ROWS_MAX messages. */
export async function recentMessages(
  { pool }: { pool: Pool },
  customerId: number,
  { statuses, named }: RecentFilter,
): Promise<RecentMessage[]> {
  const filters: string[] = [];
  const values: unknown[] = [];
  if (statuses !== null) {
    filters.push("status IN (?)");
    values.push(statuses);
  }
  if (named !== null) {
    filters.push("(reference = ? OR id = ?)");
    values.push(named.reference, named.id);
  }
  const rows = await pool.query<StoredRecent[]>(
    "SELECT * FROM (SELECT m.id, m.lane, m.status, m.phone, m.reference, m.operator, m.created_at, " +
      `m.updated_at ${newestOf({ customerId, before: ID_AFTER_ALL, lowest: "", most: SCAN_ROWS_MAX })}) ` +
      `AS scanned ${filters.length === 0 ? "" : `WHERE ${filters.join(" AND ")} `}ORDER BY id DESC LIMIT ?`,
    [...values, LIST_LIMIT_MAX],
  );
  return rows.map(({ created_at, updated_at, ...row }) => ({
    ...row,
    createdAtMs: created_at.getTime(),
    updatedAtMs: updated_at.getTime(),
  }));
}

type StoredRecent = Omit<RecentMessage, "createdAtMs" | "updatedAtMs"> & {
  created_at: Date;
  updated_at: Date;
};
