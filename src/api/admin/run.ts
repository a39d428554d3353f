// Runs a route of the admin API: who calls, by its token; then query and body, as the route declares them.
// Also makes changes on an admin's behalf. Leaves what a change is to src/control/.
// Invariant: a token is read from the database for each request, so a revoked one is refused at once.

import { createHash } from "node:crypto";
import { SluiceError } from "../../core/errors.ts";
import { createIdFactory } from "../../core/id.ts";
import { parseJson } from "../../core/json.ts";
import { targetOf } from "../../core/request-target.ts";
import { type Admin, findAdmin } from "../../control/admin-tokens.ts";
import { type Kept, once } from "../../control/audit.ts";
import type { Posting } from "../../control/wallets.ts";
import type { Pool } from "../../platform/mysql.ts";
import { readBody, singleHeader } from "../http.ts";
import { givenKey } from "../idempotency-key.ts";
import { readQuery } from "../query.ts";
import {
  type AdminAccess,
  type Arrival,
  type Call,
  isOfAdmins,
  type Reply,
  type Route,
  type Written,
} from "../route.ts";

/**
 * `pool` for who calls and for what is read. `changes` for changes: it must allow several statements, and is
 * apart because a change may hold its connection for seconds, waiting for a wallet or for credit.
 */
export type AdminDeps = { pool: Pool; changes: Pool };

const NO_BYTES = new Uint8Array(0);

/** @throws SluiceError, CallerGoneError, and anything the route throws */
export async function runAdminRoute(
  { pool }: Pick<AdminDeps, "pool">,
  route: Route,
  arrival: Arrival,
): Promise<Reply> {
  const { request } = arrival;
  if (arrival.isStopping())
    throw new SluiceError("unavailable", { detail: "The process is stopping.", retryAfterS: 1 });
  const owner = isOfAdmins(route.access) ? await admit(pool, request, route.access) : null;
  const query = readQuery(request.url, route.query);
  const bytes = route.check === null ? NO_BYTES : await readBody(request, route.bodyBytesMax);
  const body = route.check === null ? null : route.check(parseJson(bytes));
  // These have the types that the route declares, by its access and its body's schema.
  return route.handle({ ...arrival, owner, query, body, bytes } as never);
}

/** @throws SluiceError admin_token_invalid, scope_missing */
async function admit(pool: Pool, request: Request, access: AdminAccess): Promise<Admin> {
  const [, token = ""] = /^Bearer +(\S+)$/i.exec(singleHeader(request, "Authorization") ?? "") ?? [];
  const admin = await findAdmin(pool, token);
  if (admin === null) throw new SluiceError("admin_token_invalid");
  if (access === "admin:write" && admin.scope !== "write")
    throw new SluiceError("scope_missing", { detail: "This route needs the scope write." });
  return admin;
}

type Changing = Pick<Call<"admin:write">, "owner" | "request" | "clientAddress" | "bytes">;
/**
 * Whether a change reads an Idempotency-Key: `needs` is for money; `none` where twice has the effect of once;
 * `once` where it hasn't, and no answer is kept: after a lost one, somebody looks before it is repeated.
 */
export type Keyed = "needs" | "takes" | "none" | "once";

const newId = createIdFactory({ now: Date.now });

/** Makes a change, once for its key, and answers it. @throws SluiceError, what `run` throws */
export async function change<const S extends number, T>(
  { changes }: Pick<AdminDeps, "changes">,
  call: Changing,
  { status, key }: { status: S; key: Keyed },
  run: (by: Posting) => Promise<T>,
): Promise<Written<S>> {
  const kept = key === "needs" || key === "takes" ? keptOf(call) : null;
  if (key === "needs" && kept === null)
    throw new SluiceError("validation_failed", {
      errors: [{ field: "Idempotency-Key", reason: "is required" }],
    });
  const actor = { via: "api", who: call.owner.name, origin: call.clientAddress() } as const;
  const by: Posting = { pool: changes, actor, kept, id: newId, now: Date.now };
  const { answer, isRepeat } = await once(by, run, key === "none");
  return { status, body: answer, ...(isRepeat ? { headers: { "Idempotent-Replayed": "true" } } : {}) };
}

function keptOf({ request, bytes }: Changing): Kept | null {
  const key = givenKey(request);
  if (key === null) return null;
  const { path, query } = targetOf(request.url);
  const target = query === "" ? path : `${path}?${query}`;
  const hash = createHash("sha256").update(`${request.method} ${target}\n`).update(bytes).digest();
  return { key, hash };
}

/** The version that a change is meant for, as `If-Match` names it; null: any. @throws SluiceError */
export function expectedVersion(request: Request): string | null {
  const given = singleHeader(request, "If-Match");
  if (given === "") {
    const errors = [{ field: "If-Match", reason: "must not be empty" }];
    throw new SluiceError("validation_failed", { errors });
  }
  return given === null || given === "*" ? null : given.replaceAll('"', "");
}

const ID = /^[1-9]\d{0,14}$/;

/** Of a change that may be meant for a version: it makes another, for which its repeat isn't meant. */
export const keyedBy = (version: string | null): Keyed => (version === null ? "none" : "once");

/** The customer that a path names. @throws SluiceError not_found */
export function customerIdOf({ params: { id = "" } }: Pick<Arrival, "params">): number {
  if (!ID.test(id)) throw new SluiceError("not_found", { detail: "No such customer." });
  return Number(id);
}
