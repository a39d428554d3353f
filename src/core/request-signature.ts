// What the signature of a request covers, and the secret that makes it. Leaves headers, clocks and nonces to
// src/api/signed-request.ts.
// Invariant: two requests that differ in method, path, query, body, time or nonce never have the same text,
// because no part of it but the last can be empty or hold a line break, except the query, which has a line of
// its own. Source: HMAC-SHA-256, RFC 2104; docs/decisions/0017 on the secret.

import { createHash, createHmac } from "node:crypto";

export type SignedParts = {
  /** As sent: `POST`. */
  method: string;
  /** As in the request line, still percent-encoded: `/v1/sms/send`. */
  path: string;
  /** What follows the question mark, as sent; empty if there is none. */
  query: string;
  /** The bytes as sent; of a request without a body none. */
  body: Uint8Array;
  /** Unix seconds, in decimal. */
  timestamp: string;
  nonce: string;
};

const VERSION = "v1";
export const SIGNING_SALT_BYTES = 32;

/** The text that is signed: seven lines, without a line break at the end. */
export function signedText({ method, path, query, body, timestamp, nonce }: SignedParts): string {
  const bodyHash = createHash("sha256").update(body).digest("hex");
  return [VERSION, method, path, query, bodyHash, timestamp, nonce].join("\n");
}

/** The 32 bytes of the signature. The secret is used as text, with its prefix. */
export const signatureOf = (secret: string, parts: SignedParts): Buffer =>
  createHmac("sha256", secret).update(signedText(parts)).digest();

/** How a signature is written in its header. */
export const signatureHeader = (signature: Buffer): string => `${VERSION}=${signature.toString("hex")}`;

/** The secret of a key: nobody has it who hasn't both the key, which is stored nowhere, and the salt. */
export const signingSecretOf = (apiKey: string, salt: Buffer): string =>
  `ss_${createHmac("sha256", apiKey).update("sluice request signing\n").update(salt).digest("base64url")}`;
