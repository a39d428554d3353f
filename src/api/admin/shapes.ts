// Schema parts and examples that routes of the admin API share. Where a request may take something away, it
// says so by a word, such as `none`: null means that a field is left out, as everywhere.

import { type TSchema, Type } from "typebox";
import { ADDRESSES_MAX } from "../../core/access-limits.ts";
import { CUSTOMER_MODES } from "../../core/customer-mode.ts";
import { SCOPES } from "../../customers/api-keys.ts";
import { PLAN_NAME_CHARS_MAX } from "../../customers/price-plans.ts";
import type { About } from "../about.ts";
import { closed, Currency, CustomerId, GivenUlid, LABEL, Money, OrNull, Sum, Time, Ulid } from "../shapes.ts";

export const OF_CUSTOMER: About["path"] = {
  id: { schema: CustomerId, description: "of the customer", example: "1" },
};
export const OF_KEY: About["path"] = {
  id: { schema: GivenUlid, description: "of the key", example: "01M7YBCF6H3R9ZT2B8W5K0N7QX" },
};
export const OF_PLAN: About["path"] = {
  plan: {
    schema: Type.String({ minLength: 1, maxLength: PLAN_NAME_CHARS_MAX, ...LABEL }),
    description: "the plan's name",
    example: "retail",
  },
};

/** Why a wallet was corrected. */
export const WHY_EXAMPLE = "Paid twice by mistake, ticket 4711";

export const OrNone = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Literal("none")]);
export const Addresses = Type.Array(Type.String({ minLength: 1 }), { minItems: 1, maxItems: ADDRESSES_MAX });
export const Version = Type.String({
  pattern: "^[0-9]*$",
  description: "another one after each change; `If-Match` of a change that is meant for this one only",
});

export const Customer = Type.Object(
  {
    customer_id: CustomerId,
    name: Type.String(),
    price_normal: Money,
    price_express: Money,
    price_plan: OrNull(Type.String()),
    currency: Currency,
    region: Type.String(),
    rate_limit: OrNull(Type.Integer({ minimum: 1, description: "message parts a minute" })),
    request_limit: OrNull(Type.Integer({ minimum: 1, description: "requests a minute" })),
    mode: Type.Enum(CUSTOMER_MODES),
    express_resend_unknown: Type.Boolean(),
    otp_code: Type.Boolean({ description: "whether answers have one-time codes" }),
    addresses: OrNull(Type.Array(Type.String())),
    created_at: Time,
    suspended_at: OrNull(Time),
    version: Version,
  },
  closed,
);
export const CUSTOMER_EXAMPLE = {
  customer_id: "1",
  name: "Acme",
  price_normal: 500,
  price_express: 700,
  price_plan: null,
  currency: "IRR",
  region: "IR",
  rate_limit: null,
  request_limit: null,
  mode: "lease",
  express_resend_unknown: false,
  otp_code: false,
  addresses: null,
  created_at: "2026-09-21T14:13:20.000Z",
  suspended_at: null,
  version: "20260921141320000000",
};

export const Key = Type.Object(
  {
    key_id: Ulid,
    scopes: Type.String({ description: `comma-separated, from ${SCOPES.join(", ")}` }),
    live: Type.Boolean({ description: "neither revoked nor expired" }),
    signed: Type.Boolean({ description: "takes signed requests only" }),
    addresses: OrNull(Type.Array(Type.String())),
    created_at: Time,
    expires_at: OrNull(Time),
    last_used_at: OrNull(Time),
    revoked_at: OrNull(Time),
  },
  closed,
);
export const KEY_EXAMPLE = {
  key_id: "01M7YBCF6H3R9ZT2B8W5K0N7QX",
  scopes: "send,read,billing",
  live: true,
  signed: false,
  addresses: null,
  created_at: "2026-09-21T14:13:20.000Z",
  expires_at: null,
  last_used_at: null,
  revoked_at: null,
};

const Cap = OrNull(Type.Object({ limit: Money, left: Sum, resets_at: Time }, closed));
export const Caps = Type.Object({ customer_id: CustomerId, daily: Cap, monthly: Cap }, closed);
export const CAPS_EXAMPLE = {
  customer_id: "1",
  daily: { limit: 50_000, left: 49_300, resets_at: "2026-09-22T00:00:00.000Z" },
  monthly: null,
};
