// The Idempotency-Key header of the routes that move money: what it may hold, and how a repeat is answered.
// Leaves to src/ingest/idempotency.ts: which request runs.

import { SluiceError } from "../core/errors.ts";
import { IDEMPOTENCY_KEY_CHARS_MAX } from "../core/limits.ts";
import type { Idempotency } from "../ingest/idempotency.ts";
import type { KeyOperation, RequestKey } from "../ledger/idempotency.ts";
import type { Call, Reply } from "./http.ts";

const PRINTABLE = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/;

/**
 * The answer of `run`, or the stored bytes of the request that used the key before. @throws SluiceError
 * validation_failed, or what Idempotency.once throws
 */
export async function once(
  keys: Idempotency,
  { request, owner, isGone }: Call,
  { operation, body }: { operation: KeyOperation; body: Uint8Array },
  run: (key: RequestKey | null) => Promise<Reply>,
): Promise<Reply> {
  const key = keyOf(request.headers.get("idempotency-key"));
  if (key === null) return run(null);
  const { customerId } = owner;
  const done = await keys.once({ customerId, operation, key, body, isGone }, run);
  if (done.kind === "ran") return done.result;
  const { status, answer } = done.stored;
  return { status, body: answer, headers: { "Idempotent-Replayed": "true" } };
}

function keyOf(header: string | null): string | null {
  if (header === null || (header.length <= IDEMPOTENCY_KEY_CHARS_MAX && PRINTABLE.test(header)))
    return header;
  const reason = `must have 1 to ${IDEMPOTENCY_KEY_CHARS_MAX} printable ASCII characters`;
  throw new SluiceError("validation_failed", { errors: [{ field: "Idempotency-Key", reason }] });
}
