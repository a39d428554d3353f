// GET /v1/wallet/reconcile: the proof of src/reconcile/customer.ts for the caller's own books. Owns
// who may ask how often. Bounds: RUNNING_MAX at once in this process (its pool has as many connections), one
// at a time a customer over all processes, and a slow one rests REST_FACTOR times as long as it took.

import { SluiceError } from "../core/errors.ts";
import {
  NotAloneError,
  type ReconcileDeps,
  TablesBusyError,
  TookTooLongError,
} from "../reconcile/reconcile.ts";
import { CUSTOMER_MAX_MS, customerReconcile } from "../reconcile/customer.ts";
import type { Route } from "./http.ts";

export type ReconcileRouteDeps = ReconcileDeps & { monotonicMs: () => number };

/** Each is a core of MySQL while it runs. */
export const RUNNING_MAX = 2;
/** A server that hangs must not keep a place for ever. */
export const ANSWER_MAX_MS = CUSTOMER_MAX_MS + 5_000;
/** Under this a check costs no more than a report. */
const CHEAP_MS = 1_000;
const REST_FACTOR = 4;
const RESTING_MAX = 1_000;
const RETRY_AFTER_S = 5;

export function createReconcileRoute({ monotonicMs, ...deps }: ReconcileRouteDeps): Route {
  let running = 0;
  const restsUntil = new Map<number, number>();

  const rest = (customerId: number, tookMs: number) => {
    if (tookMs < CHEAP_MS) return;
    const nowMs = monotonicMs();
    if (restsUntil.size >= RESTING_MAX)
      for (const [other, untilMs] of restsUntil) if (untilMs <= nowMs) restsUntil.delete(other);
    if (restsUntil.size < RESTING_MAX) restsUntil.set(customerId, nowMs + tookMs * REST_FACTOR);
  };

  return {
    method: "GET",
    path: "/v1/wallet/reconcile",
    scope: "read",
    query: [],
    async handle({ owner: { customerId } }) {
      const startedMs = monotonicMs();
      const leftMs = (restsUntil.get(customerId) ?? 0) - startedMs;
      if (leftMs > 0) throw tooOften(leftMs / 1_000);
      if (running >= RUNNING_MAX) throw busy();
      running++;
      try {
        return { status: 200, body: await customerReconcile(deps, customerId) };
      } catch (error) {
        throw refusalOf(error);
      } finally {
        running--;
        rest(customerId, monotonicMs() - startedMs);
      }
    },
  };
}

function refusalOf(error: unknown): unknown {
  if (error instanceof NotAloneError) return tooOften(RETRY_AFTER_S);
  if (error instanceof TablesBusyError) return busy();
  if (error instanceof TookTooLongError) return new SluiceError("check_too_long", { cause: error });
  return error;
}

const tooOften = (retryAfterS: number) =>
  new SluiceError("rate_limited", {
    detail: "The last check of these books runs or ran a moment ago.",
    retryAfterS,
  });
const busy = () =>
  new SluiceError("overloaded", {
    detail: "As many checks as may run at once are running.",
    retryAfterS: RETRY_AFTER_S,
  });
