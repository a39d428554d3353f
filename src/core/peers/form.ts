// In which form a message's callbacks are made whose client asked for them through a door, and which statuses
// they tell. Its text is stored with the message, travels with its record, and goes on into its events and
// their deliveries; what it says about a call is decided when that is made. Leaves to others: what a door's
// client may ask for (src/api/doors/), and the words of each peer (the other files of this folder).
// Invariant: readForm reads what formText wrote, and throws RecordError for anything else. Bound:
// CALLBACK_FORM_CHARS_MAX characters of ASCII.

import { maskOf } from "../callback.ts";
import { isUlid } from "../id.ts";
import type { Status } from "../message.ts";
import { RecordError } from "../packed.ts";

export const PEERS = ["twilio", "kannel", "jasmin"] as const;
export type Peer = (typeof PEERS)[number];
export const JASMIN_LEVELS = [1, 2, 3] as const;
export type JasminLevel = (typeof JASMIN_LEVELS)[number];
export type Method = "GET" | "POST";

export type CallbackForm =
  /** Signed by that API key. `service`: the MessagingServiceSid of the request, if it had one. */
  | { peer: "twilio"; keyId: string; service: string | null }
  | { peer: "kannel" }
  /** `level`: what was asked for; each callback has the level that happened. */
  | { peer: "jasmin"; level: JasminLevel; method: Method };

/** The column's width. */
export const CALLBACK_FORM_CHARS_MAX = 80;

export function formText(form: CallbackForm): string {
  switch (form.peer) {
    case "twilio":
      return [form.peer, form.keyId, ...(form.service === null ? [] : [form.service])].join(" ");
    case "kannel":
      return form.peer;
    case "jasmin":
      return [form.peer, form.level, form.method].join(" ");
  }
}

const SERVICE = /^MG[0-9a-f]{32}$/i;

/** @throws RecordError */
export function readForm(text: string): CallbackForm {
  const [peer, first = "", second, ...rest] = text.split(" ");
  const isWhole = rest.length === 0;
  if (peer === "kannel" && text === peer) return { peer };
  if (peer === "twilio" && isWhole && isUlid(first) && (second === undefined || SERVICE.test(second)))
    return { peer, keyId: first, service: second ?? null };
  const level = JASMIN_LEVELS.find((one) => String(one) === first);
  if (peer === "jasmin" && isWhole && level !== undefined && (second === "GET" || second === "POST"))
    return { peer, level, method: second };
  throw new RecordError("an unknown form of callbacks");
}

/** What became of a message that no operator has. */
const UNSENT: readonly Status[] = ["failed", "rejected", "expired", "canceled"];

/** Twilio's callbacks tell what is news after its answer, which said `queued`, `accepted` or `scheduled`. */
export const TWILIO_STATUSES = maskOf(["sent", "delivered", "undelivered", ...UNSENT]);

/** Of a `dlr-mask`: what its bits ask for; 0 if that is nothing. Kannel sends 16 where only 2 is set, too. */
export function kannelStatuses(mask: number): number {
  const has = (bit: number) => (mask & bit) !== 0;
  return (
    (has(1) ? maskOf(["delivered"]) : 0) |
    (has(2) ? maskOf(["undelivered", ...UNSENT]) : 0) |
    (has(4) ? maskOf(["queued"]) : 0) |
    (has(8) ? maskOf(["sent"]) : 0) |
    (has(16) ? maskOf(UNSENT) : 0)
  );
}

/** Of a `dlr-level`. At each of them a message that no operator took is told: nothing else would come. */
export function jasminStatuses(level: JasminLevel): number {
  const taken: readonly Status[] = level === 2 ? [] : ["sent"];
  const received: readonly Status[] = level === 1 ? [] : ["delivered", "undelivered"];
  return maskOf([...taken, ...received, ...UNSENT]);
}
