// What is sent when a message's status is told in a peer's form: the form that is posted, or the URL that is
// called. Follows from the event alone, like the body of Sluice's own webhooks, so a repeat repeats it.
// Leaves the words of each peer to its file, and signatures and calls to src/webhook/.
// Bound: CALLED_CHARS_MAX characters, which the doors hold when they take a request.

import type { Encoding } from "../message.ts";
import type { ChangeEvent } from "../webhook-event.ts";
import { type CallbackForm, readForm } from "./form.ts";
import { jasminFields } from "./jasmin.ts";
import { kannelUrl } from "./kannel.ts";
import { twilioFields } from "./twilio.ts";

/** What a peer's callback needs beyond Sluice's own. */
export type PeerCall = {
  /** As form.ts writes it. */
  form: string;
  from: string | null;
  operatorMessageId: string | null;
  encoding: Encoding;
};
/** A change that is told in a peer's form, at a URL of its own. */
export type PeerEvent = ChangeEvent & { url: string; call: PeerCall };

/** @throws RecordError for a form that is none */
export function peerBody(event: PeerEvent): string {
  const form = readForm(event.call.form);
  switch (form.peer) {
    case "twilio":
      return encoded(twilioFields(event, form));
    case "kannel":
      return kannelUrl(event);
    case "jasmin": {
      const fields = encoded(jasminFields(event, form));
      return form.method === "POST" ? fields : withQuery(event.url, fields);
    }
  }
}

/** Whether the body is the URL that is called, rather than what is posted. */
export const isCalledByGet = (form: CallbackForm): boolean =>
  form.peer === "kannel" || (form.peer === "jasmin" && form.method === "GET");

const encoded = (fields: readonly (readonly [string, string])[]): string =>
  new URLSearchParams(fields as [string, string][]).toString();

const withQuery = (url: string, query: string): string => `${url}${url.includes("?") ? "&" : "?"}${query}`;
