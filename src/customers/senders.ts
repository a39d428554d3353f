// The sender ids that a customer may use: allowed, removed, listed. What counts as the same is in
// src/core/senders.ts.
// Invariants: a list whose last one is removed is empty and allows none; only `clearSenders` ends it. A
// change is one of the customer's row, so every process knows it within 2 s (key-cache.ts). Bound:
// SENDERS_MAX of a customer.

import { SluiceError } from "../core/errors.ts";
import { senderProblem } from "../core/parts.ts";
import { listedSenders, SENDERS_MAX, senderKey, sendersText } from "../core/senders.ts";
import type { Connection, Pool } from "../platform/mysql.ts";

/** Null: any. */
export type Senders = string[] | null;

/** @throws SluiceError not_found */
export const listSenders = (pool: Pool, customerId: number): Promise<Senders> => read(pool, customerId, "");

/**
 * Adds these to the list, which begins with the first of them. @throws SluiceError not_found,
 * validation_failed naming every one that is no sender id
 */
export async function allowSenders(
  pool: Pool,
  customerId: number,
  senders: readonly string[],
): Promise<Senders> {
  const errors = senders.flatMap((sender) => {
    const reason = senderProblem(sender);
    return reason === null ? [] : [{ field: JSON.stringify(sender), reason }];
  });
  if (errors.length > 0) throw new SluiceError("validation_failed", { errors });
  return change(pool, customerId, (known) => {
    const all = new Set([...(known ?? []), ...senders.map(senderKey)]);
    if (all.size <= SENDERS_MAX) return [...all].toSorted();
    const reason = `would have ${all.size} entries; at most ${SENDERS_MAX} are allowed`;
    throw new SluiceError("validation_failed", { errors: [{ field: "the list", reason }] });
  });
}

/** @throws SluiceError not_found, also if the list has not all of them */
export function removeSenders(pool: Pool, customerId: number, senders: readonly string[]): Promise<Senders> {
  return change(pool, customerId, (known) => {
    const keys = senders.map(senderKey);
    const missing = keys.find((key) => known === null || !known.includes(key));
    if (known === null || missing !== undefined)
      throw new SluiceError("not_found", { detail: `The list has no ${JSON.stringify(missing)}.` });
    return known.filter((each) => !keys.includes(each));
  });
}

/** Ends the list: the customer may use any. @throws SluiceError not_found */
export const clearSenders = (pool: Pool, customerId: number): Promise<Senders> =>
  change(pool, customerId, () => null);

function change(pool: Pool, customerId: number, to: (known: Senders) => Senders): Promise<Senders> {
  return pool.transaction(async (conn) => {
    const senders = to(await read(conn, customerId, " FOR UPDATE"));
    await conn.write("UPDATE customers SET senders=? WHERE customer_id=?", [
      senders === null ? null : sendersText(senders),
      customerId,
    ]);
    return senders;
  });
}

async function read(
  conn: Pick<Connection, "query">,
  customerId: number,
  lock: "" | " FOR UPDATE",
): Promise<Senders> {
  const [row] = await conn.query<{ senders: string | null }[]>(
    `SELECT senders FROM customers WHERE customer_id=?${lock}`,
    [customerId],
  );
  if (row === undefined) throw new SluiceError("not_found", { detail: `No customer ${customerId}.` });
  return row.senders === null ? null : listedSenders(row.senders);
}
