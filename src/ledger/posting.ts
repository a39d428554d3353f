// Writes entries, the wallets they change and their events. The only file that knows the columns of
// wallet_ledger and wallet_accounts and of an events row (test/tidy.test.ts checks that). core/ledger.ts says
// what an entry does to a wallet, so entries, wallets and events can't disagree.
// Bound: the callers' batches.

import { packEvents, type StatusRow } from "../core/event-record.ts";
import type { Entry, WalletChange } from "../core/ledger.ts";
import { blob, byKey, dateTime } from "./sql-text.ts";

/** One INSERT of these entries, none of which may exist yet, sorted by key, which is the order of locks. */
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

/** The transaction's events row, as a row of an INSERT INTO outbox (lane,payload). */
export const eventsRow = (statuses: readonly StatusRow[], entries: readonly Entry[]): string =>
  `('events',${blob(packEvents(statuses, entries))})`;

/** One INSERT of the transaction's events row. */
export const eventsSql = (statuses: readonly StatusRow[], entries: readonly Entry[]): string =>
  `INSERT INTO outbox (lane,payload) VALUES ${eventsRow(statuses, entries)}`;

/** One UPDATE of these wallets, each named once, in the order of their key. Must change one row for each. */
export function walletsSql(changes: readonly WalletChange[]): string {
  const add = (column: "balance" | "reserved") =>
    `${column}=${column}+${byKey(
      "customer_id",
      changes.map((c) => [c.customerId, c[column]]),
      0,
    )}`;
  const ids = changes.map((c) => c.customerId);
  return (
    `UPDATE wallet_accounts FORCE INDEX (PRIMARY) SET ${add("balance")},${add("reserved")} ` +
    `WHERE customer_id IN (${ids})`
  );
}
