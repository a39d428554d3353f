// Who calls, and whether it may: the key, the client's address, the customer, the scope, and for keys that
// want it the signature, in this order. Leaves to the pipeline (run-route.ts) what a route declares.
// Invariant: a key without expiry, lists and signature costs a look-up in memory and nothing else.

import { SluiceError } from "../core/errors.ts";
import type { KeyGuard, KeyOwner, Scope } from "../customers/api-keys.ts";
import type { KeyCache } from "../customers/key-cache.ts";
import type { RateLimits } from "../ingest/rate-limits.ts";
import type { Nonce } from "../customers/nonces.ts";
import { singleHeader } from "./http.ts";
import type { Arrival } from "./route.ts";
import { holdSignature, readSignature } from "./signed-request.ts";

export type AccessDeps = {
  keys: Pick<KeyCache, "get" | "load" | "nowMs">;
  /** Notes that a key was used. */
  noteUse: (keyId: string) => void;
  /** Counts a request against the customer's limit. @throws RateLimitedError */
  takeRequest: RateLimits["takeRequest"];
  /** Whether the nonce is new; stored before it resolves. */
  takeNonce: (customerId: number, nonce: Nonce) => Promise<boolean>;
};
/** To be called with the body before anything is done. @throws SluiceError */
export type Verify = (body: Uint8Array) => Promise<void>;

/** An API key has 30 characters; anything much longer isn't a key and is not looked up. */
const API_KEY_CHARS_MAX = 100;

/**
 * The caller. Its signature, if it needs one, is not read yet. @throws SluiceError, RateLimitedError, what
 * `load` throws
 */
export function admit(deps: AccessDeps, arrival: Arrival, scope: Scope): Promise<KeyOwner> {
  return admitKey(deps, arrival, singleHeader(arrival.request, "X-API-Key"), scope);
}

/** The same for a key that came by another way than its header; null: none came. */
export async function admitKey(
  deps: AccessDeps,
  arrival: Arrival,
  key: string | null,
  scope: Scope,
): Promise<KeyOwner> {
  const owner = await ownerOf(deps, arrival, key, scope);
  if (!isSigned(owner)) countUse(deps, owner);
  return owner;
}

/**
 * The caller as it is now, of a request that was admitted and goes on for long: for its next part. Counts
 * nothing. @throws as `admit` does for a new request, except for its signature and its rate
 */
export function admitAgain(deps: AccessDeps, arrival: Arrival, scope: Scope): Promise<KeyOwner> {
  return ownerOf(deps, arrival, singleHeader(arrival.request, "X-API-Key"), scope);
}

async function ownerOf(
  deps: AccessDeps,
  arrival: Arrival,
  key: string | null,
  scope: Scope,
): Promise<KeyOwner> {
  if (key === null || key === "") throw new SluiceError("api_key_missing");
  if (key.length > API_KEY_CHARS_MAX) throw new SluiceError("api_key_invalid");
  let owner = deps.keys.get(key);
  if (owner === undefined) owner = await deps.keys.load(key);
  if (owner === null) throw new SluiceError("api_key_invalid");
  if (owner.guard !== undefined) holdGuard(owner.guard, arrival);
  if (!owner.scopes.has(scope))
    throw new SluiceError("scope_missing", { detail: `This route needs the scope ${scope}.` });
  return owner;
}

/** Of a request that was found to be its owner's. @throws RateLimitedError */
function countUse(deps: AccessDeps, owner: KeyOwner): void {
  deps.noteUse(owner.keyId);
  if (owner.requestLimit !== undefined) deps.takeRequest(owner);
}

const isSigned = ({ guard }: KeyOwner): boolean => guard !== undefined && guard.signingSecret !== null;

/**
 * Reads the signature of a request whose key takes no others; null for every other key. @throws SluiceError
 * signature_missing, signature_invalid, signature_expired, malformed_request
 */
export function verifierOf(deps: AccessDeps, { request }: Arrival, owner: KeyOwner): Verify | null {
  const secret = owner.guard?.signingSecret ?? null;
  if (secret === null) return null;
  const { customerId, keyId } = owner;
  const signature = readSignature(request, deps.keys.nowMs());
  return async (body) => {
    const takeNonce = (nonce: Nonce) => deps.takeNonce(customerId, nonce);
    await holdSignature(signature, { request, body, secret, keyId }, takeNonce);
    countUse(deps, owner);
  };
}

function holdGuard({ allows, isSuspended }: KeyGuard, { clientAddress }: Arrival): void {
  if (allows !== null) {
    const address = clientAddress();
    if (!allows(address))
      throw new SluiceError("address_not_allowed", { detail: `The address ${address} is not allowed.` });
  }
  if (isSuspended) throw new SluiceError("customer_suspended");
}
