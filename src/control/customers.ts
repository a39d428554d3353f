// What whoever runs Sluice changes about customers: creates them, and changes what they pay, how they are
// limited, and whether they are served. Commands and the admin API both come here, so each change is in the
// audit log. Leaves the rows to src/customers/ and src/ledger/.
// Order of locks: the wallet, if the way of taking credit changes, then the customer.

import { SluiceError } from "../core/errors.ts";
import { setAddresses } from "../customers/addresses.ts";
import {
  createCustomer,
  type CustomerRow,
  type NewCustomer,
  type Terms,
  readCustomer,
  requireCustomer,
  setOtpCode,
  setResendUnknown,
  setSuspended,
  setTerms,
} from "../customers/customers.ts";
import { givePlan } from "../customers/price-plans.ts";
import { lockWallet, setMode } from "../ledger/lease-admin.ts";
import type { Pool } from "../platform/mysql.ts";
import { audited, type By, difference } from "./audit.ts";

/** @throws SluiceError validation_failed naming every bad field */
export const makeCustomer = (by: By, customer: NewCustomer): Promise<CustomerRow> =>
  audited(by, async (tx) => {
    const customerId = await createCustomer(tx, customer);
    const made = await readCustomer(tx, customerId);
    return { result: made, change: { action: "customer.create", customerId, new: shown(made) } };
  });

/** What is left out stays as it is. */
export type CustomerChange = Partial<Terms> & {
  /** The name of a price plan; null: the customer's own prices. */
  plan?: string | null;
  /** Its processes' credit is recalled; once it is back (`drainsLeft`), the mode holds everywhere. */
  mode?: "lease" | "strict";
  resendsUnknown?: boolean;
  /** Whether the answer to a request for a one-time code has the code. */
  otpCode?: boolean;
  isSuspended?: boolean;
  addresses?: readonly string[] | null;
};

/**
 * Changes a customer, all or nothing; every process knows within 2 s. `version`: of the customer that the
 * change was meant for. @throws SluiceError not_found, validation_failed, version_conflict
 */
export const changeCustomer = (
  by: By,
  customerId: number,
  change: CustomerChange,
  version: string | null = null,
): Promise<CustomerRow> =>
  audited(by, async (tx) => {
    if (change.mode !== undefined) await lockWallet(tx, customerId);
    await requireCustomer(tx, customerId, " FOR UPDATE");
    const before = await readCustomer(tx, customerId);
    holdVersion(before.version, version);
    await apply(tx, customerId, change);
    const after = await readCustomer(tx, customerId);
    const changed = difference(shown(before), shown(after));
    return {
      result: after,
      change: changed === null ? null : { action: "customer.change", customerId, ...changed },
    };
  });

async function apply(tx: Pool, customerId: number, change: CustomerChange): Promise<void> {
  const { plan, mode, resendsUnknown, otpCode, isSuspended, addresses, ...terms } = change;
  await setTerms(tx, customerId, terms);
  if (plan !== undefined) await givePlan(tx, customerId, plan);
  if (mode !== undefined) await setMode(tx, customerId, mode);
  if (resendsUnknown !== undefined) await setResendUnknown(tx, customerId, resendsUnknown);
  if (otpCode !== undefined) await setOtpCode(tx, customerId, otpCode);
  if (isSuspended !== undefined) await setSuspended(tx, customerId, isSuspended);
  if (addresses !== undefined) await setAddresses(tx, { customerId }, addresses);
}

/** @throws SluiceError version_conflict if another version was expected */
export function holdVersion(version: string, expected: string | null): void {
  if (expected !== null && expected !== version) throw new SluiceError("version_conflict");
}

/** Without what the row of the log says anyway. */
function shown({ customer_id: _, created_at: __, version: ___, ...row }: CustomerRow) {
  return row;
}
