// Writing entries, the wallets they change and their events: the one place that knows the columns of
// wallet_ledger and wallet_accounts and of an events row (test/tidy.test.ts holds the tree to that). What an
// entry does to a wallet is core/ledger.ts's, so books, wallets and events can't part.
// Bound: the callers' batches.

import { packEvents, type StatusRow } from "../core/event-record.ts";
import type { Entry, WalletChange } from "../core/ledger.ts";
import { blob, dateTime, rows } from "./sql-text.ts";

/** One INSERT of these entries, none of which may exist yet. Sorted by key, which is the order of locks. */
export function entriesSql(entries: Entry[]): string {
  entries.sort((a, b) => a.customerId - b.customerId || (a.entryId < b.entryId ? -1 : 1));
  let sql = "INSERT INTO wallet_ledger (customer_id,entry_id,leg,op,amount,created_at) VALUES ";
  for (let i = 0; i < entries.length; i++) {
    const e = entries[i] as Entry;
    sql +=
      `${i ? "," : ""}(${e.customerId},'${e.entryId}','${e.leg}','${e.op}',` +
      `${e.amount},${dateTime(e.createdAtMs)})`;
  }
  return sql;
}

/** One INSERT of the transaction's events row. */
export function eventsSql(statuses: readonly StatusRow[], entries: readonly Entry[]): string {
  return `INSERT INTO outbox (lane,payload) VALUES ('events',${blob(packEvents(statuses, entries))})`;
}

/** One UPDATE of the wallets that these changes name, each once. It changes a row for each of them. */
export function walletsSql(changes: readonly WalletChange[]): string {
  const values = changes.map((c) => [c.customerId, c.balance, c.reserved]);
  return (
    `UPDATE (VALUES ${rows(values)}) AS v (c,b,r) STRAIGHT_JOIN wallet_accounts w ON w.customer_id=v.c ` +
    "SET w.balance=w.balance+v.b,w.reserved=w.reserved+v.r"
  );
}
