// How much a lease would like to hold: enough for a number of messages, so that a slow customer pays for one
// grant in some hundred messages; more when the customer is fast, so that it is refilled about once in
// AHEAD_MS. Pure. What is really granted also depends on the wallet (src/ledger/grant.ts).

import type { Lease } from "./lease-table.ts";

/** How many messages of the customer's usual cost. */
const MESSAGES = 128;
/** For a fast customer: as much credit as it spends in this time. */
const AHEAD_MS = 10_000;
/** A burst is not a rate: until this time has passed, the target only grows fourfold with each refill. */
const RATE_OVER_MS = 1_000;

/** In minor units; not necessarily a whole number. */
export function targetOf(
  { unit, taken, grantedAtMs }: Pick<Lease, "unit" | "taken" | "grantedAtMs">,
  nowMs: number,
): number {
  const rate = taken / Math.max(RATE_OVER_MS, nowMs - grantedAtMs);
  return Math.max(MESSAGES * unit, AHEAD_MS * rate);
}
