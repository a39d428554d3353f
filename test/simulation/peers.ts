// Callbacks in the forms of peers, in a simulated run: which messages ask for one, as a door's client would,
// and what their receivers read in them. Written without the code that makes them, so that it is judged by
// another one. Leaves the translation of doors to their own tests.

import { createHmac } from "node:crypto";
import { hmacState } from "../../src/core/hmac-sha1.ts";
import type { Callback } from "../../src/core/callback.ts";
import { maskOf } from "../../src/core/callback.ts";
import { ulidOfHex } from "../../src/core/id.ts";
import type { Status } from "../../src/core/message.ts";
import type { AcceptMessage } from "../../src/ingest/accept-message.ts";
import type { Values } from "../simulated-mysql/tables.ts";

const UNSENT: readonly Status[] = ["failed", "rejected", "expired", "canceled"];
/** What each asks for; Jasmin's level 2 has nothing of `sent`. */
const ALL: readonly Status[] = ["sent", "delivered", "undelivered", ...UNSENT];
const RECEIVED: readonly Status[] = ["delivered", "undelivered", ...UNSENT];

const ORIGINS = ["https://a.example.com", "https://b.example.com"] as const;
const keyIdOf = (customerId: number): string => `01M7YBCH5F000000000000000${customerId}`;
/** Also the password of this customer. */
const keyOf = (customerId: number): string => `sk_${"secret".repeat(4)}${customerId}`;

/** The key that signs a customer's Twilio callbacks, as a request with it would have stored it. */
export const signerSql = (customerId: number): string =>
  "INSERT INTO api_keys (key_id,key_hash,customer_id,scopes,hmac_sha1) VALUES " +
  `('${keyIdOf(customerId)}',x'${String(customerId).padStart(64, "0")}',${customerId},'send',` +
  `x'${hmacState(keyOf(customerId)).toString("hex")}')`;

type Asked = { query: string; form: (customerId: number) => string; statuses: readonly Status[] };
const KINDS: readonly Asked[] = [
  { query: "kannel=%I&bit=%d", form: () => "kannel", statuses: ALL },
  { query: "by=twilio", form: (of) => `twilio ${keyIdOf(of)}`, statuses: ALL },
  { query: "by=jasmin", form: () => "jasmin 3 POST", statuses: ALL },
  { query: "by=jasmin", form: () => "jasmin 2 GET", statuses: RECEIVED },
];

/** What the client of this message asked for; undefined: nothing, or it is none of a peer. */
function peerAsked(customerId: number, reference: string): (Callback & { url: string }) | undefined {
  const [, number = ""] = /^send-(\d+)$/.exec(reference) ?? [];
  const n = Number(number);
  if (number === "" || n % 4 !== 1) return undefined;
  const kind = KINDS[((n - 1) / 4) % KINDS.length] as Asked;
  const url = `${ORIGINS[n % 3 === 0 ? 1 : 0]}/${customerId}?${kind.query}`;
  return { url, statuses: maskOf(kind.statuses), form: kind.form(customerId) };
}

/** An acceptance that messages of peers' clients go through. */
export const forPeers =
  (accept: AcceptMessage): AcceptMessage =>
  (request) => {
    const { draft, payer } = request;
    const told = peerAsked(payer.customerId, draft.reference ?? "");
    return accept(told === undefined ? request : { ...request, draft: { ...draft, told } });
  };

/** Whether a message's row has what its client asked for. */
export function asIsAsked({ customer_id, reference, ...row }: Values): boolean {
  const asked = peerAsked(Number(customer_id), String(reference));
  if (asked === undefined) return row.callback_form === null;
  return (
    row.callback_form === asked.form &&
    row.callback_url === asked.url &&
    row.callback_statuses === asked.statuses
  );
}

/** What is told of a message by a peer's callbacks; undefined if it has none. */
export const peerStatuses = ({ customer_id, reference }: Values): number | undefined =>
  peerAsked(Number(customer_id), String(reference))?.statuses;

// ---- what receivers read ----

/** Of these URLs only peers' have a query. */
export const isPeerUrl = (url: string): boolean => url.includes("?");

/** A URL without what is put into it, which other URLs of that place share. */
export const placeOf = (url: string): string => url.replace(/\?.*$/, "");

export const isSamePlace = (wanted: string | undefined, called: string): boolean =>
  wanted !== undefined && placeOf(wanted) === placeOf(called) && isPeerUrl(wanted) === isPeerUrl(called);

const KANNEL: Readonly<Record<string, readonly Status[]>> = {
  "1": ["delivered"],
  "2": ["undelivered"],
  "8": ["sent"],
  "16": UNSENT,
};
const TWILIO: Readonly<Record<string, readonly Status[]>> = {
  sent: ["sent"],
  delivered: ["delivered"],
  undelivered: ["undelivered"],
  failed: ["failed", "rejected", "expired"],
  canceled: ["canceled"],
};
const JASMIN: Readonly<Record<string, readonly Status[]>> = {
  "1 ESME_ROK": ["sent"],
  "1 ESME_RSUBMITFAIL": ["failed", "rejected"],
  "2 DELIVRD": ["delivered"],
  // At level 2 of a message that no operator took, too.
  "2 UNDELIV": ["undelivered", "failed"],
  "2 REJECTD": ["rejected"],
  "2 EXPIRED": ["expired"],
  "2 DELETED": ["canceled"],
};

/** Which message came to one of which statuses, in a peer's form; null for any other call. */
export function peerSaid(
  url: string,
  posted: string,
): { messageId: string; statuses: readonly Status[] } | null {
  if (!isPeerUrl(url)) return null;
  const { searchParams } = new URL(url);
  const fields = posted === "" ? searchParams : new URLSearchParams(posted);
  const said = (hex: string | null, statuses: readonly Status[] | undefined) => ({
    messageId: ulidOfHex((hex ?? "").replaceAll("-", "")) ?? "",
    statuses: statuses ?? [],
  });
  if (searchParams.has("kannel"))
    return said(searchParams.get("kannel"), KANNEL[searchParams.get("bit") ?? ""]);
  if (searchParams.get("by") === "twilio")
    return said(fields.get("MessageSid")?.slice(2) ?? null, TWILIO[fields.get("MessageStatus") ?? ""]);
  return said(fields.get("id"), JASMIN[`${fields.get("level")} ${fields.get("message_status")}`]);
}

/** Whether a call to Twilio's receiver has its signature; true of all others. */
export function isSignedRight(
  url: string,
  headers: Readonly<Record<string, string>>,
  posted: string,
): boolean {
  if (new URL(url).searchParams.get("by") !== "twilio") return true;
  const fields = [...new URLSearchParams(posted)].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const customerId = Number(new URL(url).pathname.slice(1));
  const signature = createHmac("sha1", keyOf(customerId))
    .update(url + fields.map(([name, value]) => name + value).join(""))
    .digest("base64");
  return headers["x-twilio-signature"] === signature;
}
