// Checks MySQL's sums against the rules (docs/ARCHITECTURE.md, "Ledger"), customer by customer, and for a
// customer whose sums differ finds the rows that break a rule (rows.ts).
// Bound: one pass over the entries of each customer that differs; ENTRIES_NAMED_MAX rows a drift.

import { walletOf } from "../core/ledger.ts";
import { UNRESERVED } from "../core/message.ts";
import type { Connection } from "../platform/mysql.ts";
import {
  added,
  type Books,
  type CustomerBooks,
  equal,
  NO_ROWS,
  openOf,
  settledAs,
  type Sum,
} from "./books.ts";
import { checkCaps } from "./caps.ts";
import { type Drift, driftOf, type Invariant, isAllCustomers } from "./result.ts";
import {
  keysWithoutOwner,
  leasesWithoutNode,
  messagesWithoutClaim,
  messagesWithoutOperator,
  messagesWithoutReserve,
  messagesWithoutSchedule,
  reportsUnread,
  rowsOfAdjustments,
  rowsOfMessages,
  rowsOfTopups,
  schedulesWithoutMessage,
  submissionsNotTaken,
  unreservedNotFree,
} from "./rows.ts";
import { checkWebhooks } from "./webhooks.ts";

/** Checks every invariant that needs only MySQL. Call within a snapshot. */
export async function checkBooks(conn: Connection, books: Books): Promise<Drift[]> {
  const drifts: Drift[] = [];
  const differ: number[] = [];
  for (const [customerId, c] of books.customers) {
    drifts.push(...checkWallet(customerId, c));
    if (!messagesMatch(c)) drifts.push(...(await rowsOfMessages(conn, customerId)));
    const isWhole = reservesMatch(c) && unreservedMatch(c);
    if (!isWhole) differ.push(customerId);
    if (!isWhole) drifts.push(...(await unreservedNotFree(conn, customerId)));
    if (c.nameless > 0) drifts.push(...(await messagesWithoutOperator(conn, customerId)));
    if (c.unscheduled > 0) drifts.push(...(await messagesWithoutSchedule(conn, customerId)));
    if (!claimsMatch(c)) drifts.push(...(await messagesWithoutClaim(conn, customerId)));
    if (!equal(c.topups, entriesOf(c, "topup"))) drifts.push(...(await rowsOfTopups(conn, customerId)));
    if (!adjustmentsMatch(c)) drifts.push(...(await rowsOfAdjustments(conn, customerId)));
  }
  // No index leads from a customer to a message without a reserve, so it is found only by reading all
  // messages.
  if (isAllCustomers(books.scope) && differ.length > 0)
    drifts.push(...(await messagesWithoutReserve(conn, differ)));
  drifts.push(...(await submissionsNotTaken(conn, books)));
  drifts.push(...(await checkWebhooks(conn, books)));
  drifts.push(...(await checkCaps(conn, books)));
  drifts.push(...(await keysWithoutOwner(conn, books.scope)));
  drifts.push(...(await leasesWithoutNode(conn, books.scope)));
  if (isAllCustomers(books.scope)) {
    drifts.push(...(await schedulesWithoutMessage(conn)));
    drifts.push(...(await reportsUnread(conn)));
  }
  return drifts;
}

const entriesOf = (c: CustomerBooks, op: string): Sum => c.entries.get(op) ?? NO_ROWS;

function checkWallet(customerId: number, c: CustomerBooks): Drift[] {
  const drifts: Drift[] = [];
  const byEntries = walletOf((op) => entriesOf(c, op).amount);
  const say = (invariant: Invariant, detail: string, expected: number, found: number) => {
    if (expected !== found) drifts.push(driftOf(invariant, customerId, detail, expected, found));
  };
  say("balance_equals_entries", "wallet balance and the sum of its entries", byEntries.balance, c.balance);
  say(
    "reserved_equals_entries",
    "wallet reserved and the sum of its entries",
    byEntries.reserved,
    c.reserved,
  );
  say(
    "reserved_equals_leases_and_messages",
    "reserved, and unspent leases with messages not settled",
    c.unspent + openOf(c).amount,
    c.reserved,
  );
  const lowest = Math.min(0, c.balance, c.reserved, c.leaseLowest);
  say(
    "never_negative",
    "the lowest of balance, reserved, and each lease's granted, spent, unspent",
    0,
    lowest,
  );
  return drifts;
}

// A late express message that was refunded before `taken_at` was noted makes the sums of captures and refunds
// differ: then rows are read.
function messagesMatch(c: CustomerBooks): boolean {
  const same = (op: "capture" | "refund") => equal(entriesOf(c, op), settledAs(c, op));
  return reservesMatch(c) && same("capture") && same("refund");
}

const reservesMatch = (c: CustomerBooks): boolean =>
  equal(entriesOf(c, "reserve"), [...c.messages.values()].reduce(added, NO_ROWS));

/** Unreserved messages have a row each, and none is being sent or was taken; only of them is any rejected. */
function unreservedMatch({ messages, unreserved, unreservedRows }: CustomerBooks): boolean {
  const all = [...unreserved.values()].reduce(added, NO_ROWS);
  return (
    !messages.has("rejected") &&
    all.count === unreservedRows.count &&
    all.fingerprint === unreservedRows.fingerprint &&
    [...unreserved.keys()].every((status) => UNRESERVED.includes(status))
  );
}

const adjustmentsMatch = (c: CustomerBooks): boolean =>
  (["adjust_up", "adjust_down"] as const).every((op) =>
    equal(entriesOf(c, op), c.adjustments.get(op) ?? NO_ROWS),
  );

function claimsMatch(c: CustomerBooks): boolean {
  return (["sending", "unknown"] as const).every((status) =>
    equal(c.messages.get(status) ?? NO_ROWS, c.claimed.get(status) ?? NO_ROWS),
  );
}
