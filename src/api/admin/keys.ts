// API keys of customers in the admin API: lists, makes, rotates, limits and revokes them. A key is in one
// answer only; because it isn't stored, a request that makes one can't be repeated for the same key.

import { Type } from "typebox";
import { changeKey, endKey, makeKey, replaceKey } from "../../control/keys.ts";
import { KEY_OVERLAP_DEFAULT_MS, KEY_OVERLAP_MAX_MS } from "../../core/access-limits.ts";
import { SluiceError } from "../../core/errors.ts";
import { readUlid } from "../../core/id.ts";
import { timeOf } from "../../core/time.ts";
import { SCOPES, SCOPES_DEFAULT } from "../../customers/api-keys.ts";
import { requireCustomer } from "../../customers/customers.ts";
import { listKeys, type Rotated } from "../../customers/key-admin.ts";
import type { About } from "../about.ts";
import { type Arrival, type Route, route } from "../route.ts";
import { closed, CustomerId, Time, Ulid } from "../shapes.ts";
import { type AdminDeps, change, customerIdOf } from "./run.ts";
import { Addresses, Key, KEY_EXAMPLE, OF_CUSTOMER, OF_KEY, OrNone } from "./shapes.ts";

const Expiry = Type.String({ format: "date-time", description: "RFC 3339 with seconds and an offset" });
const MadeShape = {
  customer_id: CustomerId,
  key_id: Ulid,
  api_key: Type.String({ description: "the key itself, in this answer only" }),
  signing_secret: Type.Optional(Type.String()),
};
const MADE_EXAMPLE = {
  customer_id: "1",
  key_id: "01M7YBCF6H3R9ZT2B8W5K0N7QX",
  api_key: "sk_cXFvbG9uZ2VuaXVtbm90YXJlYWwx",
};
const CHANGES = ["not_found", "outcome_unknown"] as const;

export const createKeyRoutes = (deps: AdminDeps): Route[] => [
  listRoute(deps),
  createRoute(deps),
  changeRoute(deps),
  rotateRoute(deps),
  revokeRoute(deps),
];

const listRoute = ({ pool }: AdminDeps): Route =>
  route({
    method: "GET",
    path: "/admin/v1/customers/:id/keys",
    access: "admin:read",
    query: [],
    body: null,
    answers: { 200: Type.Object({ keys: Type.Array(Key) }, closed) },
    errors: ["not_found"],
    about: {
      operationId: "listKeys",
      tag: "Keys",
      summary: "A customer's keys, without the keys themselves",
      path: OF_CUSTOMER,
      answers: { 200: { keys: [KEY_EXAMPLE] } },
    },
    async handle(call) {
      const customerId = customerIdOf(call);
      await requireCustomer(pool, customerId);
      return { status: 200, body: { keys: await listKeys(pool, customerId) } };
    },
  });

const createRoute = (deps: AdminDeps): Route =>
  route({
    method: "POST",
    path: "/admin/v1/customers/:id/keys",
    access: "admin:write",
    query: [],
    body: Type.Object(
      {
        scopes: Type.Optional(Type.Array(Type.Enum(SCOPES), { minItems: 1, uniqueItems: true })),
        expires_at: Type.Optional(Expiry),
        signed: Type.Optional(Type.Boolean({ description: "it takes signed requests only" })),
      },
      closed,
    ),
    answers: { 201: Type.Object(MadeShape, closed) },
    errors: CHANGES,
    about: {
      operationId: "createKey",
      tag: "Keys",
      summary: "Make a key",
      description:
        "A customer may have two live keys. If the answer is lost, so is the key: revoke it, make another.",
      path: OF_CUSTOMER,
      body: { scopes: ["send", "read"], expires_at: "2099-12-31T23:59:59Z" },
      answers: { 201: MADE_EXAMPLE },
    },
    handle: (call) => {
      const customerId = customerIdOf(call);
      const { scopes = SCOPES_DEFAULT, expires_at, signed = false } = call.body;
      const expiresAtMs = expires_at === undefined ? null : futureOf(expires_at);
      return change(deps, call, { status: 201, key: "once" }, async (by) => {
        const { keyId, apiKey, signingSecret } = await makeKey(by, customerId, scopes, {
          expiresAtMs,
          signed,
        });
        return madeOf({
          customerId,
          keyId,
          apiKey,
          ...(signingSecret === undefined ? {} : { signingSecret }),
        });
      });
    },
  });

const changeRoute = (deps: AdminDeps): Route =>
  route({
    method: "PATCH",
    path: "/admin/v1/keys/:id",
    access: "admin:write",
    query: [],
    body: Type.Object(
      {
        expires_at: Type.Optional(Type.Union([Expiry, Type.Literal("never")])),
        addresses: Type.Optional(OrNone(Addresses)),
      },
      closed,
    ),
    answers: { 200: Key },
    errors: CHANGES,
    about: {
      operationId: "changeKey",
      tag: "Keys",
      summary: "Change when a live key expires, or from where it may be used",
      description: "Every process knows within 2 s.",
      path: OF_KEY,
      body: { expires_at: "2099-12-31T23:59:59Z", addresses: ["192.0.2.0/24"] },
      answers: {
        200: { ...KEY_EXAMPLE, expires_at: "2099-12-31T23:59:59.000Z", addresses: ["192.0.2.0/24"] },
      },
    },
    handle: (call) => {
      const keyId = keyIdOf(call);
      const { expires_at: at, addresses } = call.body;
      const wanted = {
        ...(at === undefined ? {} : { expiresAtMs: at === "never" ? null : futureOf(at) }),
        ...(addresses === undefined ? {} : { addresses: addresses === "none" ? null : addresses }),
      };
      return change(deps, call, { status: 200, key: "none" }, (by) => changeKey(by, keyId, wanted));
    },
  });

const rotateRoute = (deps: AdminDeps): Route =>
  route({
    method: "POST",
    path: "/admin/v1/keys/:id/rotate",
    access: "admin:write",
    query: [],
    body: Type.Object(
      {
        overlap_s: Type.Optional(
          Type.Integer({
            minimum: 0,
            maximum: KEY_OVERLAP_MAX_MS / 1_000,
            description: "how long the old key still works; 0 revokes it at once; a day unless given",
          }),
        ),
        expires_at: Type.Optional(Expiry),
        signed: Type.Optional(Type.Boolean({ description: "as the old one unless given" })),
      },
      closed,
    ),
    answers: {
      201: Type.Object({ ...MadeShape, replaces: Ulid, old_expires_at: Time }, closed),
    },
    errors: CHANGES,
    about: {
      operationId: "rotateKey",
      tag: "Keys",
      summary: "Replace a key by a new one with the same scopes and addresses",
      path: OF_KEY,
      body: { overlap_s: 3_600 },
      answers: {
        201: {
          ...MADE_EXAMPLE,
          replaces: "01M7YBCF6H3R9ZT2B8W5K0N7QW",
          old_expires_at: "2026-09-21T15:13:20.000Z",
        },
      },
    },
    handle: (call) => {
      const keyId = keyIdOf(call);
      const { overlap_s, expires_at, signed } = call.body;
      const options = {
        overlapMs: overlap_s === undefined ? KEY_OVERLAP_DEFAULT_MS : overlap_s * 1_000,
        expiresAtMs: expires_at === undefined ? null : futureOf(expires_at),
        ...(signed === undefined ? {} : { signed }),
      };
      return change(deps, call, { status: 201, key: "once" }, async (by) => {
        const shown: Rotated[] = [];
        await replaceKey(by, keyId, options, (rotated) => void shown.push(rotated));
        // After a deadlock it is made again: the last one is stored.
        const made = shown.at(-1) as Rotated;
        return { ...madeOf(made), replaces: keyId, old_expires_at: made.oldExpiresAt };
      });
    },
  });

const revokeRoute = (deps: AdminDeps): Route =>
  route({
    method: "DELETE",
    path: "/admin/v1/keys/:id",
    access: "admin:write",
    query: [],
    body: null,
    answers: { 200: Key },
    errors: CHANGES,
    about: {
      operationId: "revokeKey",
      tag: "Keys",
      summary: "Revoke a key; every process refuses it within 2 s",
      path: OF_KEY,
      answers: { 200: { ...KEY_EXAMPLE, live: false, revoked_at: "2026-09-21T14:14:00.000Z" } },
    } satisfies About,
    handle: (call) => {
      const keyId = keyIdOf(call);
      return change(deps, call, { status: 200, key: "none" }, (by) => endKey(by, keyId));
    },
  });

/** The key that a path names. @throws SluiceError not_found */
function keyIdOf({ params: { id = "" } }: Pick<Arrival, "params">): string {
  const keyId = readUlid(id);
  if (keyId === null) throw new SluiceError("not_found", { detail: "No such key." });
  return keyId;
}

const madeOf = (made: { customerId: number; keyId: string; apiKey: string; signingSecret?: string }) => ({
  customer_id: String(made.customerId),
  key_id: made.keyId,
  api_key: made.apiKey,
  ...(made.signingSecret === undefined ? {} : { signing_secret: made.signingSecret }),
});

/** @throws SluiceError validation_failed */
function futureOf(text: string): number {
  const ms = timeOf(text);
  if (ms !== null && ms > Date.now()) return ms;
  const errors = [{ field: "expires_at", reason: "must be a time in the future" }];
  throw new SluiceError("validation_failed", { errors });
}
