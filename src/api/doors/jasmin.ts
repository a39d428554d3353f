// The door for clients of Jasmin's HTTP API: /send, /rate, /balance and /ping
// (https://docs.jasminsms.com, "HTTP API"). docs/doors/jasmin.md says what differs.
// Invariant: an argument that Jasmin doesn't know is refused, as Jasmin does; one that asks for what Sluice
// can't do is refused as an invalid value.

import type { Callback } from "../../core/callback.ts";
import type { DraftInput } from "../../core/draft.ts";
import { type FieldError, SluiceError } from "../../core/errors.ts";
import { decodeGsm7 } from "../../core/gsm7.ts";
import { ulidUuid } from "../../core/id.ts";
import { parseJson } from "../../core/json.ts";
import { decimalOf } from "../../core/money.ts";
import { countParts, isReferenceLong, textProblem } from "../../core/parts.ts";
import { formText, JASMIN_LEVELS, jasminStatuses } from "../../core/peers/form.ts";
import { parsePhone } from "../../core/phone.ts";
import { priceOf } from "../../core/price-plan.ts";
import type { KeyOwner, Scope } from "../../customers/api-keys.ts";
import type { Pool } from "../../platform/mysql.ts";
import { readWallet } from "../../reports/wallet.ts";
import { singleHeader } from "../http.ts";
import type { Written } from "../route.ts";
import { type DoorRoute, doorRoute, headerCredentials, isCustomerId, type Knock } from "./door.ts";
import { PeerRefusal, signIn } from "./door.ts";
import { CHARSETS, fieldsOf, queryOf, utf8Of, wholeNumber, withPlus } from "./fields.ts";
import { type Later, laterAt, smppTimeOf, validAfter } from "./later.ts";
import { send, type SendingDeps } from "./sending.ts";

/** `priorityIsExpress`: priority 3 chooses the express lane; otherwise a priority changes nothing. */
export type JasminDeps = SendingDeps & { reads: { pool: Pool }; priorityIsExpress: boolean };

export function createJasminDoor(deps: JasminDeps): DoorRoute[] {
  const sending = (method: DoorRoute["method"]): DoorRoute =>
    doorRoute({
      method,
      path: "/send",
      refusal: (error) => SAYS_ERROR.refusalOf(error),
      answer: (knock) => sendMessage(deps, knock),
    });
  const reading = (path: string, answer: (knock: Knock) => Promise<Written>): DoorRoute =>
    doorRoute({ method: "GET", path, refusal: (error) => SAYS_JSON.refusalOf(error), answer });
  return [
    sending("GET"),
    sending("POST"),
    reading("/rate", (knock) => rate(deps, knock)),
    reading("/balance", (knock) => balance(deps, knock)),
    reading("/ping", async () => ({ status: 200, body: "Jasmin/PONG", headers: TEXT_HEADERS })),
  ];
}

// ---- routes ----

async function sendMessage(deps: JasminDeps, knock: Knock): Promise<Written> {
  const args = argumentsOf(knock, SEND, SAYS_ERROR);
  const owner = await caller(deps, knock, args, {
    says: SAYS_ERROR,
    scope: "send",
    may: "send MT messages",
  });
  if (!args.has("to")) throw SAYS_ERROR.refusal(400, "Mandatory argument [to] is not found.");
  return send(deps, {
    arrival: knock,
    owner,
    asked: askedOf(args),
    inputs: () => [inputOf(args, deps)],
    refused: ([error], input) => refusedField(error, input, args),
    status: 200,
    headers: TEXT_HEADERS,
    answerOf: ({ id }) => `Success "${ulidUuid(id)}"`,
  });
}

async function rate(deps: JasminDeps, knock: Knock): Promise<Written> {
  const args = argumentsOf(knock, RATE, SAYS_JSON);
  const owner = await caller(deps, knock, args, {
    says: SAYS_JSON,
    scope: "send",
    may: "get rates",
  });
  if (!args.has("to")) throw SAYS_JSON.refusal(400, "Mandatory argument [to] is not found.");
  const isExpress = deps.priorityIsExpress && textOf(args, "priority") === "3";
  const hasText = args.has("content") || args.has("hex-content");
  const text = hasText ? contentOf(args, SAYS_JSON) : "";
  const parts = textProblem(text) === null ? countParts(text).parts : 1;
  const to = parsePhone(withPlus(textOf(args, "to")), owner.region);
  const price = priceOf(owner, isExpress ? "express" : "normal", "e164" in to ? to.e164 : "+", Date.now());
  if (price === null) throw invalid(SAYS_JSON, "to", textOf(args, "to"));
  const unit = decimalOf(price, owner.currency);
  return json(200, `{"unit_rate": ${unit}, "submit_sm_count": ${parts}}`);
}

async function balance(deps: JasminDeps, knock: Knock): Promise<Written> {
  const args = argumentsOf(knock, CREDENTIALS, SAYS_JSON);
  const owner = await caller(deps, knock, args, { says: SAYS_JSON, scope: "read", may: "get balance" });
  const wallet = await readWallet(deps.reads, owner.customerId);
  return json(200, `{"balance": ${decimalOf(wallet.balance, wallet.currency)}, "sms_count": "ND"}`);
}

// ---- arguments ----

/** By name; of a query or form the bytes, of JSON the text. */
type Arguments = ReadonlyMap<string, Buffer | string>;
type Rules = Readonly<Record<string, RegExp>>;

const CREDENTIALS: Rules = { username: /^.+$/, password: /^.+$/ };
const RATE: Rules = {
  ...CREDENTIALS,
  to: /^[+ ]?\d+$/,
  from: /^.*$/s,
  content: /^.*$/s,
  "hex-content": /^.*$/s,
  // Sluice's own: JIS, pictograms, Kanji, KS C 5601 and binary data have no text that could be sent.
  coding: /^[013678]$/,
  priority: /^[0-3]$/,
  "validity-period": /^\d+$/,
  tags: /^[-a-zA-Z0-9,]*$/,
  sdt: /^(\d{15}[-+ R])?$/,
  // No other SMPP fields are sent.
  custom_tlvs: /^(\[\])?$/,
};
const SEND: Rules = {
  ...RATE,
  dlr: /^(yes|no)$/,
  // Which URLs are called is for the draft to say.
  "dlr-url": /^.*$/s,
  "dlr-level": /^[123]?$/,
  "dlr-method": /^(get|post)$/i,
};
const SECRET = "password";
/** Its bytes are in the character set of `coding`. */
const CODED = "content";

const FORM = /^application\/x-www-form-urlencoded\s*(?:;|$)/i;

/** Of a name that is given twice the first counts. @throws PeerRefusal, SluiceError malformed_json */
function argumentsOf({ request, bytes }: Knock, rules: Rules, says: Says): Arguments {
  const args = new Map<string, Buffer | string>();
  for (const [name, value] of givenIn(request, bytes)) if (!args.has(name)) args.set(name, value);
  if (args.size === 0 && headerCredentials(request) === null)
    throw says.refusal(400, "Mandatory arguments not found, please refer to the HTTPAPI specifications.");
  for (const [name, value] of args) {
    const rule = rules[name];
    if (rule === undefined || !Object.hasOwn(rules, name))
      throw says.refusal(400, `Argument [${name}] is unknown.`);
    if (name === CODED) continue;
    const text = typeof value === "string" ? value : utf8Of(value);
    if (text === undefined || !rule.test(text)) throw invalid(says, name, value);
  }
  return args;
}

function givenIn(request: Request, bytes: Uint8Array): [string, Buffer | string][] {
  const named = (encoded: Uint8Array): [string, Buffer | string][] =>
    // A percent sign that begins no escape is no byte of any character set.
    fieldsOf(encoded).map(({ name, bytes: value }) => [name, value ?? Buffer.of(0xff)]);
  if (request.method === "GET") return named(queryOf(request.url));
  const type = singleHeader(request, "Content-Type") ?? "";
  if (FORM.test(type)) return named(bytes);
  if (type !== "application/json") throw new SluiceError("unsupported_media_type");
  const body = parseJson(bytes);
  if (typeof body !== "object" || body === null || Array.isArray(body)) return [];
  return Object.entries(body).map(([name, value]) => [
    name,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
}

/** "" if it is absent. */
function textOf(args: Arguments, name: string): string {
  const value = args.get(name) ?? "";
  return typeof value === "string" ? value : (utf8Of(value) ?? "");
}

const askedOf = (args: Arguments): string =>
  JSON.stringify([
    "jasmin",
    ...[...args]
      .filter(([name]) => name !== SECRET)
      .map(([name, value]) => [name, typeof value === "string" ? value : value.toString("latin1")])
      .toSorted(([a = ""], [b = ""]) => (a < b ? -1 : 1)),
  ]);

type Asking = { says: Says; scope: Scope; may: string };

async function caller(
  deps: JasminDeps,
  knock: Knock,
  args: Arguments,
  { says, scope, may }: Asking,
): Promise<KeyOwner> {
  const given = headerCredentials(knock.request);
  for (const name of Object.keys(CREDENTIALS))
    if (given === null && !args.has(name))
      throw says.refusal(400, `Mandatory argument [${name}] is not found.`);
  const user = given?.user ?? (args.has("username") ? textOf(args, "username") : null);
  const key = given?.key ?? textOf(args, SECRET);
  return signIn(deps.callers, knock, { user, key }, scope, isCustomerId).catch((error: unknown) => {
    if (!(error instanceof SluiceError)) throw error;
    if (error.status === 401) throw says.refusal(403, `Authentication failure for username:${user ?? ""}`);
    if (error.code === "scope_missing")
      throw says.refusal(400, `Authorization failed for user [${user ?? ""}] (Can not ${may}).`);
    throw error;
  });
}

// ---- the message ----

const MINUTE_MS = 60_000;
/** More than any validity may be, whenever the message is sent. */
const MINUTES_MAX = 100_000;

function inputOf(args: Arguments, { priorityIsExpress, now }: JasminDeps): DraftInput {
  const from = withPlus(textOf(args, "from"));
  const tags = textOf(args, "tags");
  if (isReferenceLong(tags)) throw invalid(SAYS_ERROR, "tags", tags);
  const nowMs = now();
  const later = scheduledFor(textOf(args, "sdt"), nowMs);
  const validity = textOf(args, "validity-period");
  const validMin = validity === "" ? null : wholeNumber(validity, 1, MINUTES_MAX);
  if (validMin === undefined) throw invalid(SAYS_ERROR, "validity-period", validity);
  const validForMs = validAfter(validMin === null ? null : validMin * MINUTE_MS, later, nowMs);
  if (validForMs === undefined) throw invalid(SAYS_ERROR, "validity-period", validity);
  const told = toldOf(args);
  return {
    phone: withPlus(textOf(args, "to")),
    text: contentOf(args, SAYS_ERROR),
    lane: priorityIsExpress && textOf(args, "priority") === "3" ? "express" : "normal",
    from: from === "" ? null : from,
    reference: tags === "" ? null : tags,
    validForMs,
    callbackUrl: null,
    ...later,
    ...(told === undefined ? {} : { told }),
  };
}

/** `sdt`: its schedule delivery time. @throws PeerRefusal */
function scheduledFor(sdt: string, nowMs: number): Later {
  if (sdt === "") return {};
  const atMs = smppTimeOf(sdt, nowMs);
  const later = atMs === undefined ? undefined : laterAt(atMs, nowMs);
  if (later === undefined) throw invalid(SAYS_ERROR, "sdt", sdt);
  return later;
}

/** What is told at its dlr-url. A URL or level asks for it, whatever `dlr` says. @throws PeerRefusal */
function toldOf(args: Arguments): Callback | undefined {
  const [url, level] = [textOf(args, "dlr-url"), textOf(args, "dlr-level")];
  if (url === "" && level === "" && textOf(args, "dlr") !== "yes") return undefined;
  if (url === "") throw SAYS_ERROR.refusal(400, "Mandatory argument [dlr-url] is not found.");
  const wanted = JASMIN_LEVELS.find((one) => String(one) === level) ?? 1;
  const method = textOf(args, "dlr-method").toUpperCase() === "GET" ? "GET" : "POST";
  const form = formText({ peer: "jasmin", level: wanted, method });
  return { url, statuses: jasminStatuses(wanted), form };
}

/** What the bytes of `coding` are. As `content`, those of coding 0 are UTF-8. */
const CODINGS: Readonly<Record<string, string>> = {
  "0": "UTF-8",
  "1": "US-ASCII",
  "3": "ISO-8859-1",
  "6": "ISO-8859-5",
  "7": "ISO-8859-8",
  "8": "UTF-16BE",
};

/** @throws PeerRefusal */
function contentOf(args: Arguments, says: Says): string {
  const content = args.get(CODED);
  const hex = args.has("hex-content") ? textOf(args, "hex-content") : undefined;
  if (content !== undefined && hex !== undefined)
    throw says.refusal(400, "content and hex-content cannot be used both in same request.");
  const coding = textOf(args, "coding") || "0";
  if (content !== undefined) {
    const text = typeof content === "string" ? content : CHARSETS[CODINGS[coding] ?? ""]?.(content);
    if (text === undefined) throw invalid(says, CODED, content);
    return text;
  }
  if (hex === undefined) throw says.refusal(400, "content or hex-content not present.");
  const bytes = /^([0-9a-fA-F]{2})*$/.test(hex) ? Buffer.from(hex, "hex") : undefined;
  const decode = coding === "0" ? decodeGsm7 : CHARSETS[CODINGS[coding] ?? ""];
  const text = bytes === undefined ? undefined : decode?.(bytes);
  if (text === undefined || text === null) throw says.refusal(400, `Invalid hex-content data: '${hex}'`);
  return text;
}

function refusedField(error: FieldError | undefined, input: DraftInput, args: Arguments): PeerRefusal {
  if (error?.field === "phone") return invalid(SAYS_ERROR, "to", input.phone);
  if (error?.field === "callback_url") return invalid(SAYS_ERROR, "dlr-url", textOf(args, "dlr-url"));
  if (error?.field === "from") return invalid(SAYS_ERROR, "from", input.from ?? "");
  if (error?.field === "valid_for")
    return invalid(SAYS_ERROR, "validity-period", textOf(args, "validity-period"));
  return args.has(CODED)
    ? invalid(SAYS_ERROR, CODED, input.text)
    : SAYS_ERROR.refusal(400, `Invalid hex-content data: '${textOf(args, "hex-content")}'`);
}

// ---- answers ----

const TEXT_HEADERS = { "content-type": "text/plain" };

const json = (status: number, body: string): Written => ({
  status,
  body,
  headers: { "content-type": "application/json" },
});

/** How a route says what is wrong: in words of Jasmin's, or by an error of Sluice. */
type Says = {
  refusal(status: number, message: string): PeerRefusal;
  refusalOf(error: SluiceError): Written;
};

function saying(written: (status: number, message: string) => Written): Says {
  return {
    refusal: (status, message) => new PeerRefusal(written(status, message)),
    refusalOf: (error) => written(error.status, messageOf(error)),
  };
}

const SAYS_ERROR = saying((status, message) => ({
  status,
  body: `Error "${message}"`,
  headers: TEXT_HEADERS,
}));
const SAYS_JSON = saying((status, message) => json(status, JSON.stringify(message)));

const invalid = (says: Says, name: string, value: Buffer | string): PeerRefusal =>
  says.refusal(400, `Argument [${name}] has an invalid value: [${name === SECRET ? "" : value.toString()}].`);

function messageOf(error: SluiceError): string {
  switch (error.status) {
    case 402:
      return "Cannot charge submit_sm, check RouterPB log file for details";
    case 429:
      return "User throughput exceeded";
    case 500:
    case 503:
      return "Cannot send submit_sm, check SMPPClientManagerPB log file for details";
    default:
      return error.detail;
  }
}
