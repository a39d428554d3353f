// The Idempotency-Key header of routes that move money, and how a repeat is answered.
// Leaves which values it may have to core/idempotency-key.ts, and which request runs to
// src/ingest/idempotency.ts.

import { SluiceError } from "../core/errors.ts";
import { IDEMPOTENCY_KEY_RULE, isIdempotencyKey } from "../core/idempotency-key.ts";
import type { Idempotency } from "../ingest/idempotency.ts";
import type { KeyOperation, RequestKey } from "../ledger/idempotency.ts";
import { singleHeader } from "./http.ts";
import type { Call, Written } from "./route.ts";

/**
 * Returns the answer of `run`, or the stored bytes of the request that used the key before. @throws
 * SluiceError malformed_request, validation_failed, or what Idempotency.once throws
 */
export function once<S extends number>(
  keys: Idempotency,
  { request, owner, isGone, bytes }: Pick<Call, "request" | "owner" | "isGone" | "bytes">,
  operation: KeyOperation,
  run: (key: RequestKey | null) => Promise<Written<S>>,
): Promise<Written<S>> {
  return onceAs(givenKey(request), keys, { owner, isGone, bytes }, operation, run);
}

/** The same with a key that comes from elsewhere than the header; null: there is none. */
export async function onceAs<S extends number>(
  key: string | null,
  keys: Idempotency,
  { owner, isGone, bytes }: Pick<Call, "owner" | "isGone" | "bytes">,
  operation: KeyOperation,
  run: (key: RequestKey | null) => Promise<Written<S>>,
): Promise<Written<S>> {
  if (key === null) return run(null);
  const { customerId } = owner;
  const done = await keys.once({ customerId, operation, key, body: bytes, isGone }, run);
  if (done.kind === "ran") return done.result;
  const { status, answer } = done.stored;
  // Only answers of this operation are stored under its keys, so the status is one of its own.
  return { status: status as S, body: answer, headers: { "Idempotent-Replayed": "true" } };
}

/**
 * The key that a request gives, or null; as a structured header "k"
 * (draft-ietf-httpapi-idempotency-key-header) is the key k. @throws SluiceError malformed_request,
 * validation_failed
 */
export function givenKey(request: Request): string | null {
  const header = singleHeader(request, "Idempotency-Key");
  if (header === null) return null;
  const key = /^"(.*)"$/.exec(header)?.[1] ?? header;
  if (isIdempotencyKey(key)) return key;
  const reason = [IDEMPOTENCY_KEY_RULE, "quotes around all of it are read over"].join("; ");
  throw new SluiceError("validation_failed", { errors: [{ field: "Idempotency-Key", reason }] });
}
