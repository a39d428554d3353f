// What whoever runs Sluice changes about wallets and spend caps: top-ups, adjustments with a reason, caps.
// Leaves what is posted to src/ledger/.
// Invariant: each adjustment has its row in the audit log, which says why, in the transaction that posts it;
// reconcile compares the two.
// Bound: an adjustment waits CREDIT_WAIT_MS for credit that processes hold.

import { ADJUSTED, REASON_CHARS_MAX } from "../core/audit.ts";
import { SluiceError } from "../core/errors.ts";
import { RECALL_STEP_MS, RECALL_WAIT_MAX_MS, REQUEST_ID_CHARS_MAX } from "../core/limits.ts";
import { MONEY_MAX } from "../core/money.ts";
import type { CapLeft } from "../core/spend-cap.ts";
import { nameProblem } from "../customers/customers.ts";
import { adjust } from "../ledger/adjust.ts";
import { type CapChange, setCaps, showCaps } from "../ledger/cap-admin.ts";
import { lockWallet, recallAll } from "../ledger/lease-admin.ts";
import { topUp } from "../ledger/topup.ts";
import type { Pool } from "../platform/mysql.ts";
import { sleep } from "../platform/retry.ts";
import { audited, type By, difference } from "./audit.ts";

export type Posting = By & { id: () => string; now: () => number };

/** As long as a message waits for such credit: a live process gives it back at once. */
const CREDIT_WAIT_MS = RECALL_WAIT_MAX_MS;

/** `idempotent`: the request_id was used before. `balance`: all that the customer can spend now. */
export type PaidIn = {
  customer_id: string;
  amount: number;
  request_id: string;
  entry_id: string;
  idempotent: boolean;
  balance: number;
};

/** As topUp; a repeat of the request_id changes nothing, so it has no row in the log. @throws SluiceError */
export async function payIn(
  by: Posting,
  customerId: number,
  amount: number,
  requestId: string,
): Promise<PaidIn> {
  hold("amount", amount >= 1 && amount <= MONEY_MAX ? null : `must be from 1 to ${MONEY_MAX}`);
  hold("request_id", nameProblem(requestId, REQUEST_ID_CHARS_MAX));
  return audited(by, async (tx) => {
    const { id, now } = by;
    const { balance, idempotent } = await topUp({ pool: tx, id, now }, customerId, amount, requestId);
    const [row] = await tx.query<{ entry_id: string }[]>(
      "SELECT entry_id FROM topups WHERE customer_id=? AND request_id=?",
      [customerId, requestId],
    );
    const entryId = String(row?.entry_id);
    const made = {
      action: "wallet.topup" as const,
      customerId,
      subject: requestId,
      entry: { entryId, amount },
      old: { balance: balance - amount },
      new: { balance },
    };
    const customer_id = String(customerId);
    const result = { customer_id, amount, request_id: requestId, entry_id: entryId, idempotent, balance };
    return { result, change: idempotent ? null : made };
  });
}

export type Adjustment = { customerId: number; amount: number; reason: string };
/** `balance`: all that the customer can spend after it, in minor units. */
export type Adjusted = { customer_id: string; entry_id: string; amount: number; balance: number };

/**
 * Adds to a wallet, or takes from it if `amount` is below 0: at most what nothing has reserved. Credit in
 * leases is recalled for that. @throws SluiceError not_found; validation_failed; insufficient_balance;
 * credit_elsewhere (a process, perhaps a dead one, has not given it back in time)
 */
export async function adjustWallet(
  by: Posting,
  { customerId, amount, reason }: Adjustment,
): Promise<Adjusted> {
  const isAmount = Number.isSafeInteger(amount) && amount !== 0;
  hold("amount", isAmount ? null : "must be a whole number other than 0");
  hold("reason", nameProblem(reason, REASON_CHARS_MAX));
  for (const untilMs = performance.now() + CREDIT_WAIT_MS; ; await sleep(RECALL_STEP_MS)) {
    try {
      return await adjustOnce(by, { customerId, amount, reason });
    } catch (error) {
      const isElsewhere = error instanceof SluiceError && error.code === "credit_elsewhere";
      if (!isElsewhere || performance.now() >= untilMs) throw error;
    }
    await by.pool.transaction(async (conn) => {
      await lockWallet(conn, customerId);
      await recallAll(conn, customerId);
    });
  }
}

const adjustOnce = (by: Posting, { customerId, amount, reason }: Adjustment): Promise<Adjusted> =>
  audited(by, async (tx) => {
    const entryId = by.id();
    const { before, after } = await adjust(tx, { entryId, customerId, amount, nowMs: by.now() });
    return {
      result: { customer_id: String(customerId), entry_id: entryId, amount, balance: after },
      change: {
        action: ADJUSTED,
        customerId,
        reason,
        entry: { entryId, amount },
        old: { balance: before },
        new: { balance: after },
      },
    };
  });

/** A cap, and what is left of it until it begins anew, in minor units; null: none. */
type CapView = { limit: number; left: number; resets_at: string } | null;
export type CapsView = { customer_id: string; daily: CapView; monthly: CapView };

/** @throws SluiceError not_found */
export const readCapsView = async (pool: Pool, customerId: number): Promise<CapsView> =>
  viewOf(customerId, await showCaps(pool, customerId));

/**
 * As setCaps: call `drainsLeft` until it returns 0, and the caps hold. Returns them as they are now.
 * @throws SluiceError not_found
 */
export const changeCaps = (by: By, customerId: number, change: CapChange): Promise<CapsView> =>
  audited(by, async (tx) => {
    const before = await showCaps(tx, customerId);
    await setCaps(tx, customerId, change);
    const after = await showCaps(tx, customerId);
    const changed = difference(limitsOf(before), limitsOf(after));
    return {
      result: viewOf(customerId, after),
      change: changed === null ? null : { action: "caps.change", customerId, ...changed },
    };
  });

function viewOf(customerId: number, caps: readonly CapLeft[]): CapsView {
  const of = (name: CapLeft["cap"]): CapView => {
    const found = caps.find(({ cap }) => cap === name);
    if (found === undefined) return null;
    const { limit, left, resetsAtMs } = found;
    return { limit, left, resets_at: new Date(resetsAtMs).toISOString() };
  };
  return { customer_id: String(customerId), daily: of("daily"), monthly: of("monthly") };
}

function limitsOf(caps: readonly CapLeft[]) {
  const of = (name: CapLeft["cap"]) => caps.find(({ cap }) => cap === name)?.limit ?? null;
  return { daily: of("daily"), monthly: of("monthly") };
}

function hold(field: string, reason: string | null): void {
  if (reason !== null) throw new SluiceError("validation_failed", { errors: [{ field, reason }] });
}
