// /admin/v1/customers: lists, creates, shows and changes customers.

import { Type } from "typebox";
import { changeCustomer, makeCustomer } from "../../control/customers.ts";
import { CUSTOMER_MODES, type CustomerMode } from "../../core/customer-mode.ts";
import { PRICE_MAX } from "../../core/price-plan.ts";
import {
  listCustomers,
  NAME_CHARS_MAX,
  PRICE_EXPRESS_DEFAULT,
  PRICE_NORMAL_DEFAULT,
  RATE_LIMIT_MAX,
  readCustomer,
} from "../../customers/customers.ts";
import { PLAN_NAME_CHARS_MAX } from "../../customers/price-plans.ts";
import { isNumberCursor, readParams } from "../../reports/params.ts";
import { type Route, route } from "../route.ts";
import { closed, Cursor, LABEL } from "../shapes.ts";
import { type AdminDeps, change, customerIdOf, expectedVersion, keyedBy } from "./run.ts";
import { Addresses, Customer, CUSTOMER_EXAMPLE, OF_CUSTOMER, OrNone } from "./shapes.ts";

const Name = Type.String({ minLength: 1, maxLength: NAME_CHARS_MAX, ...LABEL });
const Price = Type.Integer({ minimum: 1, maximum: PRICE_MAX, description: "minor units a part" });
const Rate = Type.Integer({ minimum: 1, maximum: RATE_LIMIT_MAX, description: "message parts a minute" });
const Requests = Type.Integer({ minimum: 1, maximum: RATE_LIMIT_MAX, description: "requests a minute" });

export const createCustomerRoutes = (deps: AdminDeps): Route[] => [
  listRoute(deps),
  createRoute(deps),
  showRoute(deps),
  changeRoute(deps),
];

const listRoute = ({ pool }: AdminDeps): Route =>
  route({
    method: "GET",
    path: "/admin/v1/customers",
    access: "admin:read",
    query: ["limit", "cursor"],
    body: null,
    answers: { 200: Type.Object({ customers: Type.Array(Customer), next_cursor: Cursor }, closed) },
    errors: [],
    about: {
      operationId: "listCustomers",
      tag: "Customers",
      summary: "All customers, oldest first",
      answers: { 200: { customers: [CUSTOMER_EXAMPLE], next_cursor: null } },
    },
    async handle({ query }) {
      const params = readParams(query);
      const cursor = params.cursor(isNumberCursor);
      const limit = params.limit();
      params.check();
      const found = await listCustomers(pool, { after: Number(cursor?.[0] ?? 0), limit: limit + 1 });
      const customers = found.slice(0, limit);
      const last = customers.at(-1);
      const more = found.length > limit && last !== undefined;
      const next_cursor = more ? params.nextCursor([Number(last.customer_id)]) : null;
      return { status: 200, body: { customers, next_cursor } };
    },
  });

const createRoute = (deps: AdminDeps): Route =>
  route({
    method: "POST",
    path: "/admin/v1/customers",
    access: "admin:write",
    query: [],
    body: Type.Object(
      {
        name: Name,
        price_normal: Type.Optional(Price),
        price_express: Type.Optional(Price),
        rate_limit: Type.Optional(Rate),
      },
      closed,
    ),
    answers: { 201: Customer },
    errors: ["outcome_unknown", "idempotency_in_progress", "idempotency_key_reused"],
    about: {
      operationId: "createCustomer",
      tag: "Customers",
      summary: "Create a customer with an empty wallet",
      description: "Its name need not be unique. It has no API key yet.",
      body: { name: "Acme", price_normal: 500, price_express: 700 },
      answers: { 201: CUSTOMER_EXAMPLE },
    },
    handle: (call) =>
      change(deps, call, { status: 201, key: "takes" }, (by) =>
        makeCustomer(by, {
          name: call.body.name,
          priceNormal: call.body.price_normal ?? PRICE_NORMAL_DEFAULT,
          priceExpress: call.body.price_express ?? PRICE_EXPRESS_DEFAULT,
          rateLimit: call.body.rate_limit ?? null,
        }),
      ),
  });

const showRoute = ({ pool }: AdminDeps): Route =>
  route({
    method: "GET",
    path: "/admin/v1/customers/:id",
    access: "admin:read",
    query: [],
    body: null,
    answers: { 200: Customer },
    errors: ["not_found"],
    about: {
      operationId: "getCustomer",
      tag: "Customers",
      summary: "A customer",
      path: OF_CUSTOMER,
      answers: { 200: CUSTOMER_EXAMPLE },
    },
    handle: async (call) => ({ status: 200, body: await readCustomer(pool, customerIdOf(call)) }),
  });

const changeRoute = (deps: AdminDeps): Route =>
  route({
    method: "PATCH",
    path: "/admin/v1/customers/:id",
    access: "admin:write",
    query: [],
    body: Type.Object(
      {
        name: Type.Optional(Name),
        price_normal: Type.Optional(Price),
        price_express: Type.Optional(Price),
        price_plan: Type.Optional(
          Type.String({
            minLength: 1,
            maxLength: PLAN_NAME_CHARS_MAX,
            description: "a plan's name; `none`: the customer's own prices",
          }),
        ),
        rate_limit: Type.Optional(OrNone(Rate)),
        request_limit: Type.Optional(OrNone(Requests)),
        mode: Type.Optional(Type.Enum(CUSTOMER_MODES, { description: "how its messages are paid" })),
        express_resend_unknown: Type.Optional(Type.Boolean()),
        otp_code: Type.Optional(Type.Boolean()),
        suspended: Type.Optional(Type.Boolean({ description: "whether all its requests are refused" })),
        addresses: Type.Optional(OrNone(Addresses)),
      },
      closed,
    ),
    answers: { 200: Customer },
    errors: ["not_found", "version_conflict", "outcome_unknown"],
    about: {
      operationId: "changeCustomer",
      tag: "Customers",
      summary: "Change what a customer pays, how it is limited, and whether it is served",
      description:
        "What is left out stays; all of it is changed, or nothing. Every process knows within 2 s. What " +
        "was accepted before keeps its price, and is still sent for a suspended customer.",
      path: OF_CUSTOMER,
      body: { price_normal: 450, rate_limit: 6_000, suspended: false },
      answers: { 200: { ...CUSTOMER_EXAMPLE, price_normal: 450, rate_limit: 6_000 } },
    },
    handle: (call) => {
      const version = expectedVersion(call.request);
      const customerId = customerIdOf(call);
      const wanted = changeOf(call.body);
      return change(deps, call, { status: 200, key: keyedBy(version) }, (by) =>
        changeCustomer(by, customerId, wanted, version),
      );
    },
  });

type Body = {
  name?: string;
  price_normal?: number;
  price_express?: number;
  price_plan?: string;
  rate_limit?: number | "none";
  request_limit?: number | "none";
  mode?: CustomerMode;
  express_resend_unknown?: boolean;
  otp_code?: boolean;
  suspended?: boolean;
  addresses?: string[] | "none";
};

const changeOf = (body: Body) => ({
  ...(body.name === undefined ? {} : { name: body.name }),
  ...(body.price_normal === undefined ? {} : { priceNormal: body.price_normal }),
  ...(body.price_express === undefined ? {} : { priceExpress: body.price_express }),
  ...(body.price_plan === undefined ? {} : { plan: body.price_plan === "none" ? null : body.price_plan }),
  ...(body.rate_limit === undefined
    ? {}
    : { rateLimit: body.rate_limit === "none" ? null : body.rate_limit }),
  ...(body.request_limit === undefined
    ? {}
    : { requestLimit: body.request_limit === "none" ? null : body.request_limit }),
  ...(body.mode === undefined ? {} : { mode: body.mode }),
  ...(body.express_resend_unknown === undefined ? {} : { resendsUnknown: body.express_resend_unknown }),
  ...(body.otp_code === undefined ? {} : { otpCode: body.otp_code }),
  ...(body.suspended === undefined ? {} : { isSuspended: body.suspended }),
  ...(body.addresses === undefined ? {} : { addresses: body.addresses === "none" ? null : body.addresses }),
});
