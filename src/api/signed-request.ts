// Requests of keys that take signed requests only: reads the three headers, compares the signature in
// constant time, and takes the nonce. Leaves what is signed to src/core/request-signature.ts, nonces to
// src/customers/nonces.ts. Invariant: a request is served only if its signature is right, its time is within
// SIGNATURE_WINDOW_MS, and no process has served one with its nonce.

import { timingSafeEqual } from "node:crypto";
import {
  NONCE_CHARS_MAX,
  NONCE_CHARS_MIN,
  NONCE_MARGIN_MS,
  SIGNATURE_WINDOW_MS,
} from "../core/access-limits.ts";
import { SluiceError } from "../core/errors.ts";
import { signatureOf } from "../core/request-signature.ts";
import { targetOf } from "../core/request-target.ts";
import type { Nonce } from "../customers/nonces.ts";
import { singleHeader } from "./http.ts";

export type Signature = { timestamp: string; nonce: string; mac: Buffer };

const TIMESTAMP = /^[1-9]\d{9}$/;
const NONCE = new RegExp(`^[A-Za-z0-9_-]{${NONCE_CHARS_MIN},${NONCE_CHARS_MAX}}$`);
const SIGNATURE = /^v1=([0-9a-f]{64})$/;

/**
 * The signature as the headers give it, before anything of it is compared. `nowMs`: MySQL's clock. @throws
 * SluiceError signature_missing, signature_invalid, signature_expired, malformed_request
 */
export function readSignature(request: Request, nowMs: number): Signature {
  const timestamp = given(request, "X-Sluice-Timestamp");
  const nonce = given(request, "X-Sluice-Nonce");
  const [, hex] = SIGNATURE.exec(given(request, "X-Sluice-Signature")) ?? [];
  if (!TIMESTAMP.test(timestamp)) throw invalid("X-Sluice-Timestamp must be Unix seconds, in decimal.");
  if (!NONCE.test(nonce))
    throw invalid(
      `X-Sluice-Nonce must have ${NONCE_CHARS_MIN} to ${NONCE_CHARS_MAX} letters, digits, - or _ (ASCII).`,
    );
  if (hex === undefined) throw invalid("X-Sluice-Signature must be v1= and 64 lower-case hex digits.");
  const aheadS = Number(timestamp) - nowMs / 1_000;
  if (Math.abs(aheadS) * 1_000 > SIGNATURE_WINDOW_MS) {
    const s = Math.abs(Math.round(aheadS));
    const detail =
      aheadS > 0
        ? `X-Sluice-Timestamp is ${s} s ahead of the server's clock.`
        : `X-Sluice-Timestamp is ${s} s behind the server's clock.`;
    throw new SluiceError("signature_expired", { detail });
  }
  return { timestamp, nonce, mac: Buffer.from(hex, "hex") };
}

/**
 * Resolves once the request may be served. @throws SluiceError signature_invalid, signature_replayed, or
 * what `takeNonce` throws
 */
export async function holdSignature(
  { timestamp, nonce, mac }: Signature,
  signed: { request: Request; body: Uint8Array; secret: string; keyId: string },
  takeNonce: (nonce: Nonce) => Promise<boolean>,
): Promise<void> {
  const { request, body, secret, keyId } = signed;
  const { method } = request;
  const wanted = signatureOf(secret, { method, ...targetOf(request.url), body, timestamp, nonce });
  if (!timingSafeEqual(wanted, mac)) throw new SluiceError("signature_invalid");
  const expiresAtMs = Number(timestamp) * 1_000 + SIGNATURE_WINDOW_MS + NONCE_MARGIN_MS;
  if (!(await takeNonce({ keyId, nonce, expiresAtMs }))) throw new SluiceError("signature_replayed");
}

function given(request: Request, name: string): string {
  const value = singleHeader(request, name);
  if (value === null || value === "")
    throw new SluiceError("signature_missing", {
      detail: `This key takes signed requests: ${name} is missing.`,
    });
  return value;
}

const invalid = (detail: string) => new SluiceError("signature_invalid", { detail });
