// Refuses requests for which there is no room by their head alone: past what can be done, refusals must cost
// next to nothing, or they leave no time for what is accepted. Leaves who has room to the group commit, and
// every other check to run-route.ts. Invariant: only a request whose key is known and has no guard is refused
// here; whatever else may be wrong with it, it could not have been served now.

import { SluiceError } from "../core/errors.ts";
import { newTraceparent, traceIdOf } from "../platform/trace.ts";
import type { Room } from "../ingest/admission.ts";
import type { AccessDeps } from "./access.ts";
import { respondProblem } from "./http.ts";

// One for all: an error is dear to make, for its stack.
const OVERLOADED = new SluiceError("overloaded");

/** Returns a function that answers what is refused, and null for all other requests. */
export function createShed({ keys }: Pick<AccessDeps, "keys">, { isTight, refuses }: Room) {
  return (request: Pick<Request, "headers">): Response | null => {
    if (!isTight()) return null;
    const key = request.headers.get("x-api-key");
    const owner = key === null ? null : keys.get(key);
    if (owner === null || owner === undefined || owner.guard !== undefined) return null;
    if (!refuses(owner.customerId)) return null;
    const language = request.headers.get("accept-language");
    return respondProblem(OVERLOADED, traceIdOf(newTraceparent()), {}, language);
  };
}
