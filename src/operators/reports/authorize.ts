// Whether a request to /dlr/{operator} may be believed: a shared secret, the operator's addresses, Basic
// credentials, or the operator's own signature. Leaves to the API: what the operator sees as the URL, the
// client's address, and the answer.
// Invariant: every condition that the terms give must hold, and terms that give none admit nobody, unless
// they say `open` (development). Secrets are compared in constant time and are never part of a reason. Not
// prevented: a captured request sent again. It is harmless, for the first end of a message stays.

import { createHash, timingSafeEqual } from "node:crypto";
import { addressList, plainAddress } from "../../core/addresses.ts";
import { parametersOf } from "../../core/request-target.ts";
import { twilioProblem, vonageProblem } from "./signatures.ts";

export type ReportAccess = {
  /** In the header X-Sluice-Token or the query parameter `token`. */
  secret?: string;
  /** Addresses and CIDR blocks. */
  addresses?: readonly string[];
  basic?: { username: string; password: string };
  /** Twilio signs with the account's auth token (X-Twilio-Signature). */
  twilioAuthToken?: string;
  /** Vonage signs with a JWT, or with the parameter `sig` (HMAC of SHA-256 or SHA-512). */
  vonageSignatureSecret?: string;
  /** Without any condition anyone may report; only for development. */
  open?: boolean;
};

export type ReportRequest = {
  /** As the operator called it, with its query: signatures cover it. `new URL` may refuse it. */
  url: string;
  headers: Headers;
  body: Uint8Array;
  /** The client's IP address. */
  address: string;
};

export type Verdict = { kind: "ok" } | { kind: "forbidden"; reason: string };

/** null if the condition holds, otherwise why not, for the log. */
type Condition = (request: ReportRequest) => string | null;

const TOKEN_HEADER = "x-sluice-token";
const TOKEN_PARAMETER = "token";

/** @throws Error for an address that is none, or an empty secret: a variable that isn't set must not admit */
export function createAuthorizer(access: ReportAccess): (request: ReportRequest) => Verdict {
  const { secret, addresses, basic, twilioAuthToken, vonageSignatureSecret, open = false } = access;
  const secrets = { secret, password: basic?.password, twilioAuthToken, vonageSignatureSecret };
  for (const [name, value] of Object.entries(secrets)) if (value === "") throw new Error(`${name} is empty`);

  const conditions: Condition[] = [];
  if (addresses !== undefined) conditions.push(comesFrom(addresses));
  if (secret !== undefined) conditions.push(hasToken(secret));
  if (basic !== undefined) conditions.push(hasBasic(basic));
  if (twilioAuthToken !== undefined) conditions.push((request) => twilioProblem(request, twilioAuthToken));
  if (vonageSignatureSecret !== undefined)
    conditions.push((request) => vonageProblem(request, vonageSignatureSecret));
  if (conditions.length === 0 && !open) conditions.push(() => "the operator has no condition that admits it");

  return (request) => {
    for (const condition of conditions) {
      const reason = condition(request);
      if (reason !== null) return { kind: "forbidden", reason };
    }
    return { kind: "ok" };
  };
}

/** A query without the token, as it may be stored and logged. */
export function withoutToken(query: string): string {
  return query
    .replace(/^\?/, "")
    .split("&")
    .filter((pair) => !new URLSearchParams(pair).has(TOKEN_PARAMETER))
    .join("&");
}

function hasToken(secret: string): Condition {
  return ({ headers, url }) => {
    const header = headers.get(TOKEN_HEADER);
    const given = [...(header === null ? [] : [header]), ...parametersOf(url).getAll(TOKEN_PARAMETER)];
    if (given.length === 0) return "no token";
    return given.every((token) => isSame(token, secret)) ? null : "a wrong token";
  };
}

function hasBasic({ username, password }: { username: string; password: string }): Condition {
  return ({ headers }) => {
    const [, encoded] = /^basic +([\w+/=-]+)$/i.exec(headers.get("authorization") ?? "") ?? [];
    if (encoded === undefined) return "no Basic credentials";
    const given = Buffer.from(encoded, "base64").toString("utf8");
    return isSame(given, `${username}:${password}`) ? null : "wrong Basic credentials";
  };
}

function comesFrom(addresses: readonly string[]): Condition {
  const isListed = addressList(addresses);
  return ({ address }) => (isListed(address) ? null : `the address ${plainAddress(address)} is not listed`);
}

/** In constant time whatever their lengths, because their digests are compared. */
function isSame(given: string, wanted: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}
