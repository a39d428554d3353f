// The door for clients of Kannel's smsbox, GET /cgi-bin/sendsms (https://www.kannel.org, its user guide).
// docs/doors/kannel.md says what differs.
// Invariants: a field that would change the text, the price or the moment and can't be honoured is refused in
// Kannel's words, unless its value asks for nothing; a list of receivers is taken as a whole or not at all.
// Bound: BATCH_MESSAGES_MAX receivers.

import { BATCH_MESSAGES_MAX } from "../../core/batch-limits.ts";
import type { Callback } from "../../core/callback.ts";
import type { DraftInput } from "../../core/draft.ts";
import type { ErrorCode, FieldError, SluiceError } from "../../core/errors.ts";
import { VALID_FOR_MIN_MS, VALID_FOR_MS } from "../../core/limits.ts";
import { isReferenceLong, labelProblem } from "../../core/parts.ts";
import { formText, kannelStatuses } from "../../core/peers/form.ts";
import { hasPlainHost, kannelUrlFits } from "../../core/peers/kannel.ts";
import { SCHEDULE_AHEAD_MS } from "../../core/schedule-limits.ts";
import type { Written } from "../route.ts";
import {
  type DoorRoute,
  doorRoute,
  headerBefore,
  headerCredentials,
  isCustomerId,
  type Knock,
  PeerRefusal,
  signIn,
} from "./door.ts";
import { CHARSETS, type Field, fieldsOf, queryOf, utf8Of, wholeNumber, withPlus } from "./fields.ts";
import { type Later, validAfter } from "./later.ts";
import { send, type SendingDeps } from "./sending.ts";

/** `priorityIsExpress`: priority 3 chooses the express lane; otherwise a priority changes nothing. */
export type KannelDeps = SendingDeps & { priorityIsExpress: boolean };

const PATH = "/cgi-bin/sendsms";
const FORM = /^application\/x-www-form-urlencoded\s*(?:;|$)/i;

export const createKannelDoor = (deps: KannelDeps): DoorRoute[] => [
  doorRoute({ method: "GET", path: PATH, refusal: refusalOf, answer: (knock) => sendSms(deps, knock) }),
  doorRoute({
    method: "POST",
    path: PATH,
    refusal: refusalOf,
    answer: async ({ request }) =>
      FORM.test(request.headers.get("content-type") ?? "")
        ? answer(400, "Invalid content-type")
        : answer(415, "Unsupported content-type, rejected"),
  }),
];

async function sendSms(deps: KannelDeps, knock: Knock): Promise<Written> {
  const fields = readFields(fieldsOf(queryOf(knock.request.url)));
  const given = headerBefore(headerCredentials(knock.request), credentialsOf(fields));
  const owner = await signIn(deps.callers, knock, given, "send", isCustomerId);
  return send(deps, {
    arrival: knock,
    owner,
    asked: askedOf(fields),
    inputs: () => inputsOf(fields, deps),
    refused: ([error]) => refusedField(error),
    status: 202,
    headers: HEADERS,
    answerOf: () => ACCEPTED,
  });
}

const ACCEPTED = "0: Accepted for delivery";

type Fields = ReadonlyMap<string, Buffer>;
const ALIASES: Readonly<Record<string, string>> = {
  user: "username",
  pass: "password",
  dlrurl: "dlr-url",
  dlrmask: "dlr-mask",
};
const SECRET = "password";

/** Of a name that is given twice the first counts. @throws PeerRefusal */
function readFields(fields: readonly Field[]): Fields {
  const read = new Map<string, Buffer>();
  for (const { name: given, bytes } of fields) {
    const name = ALIASES[given] ?? given;
    if (bytes === undefined) throw refusal("Charset or body misformed, rejected");
    if (!read.has(name)) read.set(name, bytes);
  }
  return read;
}

/** A user that can't be decoded is none of Sluice's. */
const credentialsOf = (fields: Fields) => ({
  user: fields.get("username")?.toString("latin1") || null,
  key: utf8Of(fields.get(SECRET)) ?? null,
});

const askedOf = (fields: Fields): string =>
  JSON.stringify([
    "kannel",
    ...[...fields]
      .filter(([name]) => name !== SECRET)
      .map(([name, bytes]) => [name, bytes.toString("latin1")])
      .toSorted(([a = ""], [b = ""]) => (a < b ? -1 : 1)),
  ]);

// ---- what is asked for ----

const MINUTE_MS = 60_000;

/** @throws PeerRefusal */
function inputsOf(fields: Fields, { priorityIsExpress, now }: KannelDeps): DraftInput[] {
  const phones = receiversOf(fields.get("to"));
  refuseUnsupported(fields);
  const nowMs = now();
  const later = deferredTo(fields, nowMs);
  const validMin = numberOf(fields, "validity", "Validity", VALID_MIN, VALID_MAX + DEFERRED_MAX);
  const validForMs = validAfter(validMin === null ? null : validMin * MINUTE_MS, later, nowMs);
  if (validForMs === undefined) throw misformed("Validity");
  const priority = numberOf(fields, "priority", "Priority", 0, 3);
  const given = utf8Of(fields.get("from"));
  if (fields.has("from") && given === undefined) throw refusal("Sender field misformed, rejected");
  const from = given === undefined || given === "" ? null : withPlus(given);
  const reference = accountOf(fields);
  const told = toldOf(fields, { from, reference });
  const terms = {
    text: textOf(fields),
    lane: priorityIsExpress && priority === 3 ? ("express" as const) : ("normal" as const),
    from,
    reference,
    validForMs,
    callbackUrl: null,
    ...later,
    ...(told === undefined ? {} : { told }),
  };
  return phones.map((phone) => ({ ...terms, phone }));
}

const VALID_MIN = VALID_FOR_MIN_MS / MINUTE_MS;
const VALID_MAX = VALID_FOR_MS / MINUTE_MS;
const DEFERRED_MAX = SCHEDULE_AHEAD_MS / MINUTE_MS;

function deferredTo(fields: Fields, nowMs: number): Later {
  const minutes = numberOf(fields, "deferred", "Deferred", 0, DEFERRED_MAX) ?? 0;
  return minutes === 0 ? {} : { sendAtMs: nowMs + minutes * MINUTE_MS };
}

const DENIED = "Number(s) has/have been denied by white- and/or black-lists.";

/**
 * Receivers are separated by a blank. A blank more is a `+` that was not escaped, so it belongs to the number
 * that follows.
 */
function receiversOf(bytes: Buffer | undefined): string[] {
  if (bytes === undefined) throw refusal("Missing receiver number, rejected");
  const to = bytes.toString("latin1");
  if (to.trim() === "") throw refusal("Empty receiver number not allowed, rejected");
  if (!/^[0-9 +-]+$/.test(to)) throw refusal(DENIED);
  const found = [...to.matchAll(/( *)([^ ]+)/g)];
  if (found.length > BATCH_MESSAGES_MAX) throw refusal(DENIED);
  return found.map(([, blanks = "", number = ""], at) => {
    const isPlusLost = blanks.length > (at === 0 ? 0 : 1) && !number.startsWith("+");
    return isPlusLost ? `+${number}` : number;
  });
}

// Each with the values that ask for nothing. An empty value never asks for anything.
const UNSUPPORTED: readonly [field: string, name: string, nothing: readonly string[]][] = [
  ["udh", "UDH", []],
  ["mclass", "MClass", []],
  ["pid", "PID", ["0"]],
  ["rpi", "RPI", ["0"]],
  ["alt-dcs", "Alt-DCS", ["0"]],
  ["mwi", "MWI", []],
  ["compress", "Compress", ["0"]],
];

function refuseUnsupported(fields: Fields): void {
  const given = (field: string) => fields.get(field)?.toString("latin1") ?? "";
  for (const [field, name, nothing] of UNSUPPORTED) {
    const value = given(field);
    if (value !== "" && !nothing.includes(value)) throw misformed(name);
  }
}

const DLR_MASK_MAX = 127;

/**
 * What is told at its dlr-url: what dlr-mask asks for, which takes both. An escape in the host could lead
 * anywhere. @throws PeerRefusal
 */
function toldOf(
  fields: Fields,
  { from, reference }: Pick<DraftInput, "from" | "reference">,
): Callback | undefined {
  const mask = numberOf(fields, "dlr-mask", "DLR-Mask", 0, DLR_MASK_MAX) ?? 0;
  const url = fields.get("dlr-url")?.toString("latin1") ?? "";
  const statuses = kannelStatuses(mask);
  if (url === "" || statuses === 0) return undefined;
  if (!hasPlainHost(url) || !kannelUrlFits(url, from, reference)) throw misformed("DLR-URL");
  return { url, statuses, form: formText({ peer: "kannel" }) };
}

function numberOf(fields: Fields, field: string, name: string, min: number, max: number): number | null {
  const text = fields.get(field)?.toString("latin1") ?? "";
  if (text === "") return null;
  const value = wholeNumber(text, min, max);
  if (value === undefined) throw misformed(name);
  return value;
}

function accountOf(fields: Fields): string | null {
  const bytes = fields.get("account");
  if (bytes === undefined || bytes.length === 0) return null;
  const account = utf8Of(bytes);
  if (account === undefined || isReferenceLong(account) || labelProblem(account) !== null)
    throw refusal("Account field misformed or too long, rejected");
  return account;
}

const TEXT_MISFORMED = "Charset or body misformed, rejected";
/**
 * By what a client of Kannel may name, in upper case: the names of iconv, by which Kannel reads texts. Not
 * UCS2, because its order of bytes is the machine's.
 */
const CHARSET_NAMES: Readonly<Record<string, string>> = {
  "UTF-8": "UTF-8",
  UTF8: "UTF-8",
  "US-ASCII": "US-ASCII",
  ASCII: "US-ASCII",
  "ISO-8859-1": "ISO-8859-1",
  "ISO8859-1": "ISO-8859-1",
  "ISO_8859-1": "ISO-8859-1",
  LATIN1: "ISO-8859-1",
  "WINDOWS-1252": "WINDOWS-1252",
  CP1252: "WINDOWS-1252",
  "UTF-16BE": "UTF-16BE",
  UTF16BE: "UTF-16BE",
  "UCS-2BE": "UTF-16BE",
};

/** Read as `charset` says, or else as `coding` implies; how it is sent follows from its characters. */
function textOf(fields: Fields): string {
  const coding = numberOf(fields, "coding", "Coding", 0, 2);
  if (coding === 1) throw misformed("Coding");
  const given = fields.get("charset")?.toString("latin1").toUpperCase() ?? "";
  const charset = given === "" ? (coding === 2 ? "UTF-16BE" : "UTF-8") : given;
  const text = CHARSETS[CHARSET_NAMES[charset] ?? ""]?.(fields.get("text") ?? Buffer.alloc(0));
  if (text === undefined) throw refusal(TEXT_MISFORMED);
  return text;
}

function refusedField(error: FieldError | undefined): PeerRefusal {
  if (error?.field === "phone") return refusal(DENIED);
  if (error?.field === "callback_url") return misformed("DLR-URL");
  if (error?.field === "from") return refusal("Sender field misformed, rejected");
  if (error?.field === "valid_for") return misformed("Validity");
  return refusal(error?.reason.startsWith("needs ") ? "Text field is too long, rejected" : TEXT_MISFORMED);
}

// ---- answers ----

const HEADERS = { "content-type": "text/html", pragma: "no-cache", "cache-control": "no-store" };

const answer = (status: number, body: string): Written => ({ status, body, headers: HEADERS });

const refusal = (body: string): PeerRefusal => new PeerRefusal(answer(400, body));

const misformed = (name: string): PeerRefusal => refusal(`${name} field misformed, rejected`);

type Said = readonly [status: number, body: string];
// Kannel's clients compare the 403.
const NOT_AUTHORIZED: Said = [403, "Authorization failed for sendsms"];
const NOT_PAID: Said = [402, "Not enough credit, rejected"];
const SAID: Partial<Record<ErrorCode, Said>> = {
  scope_missing: NOT_AUTHORIZED,
  address_not_allowed: NOT_AUTHORIZED,
  customer_suspended: NOT_AUTHORIZED,
  insufficient_balance: NOT_PAID,
  spend_cap_reached: NOT_PAID,
  internal: [500, "Sending failed."],
};

function refusalOf({ code, status, detail }: SluiceError): Written {
  const said = status === 401 ? NOT_AUTHORIZED : SAID[code];
  if (said !== undefined) return answer(...said);
  const isPassing = status === 429 || status === 503;
  // What is wrong with a key for repeats, or with HTTP, has no words of Kannel's.
  return answer(status, isPassing ? "Temporal failure, try again later." : detail);
}
