// The arguments of Jasmin's messages, and what they mean: shared by its HTTP API (jasmin.ts) and its REST
// front (jasmin-rest.ts), which read them from requests and say what is wrong, each in its own form.
// Invariant: an argument that Jasmin doesn't know is refused, as Jasmin does; one that asks for what Sluice
// can't do is refused as an invalid value.

import type { Callback } from "../../core/callback.ts";
import { type DraftInput, sizeOf } from "../../core/draft.ts";
import { type FieldError, SluiceError } from "../../core/errors.ts";
import { decodeGsm7 } from "../../core/gsm7.ts";
import { TEXT_CHARS_MAX } from "../../core/limits.ts";
import { decimalOf } from "../../core/money.ts";
import { isReferenceLong } from "../../core/parts.ts";
import { formText, JASMIN_LEVELS, jasminStatuses } from "../../core/peers/form.ts";
import { parsePhone } from "../../core/phone.ts";
import { priceOf } from "../../core/price-plan.ts";
import type { KeyOwner, Scope } from "../../customers/api-keys.ts";
import type { Pool } from "../../platform/mysql.ts";
import type { OfCustomer } from "../../platform/pool-shares.ts";
import { readWallet } from "../../reports/wallet.ts";
import type { Written } from "../route.ts";
import { type Credentials, isCustomerId, type Knock, PeerRefusal, signIn } from "./door.ts";
import { CHARSETS, utf8Of, wholeNumber, withPlus } from "./fields.ts";
import { type Later, laterAt, smppTimeOf, validAfter } from "./later.ts";
import type { SendingDeps } from "./sending.ts";

/** `priorityIsExpress`: priority 3 chooses the express lane; otherwise a priority changes nothing. */
export type JasminDeps = SendingDeps & { reads: OfCustomer<{ pool: Pool }>; priorityIsExpress: boolean };

// ---- arguments ----

/** By name; of a query or form the bytes, of JSON the text. */
export type Arguments = ReadonlyMap<string, Buffer | string>;
type Rules = Readonly<Record<string, RegExp>>;

export const CREDENTIALS: Rules = { username: /^.+$/, password: /^.+$/ };
export const RATE: Rules = {
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
export const SEND: Rules = {
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

/** @throws PeerRefusal for a name that is not of `rules`, or a value that doesn't fit them */
export function holdArguments(args: Arguments, rules: Rules, says: Says): void {
  for (const [name, value] of args) {
    const rule = rules[name];
    if (rule === undefined || !Object.hasOwn(rules, name))
      throw says.refusal(400, `Argument [${name}] is unknown.`);
    if (name === CODED) continue;
    const text = typeof value === "string" ? value : utf8Of(value);
    if (text === undefined || !rule.test(text)) throw invalid(says, name, value);
  }
}

/** The longest argument: a text of UTF-16 in hex. */
const ARGUMENT_CHARS_MAX = 4 * TEXT_CHARS_MAX;

/** Before arguments are repeated for many receivers. @throws PeerRefusal for one that can't be sent */
export function holdLengths(args: Arguments, says: Says): void {
  for (const [name, value] of args) {
    if (value.length <= (name === CODED ? TEXT_CHARS_MAX : ARGUMENT_CHARS_MAX)) continue;
    throw name === "hex-content" ? invalidHex(says, value) : invalid(says, name, value);
  }
}

/** "" if it is absent. */
export function textOf(args: Arguments, name: string): string {
  const value = args.get(name) ?? "";
  return typeof value === "string" ? value : (utf8Of(value) ?? "");
}

/** All that is asked for, without the credentials. */
export const namedOf = (args: Arguments): [string, string][] =>
  [...args]
    .filter(([name]) => name !== SECRET)
    .map(([name, value]): [string, string] => [
      name,
      typeof value === "string" ? value : value.toString("latin1"),
    ])
    .toSorted(([a], [b]) => (a < b ? -1 : 1));

// ---- who calls ----

/** `may`: what a key without this scope can't do. */
export type Asking = { says: Says; scope: Scope; may: string };

/** @throws PeerRefusal, SluiceError as `signIn` does */
export function signInAs(
  deps: JasminDeps,
  knock: Knock,
  given: Credentials,
  { says, scope, may }: Asking,
): Promise<KeyOwner> {
  const user = given.user ?? "";
  return signIn(deps.callers, knock, given, scope, isCustomerId).catch((error: unknown) => {
    if (error instanceof SluiceError && error.code === "scope_missing")
      throw says.refusal(400, `Authorization failed for user [${user}] (Can not ${may}).`);
    throw notSignedIn(error, user, says);
  });
}

/** What is thrown for this error: Jasmin's clients compare its 403 and its words. */
export function notSignedIn(error: unknown, user: string, says: Says): unknown {
  const isDenied = error instanceof SluiceError && error.status === 401;
  return isDenied ? says.refusal(403, `Authentication failure for username:${user}`) : error;
}

// ---- what a customer has ----

/**
 * The price of a part, and the parts of the text, as Jasmin's JSON; 1 without a text. @throws PeerRefusal for
 * what couldn't be sent
 */
export function rateOf(args: Arguments, owner: KeyOwner, deps: JasminDeps, says: Says): string {
  if (!args.has("to")) throw says.refusal(400, "Mandatory argument [to] is not found.");
  const lane = deps.priorityIsExpress && textOf(args, "priority") === "3" ? "express" : "normal";
  const hasText = args.has("content") || args.has("hex-content");
  const text = hasText ? contentOf(args, says) : "";
  const given = withPlus(textOf(args, "to"));
  const to = parsePhone(given, owner.region);
  const price = "reason" in to ? null : priceOf(owner, lane, to.e164, deps.now());
  if (price === null) throw invalid(says, "to", given);
  const sized = text === "" ? { parts: 1 } : sizeOf(text);
  if (typeof sized === "string") throw invalidText(says, args, text);
  return `{"unit_rate": ${decimalOf(price, owner.currency)}, "submit_sm_count": ${sized.parts}}`;
}

/** All that can still be spent, as Jasmin's JSON. */
export async function balanceOf({ reads }: JasminDeps, { customerId }: KeyOwner): Promise<string> {
  const { balance, currency } = await readWallet(reads(customerId), customerId);
  return `{"balance": ${decimalOf(balance, currency)}, "sms_count": "ND"}`;
}

// ---- the message ----

const MINUTE_MS = 60_000;
/** More than any validity may be, whenever the message is sent. */
const MINUTES_MAX = 100_000;

/** @throws PeerRefusal */
export function inputOf(
  args: Arguments,
  { priorityIsExpress, now }: Pick<JasminDeps, "priorityIsExpress" | "now">,
  says: Says,
): DraftInput {
  if (!args.has("to")) throw says.refusal(400, "Mandatory argument [to] is not found.");
  const from = withPlus(textOf(args, "from"));
  const tags = textOf(args, "tags");
  if (isReferenceLong(tags)) throw invalid(says, "tags", tags);
  const nowMs = now();
  const later = scheduledFor(textOf(args, "sdt"), nowMs, says);
  const validity = textOf(args, "validity-period");
  const validMin = validity === "" ? null : wholeNumber(validity, 1, MINUTES_MAX);
  if (validMin === undefined) throw invalid(says, "validity-period", validity);
  const validForMs = validAfter(validMin === null ? null : validMin * MINUTE_MS, later, nowMs);
  if (validForMs === undefined) throw invalid(says, "validity-period", validity);
  const told = toldOf(args, says);
  return {
    phone: withPlus(textOf(args, "to")),
    text: contentOf(args, says),
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
function scheduledFor(sdt: string, nowMs: number, says: Says): Later {
  if (sdt === "") return {};
  const atMs = smppTimeOf(sdt, nowMs);
  const later = atMs === undefined ? undefined : laterAt(atMs, nowMs);
  if (later === undefined) throw invalid(says, "sdt", sdt);
  return later;
}

/** What is told at its dlr-url. A URL or level asks for it, whatever `dlr` says. @throws PeerRefusal */
function toldOf(args: Arguments, says: Says): Callback | undefined {
  const [url, level] = [textOf(args, "dlr-url"), textOf(args, "dlr-level")];
  if (url === "" && level === "" && textOf(args, "dlr") !== "yes") return undefined;
  if (url === "") throw says.refusal(400, "Mandatory argument [dlr-url] is not found.");
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
  if (text === undefined || text === null) throw invalidHex(says, hex);
  return text;
}

/** What can't be sent, by the argument that says so. */
export function refusedField(
  error: FieldError | undefined,
  input: DraftInput,
  args: Arguments,
  says: Says,
): PeerRefusal {
  if (error?.field === "phone") return invalid(says, "to", input.phone);
  if (error?.field === "callback_url") return invalid(says, "dlr-url", textOf(args, "dlr-url"));
  if (error?.field === "from") return invalid(says, "from", input.from ?? "");
  if (error?.field === "valid_for") return invalid(says, "validity-period", textOf(args, "validity-period"));
  return invalidText(says, args, input.text);
}

// ---- words ----

/** How a route says what is wrong: in words of Jasmin's, or by an error of Sluice. */
export type Says = {
  refusal(status: number, message: string): PeerRefusal;
  refusalOf(error: SluiceError): Written;
};

export function saying(written: (status: number, message: string) => Written): Says {
  return {
    refusal: (status, message) => new PeerRefusal(written(status, message)),
    refusalOf: (error) => written(error.status, messageOf(error)),
  };
}

export const invalid = (says: Says, name: string, value: Buffer | string): PeerRefusal =>
  says.refusal(400, `Argument [${name}] has an invalid value: [${name === SECRET ? "" : value.toString()}].`);

const invalidHex = (says: Says, hex: Buffer | string): PeerRefusal =>
  says.refusal(400, `Invalid hex-content data: '${hex.toString()}'`);

const invalidText = (says: Says, args: Arguments, text: string): PeerRefusal =>
  args.has(CODED) ? invalid(says, CODED, text) : invalidHex(says, textOf(args, "hex-content"));

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
