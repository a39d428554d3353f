// What a route is: one declaration, from which everything follows. The pipeline (run-route.ts) enforces who
// may ask, the query and the body; tests hold what is answered to it; the reference is printed from it.
// Leaves the list of routes to table.ts, each route to its file in routes/. Types of body and answers are
// inferred from their schemas.

import type { Static, TObject, TSchema } from "typebox";
import type { IsGone } from "../core/caller.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { KeyOwner, Scope } from "../customers/api-keys.ts";
import type { ParamName, Query } from "../reports/params.ts";
import { checkerOf } from "./body-check.ts";

/** The scope that a key needs, or `public`: no key at all. */
export type Access = Scope | "public";
/** Schemas by status. */
type Answers = Readonly<Record<number, TSchema>>;

/** A request as it arrives, before anything of it was read but its head. */
export type Arrival = {
  request: Request;
  /** The trace id; it is the X-Request-Id too. */
  requestId: string;
  traceparent: string;
  /** `{id}` of the path */
  params: Readonly<Record<string, string>>;
  /** Whether its connection has ended: Bun loses the answer then, whatever it is. */
  isGone: IsGone;
  /** Whether this process refuses new requests, to stop. */
  isStopping: () => boolean;
  /** Whose request it is: an IP address, of the client behind the edge where there is one. */
  clientAddress: () => string;
};
/** A request as its route sees it: let in, and read as declared. */
export type Call<A extends Access = Scope, B extends TObject | null = null> = Arrival & {
  owner: A extends "public" ? null : KeyOwner;
  query: Query;
  body: B extends TObject ? Static<B> : null;
  /** The body as it came; empty where none is declared. */
  bytes: Uint8Array;
};

/** JSON that is already written: by hand on the hot path, or stored for those who ask again. */
export type Written<S extends number = number> = {
  status: S;
  body: string;
  headers?: Record<string, string>;
};
/** An answer as one of the declared schemas has it, or written. */
export type Reply<R extends Answers = Answers> = {
  [S in keyof R & number]: { status: S; body: Static<R[S]> | string; headers?: Record<string, string> };
}[keyof R & number];

type Declaration<A extends Access, B extends TObject | null, R extends Answers> = {
  method: "GET" | "POST" | "DELETE";
  /** As Bun.serve takes it: `/v1/messages/:id` */
  path: string;
  access: A;
  /** The query parameters it takes; others are refused. */
  query: readonly ParamName[];
  /** The schema of its JSON body; null: it takes none. */
  body: B;
  /** Documented fields of the body that are not built yet: 422 not_supported. */
  notYet?: readonly string[];
  answers: R;
  /** What it may refuse with, besides what its access, query and body bring with them (errorsOf). */
  errors: readonly ErrorCode[];
  handle: (call: Call<A, B>) => Promise<Reply<NoInfer<R>>> | Reply<NoInfer<R>>;
};

/** A declared route, whatever its types. */
export type Route = Omit<Declaration<Access, TObject | null, Answers>, "handle"> & {
  /** The parsed body, checked; null where none is declared. @throws SluiceError */
  check: ((body: unknown) => object) | null;
  handle: (call: never) => Promise<Reply> | Reply;
};

/** Declares a route; its body's check is compiled here, once. */
export function route<const A extends Access, B extends TObject | null, R extends Answers>(
  declaration: Declaration<A, B, R>,
): Route {
  const { body, notYet = [] } = declaration;
  return { ...declaration, check: body === null ? null : checkerOf(body, notYet) };
}

const ALWAYS: readonly ErrorCode[] = ["malformed_request", "validation_failed", "internal", "unavailable"];
const OF_A_KEY: readonly ErrorCode[] = ["api_key_missing", "api_key_invalid", "scope_missing"];
const OF_A_BODY: readonly ErrorCode[] = [
  "malformed_json",
  "body_not_utf8",
  "payload_too_large",
  "unsupported_media_type",
];

/** Every code that a route may answer. */
export function errorsOf({ access, body, notYet, errors }: Route): ErrorCode[] {
  return [
    ...ALWAYS,
    ...(access === "public" ? [] : OF_A_KEY),
    ...(body === null ? [] : OF_A_BODY),
    ...(notYet === undefined ? [] : (["not_supported"] as const)),
    ...errors,
  ];
}
