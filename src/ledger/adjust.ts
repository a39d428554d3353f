// Adjustments: corrections of a wallet by whoever runs Sluice, in either direction. One is posted within the
// caller's transaction, which also says who made it and why (src/control/).
// Invariant: only credit that nobody else may spend is taken: what leases hold has to be recalled first, and
// what messages have reserved is theirs until they end.
// Order of locks: wallet, then leases, as in lease.ts.

import { insufficientBalance, SluiceError } from "../core/errors.ts";
import { entryOf, walletChanges } from "../core/ledger.ts";
import { MONEY_MAX } from "../core/money.ts";
import type { Connection } from "../platform/mysql.ts";
import { entriesSql, eventsSql, walletsSql } from "./posting.ts";

export type Adjustment = {
  entryId: string;
  customerId: number;
  /** minor units, not 0; below 0: taken from the wallet */
  amount: number;
  nowMs: number;
};
/** All that the customer can spend, in minor units: the wallet and unspent leases together. */
export type Adjusted = { before: number; after: number };

/**
 * @throws SluiceError not_found; insufficient_balance (wallet and leases together hold less);
 * credit_elsewhere (leases hold some of it: recall them, and try again); validation_failed (the wallet
 * can't hold that much)
 */
export async function adjust(
  conn: Pick<Connection, "query">,
  { entryId, customerId, amount, nowMs }: Adjustment,
): Promise<Adjusted> {
  const [wallet] = await conn.query<{ balance: number; reserved: number }[]>(
    `SELECT balance, reserved FROM wallet_accounts WHERE customer_id=${customerId} FOR UPDATE`,
  );
  if (wallet === undefined) throw new SluiceError("not_found", { detail: `No customer ${customerId}.` });
  const [held] = await conn.query<{ unspent: number | string | null }[]>(
    `SELECT SUM(granted - spent) AS unspent FROM credit_leases WHERE customer_id=${customerId}`,
  );
  const before = wallet.balance + Number(held?.unspent ?? 0);
  if (before + amount < 0) throw insufficientBalance(-amount, before);
  if (wallet.balance + amount < 0) throw new SluiceError("credit_elsewhere");
  if (wallet.balance + wallet.reserved > MONEY_MAX - amount) {
    const reason = `is too large: a wallet can hold at most ${MONEY_MAX}`;
    throw new SluiceError("validation_failed", { errors: [{ field: "amount", reason }] });
  }
  const op = amount > 0 ? "adjust_up" : "adjust_down";
  const entries = [entryOf(entryId, op, customerId, Math.abs(amount), nowMs)];
  await conn.query(`${walletsSql(walletChanges(entries))};${entriesSql(entries)};${eventsSql([], entries)}`);
  return { before, after: before + amount };
}
