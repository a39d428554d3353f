// Refuses requests for which there is no room by their head alone: past what can be done, refusals must cost
// next to nothing, or they leave no time for what is accepted. Leaves who has room to the group commit, how
// many are refused at once to refusal-pace.ts, and every other check to run-route.ts.
// Invariant: only a request whose key is known and has no guard is refused here; whatever else may be wrong
// with it, it could not have been served now.

import { SluiceError } from "../core/errors.ts";
import { newTraceparent, traceIdOf } from "../platform/trace.ts";
import type { Room } from "../ingest/admission.ts";
import type { AccessDeps } from "./access.ts";
import { respondProblem } from "./http.ts";
import type { RefusalPace } from "./refusal-pace.ts";

// One for all: an error is dear to make, for its stack.
const OVERLOADED = new SluiceError("overloaded");

type Head = Pick<Request, "headers">;
type ShedDeps = { keys: AccessDeps["keys"]; room: Room; pace: RefusalPace };

/** Returns a function that answers what is refused, perhaps later, and lets `serve` answer all else. */
export function createShed<T extends Head>(
  { keys, room: { isTight, refuses }, pace }: ShedDeps,
  serve: (request: T) => Promise<Response> | Response,
): (request: T) => Promise<Response> | Response {
  const isRefused = ({ headers }: T): boolean => {
    if (!isTight()) return false;
    const key = headers.get("x-api-key");
    const owner = key === null ? null : keys.get(key);
    if (owner === null || owner === undefined || owner.guard !== undefined) return false;
    return refuses(owner.customerId);
  };
  return (request) => {
    if (!isRefused(request)) return serve(request);
    const turn = pace();
    // After a wait there may be room.
    return turn === null
      ? refuse(request)
      : turn.then(() => (isRefused(request) ? refuse(request) : serve(request)));
  };
}

function refuse({ headers }: Head): Response {
  return respondProblem(OVERLOADED, traceIdOf(newTraceparent()), {}, headers.get("accept-language"));
}
