// Compares what a client is told of its request with what the model knows to be stored. Leaves refusals, keys
// and retries to clients.ts.
// Invariants checked here: what a 2xx names is stored as it was asked for, and belongs to one request only;
// the answer to a batch names exactly those of its messages that are stored.

import { hold } from "./hold.ts";
import type { Model } from "./model.ts";
import type { Request } from "./roles.ts";

type Fields = Record<string, unknown>;
type Asked = { text: string; reference: string };
/** What an answer says of a message. */
type Accepted = { id: string; cost: number; send_at?: string | undefined };
/** What a body says of all its messages. */
type Terms = { type: string; valid_for?: number; send_at?: string };
/** `owner`: the request, or, with a key, the key, which several requests may share. */
type Told = { request: Request; owner: string; fields: Fields; detail: () => string };

/** The reference of the message at this place of a batch. */
export const referenceIn = (batch: string, index: number): string => `${batch}/${index}`;
/** The batch to which a message of this reference belongs; null: it was sent alone. */
export const batchOf = (reference: string): string | null => /^(.*)\/\d+$/.exec(reference)?.[1] ?? null;

/** The function it returns compares the body of a 200 or 202. */
export function createAnswerCheck(model: Model): (told: Told) => void {
  const owners = new Map<string, string>();

  const checkMessage = ({ id, cost, send_at: at }: Accepted, asked: Asked, of: Terms, told: Told): void => {
    const { request, owner, detail } = told;
    const message = model.messages.get(id);
    hold(message !== undefined, "every 202 is stored", detail);
    const { values } = message;
    hold(
      values.text === asked.text &&
        values.reference === asked.reference &&
        values.lane === of.type &&
        (values.valid_until === null) === (of.valid_for === undefined),
      "what is stored is what was asked for",
      detail,
    );
    const atMs = at === undefined ? null : Date.parse(at);
    hold(atMs === message.firstSendAtMs, "a 202 says when what is scheduled is sent", detail);
    hold(message.customerId === request.owner.customerId, "keys and wallets are never shared", detail);
    hold(cost === message.cost, "a 202 says what it cost", detail);
    const known = owners.get(id);
    hold(known === undefined || known === owner, "each request has a message of its own", detail);
    owners.set(id, owner);
  };

  const checkBatch = (asked: Terms & { messages: Asked[] }, told: Told): void => {
    const { fields, detail } = told;
    const accepted = fields.accepted as (Accepted & { index: number })[];
    const rejected = fields.rejected as { index: number }[];
    const { send_at } = fields as Terms;
    for (const one of accepted)
      checkMessage(
        { ...one, send_at: one.send_at ?? send_at },
        asked.messages[one.index] as Asked,
        asked,
        told,
      );
    const areLater = accepted.every((one) => (one.send_at ?? send_at) !== undefined);
    hold(areLater === (fields.status === "scheduled"), "a 202 says whether all of it is scheduled", detail);
    const named = [...accepted, ...rejected].map(({ index }) => index);
    const isInOrder = [accepted, rejected].every((list) =>
      list.every(({ index }, at) => at === 0 || index > (list[at - 1]?.index ?? 0)),
    );
    hold(
      isInOrder && new Set(named).size === named.length && named.length === asked.messages.length,
      "an answer names each message of a batch once, in order",
      detail,
    );
    const cost = accepted.reduce((sum, each) => sum + each.cost, 0);
    hold(fields.cost === cost, "a 202 says what it cost", detail);
    const references = new Set(asked.messages.map(({ reference }) => reference));
    const stored = [...model.messages.values()].filter(({ reference }) => references.has(reference));
    hold(stored.length === accepted.length, "an answer names all of a batch that is stored", detail);
  };

  return (told) => {
    const { request, fields, detail } = told;
    const asked = JSON.parse(request.body.toString()) as unknown;
    if (request.route === "topup") {
      const { request_id, amount } = asked as { request_id: string; amount: number };
      const paid = model.topups.get(`${request.owner.customerId} ${request_id}`);
      hold(paid === amount && fields.amount === paid, "a top-up that is answered is stored", detail);
    } else if (request.route === "batch") checkBatch(asked as Terms & { messages: Asked[] }, told);
    else {
      const isLater = fields.send_at !== undefined;
      hold(isLater === (fields.status === "scheduled"), "a 202 says whether all of it is scheduled", detail);
      checkMessage(fields as Accepted, asked as Asked, asked as Terms, told);
    }
  };
}
