// Quiet hours of customers: set, listed and cleared. What they mean is in src/core/quiet-hours.ts.
// Invariant: a change is one of the customer's row, so every process knows it within 2 s (key-cache.ts).
// Bound: QUIET_RULES_MAX rules of a customer.

import { SluiceError } from "../core/errors.ts";
import { type QuietRule, quietRulesOf, quietText, withRule } from "../core/quiet-hours.ts";
import { QUIET_RULES_MAX } from "../core/schedule-limits.ts";
import type { Connection, Pool } from "../platform/mysql.ts";

/** Of a customer, by prefix; none if it has no quiet hours. @throws SluiceError not_found */
export const listQuiet = (pool: Pool, customerId: number): Promise<QuietRule[]> => read(pool, customerId, "");

/**
 * Adds a rule in place of that of the same prefix, and returns them all. @throws SluiceError not_found,
 * validation_failed (too many)
 */
export function setQuiet(pool: Pool, customerId: number, rule: QuietRule): Promise<QuietRule[]> {
  return change(pool, customerId, (rules) => {
    const all = withRule(rules, rule);
    if (all !== null) return all;
    const reason = `has ${QUIET_RULES_MAX} quiet hours already`;
    throw new SluiceError("validation_failed", { errors: [{ field: "customer", reason }] });
  });
}

/** Removes the rule of a prefix, or, if that is null, all of them; returns what is left. @throws not_found */
export function clearQuiet(pool: Pool, customerId: number, prefix: string | null): Promise<QuietRule[]> {
  return change(pool, customerId, (rules) => {
    if (prefix === null) return [];
    const others = rules.filter((rule) => rule.prefix !== prefix);
    if (others.length < rules.length) return others;
    throw new SluiceError("not_found", { detail: `Customer ${customerId} has no such quiet hours.` });
  });
}

function change(
  pool: Pool,
  customerId: number,
  to: (rules: QuietRule[]) => QuietRule[],
): Promise<QuietRule[]> {
  return pool.transaction(async (conn) => {
    const rules = to(await read(conn, customerId, " FOR UPDATE"));
    await conn.write("UPDATE customers SET quiet_hours=? WHERE customer_id=?", [
      rules.length === 0 ? null : quietText(rules),
      customerId,
    ]);
    return rules;
  });
}

async function read(
  conn: Pick<Connection, "query">,
  customerId: number,
  lock: "" | " FOR UPDATE",
): Promise<QuietRule[]> {
  const [row] = await conn.query<{ quiet_hours: string | null }[]>(
    `SELECT quiet_hours FROM customers WHERE customer_id=?${lock}`,
    [customerId],
  );
  if (row === undefined) throw new SluiceError("not_found", { detail: `No customer ${customerId}.` });
  return row.quiet_hours === null ? [] : quietRulesOf(row.quiet_hours);
}
