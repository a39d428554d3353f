// Runs a route's handler for a request, after checking access, query and body, in this order, as the route
// declares them.
// Owns the order: once a check refuses, nothing further is read. Leaves sockets, traces and error answers to
// server.ts.

import { SluiceError } from "../core/errors.ts";
import { parseJson } from "../core/json.ts";
import type { KeyOwner } from "../customers/api-keys.ts";
import type { KeyCache } from "../customers/key-cache.ts";
import { hasLines, readBody, readRaw, singleHeader } from "./http.ts";
import type { Query } from "../reports/params.ts";
import { readQuery } from "./query.ts";
import type { Access, Arrival, Reply, Route } from "./route.ts";

/** An API key has 30 characters; anything much longer isn't a key and is not looked up. */
const API_KEY_CHARS_MAX = 100;
const NO_BYTES = new Uint8Array(0);
const NO_QUERY: Query = new Map();

/** @throws SluiceError, CallerGoneError, and anything the route throws */
export async function runRoute(
  keys: Pick<KeyCache, "get" | "load">,
  route: Route,
  arrival: Arrival,
): Promise<Reply> {
  if (route.access === "public") return read(route, arrival, null);
  if (arrival.isStopping())
    throw new SluiceError("unavailable", { detail: "The process is stopping.", retryAfterS: 1 });
  return read(route, arrival, await ownerOf(keys, arrival.request, route.access));
}

async function read(route: Route, arrival: Arrival, owner: KeyOwner | null): Promise<Reply> {
  if (route.rawBytesMax !== undefined) {
    const bytes = await readRaw(arrival.request, route.rawBytesMax);
    return route.handle({ ...arrival, owner, query: NO_QUERY, body: null, bytes } as never);
  }
  const query = readQuery(arrival.request.url, route.query);
  if (route.lines !== undefined && hasLines(arrival.request))
    return route.lines.handle({ ...arrival, owner, query, body: null, bytes: NO_BYTES } as never);
  const bytes = route.check === null ? NO_BYTES : await readBody(arrival.request, route.bodyBytesMax);
  const body = route.check === null ? null : route.check(parseJson(bytes));
  // These have the types that the route declares, by its access and its body's schema.
  return route.handle({ ...arrival, owner, query, body, bytes } as never);
}

async function ownerOf(
  keys: Pick<KeyCache, "get" | "load">,
  request: Request,
  scope: Exclude<Access, "public">,
): Promise<KeyOwner> {
  const key = singleHeader(request, "X-API-Key");
  if (key === null || key === "") throw new SluiceError("api_key_missing");
  if (key.length > API_KEY_CHARS_MAX) throw new SluiceError("api_key_invalid");
  let owner = keys.get(key);
  if (owner === undefined) owner = await keys.load(key);
  if (owner === null) throw new SluiceError("api_key_invalid");
  if (!owner.scopes.has(scope))
    throw new SluiceError("scope_missing", { detail: `This route needs the scope ${scope}.` });
  return owner;
}
