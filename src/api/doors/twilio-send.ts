// Creates a message for a client of Twilio. Invariant: a parameter that would change the text, the price or
// the moment and can't be honoured is refused.

import type { Callback } from "../../core/callback.ts";
import type { DraftInput } from "../../core/draft.ts";
import type { FieldError } from "../../core/errors.ts";
import { VALID_FOR_MIN_MS } from "../../core/limits.ts";
import { OPTED_OUT_REASON } from "../../core/opt-out.ts";
import { formText, TWILIO_STATUSES } from "../../core/peers/form.ts";
import { DESTINATION_REFUSED } from "../../core/price-plan.ts";
import { SCHEDULE_AHEAD_MS } from "../../core/schedule-limits.ts";
import { timeOf } from "../../core/time.ts";
import type { KeyOwner } from "../../customers/api-keys.ts";
import type { CallbackSigners } from "../../customers/callback-signers.ts";
import type { Written } from "../route.ts";
import { headerCredentials, type Knock, type PeerRefusal } from "./door.ts";
import { wholeNumber, withPlus } from "./fields.ts";
import { type Later, laterAt } from "./later.ts";
import { send, type SendingDeps } from "./sending.ts";
import { JSON_HEADERS, notAPhone, notASender, refusal, resourceOf } from "./twilio-answers.ts";
import { caller, formOf, type Params } from "./twilio-request.ts";

export type TwilioSendDeps = SendingDeps & { signers: CallbackSigners };

const CREATED = 201;
const VALIDITY_MAX_S = 36_000;
const BODY_CHARS_MAX = 1_600;
const SERVICE_SID = /^MG[0-9a-f]{32}$/i;

export async function create(deps: TwilioSendDeps, knock: Knock): Promise<Written> {
  const owner = await caller(deps.callers, knock, "send");
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
    answerOf: ({ messages: [{ id, phone, parts, isScheduled }] }) => {
      const status = isScheduled ? "scheduled" : service === null ? "queued" : "accepted";
      return JSON.stringify(resourceOf(owner, { id, status, text, from, phone, parts, service }));
    },
  });
}

/** What would make another message, another price or another moment of it than would be sent. */
function refuseUnsupported(form: Params): void {
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
function inputOf(form: Params): DraftInput {
  const to = form.get("To");
  if (to === undefined) throw refusal(400, 21604, "A 'To' phone number is required.");
  const given = form.get("From");
  const from = given === undefined ? null : withPlus(given);
  const service = form.get("MessagingServiceSid");
  if (from === null && service === undefined) throw refusal(400, 21603, "A 'From' phone number is required.");
  if (service !== undefined && !SERVICE_SID.test(service))
    throw refusal(400, 21701, "The Messaging Service does not exist.");
  const text = form.get("Body");
  if (text === undefined) throw refusal(400, 21602, "Message body is required.");
  if (text.length > BODY_CHARS_MAX) throw tooLong();
  const validity = form.get("ValidityPeriod");
  const validS =
    validity === undefined ? null : wholeNumber(validity, VALID_FOR_MIN_MS / 1_000, VALIDITY_MAX_S);
  if (validS === undefined) {
    const bounds = `from ${VALID_FOR_MIN_MS / 1_000} to ${VALIDITY_MAX_S}`;
    throw refusal(400, 21624, `The 'ValidityPeriod' ${validity} is not a number of seconds ${bounds}.`);
  }
  const validForMs = validS === null ? null : validS * 1_000;
  return { phone: withPlus(to), text, lane: "normal", from, reference: null, validForMs, callbackUrl: null };
}

const AHEAD_MIN_S = 300;
const AHEAD_MAX_S = SCHEDULE_AHEAD_MS / 1_000;

/** @throws PeerRefusal */
function scheduledFor(form: Params, nowMs: number): Later {
  const [type, sendAt] = [form.get("ScheduleType"), form.get("SendAt")];
  if (type === undefined && sendAt === undefined) return {};
  if (type !== "fixed")
    throw refusal(400, 35126, "The 'ScheduleType' of a message with 'SendAt' must be fixed.");
  if (sendAt === undefined)
    throw refusal(400, 35111, "You must indicate SendAt timestamp if ScheduleType is 'fixed'.");
  if (!form.has("MessagingServiceSid"))
    throw refusal(400, 35118, "MessagingServiceSid is required to schedule a message.");
  const atMs = timeOf(sendAt.replace(" ", "+")); // a plus that wasn't escaped
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
  { signers }: TwilioSendDeps,
  { request }: Knock,
  owner: KeyOwner,
  form: Params,
): Promise<Callback | undefined> {
  const [url] = form.get("StatusCallback")?.split("#") ?? [];
  if (url === undefined) return undefined;
  await signers.keep(owner, headerCredentials(request)?.key ?? "");
  const service = form.get("MessagingServiceSid") ?? null;
  const text = formText({ peer: "twilio", keyId: owner.keyId, service });
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
  if (error?.field === "phone") return notAPhone(phone);
  if (error?.field === "from") return notASender(from ?? "");
  if (error?.field === "callback_url")
    return refusal(400, 21609, `The 'StatusCallback' URL is not valid: it ${reason}.`);
  if (error?.field === "valid_for") return refusal(400, 21624, `The 'ValidityPeriod' ${reason}.`);
  return reason.startsWith("needs ") ? tooLong() : refusal(400, 21602, `The 'Body' ${reason}.`);
}
