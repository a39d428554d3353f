// Writing entries: the one place that knows the columns of wallet_ledger and of an events row. Every
// transaction that changes a wallet posts its entries here, so the books and their events can't part. Bound:
// the callers' batch bounds.

import { type LedgerOp, type LedgerRow, packEvents, type StatusRow } from "../core/event-record.ts";
import { blob, dateTime } from "./sql-text.ts";

/** One INSERT of these entries, none of which may exist yet. Sorted by key, which is the order of locks. */
export function entriesSql(entries: LedgerRow[]): string {
  entries.sort((a, b) => a.customerId - b.customerId || (a.entryId < b.entryId ? -1 : 1));
  let sql = "INSERT INTO wallet_ledger (customer_id,entry_id,leg,op,amount,created_at) VALUES ";
  for (let i = 0; i < entries.length; i++) {
    const e = entries[i] as LedgerRow;
    sql +=
      `${i ? "," : ""}(${e.customerId},'${e.entryId}','${e.leg}','${e.op}',` +
      `${e.amount},${dateTime(e.createdAtMs)})`;
  }
  return sql;
}

/** One INSERT of the transaction's events row. */
export function eventsSql(statuses: readonly StatusRow[], entries: readonly LedgerRow[]): string {
  return `INSERT INTO outbox (lane,payload) VALUES ('events',${blob(packEvents(statuses, entries))})`;
}

/** An entry that opens: a top-up, grant or release has a ULID of its own, a reserve its message's. */
export const openEntry = (
  entryId: string,
  op: Exclude<LedgerOp, "capture" | "refund">,
  customerId: number,
  amount: number,
  createdAtMs: number,
): LedgerRow => ({ entryId, leg: "open", op, customerId, amount, createdAtMs });
