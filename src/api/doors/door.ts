// What a door is: the published HTTP shape of another gateway, so that its clients move by changing a URL.
// Owns what all doors share: reading the request, who the caller is, and that every refusal is answered in
// the peer's form. Leaves the translation to each door's files, and which doors are open to doors.ts.
// Invariant: a key in a URL is read here and goes nowhere else; no answer may be cached.
// Bound: BODY_BYTES_MAX bytes of a body.

import { type FieldError, SluiceError } from "../../core/errors.ts";
import { customerHex, uuidOf } from "../../core/id.ts";
import { parseJson } from "../../core/json.ts";
import { BODY_BYTES_MAX } from "../../core/limits.ts";
import type { KeyOwner, Scope } from "../../customers/api-keys.ts";
import { type AccessDeps, admitKey, verifierOf } from "../access.ts";
import { readRaw, singleHeader } from "../http.ts";
import type { Arrival, Written } from "../route.ts";

/** One method of one path of a door. It answers its errors itself. */
export type DoorRoute = {
  method: "GET" | "POST";
  /** In the syntax of Bun.serve */
  path: string;
  /** @throws SluiceError, CallerGoneError, and anything else: `refusal` says how that is answered. */
  run(arrival: Arrival): Promise<Written>;
  /** An error of Sluice in the peer's form, under a status that is not a 2xx. */
  refusal(error: SluiceError, request: Request | undefined): Written;
};

/** A request with its body read; no bytes if its method has none. */
export type Knock = Arrival & { bytes: Uint8Array };

/** An answer in the peer's own words that no error of Sluice stands for. */
export class PeerRefusal extends Error {
  override readonly name = "PeerRefusal";
  readonly reply: Written;
  constructor(reply: Written) {
    super("refused in the words of the peer");
    this.reply = reply;
  }
}

const NO_BYTES = new Uint8Array(0);

type Declared = Pick<DoorRoute, "method" | "path" | "refusal"> & {
  /** @throws PeerRefusal, and what DoorRoute.run throws */
  answer(knock: Knock): Promise<Written>;
};

export function doorRoute({ method, path, refusal, answer }: Declared): DoorRoute {
  return {
    method,
    path,
    refusal,
    async run(arrival) {
      if (arrival.isStopping())
        throw new SluiceError("unavailable", { detail: "The process is stopping.", retryAfterS: 1 });
      try {
        const bytes = method === "POST" ? await readRaw(arrival.request, BODY_BYTES_MAX) : NO_BYTES;
        return await answer({ ...arrival, bytes });
      } catch (error) {
        if (error instanceof PeerRefusal) return error.reply;
        throw error;
      }
    },
  };
}

// ---- who calls ----

/** `user` is null if the request names nobody: then the key alone says who it is. */
export type Credentials = { user: string | null; key: string };

/** What X-API-Key or Basic credentials say; null without either. @throws SluiceError api_key_invalid */
export function headerCredentials(request: Request): Credentials | null {
  const key = singleHeader(request, "X-API-Key");
  if (key !== null && key !== "") return { user: null, key };
  const given = request.headers.get("authorization");
  if (given === null) return null;
  const [, base64 = ""] = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(given) ?? [];
  const text = Buffer.from(base64, "base64").toString("utf8");
  const colon = text.indexOf(":");
  if (colon < 0) throw new SluiceError("api_key_invalid");
  return { user: text.slice(0, colon), key: text.slice(colon + 1) };
}

/**
 * Those of a header before those that a peer's client gives as fields; null if neither are whole. A request
 * that names two users is nobody's. @throws SluiceError api_key_invalid
 */
export function headerBefore(
  header: Credentials | null,
  { user, key }: { user: string | null; key: string | null },
): Credentials | null {
  if (header === null) return user === null || key === null ? null : { user, key };
  const isOne = header.user === null || user === null || header.user === user;
  if (!isOne) throw new SluiceError("api_key_invalid");
  return { user: header.user ?? user, key: header.key };
}

/**
 * The customer that calls. `isUser`: whether this is a name of that customer; a wrong one is answered like a
 * wrong key. A key that takes signed requests only wants a signature here, too. @throws SluiceError as admit
 * and Verify do (access.ts)
 */
export async function signIn(
  callers: AccessDeps,
  knock: Knock,
  given: Credentials | null,
  scope: Scope,
  isUser: (owner: KeyOwner, user: string) => boolean,
): Promise<KeyOwner> {
  const owner = await admitKey(callers, knock, given?.key ?? null, scope);
  const user = given?.user ?? null;
  if (user !== null && !isUser(owner, user)) throw new SluiceError("api_key_invalid");
  const verify = verifierOf(callers, knock, owner);
  if (verify !== null) await verify(knock.bytes);
  return owner;
}

/** The headers by which a 401 says how to authenticate (RFC 9110, 11.6.1); none for another status. */
export const challengeOf = (status: number): Record<string, string> =>
  status === 401 ? { "www-authenticate": 'ApiKey realm="sluice"' } : {};

/** A customer's name where a peer has UUIDs: its id in hex. */
export const customerUuid = (customerId: number): string => uuidOf(customerHex(customerId));

/** A UUID of any version, in either case. */
export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** A customer's name where a peer has user names: its id. */
export const isCustomerId = ({ customerId }: KeyOwner, user: string): boolean => user === String(customerId);

// ---- what is wrong ----

/** These errors, where the peer's requests have other names for fields than this API: by the API's name. */
export const renamed = (
  errors: readonly FieldError[],
  names: Readonly<Record<string, string>>,
): FieldError[] => errors.map((error) => ({ ...error, field: names[error.field] ?? error.field }));

// ---- JSON ----

const JSON_TYPE = /^application\/json\s*(?:;|$)/i;

/**
 * The members of a JSON object; undefined for a body that is none. @throws SluiceError
 * unsupported_media_type
 */
export function jsonOf({ request, bytes }: Knock): Record<string, unknown> | undefined {
  if (!JSON_TYPE.test(singleHeader(request, "Content-Type") ?? ""))
    throw new SluiceError("unsupported_media_type");
  let body: unknown;
  try {
    body = parseJson(bytes);
  } catch {
    return undefined;
  }
  const isObject = typeof body === "object" && body !== null && !Array.isArray(body);
  return isObject ? (body as Record<string, unknown>) : undefined;
}
