// What a route is: one declaration from which everything follows. The pipeline (run-route.ts) enforces its
// access, query and body; tests compare answers with it; the reference is printed from it.
// Leaves the list of routes to table.ts and each route to its file in routes/. The types of body and answers
// are inferred from their schemas.

import type { Static, TObject, TSchema } from "typebox";
import type { IsGone } from "../core/caller.ts";
import type { ErrorCode, SluiceError } from "../core/errors.ts";
import type { Admin, AdminScope } from "../control/admin-tokens.ts";
import type { KeyOwner, Scope } from "../customers/api-keys.ts";
import type { Room } from "../ingest/admission.ts";
import type { ParamName, Query } from "../reports/params.ts";
import type { About } from "./about.ts";
import { checkerOf, type Unless } from "./body-check.ts";

/** What an admin must be allowed to (src/api/admin/): those routes are on a listener of their own. */
export type AdminAccess = `admin:${AdminScope}`;
/** The scope that a key must have, or `public`: no key needed. */
export type Access = Scope | AdminAccess | "public";
/** Who calls a route of this access. */
type OwnerOf<A extends Access> = A extends "public" ? null : A extends AdminAccess ? Admin : KeyOwner;
/** The schema of each status's answer. */
type Answers = Readonly<Record<number, TSchema>>;

/** A request as it arrives, before anything but its head was read. */
export type Arrival = {
  request: Request;
  /** The trace id, also sent as X-Request-Id. */
  requestId: string;
  traceparent: string;
  /** The path's parameters, such as `{id}`. */
  params: Readonly<Record<string, string>>;
  /** Whether its connection has ended: then Bun drops the answer. */
  isGone: IsGone;
  /** Whether this process is stopping and refuses new requests. */
  isStopping: () => boolean;
  /** Maps anything thrown to what the client is told, and logs it if it is a fault of ours. */
  explain: (thrown: unknown, requestId: string, request: Request) => SluiceError;
  /** The IP address of the client; behind the edge, not the edge's own. */
  clientAddress: () => string;
};
/** A request as its route sees it: authorized, and parsed as declared. */
export type Call<A extends Access = Scope, B extends TObject | null = null> = Arrival & {
  owner: OwnerOf<A>;
  /**
   * Its owner as it is now, for what goes on for longer than a moment: called before each part of it.
   * @throws SluiceError, what a new request would be refused with
   */
  again: A extends Scope ? () => Promise<KeyOwner> : unknown;
  query: Query;
  body: B extends TObject ? Static<B> : null;
  /** The raw bytes of the body; empty if the route takes none. */
  bytes: Uint8Array;
};

/** JSON that is already serialized: by hand on the hot path, or a stored answer to replay. */
export type Written<S extends number = number> = {
  status: S;
  body: string;
  headers?: Record<string, string>;
};
/** Bytes that are made as they are taken (streams.ts); the headers name their media type. */
export type Streamed = {
  status: 200;
  body: ReadableStream<Uint8Array>;
  headers: Record<string, string>;
};
/** An answer that matches one of the declared schemas, is already serialized, or is Streamed. */
export type Reply<R extends Answers = Answers> = {
  [S in keyof R & number]: {
    status: S;
    body: Static<R[S]> | string | ReadableStream<Uint8Array>;
    headers?: Record<string, string>;
  };
}[keyof R & number];

/** A body of NDJSON, which is read while it comes, and answered so: a line for each of its lines. */
export type Lines = {
  /** The schemas of a line of the body and of one of the answer, which ends with a problem if it fails. */
  line: TObject;
  answer: TSchema;
  /** Examples: whole bodies. */
  about: { body: string; answer: string };
  handle: (call: Call) => Promise<Streamed>;
};
/** A list that is also to be had whole, of any length, with `format`: as CSV or NDJSON. */
export type Exported = {
  row: TObject;
  /** An example: of a row. */
  example: unknown;
};

type Declaration<A extends Access, B extends TObject | null, R extends Answers> = {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** In the syntax of Bun.serve: `/v1/messages/:id` */
  path: string;
  access: A;
  /** The query parameters it accepts; others are refused. */
  query: readonly ParamName[];
  /** The schema of its JSON body; null if it accepts none. */
  body: B;
  /** The size of its JSON body in bytes; BODY_BYTES_MAX if absent. */
  bodyBytesMax?: number;
  /**
   * For what others than customers send: query and body are taken as they come, a body of any media type up
   * to this many bytes. `query` is empty then, and `body` null.
   */
  rawBytesMax?: number;
  /** Fields of the body of which either one is required. */
  unless?: Unless;
  answers: R;
  /**
   * If it has none for a customer, a request is refused by its head alone, with 503 `overloaded`, before
   * anything else is read or done.
   */
  room?: Room;
  /** If it takes an NDJSON body too. */
  lines?: Lines;
  /** If its list can be exported. */
  exported?: Exported;
  /** Errors it may answer besides those that follow from its access, query and body (errorsOf). */
  errors: readonly ErrorCode[];
  /** Its words and examples in the reference. */
  about: About;
  handle: (call: Call<A, B>) => Promise<Reply<NoInfer<R>>> | Reply<NoInfer<R>>;
};

/** A declared route, without its specific types. */
export type Route = Omit<Declaration<Access, TObject | null, Answers>, "handle"> & {
  /** Checks the parsed body; null if the route declares none. @throws SluiceError */
  check: ((body: unknown) => object) | null;
  handle: (call: never) => Promise<Reply> | Reply;
};

/** Declares a route and compiles the check of its body, once. */
export function route<const A extends Access, B extends TObject | null, R extends Answers>(
  declaration: Declaration<A, B, R>,
): Route {
  const { body, unless = {} } = declaration;
  return { ...declaration, check: body === null ? null : checkerOf(body, unless) };
}

const ALWAYS: readonly ErrorCode[] = ["malformed_request", "validation_failed", "internal", "unavailable"];
const OF_A_KEY: readonly ErrorCode[] = [
  "api_key_missing",
  "api_key_invalid",
  "signature_missing",
  "signature_invalid",
  "signature_expired",
  "signature_replayed",
  "scope_missing",
  "customer_suspended",
  "address_not_allowed",
  "rate_limited",
  "overloaded",
];
const OF_A_TOKEN: readonly ErrorCode[] = ["admin_token_invalid", "scope_missing", "overloaded"];
const OF_A_BODY: readonly ErrorCode[] = [
  "malformed_json",
  "body_not_utf8",
  "payload_too_large",
  "unsupported_media_type",
];

export const isOfAdmins = (access: Access): access is AdminAccess => access.startsWith("admin:");

/** Every error code that a route may answer. */
export function errorsOf({ access, body, rawBytesMax, errors }: Route): ErrorCode[] {
  return [
    ...ALWAYS,
    ...(access === "public" ? [] : isOfAdmins(access) ? OF_A_TOKEN : OF_A_KEY),
    ...(body === null ? [] : OF_A_BODY),
    ...(rawBytesMax === undefined ? [] : (["payload_too_large", "unsupported_media_type"] as const)),
    ...errors,
  ];
}
