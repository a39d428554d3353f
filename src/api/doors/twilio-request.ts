// What the routes of Twilio's door read of a request: who calls, and the parameters. Leaves to each route
// which parameters it knows; those that none knows are ignored, as Twilio does.

import { SluiceError } from "../../core/errors.ts";
import { accountSid } from "../../core/peers/twilio.ts";
import type { KeyOwner, Scope } from "../../customers/api-keys.ts";
import type { AccessDeps } from "../access.ts";
import { singleHeader } from "../http.ts";
import { headerCredentials, type Knock, signIn } from "./door.ts";
import { fieldsOf, utf8Of } from "./fields.ts";
import { refusal } from "./twilio-answers.ts";

const API_KEY_SID = /^SK[0-9a-f]{32}$/i;

/**
 * The customer that calls. `account`: whose resource it is. @throws SluiceError as signIn does; not_found for
 * another customer's
 */
export async function caller(
  callers: AccessDeps,
  knock: Knock,
  scope: Scope,
  account = knock.params.account ?? "",
): Promise<KeyOwner> {
  const given = headerCredentials(knock.request);
  const isSid = (one: string, { customerId }: KeyOwner) =>
    one.toLowerCase() === accountSid(customerId).toLowerCase();
  // The name of an API key says nothing that its secret doesn't say.
  const isUser = (owner: KeyOwner, user: string) => API_KEY_SID.test(user) || isSid(user, owner);
  const owner = await signIn(callers, knock, given, scope, isUser);
  if (!isSid(account, owner)) throw new SluiceError("not_found");
  return owner;
}

/** Each given once, without those that are empty, which are as absent ones. */
export type Params = ReadonlyMap<string, string>;

const FORM = /^application\/x-www-form-urlencoded\s*(?:;|$)/i;

/** The body's. @throws PeerRefusal, SluiceError unsupported_media_type */
export function formOf({ request, bytes }: Knock): Params {
  if (!FORM.test(singleHeader(request, "Content-Type") ?? "")) {
    const detail = "Send Content-Type: application/x-www-form-urlencoded.";
    throw new SluiceError("unsupported_media_type", { detail });
  }
  return paramsOf(bytes);
}

/** Of a form or a query. @throws PeerRefusal */
export function paramsOf(encoded: Uint8Array): Params {
  const params = new Map<string, string>();
  for (const { name, bytes } of fieldsOf(encoded)) {
    const value = utf8Of(bytes);
    if (value === undefined) throw refusal(400, 20400, `The '${name}' parameter is not encoded UTF-8.`);
    if (value === "") continue;
    if (params.has(name) && !REPEATED.has(name))
      throw refusal(400, 20400, `The '${name}' parameter was given twice.`);
    params.set(name, value);
  }
  return params;
}

const REPEATED = new Set(["MediaUrl", "PersistentAction", "Tags"]);
