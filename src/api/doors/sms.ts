// The door for clients of the gateway that answers /sms/send, /sms/history, /balance and /balance/add: JSON,
// with a newline at the end. docs/doors/sms.md says what differs.
// Invariant: a customer named in a request is the key's own.
// Bounds: BATCH_MESSAGES_MAX receivers, LIST_LIMIT_MAX rows of a list.

import { randomUUID } from "node:crypto";
import { BATCH_MESSAGES_MAX } from "../../core/batch-limits.ts";
import { type FieldError, sentenceOf, SluiceError } from "../../core/errors.ts";
import { ulidOfHex, ulidUuid } from "../../core/id.ts";
import { LIST_LIMIT_MAX, REQUEST_ID_CHARS_MAX } from "../../core/limits.ts";
import type { Lane, Status } from "../../core/message.ts";
import { MONEY_MAX } from "../../core/money.ts";
import type { KeyOwner, Scope } from "../../customers/api-keys.ts";
import type { Pool } from "../../platform/mysql.ts";
import type { OfCustomer } from "../../platform/pool-shares.ts";
import { type RecentMessage, recentMessages } from "../../reports/door-messages.ts";
import { type LedgerEntry, readLedger, readWallet } from "../../reports/wallet.ts";
import { givenKey } from "../idempotency-key.ts";
import type { Written } from "../route.ts";
import type { TopUps } from "../top-ups.ts";
import {
  challengeOf,
  type DoorRoute,
  doorRoute,
  headerCredentials,
  isCustomerId,
  type Knock,
} from "./door.ts";
import { jsonOf, PeerRefusal, renamed, signIn, UUID } from "./door.ts";
import { fieldsOf, queryOf, utf8Of } from "./fields.ts";
import { send, type SendingDeps } from "./sending.ts";

export type SmsDeps = SendingDeps & { reads: OfCustomer<{ pool: Pool }>; topUps: TopUps };

export function createSmsDoor(deps: SmsDeps): DoorRoute[] {
  const routes = [
    ["POST", "/sms/send", sendSms],
    ["GET", "/sms/history", history],
    ["GET", "/balance", balance],
    ["POST", "/balance/add", addBalance],
  ] as const;
  return routes.map(([method, path, answer]) =>
    doorRoute({ method, path, refusal: refusalOf, answer: (knock) => answer(deps, knock) }),
  );
}

// ---- who calls ----

const caller = (deps: SmsDeps, knock: Knock, scope: Scope): Promise<KeyOwner> =>
  signIn(deps.callers, knock, headerCredentials(knock.request), scope, isCustomerId);

/** Of a body; one that names nobody is the key's own. */
function holdOwn(given: unknown, { customerId }: KeyOwner): void {
  if (given === undefined) return;
  if (!Number.isSafeInteger(given)) throw refusal(400, INVALID);
  if (given !== customerId) throw refusal(403, "not your customer");
}

// ---- routes ----

async function sendSms(deps: SmsDeps, knock: Knock): Promise<Written> {
  const owner = await caller(deps, knock, "send");
  const { customer_id, text, recipients, type } = bodyOf(knock);
  if (typeof text !== "string") throw refusal(400, INVALID);
  if (recipients === undefined || recipients === null || (Array.isArray(recipients) && !recipients.length))
    throw refusal(400, "zero recipients");
  if (!areStrings(recipients)) throw refusal(400, INVALID);
  holdOwn(customer_id, owner);
  const lane: Lane = type === "express" ? "express" : "normal";
  if (recipients.length > BATCH_MESSAGES_MAX)
    throw unsendable([{ field: "recipients", reason: `must have at most ${BATCH_MESSAGES_MAX} entries` }]);
  // The history finds the messages of a request by it.
  const reference = randomUUID();
  const terms = { text, lane, from: null, reference, validForMs: null, callbackUrl: null };
  const inputs = recipients.map((phone) => ({ ...terms, phone }));
  return send(deps, {
    arrival: knock,
    owner,
    asked: JSON.stringify(["sms", text, recipients, lane]),
    inputs: () => inputs,
    refused: (errors, input) => {
      const place = `recipients.${inputs.findIndex((one) => one === input)}`;
      return unsendable(errors.map((e) => (e.field === "phone" ? { ...e, field: place } : e)));
    },
    status: 200,
    headers: HEADERS,
    answerOf: () => line({ sms_identifier: reference, status: "processing" }),
  });
}

async function history(deps: SmsDeps, knock: Knock): Promise<Written> {
  const owner = await caller(deps, knock, "read");
  const query = queryFor(knock, owner);
  const status = query.get("status");
  const statuses = status === undefined ? null : FILTERS.get(status);
  if (statuses === undefined) throw refusal(400, INVALID);
  const identifier = query.get("sms_identifier")?.toLowerCase();
  const named =
    identifier === undefined
      ? null
      : { reference: identifier, id: ulidOfHex(identifier.replaceAll("-", "")) };
  const found = await recentMessages(deps.reads(owner.customerId), owner.customerId, { statuses, named });
  const rows = found.map((message) => rowOf(message, owner));
  return written(200, { history: rows.length === 0 ? null : rows });
}

async function balance(deps: SmsDeps, knock: Knock): Promise<Written> {
  const owner = await caller(deps, knock, "read");
  queryFor(knock, owner);
  const reads = deps.reads(owner.customerId);
  const wallet = await readWallet(reads, owner.customerId);
  const limit = new Map([["limit", String(LIST_LIMIT_MAX)]]);
  const { entries } = await readLedger(reads, owner.customerId, limit);
  const rows = entries.flatMap(transactionOf);
  return written(200, { balance: wallet.balance, transactions: rows.length === 0 ? null : rows });
}

/** Apart from the request_ids of the API's own top-ups. */
const REQUEST_PREFIX = "sms:";

async function addBalance(deps: SmsDeps, knock: Knock): Promise<Written> {
  const owner = await caller(deps, knock, "billing");
  const { user_id, balance: amount } = bodyOf(knock);
  if (!Number.isSafeInteger(amount)) throw refusal(400, INVALID);
  if ((amount as number) < 1 || (amount as number) > MONEY_MAX) throw refusal(400, INVALID);
  holdOwn(user_id, owner);
  const key = givenKey(knock.request);
  if (key === null) throw refusal(400, "Idempotency-Key is required");
  const requestId = REQUEST_PREFIX + key;
  if (requestId.length > REQUEST_ID_CHARS_MAX) throw refusal(400, "Idempotency-Key is too long");
  const { customerId } = owner;
  await deps.topUps({ customerId, amount: amount as number, requestId, kept: null, isGone: knock.isGone });
  return written(200, "done");
}

// ---- requests ----

const INVALID = "invalid input";

function bodyOf(knock: Knock): Record<string, unknown> {
  const body = jsonOf(knock);
  if (body === undefined) throw refusal(400, INVALID);
  return body;
}

const areStrings = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((one) => typeof one === "string");

/** The parameters of a GET, which names the customer. @throws PeerRefusal */
function queryFor({ request }: Knock, owner: KeyOwner): ReadonlyMap<string, string> {
  const query = new Map<string, string>();
  for (const { name, bytes } of fieldsOf(queryOf(request.url))) {
    const value = utf8Of(bytes);
    if (value === undefined) throw refusal(400, INVALID);
    if (value !== "" && !query.has(name)) query.set(name, value);
  }
  const user = query.get("user_id");
  if (user === undefined) throw refusal(400, "user_id is required");
  if (!/^\d+$/.test(user)) throw refusal(400, INVALID);
  if (!isCustomerId(owner, user)) throw refusal(404, "not found");
  return query;
}

// ---- what is shown ----

const WORDS: Readonly<Record<Status, string>> = {
  scheduled: "pending",
  queued: "pending",
  sending: "sending",
  unknown: "sending",
  sent: "done",
  delivered: "done",
  undelivered: "done",
  failed: "failed",
  rejected: "failed",
  expired: "failed",
  canceled: "failed",
};
const FILTERS: ReadonlyMap<string, readonly Status[]> = Map.groupBy(
  Object.keys(WORDS) as Status[],
  (status) => WORDS[status],
);

function rowOf(message: RecentMessage, { customerId }: KeyOwner): object {
  const { id, reference } = message;
  return {
    created_at: new Date(message.createdAtMs).toISOString(),
    provider: message.operator ?? "",
    recipient: message.phone,
    sms_identifier: reference !== null && UUID.test(reference) ? reference : ulidUuid(id),
    status: WORDS[message.status],
    type: message.lane,
    updated_at: new Date(message.updatedAtMs).toISOString(),
    user_id: customerId,
  };
}

/** A capture moves no money of the wallet: its message was paid for by the reserve. */
function transactionOf({ op, amount, entry_id, message_id, request_id }: LedgerEntry): object[] {
  const shown = (Amount: number, TransactionType: string, Description: string) => [
    { Amount, TransactionType, Description, transaction_id: ulidUuid(entry_id) },
  ];
  switch (op) {
    case "topup":
      return shown(amount, "deposit", `top-up ${request_id ?? ""}`);
    case "reserve":
      return shown(-amount, "withdrawal", `message ${message_id ?? ""}`);
    case "refund":
      return shown(amount, "Corrective", `refund of message ${message_id ?? ""}`);
    case "adjust_up":
      return shown(amount, "Corrective", "adjustment");
    case "adjust_down":
      return shown(-amount, "Corrective", "adjustment");
    case "capture":
      return [];
  }
}

// ---- answers ----

const HEADERS = { "content-type": "application/json" };

const line = (value: unknown): string => `${JSON.stringify(value)}\n`;

const written = (status: number, value: unknown): Written => ({
  status,
  body: line(value),
  headers: HEADERS,
});

const refusal = (status: number, message: string): PeerRefusal =>
  new PeerRefusal(written(status, { message }));

const unsendable = (errors: readonly FieldError[]): SluiceError =>
  new SluiceError("validation_failed", { errors });

/** Acceptance, which may still refuse a phone, doesn't say which one. */
const NAMES = { phone: "recipients", amount: "balance" };

function refusalOf({ code, status, detail, errors }: SluiceError): Written {
  if (status === 402) return written(status, { message: "dont have Not Enough Balance " });
  if (code === "internal") return written(status, { message: "internal error" });
  if (code === "validation_failed") {
    const named = renamed(errors, NAMES);
    return written(status, { errors: named, message: sentenceOf(named) });
  }
  // A top-up of the API has a request_id.
  if (code === "topup_conflict")
    return written(status, { message: "Idempotency-Key was used with another balance" });
  const refused = written(status, { message: detail });
  return { ...refused, headers: { ...refused.headers, ...challengeOf(status) } };
}
