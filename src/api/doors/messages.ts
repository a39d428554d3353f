// The door for clients of the gateway that takes messages at POST /v1/messages and tells the credit at
// GET /v1/me: JSON, without a newline at the end. GET /v1/messages stays the API's own.
// docs/doors/messages.md says what differs.

import { type FieldError, sentenceOf, SluiceError } from "../../core/errors.ts";
import { ulidUuid } from "../../core/id.ts";
import { isReferenceLong, labelProblem } from "../../core/parts.ts";
import type { KeyOwner, Scope } from "../../customers/api-keys.ts";
import type { Pool } from "../../platform/mysql.ts";
import type { OfCustomer } from "../../platform/pool-shares.ts";
import { readWallet } from "../../reports/wallet.ts";
import { SECRET_MISSING } from "../options.ts";
import type { Written } from "../route.ts";
import {
  challengeOf,
  customerUuid,
  type DoorRoute,
  doorRoute,
  headerCredentials,
  jsonOf,
  type Knock,
} from "./door.ts";
import { PeerRefusal, renamed, signIn, UUID } from "./door.ts";
import { fieldsOf, queryOf, utf8Of } from "./fields.ts";
import { answer, HEADERS, type OtpDoorDeps, sendOtp } from "./messages-otp.ts";
import { send, type SendingDeps } from "./sending.ts";

export type MessagesDeps = SendingDeps & OtpDoorDeps & { reads: OfCustomer<{ pool: Pool }> };

export const createMessagesDoor = (deps: MessagesDeps): DoorRoute[] => [
  doorRoute({
    method: "POST",
    path: "/v1/messages",
    refusal: refusalOf,
    answer: (knock) => sendMessage(deps, knock),
  }),
  doorRoute({ method: "GET", path: "/v1/me", refusal: refusalOf, answer: (knock) => me(deps, knock) }),
];

const isClient = ({ customerId }: KeyOwner, client: string): boolean =>
  client.toLowerCase() === customerUuid(customerId);

const caller = (deps: MessagesDeps, knock: Knock, scope: Scope): Promise<KeyOwner> =>
  signIn(deps.callers, knock, headerCredentials(knock.request), scope, isClient);

/** A request may leave the client to the key. @throws PeerRefusal */
function holdOwn(client: unknown, owner: KeyOwner, invalid: string): void {
  if (client === undefined) return;
  if (typeof client !== "string" || !UUID.test(client)) throw refusal(400, invalid);
  if (!isClient(owner, client)) throw refusal(403, "not your client_id");
}

// ---- routes ----

const ACCEPTED = 202;

async function sendMessage(deps: MessagesDeps, knock: Knock): Promise<Written> {
  const owner = await caller(deps, knock, "send");
  const body = jsonOf(knock);
  if (body === undefined) throw refusal(400, "invalid request");
  holdOwn(body.client_id ?? undefined, owner, "invalid client_id");
  const isOtp = flagOf(body.otp);
  const [to, from, text] = [textOf(body.to), textOf(body.from), textOf(body.text)];
  if (to === null || (text === null && !isOtp)) throw refusal(400, "missing required fields");
  const reference = textOf(body.reference) ?? textOf(body.client_reference);
  if (reference !== null && (isReferenceLong(reference) || labelProblem(reference) !== null))
    throw refusal(400, "invalid request");
  const callbackUrl = textOf(body.dlr_callback_url);
  if (callbackUrl !== null && owner.webhook === undefined) throw unsendable([SECRET_MISSING]);
  const lane = flagOf(body.express) ? "express" : "normal";
  // Without a text: with the one of the peer. Codes always go by the express lane.
  if (text === null || isOtp) return sendOtp(deps, knock, owner, { to, from, text, reference, callbackUrl });
  const written = await send(deps, {
    arrival: knock,
    owner,
    asked: JSON.stringify(["messages", to, from, text, reference, callbackUrl, lane]),
    inputs: () => [{ phone: to, text, from, reference, lane, callbackUrl, validForMs: null }],
    refused: unsendable,
    status: ACCEPTED,
    headers: HEADERS,
    answerOf: ({ id }) => JSON.stringify({ message_id: ulidUuid(id), status: "QUEUED" }),
  });
  const isReplay = written.headers?.["Idempotent-Replayed"] !== undefined;
  return isReplay ? { ...written, status: 200 } : written;
}

async function me(deps: MessagesDeps, knock: Knock): Promise<Written> {
  const owner = await caller(deps, knock, "read");
  const given = fieldsOf(queryOf(knock.request.url)).find(({ name }) => name === "client_id");
  holdOwn(given === undefined ? undefined : (utf8Of(given.bytes) ?? ""), owner, "invalid client_id format");
  const { balance } = await readWallet(deps.reads(owner.customerId), owner.customerId);
  return answer(200, { credits: balance, id: customerUuid(owner.customerId) });
}

/** Null if it is absent or empty. @throws PeerRefusal */
function textOf(value: unknown): string | null {
  if (value === undefined || value === null || value === "") return null;
  if (typeof value !== "string") throw refusal(400, "invalid request");
  return value;
}

function flagOf(value: unknown): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value !== "boolean") throw refusal(400, "invalid request");
  return value;
}

// ---- answers ----

const refusal = (status: number, error: string): PeerRefusal => new PeerRefusal(answer(status, { error }));

const unsendable = (errors: readonly FieldError[]): SluiceError =>
  new SluiceError("validation_failed", { errors });

const NAMES = { phone: "to", callback_url: "dlr_callback_url" };

function refusalOf({ code, status, detail, errors, extra }: SluiceError): Written {
  if (status === 402) {
    // Where a spend cap is reached, the balance isn't what is missing, and left out.
    const { balance, required } = extra;
    return answer(status, { balance, error: "insufficient credits", required });
  }
  if (code === "internal") return answer(status, { error: "internal error" });
  const error = errors.length === 0 ? detail : sentenceOf(renamed(errors, NAMES));
  const refused = answer(status, { error });
  return { ...refused, headers: { ...refused.headers, ...challengeOf(status) } };
}
