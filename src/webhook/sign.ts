// The headers of a call of Sluice's own: its event's id, its time, and a signature by each of the
// customer's secrets. Leaves the body to core/webhook-event.ts, and peers' calls to wanted-call.ts.
// Source: Standard Webhooks (https://www.standardwebhooks.com), which has verifiers in many languages.

import { Webhook } from "standardwebhooks";

export const USER_AGENT = "Sluice-Webhooks/1";

/** `secrets`: whsec_…, one or two; `atMs`: the time of this attempt, for receivers that refuse old calls. */
export function signedHeaders(
  secrets: readonly string[],
  { eventId, body }: { eventId: string; body: string },
  atMs: number,
): Record<string, string> {
  const at = new Date(atMs);
  return {
    "content-type": "application/json",
    "user-agent": USER_AGENT,
    "webhook-id": eventId,
    "webhook-timestamp": String(Math.floor(atMs / 1_000)),
    "webhook-signature": secrets.map((secret) => new Webhook(secret).sign(eventId, at, body)).join(" "),
  };
}
