// Who is given how much: the decision of a grant, apart from the rows it is read from and written to. Pure.
// Invariant: what is given never exceeds the wallet's balance. `total` counts every unit that could still be
// spent, wherever it is held, so a message that costs more than `total` can't be paid by anyone.

/**
 * `lease`: credit is taken ahead of need. `strict`: only what waits is taken, so `balance_after` is exact.
 */
export type CustomerMode = "lease" | "strict";

/**
 * What a lease wants: the costs that wait for it, in order, and how much it would like for what comes after.
 */
export type Want = {
  customerId: number;
  epoch: number;
  /** The lease was given something before, so its row must be there. */
  held: boolean;
  /** minor units */
  costs: readonly number[];
  target: number;
  /** The usual cost of one message of this customer; 0 when it isn't known. */
  unit: number;
};
export type LeaseState = { nodeId: string; epoch: number; unspent: number };
export type WalletState = { customerId: number; balance: number; mode: CustomerMode; leases: LeaseState[] };

/** In minor units, as of the moment the wallet was locked. */
export type Grant = {
  customerId: number;
  /** Given to the lease that asked. */
  granted: number;
  /** What it held before that, commits under way included. */
  own: number;
  /** Left in the wallet. */
  balance: number;
  /** Unspent in other leases, commits under way included. */
  elsewhere: number;
  /** Wallet and all leases together, before the grant. */
  total: number;
  mode: CustomerMode;
  /** The lease was taken back: it has to start over under a new epoch. */
  fenced: boolean;
  /** Something that waits was not given and other leases hold credit: ask their owners for it. */
  recall: boolean;
};

/** Ahead of need at most this share of the wallet is taken, so that several processes can take it. */
const AHEAD_SHARE = 8;
/** A wallet whose share can't pay so many messages is small: then only what waits is taken, to the unit. */
const AHEAD_UNITS_MIN = 16;

/**
 * How much to give: all that waits, in order, as far as it fits, and up to an eighth of the rest ahead of
 * need. So grants shrink as a wallet empties, and the last ones are exact.
 */
export function grantSize(
  balance: number,
  { costs, target, unit }: Pick<Want, "costs" | "target" | "unit">,
): number {
  let need = 0;
  for (const cost of costs) if (need + cost <= balance) need += cost;
  const share = (balance - need) / AHEAD_SHARE;
  if (share < AHEAD_UNITS_MIN * unit) return need;
  // A target may come from a rate, which is no whole number.
  return need + Math.floor(Math.min(target, share));
}

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
  if (want.held && !found)
    return { customerId, granted: 0, own, balance, elsewhere, total, mode, fenced: true, recall: false };
  const granted = grantSize(balance, mode === "strict" ? { ...want, target: 0 } : want);
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
  };
}
