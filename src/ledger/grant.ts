// Decides how much credit a lease is granted; reading and writing the rows is left to lease.ts. Pure.
// Invariant: a grant never exceeds the wallet's balance, nor the room that any spend cap leaves. `total`
// counts every unit that could still be spent, wherever it is held, so nobody can pay for a message that
// costs more than `total`.

import type { CustomerMode } from "../core/customer-mode.ts";
import { insufficientBalance, type SluiceError } from "../core/errors.ts";
import { type CapLeft, SpendCapError } from "../core/spend-cap.ts";

/**
 * What a lease asks for: the costs that wait, in order, and `target`, how much it would like beyond them.
 */
export type Want = {
  customerId: number;
  epoch: number;
  /** The lease was granted credit before, so its row must exist. */
  held: boolean;
  /** minor units */
  costs: readonly number[];
  target: number;
  /** The usual cost of one message of this customer; 0 if unknown. */
  unit: number;
};
export type LeaseState = { nodeId: string; epoch: number; unspent: number };
export type WalletState = {
  customerId: number;
  balance: number;
  mode: CustomerMode;
  leases: LeaseState[];
  /** Absent if nothing but the wallet limits what it spends. */
  caps?: readonly CapRoom[];
};
/**
 * One spend cap. `room`: what may still be granted under it, in minor units: the limit less what was spent in
 * its period and what leases could still spend. Below 0 after the cap was lowered.
 */
export type CapRoom = Pick<CapLeft, "cap" | "limit" | "resetsAtMs"> & { room: number };

/** In minor units, as of the moment the wallet was locked. */
export type Grant = {
  customerId: number;
  /** Granted to the lease that asked. */
  granted: number;
  /** What that lease held before, commits under way included. */
  own: number;
  /** Left in the wallet after the grant. */
  balance: number;
  /** Unspent in other leases, commits under way included. */
  elsewhere: number;
  /** Wallet and all leases together; a grant doesn't change it. */
  total: number;
  mode: CustomerMode;
  /** The lease was taken back: its process must start over under a new epoch. */
  fenced: boolean;
  /** Waiting costs could not be granted and other leases hold credit: recall it from their owners. */
  recall: boolean;
  /** The spend caps after the grant; absent if there are none. */
  caps?: readonly (CapRoom & CapLeft)[];
};

/** At most one part in AHEAD_SHARE of the wallet is granted ahead of need, so that others get some too. */
const AHEAD_SHARE = 8;
/** If that share can't pay for this many messages, the wallet is small: then only what waits is granted. */
const AHEAD_UNITS_MIN = 16;

/**
 * The size of a grant, in minor units: all waiting costs, in order, as far as the balance goes, and up to an
 * eighth of the rest ahead of need. So grants shrink as a wallet empties, and the last ones are exact.
 */
export function grantSize(
  balance: number,
  { costs, target, unit }: Pick<Want, "costs" | "target" | "unit">,
): number {
  let need = 0;
  for (const cost of costs) if (need + cost <= balance) need += cost;
  const share = (balance - need) / AHEAD_SHARE;
  if (share < AHEAD_UNITS_MIN * unit) return need;
  // A target derived from a rate need not be a whole number.
  return need + Math.floor(Math.min(target, share));
}

/** What the lease `want` asks for, held by node `nodeId`, is granted from a wallet that is locked. */
export function decideGrant(wallet: WalletState, want: Want, nodeId: string): Grant {
  const { customerId, balance, mode, leases } = wallet;
  let elsewhere = 0;
  let own = 0;
  let found = false;
  for (const lease of leases) {
    if (lease.nodeId === nodeId && lease.epoch === want.epoch) {
      found = true;
      own += lease.unspent;
    } else elsewhere += lease.unspent;
  }
  const total = balance + elsewhere + own;
  const held = elsewhere + own;
  if (want.held && !found)
    return { customerId, granted: 0, own, balance, elsewhere, total, mode, fenced: true, recall: false };
  const granted = grantSize(roomIn(balance, wallet.caps), mode === "lease" ? want : { ...want, target: 0 });
  const waits = want.costs.reduce((sum, cost) => sum + cost, 0);
  const recall = granted < waits && elsewhere > 0;
  return {
    customerId,
    granted,
    own,
    balance: balance - granted,
    elsewhere,
    total,
    mode,
    fenced: false,
    recall,
    ...(wallet.caps === undefined ? {} : { caps: wallet.caps.map((cap) => capAfter(cap, granted, held)) }),
  };
}

/** What wallet and caps let be granted, in minor units. */
export function roomIn(balance: number, caps: readonly CapRoom[] = []): number {
  return caps.reduce((room, cap) => Math.max(0, Math.min(room, cap.room)), balance);
}

/** A lease's credit could be spent, so it has no room of its own; `held`: by all leases before the grant. */
const capAfter = (cap: CapRoom, granted: number, held: number): CapRoom & CapLeft => ({
  ...cap,
  room: cap.room - granted,
  left: cap.room + held,
});

/**
 * What the customer could spend beyond this lease, in minor units. Unless its mode is `lease`, its other
 * leases hold only what is being committed.
 */
export const elsewhereOf = ({ mode, balance, elsewhere }: Grant): number =>
  balance + (mode === "lease" ? elsewhere : 0);

/** What another grant at the same moment could give, in minor units. */
export const grantable = ({ balance, caps }: Grant): number => roomIn(balance, caps);

/** Why nobody can pay for a message of this cost; null: somebody may, once leases return their credit. */
export function refusalOf({ total, caps }: Grant, cost: number): SluiceError | null {
  if (total < cost) return insufficientBalance(cost, total);
  // Of two caps the one that ends later: until then, waiting for the other helps nobody.
  const reached = caps?.findLast(({ left }) => left < cost);
  return reached === undefined ? null : new SpendCapError(cost, reached);
}
