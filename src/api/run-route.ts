// Runs a route's handler for a request, after checking access, query and body, in this order, as the route
// declares them.
// Owns the order: once a check refuses, nothing further is read; of a signed request, neither query nor body
// is looked into before the signature was found right. Leaves who may call to access.ts, sockets, traces and
// error answers to server.ts.

import { SluiceError } from "../core/errors.ts";
import { parseJson } from "../core/json.ts";
import type { KeyOwner, Scope } from "../customers/api-keys.ts";
import { type AccessDeps, admit, admitAgain, verifierOf } from "./access.ts";
import { hasLines, readBody, readRaw } from "./http.ts";
import type { Query } from "../reports/params.ts";
import { readQuery } from "./query.ts";
import type { Arrival, Reply, Route } from "./route.ts";

const NO_BYTES = new Uint8Array(0);
const NO_QUERY: Query = new Map();
const UNSIGNED_LINES = "An upload can't be signed: send it with a key that takes unsigned requests.";

/** @throws SluiceError, CallerGoneError, and anything the route throws */
export async function runRoute(access: AccessDeps, route: Route, arrival: Arrival): Promise<Reply> {
  if (route.rawBytesMax !== undefined) {
    const bytes = await readRaw(arrival.request, route.rawBytesMax);
    return route.handle({ ...arrival, owner: null, query: NO_QUERY, body: null, bytes } as never);
  }
  // Routes of admins are run by admin/run.ts.
  const owner = route.access === "public" ? null : await callerOf(access, arrival, route.access as Scope);
  const again = () => admitAgain(access, arrival, route.access as Scope); // no public route calls it
  const verify = owner === null ? null : verifierOf(access, arrival, owner);
  const readOwnQuery = () => readQuery(arrival.request.url, route.query);
  if (route.lines !== undefined && hasLines(arrival.request)) {
    // Its messages are sent while it comes, before its bytes could be compared with a signature.
    if (verify !== null) throw new SluiceError("unsupported_media_type", { detail: UNSIGNED_LINES });
    const query = readOwnQuery();
    return route.lines.handle({ ...arrival, owner, again, query, body: null, bytes: NO_BYTES } as never);
  }
  const early = verify === null ? readOwnQuery() : null;
  const bytes = route.check === null ? NO_BYTES : await readBody(arrival.request, route.bodyBytesMax);
  if (verify !== null) await verify(bytes);
  const query = early ?? readOwnQuery();
  const body = route.check === null ? null : route.check(parseJson(bytes));
  // These have the types that the route declares, by its access and its body's schema.
  return route.handle({ ...arrival, owner, again, query, body, bytes } as never);
}

function callerOf(access: AccessDeps, arrival: Arrival, scope: Scope): Promise<KeyOwner> {
  if (arrival.isStopping())
    throw new SluiceError("unavailable", { detail: "The process is stopping.", retryAfterS: 1 });
  return admit(access, arrival, scope);
}
