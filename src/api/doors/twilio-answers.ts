// What Twilio's door answers: the message as Twilio's resource, and every error in Twilio's form.
// Invariant: no body has `type` or `title`, by which the newest SDKs tell another kind of error.

import { type ErrorCode, type SluiceError } from "../../core/errors.ts";
import { ulidTimeMs } from "../../core/id.ts";
import { accountSid, API_VERSION, type Failure, messageSid } from "../../core/peers/twilio.ts";
import { targetOf } from "../../core/request-target.ts";
import type { KeyOwner } from "../../customers/api-keys.ts";
import type { DoorMessage } from "../../reports/door-messages.ts";
import type { Written } from "../route.ts";
import { PeerRefusal } from "./door.ts";

export const JSON_HEADERS = { "content-type": "application/json" };

type Shown = Pick<DoorMessage, "id" | "phone" | "from" | "text" | "parts"> & {
  status: string;
  service: string | null;
  updatedAtMs?: number;
  sentAtMs?: number | null;
  failure?: Failure | null;
  price?: string | null;
};

export function resourceOf({ customerId, currency }: KeyOwner, shown: Shown): object {
  const account = accountSid(customerId);
  const sid = messageSid(shown.id);
  const createdAtMs = ulidTimeMs(shown.id);
  const base = `${accountPath(customerId)}/Messages/${sid}`;
  const { failure = null, sentAtMs = null, updatedAtMs = createdAtMs, price = null } = shown;
  return {
    account_sid: account,
    api_version: API_VERSION,
    body: shown.text,
    date_created: dateOf(createdAtMs),
    date_updated: dateOf(updatedAtMs),
    date_sent: sentAtMs === null ? null : dateOf(sentAtMs),
    direction: "outbound-api",
    error_code: failure?.code ?? null,
    error_message: failure?.message ?? null,
    from: shown.from,
    messaging_service_sid: shown.service,
    num_media: "0",
    num_segments: String(shown.parts),
    price,
    price_unit: currency,
    sid,
    status: shown.status,
    subresource_uris: { media: `${base}/Media.json` },
    to: shown.phone,
    uri: `${base}.json`,
  };
}

/** Of the customer's resources, without an ending. */
export const accountPath = (customerId: number): string =>
  `/${API_VERSION}/Accounts/${accountSid(customerId)}`;

export const answered = (body: object): Written => ({
  status: 200,
  body: JSON.stringify(body),
  headers: JSON_HEADERS,
});

/** RFC 2822, as `Thu, 24 Aug 2023 05:01:45 +0000`. */
export const dateOf = (ms: number): string => new Date(ms).toUTCString().replace("GMT", "+0000");

export function refusal(status: number, code: number, message: string): PeerRefusal {
  return new PeerRefusal(errorOf(status, code, message));
}

export const notAPhone = (phone: string): PeerRefusal =>
  refusal(400, 21211, `The 'To' number ${phone} is not a valid phone number.`);

export const notASender = (from: string): PeerRefusal =>
  refusal(400, 21212, `The 'From' number ${from} is not a valid phone number or name.`);

function errorOf(status: number, code: number, message: string): Written {
  const more_info = `https://www.twilio.com/docs/errors/${code}`;
  const body = JSON.stringify({ code, message, more_info, status });
  const challenge: Record<string, string> =
    status === 401 ? { "www-authenticate": 'Basic realm="Twilio API"' } : {};
  return { status, body, headers: { ...JSON_HEADERS, ...challenge } };
}

type Said = readonly [status: number, code: number, message: string];
const AUTHENTICATE: Said = [401, 20003, "Authenticate"];
const SAID: Partial<Record<ErrorCode, Said>> = {
  api_key_missing: AUTHENTICATE,
  api_key_invalid: AUTHENTICATE,
  scope_missing: [403, 20003, "Permission Denied"],
  method_not_allowed: [405, 20004, "Method not allowed"],
  not_scheduled: [409, 30409, "This message cannot be canceled"],
  rate_limited: [429, 20429, "Too Many Requests"],
  internal: [500, 20500, "Internal Server Error"],
};

/** An error that has no code of Twilio's gets 20000 and its status. */
export function refusalOf({ code, status, detail }: SluiceError, request: Request | undefined): Written {
  const said = SAID[code];
  if (said !== undefined) return errorOf(...said);
  const path = request === undefined ? "" : targetOf(request.url).path;
  const missing = `The requested resource ${path} was not found`;
  const message = code === "not_found" ? missing : status === 503 ? "Service Unavailable" : detail;
  return errorOf(status, 20_000 + status, message);
}
