// The signatures that operators put on their reports: Twilio's and Vonage's. Each function says what is wrong
// with one, for the log; null: nothing is.
// Invariant: a signature that does not cover the body admits no body.

import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { twilioText } from "../../core/peers/twilio.ts";
import { parametersOf } from "../../core/request-target.ts";

type Signed = { url: string; headers: Headers; body: Uint8Array };

// ---- Twilio ----

/**
 * X-Twilio-Signature: HMAC-SHA1, in base64, of the URL and the form's parameters, sorted and joined without
 * separators; values of one name once each, sorted. With another body, the URL has its hash as `bodySHA256`
 * (https://www.twilio.com/docs/usage/security#validating-requests).
 */
export function twilioProblem({ url, headers, body }: Signed, authToken: string): string | null {
  const given = headers.get("x-twilio-signature");
  if (given === null) return "no X-Twilio-Signature";
  const isForm = (headers.get("content-type") ?? "").includes("application/x-www-form-urlencoded");
  const bodyHash = parametersOf(url).get("bodySHA256");
  if (body.length > 0 && !isForm && bodyHash !== sha256(body)) return "a body that is not signed";
  const signed = isForm ? twilioText(Buffer.from(body).toString("utf8")) : "";
  const right = withAndWithoutPort(url).map((each) =>
    createHmac("sha1", authToken)
      .update(each + signed)
      .digest("base64"),
  );
  // Two headers arrive as one, "a, b", which is no signature.
  return right.some((signature) => isEqual(given, signature)) ? null : "a wrong X-Twilio-Signature";
}

/** Twilio signs with the scheme's port in some of its requests and without it in others. */
function withAndWithoutPort(url: string): string[] {
  const [, scheme = "", authority = "", rest = ""] = /^(https?):\/\/([^/?#]*)(.*)$/i.exec(url) ?? [];
  const port = scheme.toLowerCase() === "https" ? ":443" : ":80";
  if (authority.endsWith(port)) return [url, `${scheme}://${authority.slice(0, -port.length)}${rest}`];
  return /:\d+$/.test(authority) ? [url] : [url, `${scheme}://${authority}${port}${rest}`];
}

// ---- Vonage ----

/**
 * A JWT as bearer token, signed with HS256, whose `payload_hash` is the body's SHA-256 (Messages API); or the
 * parameter `sig`: the HMAC, in hex, of `&name=value` of all other parameters by name, with & and = in
 * values as _ (SMS API). MD5 and SHA-1, which accounts can be set to, are refused
 * (https://developer.vonage.com/en/getting-started/concepts/signing-messages).
 */
export function vonageProblem({ url, headers, body }: Signed, secret: string): string | null {
  const [, token] = /^bearer +(\S+)$/i.exec(headers.get("authorization") ?? "") ?? [];
  if (token !== undefined) return jwtProblem(token, body, secret);
  const parameters = signedParameters(url, body);
  if (parameters === null) return "a body that is not signed";
  const [sig, ...more] = parameters.filter(([name]) => name === "sig").map(([, value]) => value);
  if (sig === undefined) return "no signature";
  const names = parameters.map(([name]) => name);
  if (more.length > 0 || new Set(names).size < names.length) return "a parameter given twice";
  const algorithm = { 64: "sha256", 128: "sha512" }[sig.length];
  if (algorithm === undefined) return "a signature that is neither SHA-256 nor SHA-512";
  const text = parameters
    .filter(([name]) => name !== "sig")
    .toSorted(([a], [b]) => byCodeUnits(a, b))
    .map(([name, value]) => `&${name}=${value.replace(/[&=]/g, "_")}`)
    .join("");
  const right = createHmac(algorithm, secret).update(text).digest("hex");
  return isEqual(sig.toLowerCase(), right) ? null : "a wrong signature";
}

/** Query and form together, or the members of a JSON object; null if the body is neither. */
function signedParameters(url: string, body: Uint8Array): [name: string, value: string][] | null {
  const query = [...parametersOf(url)];
  const text = Buffer.from(body).toString("utf8").trim();
  if (!text.startsWith("{") && !text.startsWith("[")) return [...query, ...new URLSearchParams(text)];
  const json = parsed(text);
  if (json === null || !Object.values(json).every((value) => typeof value === "string")) return null;
  return [...query, ...(Object.entries(json) as [string, string][])];
}

function jwtProblem(token: string, body: Uint8Array, secret: string): string | null {
  const [header = "", payload = "", signature = "", ...rest] = token.split(".");
  const decoded = (part: string) => parsed(Buffer.from(part, "base64url").toString("utf8"));
  // The token's own word for its algorithm decides nothing but this.
  if (rest.length > 0 || decoded(header)?.alg !== "HS256") return "a token that is not HS256";
  const right = createHmac("sha256", secret).update(`${header}.${payload}`).digest("base64url");
  if (!isEqual(signature, right)) return "a wrong signature";
  const hash = decoded(payload)?.payload_hash;
  const isCovered = typeof hash === "string" && hash.toLowerCase() === sha256(body);
  return isCovered || (body.length === 0 && hash === undefined) ? null : "a body that is not signed";
}

function parsed(text: string): Record<string, unknown> | null {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === "object" && json !== null && !Array.isArray(json)
      ? (json as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

// ---- both ----

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

const byCodeUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** In constant time for texts of one length; a signature's length is no secret. */
function isEqual(given: string, right: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}
