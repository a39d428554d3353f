// How much a lease would like to hold: a number of messages, so that a slow customer pays for a grant once in
// some tens of them; more when the customer is fast, so that it is refilled about once in AHEAD_MS. Pure.
// What is given also depends on the wallet (src/ledger/grant.ts).

import type { Lease } from "./lease-table.ts";

/** Messages of the customer's usual cost. */
const MESSAGES = 32;
/** Of a fast customer's credit, as much as it takes in this time. */
const AHEAD_MS = 4_000;
/** A burst is no rate: grows fourfold with each refill until this time has passed. */
const RATE_OVER_MS = 1_000;

/** minor units, no whole number */
export function targetOf(
  { unit, taken, grantedAtMs }: Pick<Lease, "unit" | "taken" | "grantedAtMs">,
  nowMs: number,
): number {
  const rate = taken / Math.max(RATE_OVER_MS, nowMs - grantedAtMs);
  return Math.max(MESSAGES * unit, AHEAD_MS * rate);
}
