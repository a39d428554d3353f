// Verifies a webhook, as Standard Webhooks (https://www.standardwebhooks.com) defines it: an HMAC-SHA-256 of
// id, time and body. Needs WebCrypto, whose verify compares in constant time.
// Bounds: SIGNATURES_MAX signatures of a call are looked at, SECRETS_MAX secrets are taken.

/** A change of a message's status. Keep the highest `sequence` of each message; events may come twice. */
export type MessageStatusEvent = {
  type: "message.status";
  timestamp: string;
  data: {
    id: string;
    customer_id: string;
    type: "normal" | "express";
    phone: string;
    status: string;
    sequence: number;
    occurred_at: string;
    parts: number;
    cost: number;
    reference: string | null;
    operator: string | null;
    last_error: string | null;
    created_at: string;
  };
};
/** One of your endpoints takes no calls any more. */
export type EndpointPausedEvent = {
  type: "endpoint.paused";
  timestamp: string;
  data: {
    customer_id: string;
    origin: string | null;
    url: string | null;
    state: "paused" | "gone";
    failures: number;
    reason: string;
    occurred_at: string;
  };
};
/** A phone sent a message to one of your numbers; `command` says whether it opted out, or in again. */
export type MessageReceivedEvent = {
  type: "message.received";
  timestamp: string;
  data: {
    id: string;
    customer_id: string;
    from: string;
    to: string;
    keyword: string | null;
    text: string;
    truncated: boolean;
    command: "stop" | "start" | "help" | null;
    parts: number;
    missing_parts: number;
    operator: string;
    operator_message_id: string | null;
    occurred_at: string;
  };
};
/** Your credit fell below the amount that you set; amounts are in minor units of `currency`. */
export type WalletLowEvent = {
  type: "wallet.low";
  timestamp: string;
  data: {
    customer_id: string;
    balance: number;
    threshold: number;
    currency: string;
    occurred_at: string;
  };
};
/** Types may be added: acknowledge those that you don't know. */
export type WebhookEvent = MessageStatusEvent | MessageReceivedEvent | EndpointPausedEvent | WalletLowEvent;

/** `Headers`, or the headers of node:http. */
export type WebhookHeaders =
  | { get(name: string): string | null }
  | Readonly<Record<string, string | readonly string[] | undefined>>;

export type VerifyOptions = {
  /** How far the call's time may be from now; 300 unless given. */
  toleranceS?: number;
  nowMs?: number;
};

/** The call is not one of the gateway's, or too old: answer it with a 400. */
export class WebhookRefused extends Error {
  override readonly name = "WebhookRefused";
}

const TOLERANCE_S = 300;
const SIGNATURES_MAX = 8;
const SECRETS_MAX = 8;
const VERSION = "v1,";
const SECRET_MARK = "whsec_";

/**
 * The event of a call. `body`: its bytes as they came; a body that was parsed and printed again doesn't
 * verify. `secrets`: whsec_…; several while a secret is being changed. @throws WebhookRefused
 */
export async function verifyWebhook(
  body: string | Uint8Array,
  headers: WebhookHeaders,
  secrets: string | readonly string[],
  { toleranceS = TOLERANCE_S, nowMs = Date.now() }: VerifyOptions = {},
): Promise<WebhookEvent> {
  const id = headerOf(headers, "webhook-id");
  const timestamp = headerOf(headers, "webhook-timestamp");
  const signatures = headerOf(headers, "webhook-signature").split(" ").slice(0, SIGNATURES_MAX);
  if (!/^\d{1,12}$/.test(timestamp)) throw new WebhookRefused("webhook-timestamp is not a time");
  if (Math.abs(nowMs / 1_000 - Number(timestamp)) > toleranceS)
    throw new WebhookRefused(`webhook-timestamp is more than ${toleranceS} s from now`);
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const signed = joined(new TextEncoder().encode(`${id}.${timestamp}.`), bytes);
  const given = signatures.flatMap((one) =>
    one.startsWith(VERSION) ? decoded(one.slice(VERSION.length)) : [],
  );
  for (const secret of listOf(secrets)) {
    const key = await keyOf(secret);
    for (const signature of given)
      if (await crypto.subtle.verify("HMAC", key, signature, signed))
        return JSON.parse(new TextDecoder().decode(bytes)) as WebhookEvent;
  }
  throw new WebhookRefused("no signature is by a secret that was given");
}

function headerOf(headers: WebhookHeaders, name: string): string {
  const value =
    "get" in headers && typeof headers.get === "function" ? headers.get(name) : found(headers, name);
  if (typeof value !== "string" || value === "") throw new WebhookRefused(`${name} is missing`);
  return value;
}

const found = (headers: object, name: string): unknown =>
  Object.entries(headers).find(([each]) => each.toLowerCase() === name)?.[1];

function listOf(secrets: string | readonly string[]): readonly string[] {
  const list = typeof secrets === "string" ? [secrets] : secrets;
  if (list.length === 0 || list.length > SECRETS_MAX)
    throw new RangeError(`from 1 to ${SECRETS_MAX} secrets can be given`);
  return list;
}

/** @throws TypeError for a secret that is none: that is a mistake of this program, not of the call */
function keyOf(secret: string): Promise<CryptoKey> {
  const [bytes] = decoded(secret.startsWith(SECRET_MARK) ? secret.slice(SECRET_MARK.length) : secret);
  if (bytes === undefined || bytes.length === 0) throw new TypeError("a secret is whsec_ and base64");
  return crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
}

/** The bytes of base64, or nothing if it isn't that. */
function decoded(text: string): [Uint8Array<ArrayBuffer>] | [] {
  try {
    return [Uint8Array.from(atob(text), (character) => character.charCodeAt(0))];
  } catch {
    return [];
  }
}

function joined(before: Uint8Array, after: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(before.length + after.length);
  both.set(before);
  both.set(after, before.length);
  return both;
}
