// Top-ups: add credit to a wallet, once per customer and request_id, for ever. Used by the API, the CLI and
// the seed.

import { CallerGoneError, type IsGone, neverGone } from "../core/caller.ts";
import { SluiceError } from "../core/errors.ts";
import { entryOf, walletChanges } from "../core/ledger.ts";
import { MONEY_MAX } from "../core/money.ts";
import { isError } from "../platform/mysql-errors.ts";
import { claimKeysSql, findKeys, type KeptAnswer, KeyTakenError } from "./idempotency.ts";
import type { LeaseDeps } from "./lease-rows.ts";
import { entriesSql, eventsSql, walletsSql } from "./posting.ts";
import { dateTime, quote } from "./sql-text.ts";

export type Topup = { idempotent: boolean; balance: number };

/**
 * Adds `amount` (minor units, above 0) to the wallet. Repeating a request_id changes nothing and says so in
 * `idempotent`; `balance` is the current one in either case: wallet and unspent leases together.
 * @throws SluiceError topup_conflict (another amount), validation_failed (the wallet can't hold that much);
 * KeyTakenError (another request owns the key of `kept`); CallerGoneError (the caller left while this waited
 * for the wallet)
 */
export async function topUp(
  { pool, id, now }: LeaseDeps,
  customerId: number,
  amount: number,
  requestId: string,
  kept: KeptAnswer<Topup> | null = null,
  isGone: IsGone = neverGone,
): Promise<Topup> {
  const done = await pool.transaction(async (conn) => {
    const entryId = id();
    let owner = entryId;
    const nowMs = now();
    const [wallet] = await conn.query<{ balance: number; reserved: number }[]>(
      `SELECT balance, reserved FROM wallet_accounts WHERE customer_id=${customerId} FOR UPDATE`,
    );
    if (wallet === undefined) throw new SluiceError("not_found", { detail: `No customer ${customerId}.` });
    // Checked under the wallet's lock: a request that used the key first has committed by now.
    if (kept !== null && (await findKeys(conn, [kept.key]))[0] !== null) throw new KeyTakenError([owner]);
    // The last chance to stop: nothing is written yet, and nothing after this waits.
    if (isGone()) return null;
    const isNew = await conn
      .write(
        `INSERT INTO topups (customer_id,request_id,amount,entry_id,created_at) VALUES ` +
          `(${customerId},${quote(requestId)},${amount},'${entryId}',${dateTime(nowMs)})`,
      )
      .then(
        () => true,
        (error: unknown) => {
          if (isError(error, "duplicate")) return false;
          throw error;
        },
      );
    if (!isNew) {
      const [known] = await conn.query<{ amount: number; entry_id: string }[]>(
        `SELECT amount, entry_id FROM topups ` +
          `WHERE customer_id=${customerId} AND request_id=${quote(requestId)}`,
      );
      if (known?.amount !== amount) {
        throw new SluiceError("topup_conflict", {
          detail: `This request_id was already used with the amount ${known?.amount}.`,
        });
      }
      owner = known.entry_id;
    } else {
      if (wallet.balance + wallet.reserved > MONEY_MAX - amount) {
        throw new SluiceError("validation_failed", {
          errors: [{ field: "amount", reason: `is too large: a wallet can hold at most ${MONEY_MAX}` }],
        });
      }
      const entries = [entryOf(entryId, "topup", customerId, amount, nowMs)];
      await conn.query(
        `${walletsSql(walletChanges(entries))};${entriesSql(entries)};${eventsSql([], entries)}`,
      );
    }
    const [held] = await conn.query<{ unspent: number | string | null }[]>(
      `SELECT SUM(granted - spent) AS unspent FROM credit_leases WHERE customer_id=${customerId}`,
    );
    const topup = {
      idempotent: !isNew,
      balance: wallet.balance + (isNew ? amount : 0) + Number(held?.unspent ?? 0),
    };
    if (kept !== null) {
      const claim = { ...kept.key, owner, status: kept.status, answer: kept.answerOf(topup) };
      await conn.query(claimKeysSql([claim]));
    }
    return topup;
  });
  if (done === null) throw new CallerGoneError();
  return done;
}
