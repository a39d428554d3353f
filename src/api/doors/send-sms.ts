// The door for clients of the gateway that answers /send-sms, /balance/{user_id} and
// /message-status/{message_id}: JSON, without a newline at the end. docs/doors/send-sms.md says what differs.
// Invariant: the client names its messages: the same message_id is sent once within the day that idempotency
// keys are kept; afterwards it is a new message, sent and charged again.

import { type ErrorCode, type FieldError, SluiceError } from "../../core/errors.ts";
import type { Status } from "../../core/message.ts";
import type { KeyOwner, Scope } from "../../customers/api-keys.ts";
import { findKeyOwner } from "../../ledger/idempotency.ts";
import type { Pool } from "../../platform/mysql.ts";
import type { OfCustomer } from "../../platform/pool-shares.ts";
import { doorMessage, recentMessages } from "../../reports/door-messages.ts";
import { readWallet } from "../../reports/wallet.ts";
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
import { PeerRefusal, signIn, UUID } from "./door.ts";
import { send, type SendingDeps } from "./sending.ts";

export type SendSmsDeps = SendingDeps & { reads: OfCustomer<{ pool: Pool }> };

export function createSendSmsDoor(deps: SendSmsDeps): DoorRoute[] {
  const routes = [
    ["POST", "/send-sms", sendSms],
    ["GET", "/balance/:user", balance],
    ["GET", "/message-status/:message", messageStatus],
  ] as const;
  return routes.map(([method, path, answer]) =>
    doorRoute({ method, path, refusal: refusalOf, answer: (knock) => answer(deps, knock) }),
  );
}

// ---- who calls ----

const isUser = ({ customerId }: KeyOwner, user: string): boolean =>
  user.toLowerCase() === customerUuid(customerId);

const caller = (deps: SendSmsDeps, knock: Knock, scope: Scope): Promise<KeyOwner> =>
  signIn(deps.callers, knock, headerCredentials(knock.request), scope, isUser);

/** @throws PeerRefusal unless this is a UUID, and that of the customer */
function holdOwn(user: unknown, owner: KeyOwner): void {
  if (!isUuid(user)) throw refusal(400, "invalid user_id format (must be UUID)");
  if (!isUser(owner, user)) throw refusal(404, "user not found");
}

const isUuid = (value: unknown): value is string => typeof value === "string" && UUID.test(value);

// ---- routes ----

async function sendSms(deps: SendSmsDeps, knock: Knock): Promise<Written> {
  const owner = await caller(deps, knock, "send");
  const body = jsonOf(knock);
  if (body === undefined) throw refusal(400, "invalid JSON payload");
  const { user_id, message_id, phone_number: phone, message: text } = body;
  holdOwn(user_id, owner);
  const name = messageNameOf(message_id);
  if (typeof phone !== "string") throw refusal(400, "invalid phone number");
  if (typeof text !== "string" || text.trim() === "") throw refusal(400, "invalid message content");
  const terms = { lane: "normal", from: null, validForMs: null, callbackUrl: null } as const;
  const sending = {
    arrival: knock,
    owner,
    asked: JSON.stringify(["send-sms", phone, text]),
    inputs: () => [{ ...terms, phone, text, reference: name }],
    refused: ([error]: readonly FieldError[]) =>
      refusal(400, error?.field === "phone" ? "invalid phone number" : "invalid message content"),
    status: 200,
    headers: HEADERS,
    answerOf: () => JSON.stringify({ message_id: name, status: "pending" }),
  };
  return send(deps, sending, name);
}

async function balance(deps: SendSmsDeps, knock: Knock): Promise<Written> {
  const owner = await caller(deps, knock, "read");
  holdOwn(knock.params.user, owner);
  const wallet = await readWallet(deps.reads(owner.customerId), owner.customerId);
  return written(200, { balance: wallet.balance });
}

async function messageStatus(deps: SendSmsDeps, knock: Knock): Promise<Written> {
  const { customerId } = await caller(deps, knock, "read");
  const name = messageNameOf(knock.params.message);
  return written(200, { status: WORDS[await statusOf(deps, customerId, name)] });
}

/** As a key it is found for a day, then as the reference of one of the customer's last messages. */
async function statusOf(deps: SendSmsDeps, customerId: number, name: string): Promise<Status> {
  const reads = deps.reads(customerId);
  const id = await findKeyOwner(reads.pool, { customerId, operation: "send", key: name });
  if (id !== null) return (await doorMessage(reads, customerId, id)).status;
  const named = { reference: name, id: null };
  const [found] = await recentMessages(reads, customerId, { statuses: null, named });
  if (found === undefined) throw new SluiceError("not_found");
  return found.status;
}

function messageNameOf(value: unknown): string {
  if (!isUuid(value)) throw refusal(400, "invalid message_id format (must be UUID)");
  return value.toLowerCase();
}

const WORDS: Readonly<Record<Status, string>> = {
  scheduled: "pending",
  queued: "pending",
  sending: "pending",
  unknown: "pending",
  sent: "sent",
  delivered: "sent",
  undelivered: "sent",
  failed: "failed",
  rejected: "rejected",
  expired: "failed",
  canceled: "failed",
};

// ---- answers ----

const HEADERS = { "content-type": "application/json; charset=utf-8" };

const written = (status: number, value: unknown): Written => ({
  status,
  body: JSON.stringify(value),
  headers: HEADERS,
});

const refusal = (status: number, error: string): PeerRefusal => new PeerRefusal(written(status, { error }));

type Said = readonly [status: number, error: string];
const NOT_PAID: Said = [402, "insufficient balance"];
const SAID: Partial<Record<ErrorCode, Said>> = {
  insufficient_balance: NOT_PAID,
  spend_cap_reached: NOT_PAID,
  idempotency_key_reused: [400, "duplicate message_id"],
  not_found: [404, "message not found"],
  internal: [500, "unavailable"],
  rate_limited: [429, "server busy"],
  overloaded: [503, "server busy"],
  idempotency_in_progress: [409, "server busy"],
};

function refusalOf({ code, status, detail }: SluiceError): Written {
  const said = SAID[code];
  if (said !== undefined) return written(said[0], { error: said[1] });
  const refused = written(status, { error: status === 503 ? "unavailable" : detail });
  return { ...refused, headers: { ...refused.headers, ...challengeOf(status) } };
}
