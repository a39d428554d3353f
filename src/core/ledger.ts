// The posting table: from which account to which each operation of the ledger moves credit. Everything that
// changes or verifies a wallet follows it: entries, wallet updates, reconcile, docs/reference/wallet.md.
// Pure. Leaves to others: when an operation happens, and the SQL (src/ledger/posting.ts).
// Invariant: a wallet changes by its entries and by nothing else.

/** Packed events refer to an operation by its position here: append new ones at the end. */
export const OPS = [
  "topup",
  "grant",
  "reserve",
  "capture",
  "refund",
  "release",
  "adjust_up",
  "adjust_down",
] as const;
export type LedgerOp = (typeof OPS)[number];

/** An entry's key is (customer_id, entry_id, leg), so the database allows at most one `close` per id. */
export type LedgerLeg = "open" | "close";

/** `lease` and `message` together are the `reserved` column of wallet_accounts. */
export type Account = "outside" | "balance" | "lease" | "message" | "revenue";

export const POSTINGS: Record<LedgerOp, { leg: LedgerLeg; from: Account; to: Account }> = {
  topup: { leg: "open", from: "outside", to: "balance" },
  grant: { leg: "open", from: "balance", to: "lease" },
  reserve: { leg: "open", from: "lease", to: "message" },
  capture: { leg: "close", from: "message", to: "revenue" },
  refund: { leg: "close", from: "message", to: "balance" },
  release: { leg: "open", from: "lease", to: "balance" },
  adjust_up: { leg: "open", from: "outside", to: "balance" },
  adjust_down: { leg: "open", from: "balance", to: "outside" },
};

/**
 * One immutable entry. `entryId` is the id of the message or top-up; a grant, release or adjustment has its
 * own.
 */
export type Entry = {
  entryId: string;
  leg: LedgerLeg;
  op: LedgerOp;
  customerId: number;
  /** minor units, above 0 */
  amount: number;
  createdAtMs: number;
};

/** An entry of `amount` minor units, on the leg of its operation. */
export const entryOf = (
  entryId: string,
  op: LedgerOp,
  customerId: number,
  amount: number,
  createdAtMs: number,
): Entry => ({ entryId, leg: POSTINGS[op].leg, op, customerId, amount, createdAtMs });

/** The values of a wallet's two columns, or changes to them, in minor units. */
export type WalletAmounts = { balance: number; reserved: number };
export type WalletChange = WalletAmounts & { customerId: number };

/** How one unit of each operation changes a wallet: -1, 0 or 1 for each column. */
export const EFFECTS: Readonly<Record<LedgerOp, WalletAmounts>> = Object.fromEntries(
  OPS.map((op) => {
    const { from, to } = POSTINGS[op];
    const sign = (isIn: (account: Account) => boolean) => Number(isIn(to)) - Number(isIn(from));
    return [op, { balance: sign((a) => a === "balance"), reserved: sign(isReserved) }];
  }),
) as Record<LedgerOp, WalletAmounts>;

function isReserved(account: Account): boolean {
  return account === "lease" || account === "message";
}

/** Moves between balance and leases, which customers never see: to them both are credit they can spend. */
export const LEASE_OPS: readonly LedgerOp[] = OPS.filter((op) => {
  const { from, to } = POSTINGS[op];
  return [from, to].every((account) => account === "balance" || account === "lease");
});

/** How these entries change their wallets, ordered by customer_id, which is the order of locks. */
export function walletChanges(entries: readonly Entry[]): WalletChange[] {
  const changes = new Map<number, WalletChange>();
  for (const { op, customerId, amount } of entries) {
    const { balance, reserved } = EFFECTS[op];
    if (balance === 0 && reserved === 0) continue;
    let change = changes.get(customerId);
    if (change === undefined) changes.set(customerId, (change = { customerId, balance: 0, reserved: 0 }));
    change.balance += balance * amount;
    change.reserved += reserved * amount;
  }
  return [...changes.values()].sort((a, b) => a.customerId - b.customerId);
}

/** What a wallet's columns must be, given the sum of its entries by operation. */
export function walletOf(sumOf: (op: LedgerOp) => number): WalletAmounts {
  const wallet = { balance: 0, reserved: 0 };
  for (const op of OPS) {
    wallet.balance += EFFECTS[op].balance * sumOf(op);
    wallet.reserved += EFFECTS[op].reserved * sumOf(op);
  }
  return wallet;
}
