// One message in the admin API, whosever it is: by its id, or by the id that its operator gave it.
// Invariant: no message's text is in an answer, for it may be a one-time code.

import { Type } from "typebox";
import { quotedIdKeys, storedId } from "../../operators/reports/matching.ts";
import { findByOperator, wholeMessage } from "../../reports/message-lookup.ts";
import { readParams } from "../../reports/params.ts";
import { MESSAGE_EXAMPLE, MessageShape } from "../message-shape.ts";
import { type Route, route } from "../route.ts";
import { MESSAGE_WITH_PAST_EXAMPLE, MessageWithPast } from "../routes/message.ts";
import { ENTRY_EXAMPLE, Entry } from "../routes/wallet-ledger.ts";
import { Delivery, DELIVERY_EXAMPLE } from "../routes/webhook-deliveries.ts";
import { closed, GivenUlid, OrNull, Time } from "../shapes.ts";
import type { GatewayDeps } from "./gateway.ts";

export const createMessageRoutes = (deps: GatewayDeps): Route[] => [findRoute(deps), showRoute(deps)];

const withoutUrl = <T extends { url: unknown }>({ url: _, ...rest }: T): Omit<T, "url"> => rest;
/** As its customer lists it, but for its URL. */
const Webhook = Type.Object(
  {
    ...withoutUrl(Delivery.properties),
    endpoint: OrNull(Type.String({ description: "the origin of its URL" })),
  },
  closed,
);
const WEBHOOK_EXAMPLE = { ...withoutUrl(DELIVERY_EXAMPLE), endpoint: null };
const Period = Type.Object({ from: Time, to: Time }, closed);

const findRoute = (deps: GatewayDeps): Route =>
  route({
    method: "GET",
    path: "/admin/v1/messages",
    access: "admin:read",
    query: ["operator", "operator_message_id", "from", "to"],
    body: null,
    answers: {
      200: Type.Object(
        { messages: Type.Array(Type.Object(MessageShape, closed)), reported: OrNull(Period) },
        closed,
      ),
    },
    errors: ["reports_unavailable"],
    about: {
      operationId: "findMessages",
      tag: "Messages",
      summary: "The messages to which an operator gave an id, newest first, at most 100",
      description:
        "The id may be that of any part, in decimal or hexadecimal, in any letter case. Submits are kept " +
        "for 38 days, but not where an operator's reports name our ids. Where none is found, the report is " +
        "asked for the id as it is written, of the messages accepted within `from` and `to`, the last 24 " +
        "hours unless they say otherwise; then `reported` has that period, and otherwise it is null.",
      needs: ["operator", "operator_message_id"],
      answers: { 200: { messages: [MESSAGE_EXAMPLE], reported: null } },
    },
    async handle({ query }) {
      const params = readParams(query);
      const [operator, quoted] = [params.operator(), params.operatorMessageId()];
      const [fromMs, toMs] = [params.time("from"), params.time("to")];
      for (const name of ["operator", "operator_message_id"])
        if (!query.has(name)) params.fail(name, "is required");
      if (fromMs !== null && fromMs >= (toMs ?? Date.now())) params.fail("from", "must be before `to`");
      params.check();
      const id = quoted ?? "";
      const [ids, keys] = [[id, storedId(id)], quotedIdKeys(id)];
      const found = await findByOperator(deps, { operator: operator ?? "", ids, keys, fromMs, toMs });
      return { status: 200, body: found };
    },
  });

const showRoute = (deps: GatewayDeps): Route =>
  route({
    method: "GET",
    path: "/admin/v1/messages/:id",
    access: "admin:read",
    query: [],
    body: null,
    answers: {
      200: Type.Object(
        { ...MessageWithPast, entries: Type.Array(Entry), webhooks: OrNull(Type.Array(Webhook)) },
        closed,
      ),
    },
    errors: ["not_found"],
    about: {
      operationId: "getMessage",
      tag: "Messages",
      summary: "One message, whosever it is, with all that happened to it",
      description:
        "As its customer sees it, without its text, with the entries of its money and what was told of it: " +
        "webhooks of the last 8 days, whose `endpoint` is null for the customer's own URL. `timeline`, " +
        "`steps` and `webhooks` are null while the reporting database is away.",
      path: { id: { schema: GivenUlid, description: "of the message", example: MESSAGE_EXAMPLE.id } },
      answers: {
        200: { ...MESSAGE_WITH_PAST_EXAMPLE, entries: [ENTRY_EXAMPLE], webhooks: [WEBHOOK_EXAMPLE] },
      },
    },
    handle: async ({ params }) => ({ status: 200, body: await wholeMessage(deps, params.id ?? "") }),
  });
