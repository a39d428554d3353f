// The customer's messages as Twilio's resources: one, a page of them, and the cancel of a scheduled one.
// Reads and cancels as /v1 does. Invariant: a page has exactly the members of Twilio's, because SDKs take the
// only one that they don't know for the rows.

import { type FieldError, SluiceError } from "../../core/errors.ts";
import { ulidOfHex } from "../../core/id.ts";
import { LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX } from "../../core/limits.ts";
import type { Status } from "../../core/message.ts";
import { decimalOf } from "../../core/money.ts";
import { failureOf, TWILIO_WORDS } from "../../core/peers/twilio.ts";
import { timeOf } from "../../core/time.ts";
import type { KeyOwner } from "../../customers/api-keys.ts";
import { cancelScheduled, type ScheduleDeps } from "../../ledger/schedule.ts";
import type { Pool } from "../../platform/mysql.ts";
import type { OfCustomer } from "../../platform/pool-shares.ts";
import { repeatable } from "../../platform/repeatable.ts";
import { type DoorMessage, doorMessage, doorMessages } from "../../reports/door-messages.ts";
import { listMessages, type MessageList } from "../../reports/messages-list.ts";
import type { AccessDeps } from "../access.ts";
import type { Written } from "../route.ts";
import type { Knock, PeerRefusal } from "./door.ts";
import { fieldsOf, queryOf, wholeNumber } from "./fields.ts";
import { accountPath, answered, notAPhone, notASender, refusal, resourceOf } from "./twilio-answers.ts";
import { caller, formOf, type Params, paramsOf } from "./twilio-request.ts";

export type TwilioMessageDeps = {
  callers: AccessDeps;
  reads: OfCustomer<{ pool: Pool }>;
  schedule: OfCustomer<ScheduleDeps>;
};

const MESSAGE_SID = /^SM([0-9a-f]{32})\.json$/i;

/** @throws SluiceError not_found */
function idOf({ params }: Knock): string {
  const [, hex = ""] = MESSAGE_SID.exec(params.message ?? "") ?? [];
  const id = ulidOfHex(hex);
  if (id === null) throw new SluiceError("not_found");
  return id;
}

export async function fetchMessage({ callers, reads }: TwilioMessageDeps, knock: Knock): Promise<Written> {
  const owner = await caller(callers, knock, "read");
  return answered(shownOf(owner, await doorMessage(reads(owner.customerId), owner.customerId, idOf(knock))));
}

const SENT: readonly Status[] = ["sent", "delivered", "undelivered"];

function shownOf(owner: KeyOwner, found: DoorMessage): object {
  return resourceOf(owner, {
    ...found,
    status: TWILIO_WORDS[found.status],
    service: null,
    sentAtMs: SENT.includes(found.status) ? found.updatedAtMs : null,
    failure: failureOf(found),
    price: found.captured ? `-${decimalOf(found.cost, owner.currency)}` : null,
  });
}

// ---- cancel ----

export async function cancelMessage(
  { callers, schedule }: TwilioMessageDeps,
  knock: Knock,
): Promise<Written> {
  const owner = await caller(callers, knock, "send");
  const { customerId } = owner;
  refuseOtherChange(knock);
  const id = idOf(knock);
  const deps = schedule(customerId);
  await cancelScheduled(deps, { customerId, id, isGone: knock.isGone });
  // What is answered when this is lost must not say that nothing was stored.
  return answered(shownOf(owner, await repeatable(doorMessage(deps, customerId, id))));
}

/** An empty Body asks Twilio to forget the text. @throws PeerRefusal, SluiceError unsupported_media_type */
function refuseOtherChange(knock: Knock): void {
  const form = formOf(knock);
  const [status, hasBody] = [form.get("Status"), fieldsOf(knock.bytes).some(({ name }) => name === "Body")];
  if (hasBody && status === undefined && !form.has("Body"))
    throw refusal(400, 20400, "Redacting a message is not supported.");
  if (hasBody || status !== "canceled")
    throw refusal(400, 30400, "Parameters are not valid: give Status=canceled and no Body.");
}

// ---- list ----

const FILTERS = ["To", "From", "DateSent", "DateSent<", "DateSent>"] as const;
const PAGE_MAX = 999_999_999;

export async function listOwn({ callers, reads }: TwilioMessageDeps, knock: Knock): Promise<Written> {
  const owner = await caller(callers, knock, "read");
  const { customerId } = owner;
  const params = paramsOf(queryOf(knock.request.url));
  const { page, size } = placeOf(params);
  const token = params.get("PageToken") ?? null;
  const own = reads(customerId);
  const { messages, next_cursor } = await pageOf(own, owner, params, size);
  const found = await doorMessages(
    own,
    customerId,
    messages.map(({ id }) => id),
  );
  const start = page * size;
  const uriOf = (number: number, of: string | null) =>
    pageUri(customerId, params, { PageSize: String(size), Page: String(number), PageToken: of });
  return answered({
    end: start + Math.max(found.length - 1, 0),
    first_page_uri: uriOf(0, null),
    messages: found.map((one) => shownOf(owner, one)),
    next_page_uri: next_cursor === null ? null : uriOf(page + 1, next_cursor),
    page,
    page_size: size,
    previous_page_uri: null, // a cursor leads forward only
    start,
    uri: uriOf(page, token),
  });
}

type Place = { PageSize: string; Page: string; PageToken: string | null };

/** Of a page with the same filters. */
function pageUri(customerId: number, params: Params, place: Place): string {
  const query = new URLSearchParams();
  for (const name of FILTERS) {
    const value = params.get(name);
    if (value !== undefined) query.set(name, value);
  }
  for (const [name, value] of Object.entries(place)) if (value !== null) query.set(name, value);
  return `${accountPath(customerId)}/Messages.json?${query.toString()}`;
}

/** @throws PeerRefusal */
export function placeOf(params: Params): { page: number; size: number } {
  const number = (name: string, usual: number, min: number, max: number): number => {
    const given = params.get(name);
    const value = given === undefined ? usual : wholeNumber(given, min, max);
    if (value === undefined)
      throw refusal(400, 20400, `The '${name}' ${given} is not a number from ${min} to ${max}.`);
    return value;
  };
  const size = number("PageSize", LIST_LIMIT_DEFAULT, 1, LIST_LIMIT_MAX);
  const page = number("Page", 0, 0, PAGE_MAX);
  // The first page again would never end for a client that counts pages itself.
  if (page > 0 && !params.has("PageToken"))
    throw refusal(400, 20400, "A 'Page' after the first needs its 'PageToken': follow next_page_uri.");
  return { page, size };
}

/** @throws PeerRefusal, and what listMessages throws of other kinds than its parameters */
async function pageOf(
  reads: { pool: Pool },
  owner: KeyOwner,
  params: Params,
  size: number,
): Promise<MessageList> {
  const { fromMs, toMs } = windowOf(params);
  if (fromMs >= toMs) return { messages: [], next_cursor: null };
  const timeText = (ms: number) => (Number.isFinite(ms) ? new Date(ms).toISOString() : undefined);
  const asked = {
    phone: params.get("To"),
    sender: params.get("From"),
    from: timeText(fromMs),
    to: timeText(toMs),
    limit: String(size),
    cursor: params.get("PageToken"),
  };
  const query = new Map(Object.entries(asked).filter((one): one is [string, string] => one[1] !== undefined));
  return listMessages(reads, owner, query).catch((thrown: unknown) => {
    if (!(thrown instanceof SluiceError) || thrown.code !== "validation_failed") throw thrown;
    throw refusedFilter(thrown.errors[0], params);
  });
}

function refusedFilter(error: FieldError | undefined, params: Params): PeerRefusal {
  if (error?.field === "phone") return notAPhone(params.get("To") ?? "");
  if (error?.field === "sender") return notASender(params.get("From") ?? "");
  if (error?.field === "cursor")
    return refusal(400, 20400, "The 'PageToken' is not one of this list with the same filters.");
  return refusal(400, 20400, "The 'DateSent' is not a time that a message can have.");
}

const DAY_MS = 86_400_000;
const SECOND_MS = 1_000;
const DATE = /^\d{4}-\d\d-\d\d$/;

/**
 * From the one to before the other; infinite: without that bound. `DateSent` stands for a whole day, since
 * SDKs write a date as its midnight; `DateSent<` and `DateSent>` take in the day or second that they name.
 * @throws PeerRefusal
 */
function windowOf(params: Params): { fromMs: number; toMs: number } {
  const exact = timeIn(params, "DateSent");
  const [first, last] = [timeIn(params, "DateSent>"), timeIn(params, "DateSent<")];
  const dayMs = exact === null ? null : exact.atMs - (exact.atMs % DAY_MS);
  return {
    fromMs: Math.max(dayMs ?? -Infinity, first?.atMs ?? -Infinity),
    toMs: Math.min(
      dayMs === null ? Infinity : dayMs + DAY_MS,
      last === null ? Infinity : last.atMs + last.lengthMs,
    ),
  };
}

/** @throws PeerRefusal */
function timeIn(params: Params, name: string): { atMs: number; lengthMs: number } | null {
  const given = params.get(name);
  if (given === undefined) return null;
  const isDate = DATE.test(given);
  const atMs = timeOf(isDate ? `${given}T00:00:00Z` : given.replace(" ", "+")); // a plus that wasn't escaped
  if (atMs === null)
    throw refusal(400, 20400, `The '${name}' ${given} is not a date, or a time by RFC 3339.`);
  return { atMs, lengthMs: isDate ? DAY_MS : SECOND_MS };
}
