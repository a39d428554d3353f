// GET, POST and DELETE /v1/opt-outs: the phones that don't want the customer's messages. Those that said so
// themselves, by a message to one of its numbers, are among them.

import { type Static, Type } from "typebox";
import { SluiceError } from "../../core/errors.ts";
import { NUMBER_CHARS_MAX } from "../../core/inbound-limits.ts";
import { FROM_CHARS_MAX, PHONE_CHARS_MAX } from "../../core/limits.ts";
import { EVERY_SENDER, OPT_OUT_SOURCES, senderKey, senderKeys } from "../../core/opt-out.ts";
import { senderProblem } from "../../core/parts.ts";
import { parsePhone } from "../../core/phone.ts";
import type { KeyOwner } from "../../customers/api-keys.ts";
import { addOptOut, listOptOuts, type OptOut, removeOptOuts } from "../../ledger/opt-outs.ts";
import type { Pool } from "../../platform/mysql.ts";
import type { OfCustomer } from "../../platform/pool-shares.ts";
import { repeatable } from "../../platform/repeatable.ts";
import { type CursorValues, type Query, readParams } from "../../reports/params.ts";
import { type Route, route } from "../route.ts";
import { closed, Count, Cursor, OrNull, Phone, Time } from "../shapes.ts";

export type OptOutDeps = {
  /** For writes; reads go by `reads`. */
  schedule: OfCustomer<{ pool: Pool }>;
  reads: OfCustomer<{ pool: Pool }>;
};

const Row = Type.Object(
  {
    phone: Phone,
    sender: OrNull(Type.String({ description: "a send's `from`, folded; null: every sender" })),
    source: Type.Enum(OPT_OUT_SOURCES),
    created_at: Time,
  },
  closed,
);
const Added = Type.Object(
  {
    phone: Type.String({ minLength: 1, maxLength: PHONE_CHARS_MAX, description: "written as in a send" }),
    sender: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: FROM_CHARS_MAX,
        description: "only of messages with this `from`; of all the customer's messages if absent",
      }),
    ),
  },
  closed,
);
const EXAMPLE = {
  phone: "+989127654321",
  sender: "3000123",
  source: "inbound",
  created_at: "2026-09-21T14:13:20.123Z",
} as const;

const shown = ({ phone, sender, source, createdAtMs }: OptOut): Static<typeof Row> => ({
  phone,
  sender: sender === EVERY_SENDER ? null : sender,
  source,
  created_at: new Date(createdAtMs).toISOString(),
});

export const createOptOutRoutes = (deps: OptOutDeps): Route[] => [
  createList(deps),
  createAdd(deps),
  createRemove(deps),
];

const createList = ({ reads }: OptOutDeps): Route =>
  route({
    method: "GET",
    path: "/v1/opt-outs",
    access: "read",
    query: ["phone", "sender", "limit", "cursor"],
    body: null,
    answers: { 200: Type.Object({ opt_outs: Type.Array(Row), next_cursor: Cursor }, closed) },
    errors: [],
    about: {
      operationId: "listOptOuts",
      tag: "Opt-outs",
      summary: "The phones that opted out, by number",
      answers: { 200: { opt_outs: [EXAMPLE], next_cursor: null } },
    },
    handle: async ({ owner, query }) => ({
      status: 200,
      body: await list(reads(owner.customerId).pool, owner, query),
    }),
  });

/** The phone and sender of the last row of a page. */
const isPlace = (values: CursorValues): boolean =>
  values.length === 2 && values.every((one) => typeof one === "string" && one.length <= NUMBER_CHARS_MAX);

async function list(pool: Pool, { customerId, region }: KeyOwner, query: Query) {
  const params = readParams(query);
  const [phone, from] = [params.phone(region), params.sender()];
  const [limit, place] = [params.limit(), params.cursor(isPlace)];
  params.check();
  const after = place === null ? null : { phone: String(place[0]), sender: String(place[1]) };
  const senders = from === null ? null : senderKeys(senderKey(from), region);
  const found = await listOptOuts(pool, { customerId, phone, senders, after, limit: limit + 1 });
  const last = found.length > limit ? found[limit - 1] : undefined;
  return {
    opt_outs: found.slice(0, limit).map(shown),
    next_cursor: last === undefined ? null : params.nextCursor([last.phone, last.sender]),
  };
}

const createAdd = ({ schedule }: OptOutDeps): Route =>
  route({
    method: "POST",
    path: "/v1/opt-outs",
    access: "send",
    query: [],
    body: Added,
    answers: { 200: Row },
    errors: ["outcome_unknown"],
    about: {
      operationId: "addOptOut",
      tag: "Opt-outs",
      summary: "Send no more messages to a phone",
      description: `Within 2 s sends to it are refused before any charge (422, \`phone\`); what is scheduled
is canceled and refunded. A repeat has no effect and gets the same answer. A message without \`from\` is
refused if its phone opted out of any sender, because its operator chooses one.`,
      body: { phone: "+989127654321", sender: "3000123" },
      answers: { 200: { ...EXAMPLE, source: "api" } },
    },
    async handle({ owner, body }) {
      const optOut = { ...keyOf(body, owner), source: "api" } as const;
      const { pool } = schedule(owner.customerId);
      return { status: 200, body: shown(await repeatable(addOptOut(pool, optOut))) };
    },
  });

function keyOf({ phone, sender }: Static<typeof Added>, { customerId, region }: KeyOwner) {
  const parsed = parsePhone(phone, region);
  const problem = sender === undefined ? null : senderProblem(sender);
  const errors = [
    ...("reason" in parsed ? [{ field: "phone", reason: parsed.reason }] : []),
    ...(problem === null ? [] : [{ field: "sender", reason: problem }]),
  ];
  if (errors.length > 0 || "reason" in parsed) throw new SluiceError("validation_failed", { errors });
  return { customerId, phone: parsed.e164, sender: sender === undefined ? EVERY_SENDER : senderKey(sender) };
}

const createRemove = ({ schedule }: OptOutDeps): Route =>
  route({
    method: "DELETE",
    path: "/v1/opt-outs",
    access: "send",
    query: ["phone", "sender"],
    body: null,
    answers: { 200: Type.Object({ removed: Count }, closed) },
    errors: ["outcome_unknown"],
    about: {
      operationId: "removeOptOut",
      tag: "Opt-outs",
      summary: "Send messages to a phone again",
      repeatable: false, // the phone may have opted out anew
      description: `\`phone\` is required. Without \`sender\` all opt-outs of the phone end, those that it
asked for itself too. \`removed\` says how many there were.`,
      needs: ["phone"],
      answers: { 200: { removed: 1 } },
    },
    async handle({ owner: { customerId, region }, query }) {
      const params = readParams(query);
      const [phone, from] = [params.phone(region), params.sender()];
      if (!query.has("phone")) params.fail("phone", "is required");
      params.check();
      const sender = from === null ? null : senderKey(from);
      const optOuts = { customerId, phone: phone ?? "", sender, region };
      const removed = await repeatable(removeOptOuts(schedule(customerId).pool, optOuts), false);
      return { status: 200, body: { removed } };
    },
  });
