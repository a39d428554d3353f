// The call that a delivery asks for: Sluice's own, signed by its customer's secrets, or a peer's, in the form
// that a door's client knows (core/peers/). Leaves calling to call.ts, what an answer means to outcome.ts.
// Invariants: id and body are those of the delivery, however often it is called; a peer's callback needs no
// webhook of its customer, and nothing of one goes with it.

import { hmacBy } from "../core/hmac-sha1.ts";
import { isCalledByGet } from "../core/peers/callback.ts";
import { type CallbackForm, type Peer, readForm } from "../core/peers/form.ts";
import { twilioText } from "../core/peers/twilio.ts";
import type { WebhookSigning } from "../customers/webhooks.ts";
import { type Delivery, NO_WEBHOOK_URL } from "../ledger/webhook-deliveries.ts";
import type { Call } from "./call.ts";
import { signedHeaders, USER_AGENT } from "./sign.ts";

/** `webhook` is absent if the customer has none any more; `signers` by the id of their key. */
export type Signing = { webhook: WebhookSigning | undefined; signers: ReadonlyMap<string, Uint8Array> };
/** `peer`: whose form it has; null: Sluice's own. */
export type WantedCall = { call: Call; peer: Peer | null };
type Called = Pick<Delivery, "eventId" | "url" | "body" | "form">;

const NO_SIGNER = "the key that asked for it can't sign any more";

/** A text says why there is nothing to call. */
export function callOf(delivery: Called, { webhook, signers }: Signing, atMs: number): WantedCall | string {
  if (delivery.form !== null) return peerCall(delivery, readForm(delivery.form), signers);
  const { body } = delivery;
  const url = delivery.url ?? webhook?.url ?? null;
  if (webhook === undefined || url === null) return NO_WEBHOOK_URL;
  const headers = signedHeaders(webhook.secrets, delivery, atMs);
  return { call: { method: "POST", url, headers, body, readsBody: false }, peer: null };
}

/** The keys whose signature these deliveries need. */
export const signersIn = (deliveries: readonly Called[]): string[] =>
  deliveries.flatMap(({ form }) => {
    const read = form === null ? null : readForm(form);
    return read?.peer === "twilio" ? [read.keyId] : [];
  });

function peerCall(
  { eventId, url, body }: Called,
  form: CallbackForm,
  signers: Signing["signers"],
): WantedCall | string {
  const { peer } = form;
  // The same on each call, so that a receiver can tell a repeat.
  const headers: Record<string, string> = { "user-agent": USER_AGENT, "webhook-id": eventId };
  if (isCalledByGet(form))
    return { call: { method: "GET", url: body, headers, body: "", readsBody: peer === "jasmin" }, peer };
  headers["content-type"] = "application/x-www-form-urlencoded";
  // As it is called: in the form in which the receiver sees it.
  const target = new URL(url ?? "").href;
  if (form.peer === "twilio") {
    const signer = signers.get(form.keyId);
    if (signer === undefined) return NO_SIGNER;
    headers["i-twilio-idempotency-token"] = eventId;
    headers["x-twilio-signature"] = hmacBy(signer, target + twilioText(body)).toString("base64");
  }
  return { call: { method: "POST", url: target, headers, body, readsBody: peer === "jasmin" }, peer };
}
