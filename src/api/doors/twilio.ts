// The door for clients of Twilio's Messages resource: create and fetch a message, and the balance
// (https://www.twilio.com/docs/messaging/api/message-resource). docs/doors/twilio.md says what differs.
// Invariant: a parameter that would change the text, the price or the moment and can't be honoured is
// refused; no body has `type` or `title`, by which the newest SDKs tell another kind of error.

import type { Callback } from "../../core/callback.ts";
import type { DraftInput } from "../../core/draft.ts";
import { type ErrorCode, type FieldError, SluiceError } from "../../core/errors.ts";
import { ulidOfHex, ulidTimeMs } from "../../core/id.ts";
import { VALID_FOR_MIN_MS } from "../../core/limits.ts";
import type { Status } from "../../core/message.ts";
import { decimalOf } from "../../core/money.ts";
import { OPTED_OUT_REASON } from "../../core/opt-out.ts";
import { formText, TWILIO_STATUSES } from "../../core/peers/form.ts";
import {
  accountSid,
  API_VERSION,
  type Failure,
  failureOf,
  messageSid,
  TWILIO_WORDS,
} from "../../core/peers/twilio.ts";
import { DESTINATION_REFUSED } from "../../core/price-plan.ts";
import { targetOf } from "../../core/request-target.ts";
import { SCHEDULE_AHEAD_MS } from "../../core/schedule-limits.ts";
import { timeOf } from "../../core/time.ts";
import type { CallbackSigners } from "../../customers/callback-signers.ts";
import type { KeyOwner, Scope } from "../../customers/api-keys.ts";
import type { Pool } from "../../platform/mysql.ts";
import { type DoorMessage, doorMessage } from "../../reports/door-messages.ts";
import { readWallet } from "../../reports/wallet.ts";
import { singleHeader } from "../http.ts";
import type { Written } from "../route.ts";
import { type DoorRoute, doorRoute, headerCredentials, type Knock } from "./door.ts";
import { PeerRefusal, signIn } from "./door.ts";
import { fieldsOf, utf8Of, wholeNumber } from "./fields.ts";
import { type Later, laterAt } from "./later.ts";
import { send, type SendingDeps } from "./sending.ts";

export type TwilioDeps = SendingDeps & { reads: { pool: Pool }; signers: CallbackSigners };

const ACCOUNT = `/${API_VERSION}/Accounts/:account`;

export function createTwilioDoor(deps: TwilioDeps): DoorRoute[] {
  return [
    doorRoute({
      method: "POST",
      path: `${ACCOUNT}/Messages.json`,
      refusal: refusalOf,
      answer: (knock) => create(deps, knock),
    }),
    doorRoute({
      method: "GET",
      path: `${ACCOUNT}/Messages/:message`,
      refusal: refusalOf,
      answer: (knock) => fetchMessage(deps, knock),
    }),
    doorRoute({
      method: "GET",
      path: `${ACCOUNT}/Balance.json`,
      refusal: refusalOf,
      answer: (knock) => fetchBalance(deps, knock),
    }),
  ];
}

// ---- who calls ----

const API_KEY_SID = /^SK[0-9a-f]{32}$/i;

async function caller(deps: TwilioDeps, knock: Knock, scope: Scope): Promise<KeyOwner> {
  const given = headerCredentials(knock.request);
  const isSid = (one: string, { customerId }: KeyOwner) =>
    one.toLowerCase() === accountSid(customerId).toLowerCase();
  // The name of an API key says nothing that its secret doesn't say.
  const isUser = (owner: KeyOwner, user: string) => API_KEY_SID.test(user) || isSid(user, owner);
  const owner = await signIn(deps.callers, knock, given, scope, isUser);
  if (!isSid(knock.params.account ?? "", owner)) throw new SluiceError("not_found");
  return owner;
}

// ---- create ----

const CREATED = 201;
const VALIDITY_MAX_S = 36_000;
const BODY_CHARS_MAX = 1_600;
const SERVICE_SID = /^MG[0-9a-f]{32}$/i;
const FORM = /^application\/x-www-form-urlencoded\s*(?:;|$)/i;

async function create(deps: TwilioDeps, knock: Knock): Promise<Written> {
  const owner = await caller(deps, knock, "send");
  const form = formOf(knock);
  refuseUnsupported(form);
  const service = form.get("MessagingServiceSid") ?? null;
  const input = inputOf(form);
  const { text, from } = input;
  const told = await toldOf(deps, knock, owner, form);
  if (told !== undefined) input.told = told;
  return send(deps, {
    arrival: knock,
    owner,
    asked: JSON.stringify(["twilio", ...[...form].toSorted(([a], [b]) => (a < b ? -1 : 1))]),
    inputs: () => [{ ...input, ...scheduledFor(form, deps.now()) }],
    usuallyValidMs: VALIDITY_MAX_S * 1_000,
    refused: ([error], { phone }) => refusedField(error, { phone, from }),
    status: CREATED,
    headers: JSON_HEADERS,
    answerOf: ({ id, messages }) =>
      JSON.stringify(
        resourceOf(owner, {
          id,
          status: form.has("SendAt") ? "scheduled" : service === null ? "queued" : "accepted",
          text,
          from,
          phone: messages[0].phone,
          parts: messages[0].parts,
          service,
        }),
      ),
  });
}

type Form = ReadonlyMap<string, string>;

/** Empty parameters are as absent ones. @throws PeerRefusal, SluiceError unsupported_media_type */
function formOf({ request, bytes }: Knock): Form {
  if (!FORM.test(singleHeader(request, "Content-Type") ?? "")) {
    const detail = "Send Content-Type: application/x-www-form-urlencoded.";
    throw new SluiceError("unsupported_media_type", { detail });
  }
  const form = new Map<string, string>();
  for (const { name, bytes: given } of fieldsOf(bytes)) {
    const value = utf8Of(given);
    if (value === undefined) throw refusal(400, 20400, `The '${name}' parameter is not encoded UTF-8.`);
    if (value === "") continue;
    if (form.has(name) && !REPEATED.has(name))
      throw refusal(400, 20400, `The '${name}' parameter was given twice.`);
    form.set(name, value);
  }
  return form;
}

const REPEATED = new Set(["MediaUrl", "PersistentAction", "Tags"]);

/** What would make another message, another price or another moment of it than would be sent. */
function refuseUnsupported(form: Form): void {
  if (form.has("MediaUrl")) throw refusal(400, 21620, "MediaUrl is not supported: messages are text.");
  if (form.has("ContentSid")) throw refusal(400, 21619, "ContentSid is not supported: give a Body.");
  for (const [name, value] of UNSUPPORTED)
    if (form.get(name)?.toLowerCase() === value)
      throw refusal(400, 20400, `${name}=${value} is not supported.`);
}

const UNSUPPORTED = [
  ["SmartEncoded", "true"],
  ["ShortenUrls", "true"],
  ["SendAsMms", "true"],
  ["ContentRetention", "discard"],
  ["AddressRetention", "obfuscate"],
] as const;

/** @throws PeerRefusal */
function inputOf(form: Form): DraftInput {
  const to = form.get("To");
  if (to === undefined) throw refusal(400, 21604, "A 'To' phone number is required.");
  const from = form.get("From") ?? null;
  const service = form.get("MessagingServiceSid");
  if (from === null && service === undefined) throw refusal(400, 21603, "A 'From' phone number is required.");
  if (service !== undefined && !SERVICE_SID.test(service))
    throw refusal(400, 21701, "The Messaging Service does not exist.");
  const text = form.get("Body");
  if (text === undefined) throw refusal(400, 21602, "Message body is required.");
  if (text.length > BODY_CHARS_MAX) throw tooLong();
  const given = form.get("ValidityPeriod");
  const validS = given === undefined ? null : wholeNumber(given, VALID_FOR_MIN_MS / 1_000, VALIDITY_MAX_S);
  if (validS === undefined) {
    const bounds = `from ${VALID_FOR_MIN_MS / 1_000} to ${VALIDITY_MAX_S}`;
    throw refusal(400, 21624, `The 'ValidityPeriod' ${given} is not a number of seconds ${bounds}.`);
  }
  const validForMs = validS === null ? null : validS * 1_000;
  return { phone: to, text, lane: "normal", from, reference: null, validForMs, callbackUrl: null };
}

const AHEAD_MIN_S = 300;
const AHEAD_MAX_S = SCHEDULE_AHEAD_MS / 1_000;

/** @throws PeerRefusal */
function scheduledFor(form: Form, nowMs: number): Later {
  const [type, sendAt] = [form.get("ScheduleType"), form.get("SendAt")];
  if (type === undefined && sendAt === undefined) return {};
  if (type !== "fixed")
    throw refusal(400, 35126, "The 'ScheduleType' of a message with 'SendAt' must be fixed.");
  if (sendAt === undefined)
    throw refusal(400, 35111, "You must indicate SendAt timestamp if ScheduleType is 'fixed'.");
  if (!form.has("MessagingServiceSid"))
    throw refusal(400, 35118, "MessagingServiceSid is required to schedule a message.");
  const atMs = timeOf(sendAt);
  const later = atMs === null || atMs < nowMs + AHEAD_MIN_S * 1_000 ? undefined : laterAt(atMs, nowMs);
  if (later === undefined) {
    const days = `${AHEAD_MAX_S / 86_400} days (${AHEAD_MAX_S} seconds)`;
    const bounds = `between ${AHEAD_MIN_S} seconds and ${days} in the future, inclusive`;
    throw refusal(400, 35114, `SendAt time must be ${bounds}.`);
  }
  return later;
}

/**
 * What is told at its StatusCallback; undefined without one. What may follow `#` there is for Twilio's own
 * settings of retries. The client verifies calls with the key that it sent.
 */
async function toldOf(
  { signers }: TwilioDeps,
  { request }: Knock,
  { keyId }: KeyOwner,
  form: Form,
): Promise<Callback | undefined> {
  const [url] = form.get("StatusCallback")?.split("#") ?? [];
  if (url === undefined) return undefined;
  await signers.keep(keyId, headerCredentials(request)?.key ?? "");
  const service = form.get("MessagingServiceSid") ?? null;
  const text = formText({ peer: "twilio", keyId, service });
  return { url, statuses: TWILIO_STATUSES, form: text };
}

const tooLong = (): PeerRefusal =>
  refusal(400, 21617, "The concatenated message body exceeds the 1600 character limit.");

const NOT_ENABLED =
  "Permission to send an SMS has not been enabled for the region indicated by the 'To' number";

function refusedField(
  error: FieldError | undefined,
  { phone, from }: { phone: string; from: string | null },
): PeerRefusal {
  const reason = error?.reason ?? "";
  if (reason === OPTED_OUT_REASON) return refusal(400, 21610, "Attempt to send to unsubscribed recipient.");
  if (reason === DESTINATION_REFUSED) return refusal(400, 21408, `${NOT_ENABLED}: ${phone}.`);
  if (error?.field === "phone")
    return refusal(400, 21211, `The 'To' number ${phone} is not a valid phone number.`);
  if (error?.field === "from")
    return refusal(400, 21212, `The 'From' number ${from ?? ""} is not a valid phone number or name.`);
  if (error?.field === "callback_url")
    return refusal(400, 21609, `The 'StatusCallback' URL is not valid: it ${reason}.`);
  if (error?.field === "valid_for") return refusal(400, 21624, `The 'ValidityPeriod' ${reason}.`);
  return reason.startsWith("needs ") ? tooLong() : refusal(400, 21602, `The 'Body' ${reason}.`);
}

// ---- fetch ----

const MESSAGE_SID = /^SM([0-9a-f]{32})\.json$/i;

async function fetchMessage(deps: TwilioDeps, knock: Knock): Promise<Written> {
  const owner = await caller(deps, knock, "read");
  const [, hex = ""] = MESSAGE_SID.exec(knock.params.message ?? "") ?? [];
  const id = ulidOfHex(hex);
  if (id === null) throw new SluiceError("not_found");
  const found = await doorMessage(deps.reads, owner.customerId, id);
  const body = resourceOf(owner, {
    ...found,
    status: TWILIO_WORDS[found.status],
    service: null,
    sentAtMs: SENT.includes(found.status) ? found.updatedAtMs : null,
    failure: failureOf(found),
    price: found.captured ? `-${decimalOf(found.cost, owner.currency)}` : null,
  });
  return { status: 200, body: JSON.stringify(body), headers: JSON_HEADERS };
}

async function fetchBalance(deps: TwilioDeps, knock: Knock): Promise<Written> {
  const owner = await caller(deps, knock, "read");
  const { balance, currency } = await readWallet(deps.reads, owner.customerId);
  const body = { account_sid: accountSid(owner.customerId), balance: decimalOf(balance, currency), currency };
  return { status: 200, body: JSON.stringify(body), headers: JSON_HEADERS };
}

const SENT: readonly Status[] = ["sent", "delivered", "undelivered"];

// ---- answers ----

const JSON_HEADERS = { "content-type": "application/json" };

type Shown = Pick<DoorMessage, "id" | "phone" | "from" | "text" | "parts"> & {
  status: string;
  service: string | null;
  updatedAtMs?: number;
  sentAtMs?: number | null;
  failure?: Failure | null;
  price?: string | null;
};

function resourceOf({ customerId, currency }: KeyOwner, shown: Shown): object {
  const account = accountSid(customerId);
  const sid = messageSid(shown.id);
  const createdAtMs = ulidTimeMs(shown.id);
  const base = `/${API_VERSION}/Accounts/${account}/Messages/${sid}`;
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

/** RFC 2822, as `Thu, 24 Aug 2023 05:01:45 +0000`. */
const dateOf = (ms: number): string => new Date(ms).toUTCString().replace("GMT", "+0000");

function refusal(status: number, code: number, message: string): PeerRefusal {
  return new PeerRefusal(errorOf(status, code, message));
}

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
  rate_limited: [429, 20429, "Too Many Requests"],
  internal: [500, 20500, "Internal Server Error"],
};

/** An error that has no code of Twilio's gets 20000 and its status. */
function refusalOf({ code, status, detail }: SluiceError, request: Request | undefined): Written {
  const said = SAID[code];
  if (said !== undefined) return errorOf(...said);
  const path = request === undefined ? "" : targetOf(request.url).path;
  const missing = `The requested resource ${path} was not found`;
  const message = code === "not_found" ? missing : status === 503 ? "Service Unavailable" : detail;
  return errorOf(status, 20_000 + status, message);
}
