// Price plans in the database: made, changed, given to customers, and read into memory
// (core/price-plan.ts). A process keeps the plans of the customers it knows; key-cache.ts says which changed.
// Invariant: every change of a plan's rates is one of the plan's row too, in the same transaction, so
// processes see it within 2 s. Bounds: PLANS_KEPT_MAX plans in memory, the oldest dropped first; RATES_MAX
// rates of a plan.

import { SluiceError } from "../core/errors.ts";
import { createPricePlan, type PricePlan, type Rate, RATES_MAX } from "../core/price-plan.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { requireCustomer, versionOf } from "./customers.ts";

const PLANS_KEPT_MAX = 500;
/** Rates of one INSERT. */
const ROWS_MAX = 1_000;
export const PLAN_NAME_CHARS_MAX = 60;

export type PlanCache = {
  /** The plan of this id, read once however many ask for it, over the pool of the first. */
  of(planId: number, pool: Pick<Pool, "query">): Promise<PricePlan>;
  drop(planIds: Iterable<number>): void;
  dropAll(): void;
};

export function createPlanCache(): PlanCache {
  const plans = new Map<number, Promise<PricePlan>>();
  return {
    of(planId, pool) {
      const known = plans.get(planId);
      if (known !== undefined) return known;
      if (plans.size >= PLANS_KEPT_MAX) plans.delete(plans.keys().next().value as number);
      const reading = ratesOf(pool, planId).then(createPricePlan);
      plans.set(planId, reading);
      reading.catch(() => plans.get(planId) === reading && plans.delete(planId));
      return reading;
    },
    drop(planIds) {
      for (const planId of planIds) plans.delete(planId);
    },
    dropAll: () => plans.clear(),
  };
}

type RateRow = { prefix: string; valid_from: Date; normal: number | null; express: number | null };

async function ratesOf(pool: Pick<Pool, "query">, planId: number): Promise<Rate[]> {
  const found = await pool.query<RateRow[]>(
    "SELECT prefix, valid_from, normal, express FROM price_rates WHERE plan_id=? " +
      "ORDER BY prefix, valid_from",
    [planId],
  );
  return found.map(({ prefix, valid_from, normal, express }) => ({
    prefix,
    validFromMs: valid_from.getTime(),
    prices: normal === null || express === null ? null : { normal, express },
  }));
}

/** `version`: another one after each change. */
export type PlanRow = { name: string; rates: number; customers: number; updated_at: string; version: string };

/** All plans, by name. */
export async function listPlans(pool: Pick<Pool, "query">): Promise<PlanRow[]> {
  const found = await pool.query<(Omit<PlanRow, "updated_at"> & { updated_at: Date })[]>(
    "SELECT p.name, p.updated_at, CAST(p.updated_at AS CHAR) AS version, " +
      "(SELECT COUNT(*) FROM price_rates AS r WHERE r.plan_id=p.plan_id) AS rates, " +
      "(SELECT COUNT(*) FROM customers AS c WHERE c.price_plan=p.plan_id) AS customers " +
      "FROM price_plans AS p ORDER BY p.name",
  );
  return found.map(({ version, ...row }) => ({
    ...row,
    updated_at: row.updated_at.toISOString(),
    version: versionOf(version),
  }));
}

/** Of a plan, by prefix and time. @throws SluiceError not_found */
export async function listRates(pool: Pick<Pool, "query">, name: string): Promise<Rate[]> {
  return ratesOf(pool, await idOf(pool, name));
}

/** Rates and version of a plan, which stays locked; null if there is none. */
export async function lockPlan(
  conn: Pick<Pool, "query">,
  name: string,
): Promise<{ rates: Rate[]; version: string } | null> {
  const [row] = await conn.query<{ plan_id: number; version: string }[]>(
    "SELECT plan_id, CAST(updated_at AS CHAR) AS version FROM price_plans WHERE name=? FOR UPDATE",
    [name],
  );
  if (row === undefined) return null;
  return { rates: await ratesOf(conn, row.plan_id), version: versionOf(row.version) };
}

/**
 * Adds rates to a plan, in place of those of the same prefix and time; with `replaces`, in place of all it
 * has. Makes the plan if there is none. All or nothing. @throws SluiceError validation_failed (too many)
 */
export function setRates(
  pool: Pool,
  name: string,
  rates: readonly Rate[],
  { replaces }: { replaces: boolean },
): Promise<void> {
  return pool.transaction(async (conn) => {
    await conn.write(
      "INSERT INTO price_plans (name) VALUES (?) ON DUPLICATE KEY UPDATE updated_at=CURRENT_TIMESTAMP(6)",
      [name],
    );
    const planId = await idOf(conn, name, " FOR UPDATE");
    if (replaces) await conn.write("DELETE FROM price_rates WHERE plan_id=?", [planId]);
    for (let at = 0; at < rates.length; at += ROWS_MAX) {
      const some = rates.slice(at, at + ROWS_MAX);
      await conn.write(
        "INSERT INTO price_rates (plan_id, prefix, valid_from, normal, express) VALUES " +
          `${some.map(() => "(?, ?, ?, ?, ?)").join(", ")} AS n ` +
          "ON DUPLICATE KEY UPDATE normal=n.normal, express=n.express",
        some.flatMap(({ prefix, validFromMs, prices }) => [
          planId,
          prefix,
          new Date(validFromMs),
          prices?.normal ?? null,
          prices?.express ?? null,
        ]),
      );
    }
    const [row] = await conn.query<{ n: number }[]>("SELECT COUNT(*) AS n FROM price_rates WHERE plan_id=?", [
      planId,
    ]);
    if (Number(row?.n) > RATES_MAX) {
      const reason = `would have ${row?.n} rates; at most ${RATES_MAX} are allowed`;
      throw new SluiceError("validation_failed", { errors: [{ field: "plan", reason }] });
    }
  });
}

/**
 * Removes rates of a plan: those of a prefix, or only the one that begins at that moment. Returns how many.
 * @throws SluiceError not_found
 */
export function removeRates(
  pool: Pool,
  name: string,
  { prefix, validFromMs }: { prefix: string; validFromMs: number | null },
): Promise<number> {
  return pool.transaction(async (conn) => {
    const planId = await idOf(conn, name, " FOR UPDATE");
    await conn.write("UPDATE price_plans SET updated_at=CURRENT_TIMESTAMP(6) WHERE plan_id=?", [planId]);
    const { affectedRows } = await conn.write(
      "DELETE FROM price_rates WHERE plan_id=? AND prefix=?" +
        (validFromMs === null ? "" : " AND valid_from=?"),
      [planId, prefix, ...(validFromMs === null ? [] : [new Date(validFromMs)])],
    );
    return affectedRows;
  });
}

/** Removes a plan that no customer has. @throws SluiceError not_found, validation_failed */
export function removePlan(pool: Pool, name: string): Promise<void> {
  return pool.transaction(async (conn) => {
    const planId = await idOf(conn, name, " FOR UPDATE");
    const [row] = await conn.query<{ n: number }[]>(
      "SELECT COUNT(*) AS n FROM customers WHERE price_plan=?",
      [planId],
    );
    if (Number(row?.n) > 0) {
      const reason = `is the plan of ${row?.n} customers: give them another one first`;
      throw new SluiceError("validation_failed", { errors: [{ field: "plan", reason }] });
    }
    await conn.write("DELETE FROM price_plans WHERE plan_id=?", [planId]);
  });
}

/** null: the customer's own prices. Every process knows within 2 s. @throws SluiceError not_found */
export async function givePlan(pool: Pool, customerId: number, name: string | null): Promise<void> {
  await requireCustomer(pool, customerId);
  await pool.transaction(async (conn) => {
    // Locked, so that it is not removed meanwhile.
    const planId = name === null ? null : await idOf(conn, name, " FOR SHARE");
    await conn.write("UPDATE customers SET price_plan=? WHERE customer_id=?", [planId, customerId]);
  });
}

export type PricedCustomer = {
  priceNormal: number;
  priceExpress: number;
  currency: string;
  region: string;
  /** Its plan's name; null: it has none. */
  planName: string | null;
  plan?: PricePlan;
};

/** What a customer pays, as the database has it now. @throws SluiceError not_found */
export async function findPriced(pool: Pool, customerId: number): Promise<PricedCustomer> {
  type Row = {
    price_normal: number;
    price_express: number;
    currency: string;
    region: string;
    price_plan: number | null;
    plan_name: string | null;
  };
  const [row] = await pool.query<Row[]>(
    "SELECT c.price_normal, c.price_express, c.currency, c.region, c.price_plan, p.name AS plan_name " +
      "FROM customers AS c LEFT JOIN price_plans AS p ON p.plan_id=c.price_plan WHERE c.customer_id=?",
    [customerId],
  );
  if (row === undefined) throw new SluiceError("not_found", { detail: `No customer ${customerId}.` });
  return {
    priceNormal: row.price_normal,
    priceExpress: row.price_express,
    currency: row.currency,
    region: row.region,
    planName: row.plan_name,
    ...(row.price_plan === null ? {} : { plan: createPricePlan(await ratesOf(pool, row.price_plan)) }),
  };
}

async function idOf(
  conn: Pick<Connection, "query">,
  name: string,
  lock: "" | " FOR UPDATE" | " FOR SHARE" = "",
): Promise<number> {
  const [row] = await conn.query<{ plan_id: number }[]>(
    `SELECT plan_id FROM price_plans WHERE name=?${lock}`,
    [name],
  );
  if (row === undefined) throw new SluiceError("not_found", { detail: `No price plan ${name}.` });
  return row.plan_id;
}
