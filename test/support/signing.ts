// Signs requests as a client does: from the URL and the bytes that it sends.

import { randomBytes } from "node:crypto";
import { signatureHeader, signatureOf } from "../../src/core/request-signature.ts";

export type SignedRequest = { method: string; url: string; body?: string };

/** A nonce that was never used. */
export const freshNonce = (): string => randomBytes(16).toString("hex");

export function signedHeaders(
  secret: string,
  { method, url, body = "" }: SignedRequest,
  { nonce = freshNonce(), timestamp = String(Math.floor(Date.now() / 1_000)) } = {},
): Record<string, string> {
  const [, path = "", query = ""] = /^https?:\/\/[^/]+([^?]*)\??(.*)$/.exec(url) ?? [];
  const parts = { method, path, query, body: Buffer.from(body), timestamp, nonce };
  return {
    "x-sluice-timestamp": timestamp,
    "x-sluice-nonce": nonce,
    "x-sluice-signature": signatureHeader(signatureOf(secret, parts)),
  };
}
