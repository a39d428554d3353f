// Allow-lists: the addresses from which a customer, or one key, may be used. An address must be in both lists
// if both exist; whoever has none may call from anywhere. Leaves reading addresses to src/core/addresses.ts.
// Bound: ADDRESSES_MAX entries a list.

import { ADDRESSES_MAX } from "../core/access-limits.ts";
import { isAddressBlock } from "../core/addresses.ts";
import { SluiceError } from "../core/errors.ts";
import type { Pool } from "../platform/mysql.ts";

export type ListOwner = { customerId: number } | { keyId: string };
export type AllowList = { customer_id: string; key_id: string | null; addresses: string[] };

/**
 * Replaces a list; null removes it. Every process knows within 2 s. @throws SluiceError not_found;
 * validation_failed naming every entry that is none
 */
export async function setAddresses(
  pool: Pool,
  owner: ListOwner,
  entries: readonly string[] | null,
): Promise<void> {
  const list = entries === null ? null : checked(entries);
  const [table, column, value] =
    "keyId" in owner
      ? (["api_keys", "key_id", owner.keyId] as const)
      : (["customers", "customer_id", owner.customerId] as const);
  const { affectedRows } = await pool.write(`UPDATE ${table} SET addresses=? WHERE ${column}=?`, [
    list,
    value,
  ]);
  const what = "keyId" in owner ? `key ${JSON.stringify(value)}` : `customer ${value}`;
  if (affectedRows === 0) throw new SluiceError("not_found", { detail: `No ${what}.` });
}

function checked(entries: readonly string[]): string {
  const list = [...new Set(entries)];
  const errors = list
    .filter((entry) => !isAddressBlock(entry))
    .map((entry) => ({
      field: JSON.stringify(entry),
      reason: "is neither an address nor a CIDR block such as 192.0.2.0/24 or 2001:db8::/32",
    }));
  if (list.length < 1 || list.length > ADDRESSES_MAX)
    errors.push({ field: "the list", reason: `must have 1 to ${ADDRESSES_MAX} entries` });
  if (errors.length > 0) throw new SluiceError("validation_failed", { errors });
  return list.join(",");
}

/** The customer's own list and those of its keys that aren't revoked. @throws SluiceError not_found */
export async function listAddresses(pool: Pool, customerId: number): Promise<AllowList[]> {
  const rows = await pool.query<{ key_id: string | null; addresses: string | null }[]>(
    "SELECT NULL AS key_id, addresses FROM customers WHERE customer_id=? UNION ALL " +
      "SELECT key_id, addresses FROM api_keys WHERE customer_id=? AND revoked_at IS NULL",
    [customerId, customerId],
  );
  if (rows.length === 0) throw new SluiceError("not_found", { detail: `No customer ${customerId}.` });
  return rows.flatMap(({ key_id, addresses }) =>
    addresses === null ? [] : [{ customer_id: String(customerId), key_id, addresses: addresses.split(",") }],
  );
}
