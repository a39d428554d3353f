// Decides which unreserved messages of one customer a claim pays for. Pure; leaves rows to unreserved.ts.
// Invariants: what is paid never exceeds the balance, nor the room that any spend cap leaves; no message is
// refused while leases hold credit that could pay for it.

import type { UnpaidCode } from "../core/spend-cap.ts";
import { type CapRoom, roomIn } from "./grant.ts";

/** In minor units, as of the moment at which the wallet was locked. */
export type ClaimWallet = {
  balance: number;
  /** In all leases, commits under way included: some of it may still come back. */
  unspent: number;
  /** Absent if nothing but the wallet limits what it spends. */
  caps?: readonly CapRoom[];
};
/** `elsewhere`: leases hold credit that could pay for it. */
export type ClaimVerdict = "paid" | "elsewhere" | UnpaidCode;

/**
 * A verdict for each of these costs, in their order; one that is too high doesn't stop a lower one behind it.
 */
export function decideClaims(
  { balance, unspent, caps = [] }: ClaimWallet,
  costs: readonly number[],
): ClaimVerdict[] {
  const room = roomIn(balance, caps);
  let paid = 0;
  return costs.map((cost) => {
    if (cost <= room - paid) {
      paid += cost;
      return "paid";
    }
    if (balance + unspent - paid < cost) return "insufficient_balance";
    return caps.some((cap) => cap.room + unspent - paid < cost) ? "spend_cap_reached" : "elsewhere";
  });
}
