// Price plans in the admin API. Who has which plan is said of the customer.

import { Type } from "typebox";
import { changeRates, dropRates, endPlan, shownRate } from "../../control/prices.ts";
import { BATCH_BODY_BYTES_MAX } from "../../core/batch-limits.ts";
import { type FieldError, SluiceError } from "../../core/errors.ts";
import { REFUSED } from "../../core/price-file.ts";
import { PRICE_MAX, type Rate } from "../../core/price-plan.ts";
import { timeOf } from "../../core/time.ts";
import { listPlans, listRates } from "../../customers/price-plans.ts";
import { type Arrival, type Route, route } from "../route.ts";
import { closed, Count, Time } from "../shapes.ts";
import { type AdminDeps, change, expectedVersion, keyedBy } from "./run.ts";
import { OF_PLAN, Version } from "./shapes.ts";

/** Rates of one request, each some 100 B of JSON. A plan may have more. */
const RATES_MAX = 5_000;
const Price = Type.Union([Type.Integer({ minimum: 1, maximum: PRICE_MAX }), Type.Literal(REFUSED)]);
const Prefix = Type.String({ pattern: "^\\+[0-9]{0,15}$", description: "a plus and up to 15 digits" });
const ValidFrom = Type.Optional(
  Type.String({ format: "date-time", description: "from then on; from now on unless given" }),
);
const GivenRate = Type.Object(
  { prefix: Prefix, valid_from: ValidFrom, normal: Price, express: Price },
  closed,
);
const ShownRate = Type.Object({ prefix: Prefix, valid_from: Time, normal: Price, express: Price }, closed);
const PlanState = Type.Object({ plan: Type.String(), rates: Count, version: Version }, closed);
const RATE_EXAMPLE = { prefix: "+98912", valid_from: "2026-01-01T00:00:00.000Z", normal: 450, express: 600 };
const STATE_EXAMPLE = { plan: "retail", rates: 1, version: "20260921141320000000" };
const CHANGES = ["version_conflict", "outcome_unknown"] as const;

export const createPriceRoutes = (deps: AdminDeps): Route[] => [
  listRoute(deps),
  ratesRoute(deps),
  changeRoute(deps),
  dropRoute(deps),
  removeRoute(deps),
];

const listRoute = ({ pool }: AdminDeps): Route =>
  route({
    method: "GET",
    path: "/admin/v1/plans",
    access: "admin:read",
    query: [],
    body: null,
    answers: {
      200: Type.Object(
        {
          plans: Type.Array(
            Type.Object(
              { name: Type.String(), rates: Count, customers: Count, updated_at: Time, version: Version },
              closed,
            ),
          ),
        },
        closed,
      ),
    },
    errors: [],
    about: {
      operationId: "listPlans",
      tag: "Prices",
      summary: "All price plans, by name",
      answers: {
        200: {
          plans: [
            {
              name: "retail",
              rates: 1,
              customers: 3,
              updated_at: "2026-09-21T14:13:20.000Z",
              version: STATE_EXAMPLE.version,
            },
          ],
        },
      },
    },
    handle: async () => ({ status: 200, body: { plans: await listPlans(pool) } }),
  });

const ratesRoute = ({ pool }: AdminDeps): Route =>
  route({
    method: "GET",
    path: "/admin/v1/plans/:plan/rates",
    access: "admin:read",
    query: [],
    body: null,
    answers: { 200: Type.Object({ plan: Type.String(), rates: Type.Array(ShownRate) }, closed) },
    errors: ["not_found"],
    about: {
      operationId: "listRates",
      tag: "Prices",
      summary: "The rates of a plan, by prefix and time",
      path: OF_PLAN,
      answers: { 200: { plan: "retail", rates: [RATE_EXAMPLE] } },
    },
    async handle(call) {
      const plan = planOf(call);
      return { status: 200, body: { plan, rates: (await listRates(pool, plan)).map(shownRate) } };
    },
  });

const changeRoute = (deps: AdminDeps): Route =>
  route({
    method: "POST",
    path: "/admin/v1/plans/:plan/rates",
    access: "admin:write",
    query: [],
    body: Type.Object(
      {
        rates: Type.Array(GivenRate, { maxItems: RATES_MAX }),
        replaces: Type.Optional(
          Type.Boolean({ description: "whether these are all rates that the plan has then" }),
        ),
      },
      closed,
    ),
    bodyBytesMax: BATCH_BODY_BYTES_MAX,
    answers: { 200: PlanState },
    errors: CHANGES,
    about: {
      operationId: "changeRates",
      tag: "Prices",
      summary: "Add rates to a plan, or replace all of them",
      description:
        "In place of those of the same prefix and time; makes the plan if there is none. All or nothing. " +
        "Every process knows within 2 s; messages that were accepted before keep their price.",
      path: OF_PLAN,
      body: { rates: [{ prefix: "+98912", valid_from: "2026-01-01T00:00:00Z", normal: 450, express: 600 }] },
      answers: { 200: STATE_EXAMPLE },
    },
    handle: (call) => {
      const rates = ratesOf(call.body.rates);
      const plan = { name: planOf(call), version: expectedVersion(call.request) };
      const options = { replaces: call.body.replaces === true };
      // From now on: a repeat would begin later.
      const isDated = call.body.rates.every(({ valid_from }) => valid_from !== undefined);
      const key = isDated ? keyedBy(plan.version) : "once";
      return change(deps, call, { status: 200, key }, (by) => changeRates(by, plan, rates, options));
    },
  });

const dropRoute = (deps: AdminDeps): Route =>
  route({
    method: "POST",
    path: "/admin/v1/plans/:plan/rates/remove",
    access: "admin:write",
    query: [],
    body: Type.Object(
      {
        prefix: Prefix,
        valid_from: Type.Optional(
          Type.String({ format: "date-time", description: "only the rate that begins then" }),
        ),
      },
      closed,
    ),
    answers: {
      200: Type.Object({ ...PlanState.properties, removed: Type.Integer({ minimum: 1 }) }, closed),
    },
    errors: ["not_found", ...CHANGES],
    about: {
      operationId: "removeRates",
      tag: "Prices",
      summary: "Remove the rates of a prefix",
      path: OF_PLAN,
      body: { prefix: "+98912" },
      answers: { 200: { ...STATE_EXAMPLE, rates: 0, removed: 1 } },
    },
    handle: (call) => {
      const { prefix, valid_from } = call.body;
      const validFromMs = valid_from === undefined ? null : timeOf(valid_from);
      // Without a time all rates of the prefix would go.
      if (valid_from !== undefined && validFromMs === null)
        throw new SluiceError("validation_failed", { errors: [unreadable("valid_from")] });
      const plan = { name: planOf(call), version: expectedVersion(call.request) };
      return change(deps, call, { status: 200, key: "once" }, (by) =>
        dropRates(by, plan, { prefix, validFromMs }),
      );
    },
  });

const removeRoute = (deps: AdminDeps): Route =>
  route({
    method: "DELETE",
    path: "/admin/v1/plans/:plan",
    access: "admin:write",
    query: [],
    body: null,
    answers: { 200: Type.Object({ plan: Type.String(), removed: Type.Literal(true) }, closed) },
    errors: ["not_found", ...CHANGES],
    about: {
      operationId: "removePlan",
      tag: "Prices",
      summary: "Remove a plan that no customer has",
      path: OF_PLAN,
      answers: { 200: { plan: "retail", removed: true } },
    },
    handle: (call) => {
      const plan = { name: planOf(call), version: expectedVersion(call.request) };
      return change(deps, call, { status: 200, key: "once" }, (by) => endPlan(by, plan));
    },
  });

const planOf = ({ params: { plan = "" } }: Pick<Arrival, "params">): string => plan;

type Given = {
  prefix: string;
  valid_from?: string;
  normal: number | "refused";
  express: number | "refused";
};

const unreadable = (field: string): FieldError => ({
  field,
  reason: "must be a time that exists, from 1970 on, by RFC 3339",
});

/** @throws SluiceError validation_failed */
function ratesOf(given: readonly Given[]): Rate[] {
  const errors: FieldError[] = [];
  const nowMs = Date.now();
  const rates = given.map(({ prefix, valid_from, normal, express }, at) => {
    if ((normal === REFUSED) !== (express === REFUSED))
      errors.push({ field: `rates.${at}.express`, reason: "must be refused together with normal" });
    const validFromMs = valid_from === undefined ? nowMs : timeOf(valid_from);
    if (validFromMs === null) errors.push(unreadable(`rates.${at}.valid_from`));
    const prices = normal === REFUSED || express === REFUSED ? null : { normal, express };
    return { prefix, validFromMs: validFromMs ?? nowMs, prices };
  });
  if (errors.length > 0) throw new SluiceError("validation_failed", { errors });
  return rates;
}
