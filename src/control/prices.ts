// What whoever runs Sluice changes about price plans. The log has the rates that a change added, removed or
// replaced, the first RATES_LOGGED_MAX of them, and how many there were.

import { REFUSED } from "../core/price-file.ts";
import type { Rate } from "../core/price-plan.ts";
import { SluiceError } from "../core/errors.ts";
import { nameProblem } from "../customers/customers.ts";
import {
  lockPlan,
  PLAN_NAME_CHARS_MAX,
  removePlan,
  removeRates,
  setRates,
} from "../customers/price-plans.ts";
import type { Pool } from "../platform/mysql.ts";
import { audited, type By, type Change } from "./audit.ts";
import { holdVersion } from "./customers.ts";

/** `version`: of the plan that a change was meant for; null: of any. */
export type PlanRef = { name: string; version?: string | null };
/** How many rates the plan has now, and its version. */
export type PlanState = { plan: string; rates: number; version: string };

const RATES_LOGGED_MAX = 200;

/**
 * Adds rates to a plan, or with `replaces` makes them all that it has; makes the plan if there is none. All
 * or nothing; every process knows within 2 s. @throws SluiceError validation_failed, version_conflict
 */
export async function changeRates(
  by: By,
  plan: PlanRef,
  rates: readonly Rate[],
  options: { replaces: boolean },
): Promise<PlanState> {
  const reason = nameProblem(plan.name, PLAN_NAME_CHARS_MAX);
  if (reason !== null) throw new SluiceError("validation_failed", { errors: [{ field: "plan", reason }] });
  return changePlan(by, plan, async (tx) => {
    await setRates(tx, plan.name, rates, options);
    return {};
  });
}

/**
 * Removes rates of a plan: those of a prefix, or only the one that begins at that moment, Unix ms.
 * @throws SluiceError not_found, version_conflict
 */
export const dropRates = (
  by: By,
  plan: PlanRef,
  of: { prefix: string; validFromMs: number | null },
): Promise<PlanState & { removed: number }> =>
  changePlan(by, plan, async (tx) => {
    const removed = await removeRates(tx, plan.name, of);
    if (removed > 0) return { removed };
    const detail = `no such rate of ${of.prefix}; see: ./sluice price list ${plan.name}`;
    throw new SluiceError("not_found", { detail });
  });

const changePlan = <T extends object>(
  by: By,
  { name, version = null }: PlanRef,
  change: (tx: Pool) => Promise<T>,
): Promise<PlanState & T> =>
  audited(by, async (tx) => {
    const before = await lockPlan(tx, name);
    holdVersion(before?.version ?? "", version);
    const more = await change(tx);
    const after = await lockPlan(tx, name);
    const rates = after?.rates ?? [];
    return {
      result: { plan: name, rates: rates.length, version: after?.version ?? "", ...more },
      change: changeOf(name, before?.rates ?? null, rates),
    };
  });

/** Removes a plan that no customer has. @throws SluiceError not_found, validation_failed, version_conflict */
export const endPlan = (
  by: By,
  { name, version = null }: PlanRef,
): Promise<{ plan: string; removed: true }> =>
  audited(by, async (tx) => {
    const before = await lockPlan(tx, name);
    holdVersion(before?.version ?? "", version);
    await removePlan(tx, name);
    const old = logged(before?.rates ?? []);
    return {
      result: { plan: name, removed: true },
      change: { action: "plan.remove", subject: name, old },
    };
  });

function changeOf(name: string, before: readonly Rate[] | null, after: readonly Rate[]): Change | null {
  const [had, has] = [new Set(before?.map(textOf)), new Set(after.map(textOf))];
  const removed = (before ?? []).filter((rate) => !has.has(textOf(rate)));
  const added = after.filter((rate) => !had.has(textOf(rate)));
  if (before !== null && removed.length + added.length === 0) return null;
  return { action: "plan.change", subject: name, old: logged(removed), new: logged(added) };
}

const logged = (rates: readonly Rate[]) => ({
  rates: rates.slice(0, RATES_LOGGED_MAX).map(shownRate),
  rates_total: rates.length,
});

type Shown = { prefix: string; valid_from: string; normal: number | "refused"; express: number | "refused" };

/** A rate as people read it. */
export const shownRate = ({ prefix, validFromMs, prices }: Rate): Shown => ({
  prefix,
  valid_from: new Date(validFromMs).toISOString(),
  normal: prices?.normal ?? REFUSED,
  express: prices?.express ?? REFUSED,
});

const textOf = (rate: Rate): string => JSON.stringify(shownRate(rate));
