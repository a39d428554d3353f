// /v1/templates: the customer's stored texts. POST makes one, or a new version of one; GET lists them, or
// shows one; DELETE removes one. What a send makes of them is in ../templated.ts.

import { type Static, type TObject, Type } from "typebox";
import { TEMPLATE_CHARS_MAX, TEMPLATE_ID_CHARS_MAX } from "../../core/batch-limits.ts";
import { type FieldError, SluiceError } from "../../core/errors.ts";
import { textProblem } from "../../core/parts.ts";
import { TEMPLATE_ID } from "../../core/template.ts";
import type { KeyOwner } from "../../customers/api-keys.ts";
import {
  addVersion,
  createTemplate,
  deleteTemplate,
  findTemplate,
  listTemplates,
  type StoredTemplate,
  type TemplateVersion,
} from "../../customers/templates.ts";
import type { Pool } from "../../platform/mysql.ts";
import type { OfCustomer } from "../../platform/pool-shares.ts";
import { repeatable } from "../../platform/repeatable.ts";
import { type CursorValues, type Query, readParams } from "../../reports/params.ts";
import type { About } from "../about.ts";
import { type Call, type Route, route } from "../route.ts";
import { closed, Cursor, Time } from "../shapes.ts";
import { TemplateId } from "../templated.ts";

export type TemplateDeps = {
  /** For changes, which lock the customer's row. */
  schedule: OfCustomer<{ pool: Pool }>;
  reads: OfCustomer<{ pool: Pool }>;
};

const Text = Type.String({
  minLength: 1,
  maxLength: TEMPLATE_CHARS_MAX,
  description: "`{name}` stands for the parameter of that name",
});
const VersionShape = {
  version: Type.Integer({ minimum: 1 }),
  text: Type.String(),
  parameters: Type.Array(Type.String(), { description: "their names, in the order of the text" }),
  created_at: Time,
};
const Version = Type.Object(VersionShape, closed);
const Shown = Type.Object({ id: TemplateId, ...VersionShape }, closed);
const Whole = Type.Object({ id: TemplateId, versions: Type.Array(Version, { minItems: 1 }) }, closed);
const List = Type.Object({ templates: Type.Array(Shown), next_cursor: Cursor }, closed);
const Deleted = Type.Object({ deleted: Type.Literal(true), id: TemplateId }, closed);

const VERSION_EXAMPLE = {
  version: 1,
  text: "Hello {name}, your order {order} is on its way",
  parameters: ["name", "order"],
  created_at: "2026-09-21T14:13:20.000Z",
};
const EXAMPLE = { id: "order-shipped", ...VERSION_EXAMPLE };
const PATH: About["path"] = {
  id: { schema: TemplateId, description: "of the template", example: EXAMPLE.id },
};

const shownVersion = ({
  version,
  text,
  parameters,
  createdAtMs,
}: TemplateVersion): Static<typeof Version> => ({
  version,
  text,
  parameters: [...parameters],
  created_at: new Date(createdAtMs).toISOString(),
});
const shown = (template: StoredTemplate): Static<typeof Shown> => ({
  id: template.id,
  ...shownVersion(template),
});

/** @throws SluiceError validation_failed */
function check(text: string, id?: string): void {
  const errors: FieldError[] = [];
  if (id !== undefined && !TEMPLATE_ID.test(id)) {
    const reason = "must be letters, digits, dots, dashes and underscores, and begin with a letter or digit";
    errors.push({ field: "id", reason });
  }
  const problem = textProblem(text);
  if (problem !== null) errors.push({ field: "text", reason: problem });
  if (errors.length > 0) throw new SluiceError("validation_failed", { errors });
}

/** @throws SluiceError not_found */
function idOf<B extends TObject | null>({ params: { id = "" } }: Call<"send" | "read", B>): string {
  if (id.length > TEMPLATE_ID_CHARS_MAX || !TEMPLATE_ID.test(id)) throw new SluiceError("not_found");
  return id;
}

export const createTemplateRoutes = (deps: TemplateDeps): Route[] => [...changing(deps), ...reading(deps)];

const changing = ({ schedule }: TemplateDeps): Route[] => [
  route({
    method: "POST",
    path: "/v1/templates",
    access: "send",
    query: [],
    body: Type.Object({ id: TemplateId, text: Text }, closed),
    answers: { 201: Shown },
    errors: ["template_exists", "outcome_unknown"],
    about: {
      operationId: "createTemplate",
      tag: "Templates",
      summary: "Store a text with parameters",
      description:
        "`id` is the customer's own name for it. A repeat with the same text changes nothing and gets the " +
        "same answer. Every process knows a new template or version within 2 s.",
      body: { id: EXAMPLE.id, text: EXAMPLE.text },
      answers: { 201: EXAMPLE },
    },
    async handle({ owner, body }) {
      check(body.text, body.id);
      const { customerId } = owner;
      const made = await repeatable(createTemplate(schedule(customerId).pool, customerId, body));
      return { status: 201, body: shown(made) };
    },
  }),
  route({
    method: "POST",
    path: "/v1/templates/:id/versions",
    access: "send",
    query: [],
    body: Type.Object({ text: Text }, closed),
    answers: { 201: Shown },
    errors: ["not_found", "outcome_unknown"],
    about: {
      operationId: "addTemplateVersion",
      tag: "Templates",
      summary: "Give a template a new text, as its next version",
      description:
        "Sends that name no version use it from then on; the versions before it stay. The text that is the " +
        "newest already makes no new version.",
      path: PATH,
      body: { text: "Dear {name}, your order {order} is on its way" },
      answers: { 201: { ...EXAMPLE, version: 2, text: "Dear {name}, your order {order} is on its way" } },
    },
    async handle(call) {
      const { body, owner } = call;
      check(body.text);
      const { customerId } = owner;
      const given = { id: idOf(call), text: body.text };
      const made = await repeatable(addVersion(schedule(customerId).pool, customerId, given));
      return { status: 201, body: shown(made) };
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/templates/:id",
    access: "send",
    query: [],
    body: null,
    answers: { 200: Deleted },
    errors: ["not_found", "outcome_unknown"],
    about: {
      operationId: "deleteTemplate",
      tag: "Templates",
      summary: "Delete a template with all its versions",
      repeatable: false, // it is not found again
      description: "What was accepted with it is sent as it was accepted.",
      path: PATH,
      answers: { 200: { deleted: true, id: EXAMPLE.id } },
    },
    async handle(call) {
      const id = idOf(call);
      const { customerId } = call.owner;
      await repeatable(deleteTemplate(schedule(customerId).pool, customerId, id), false);
      return { status: 200, body: { deleted: true as const, id } };
    },
  }),
];

/** The id of the last row of a page. */
const isPlace = ([id, ...others]: CursorValues): boolean =>
  typeof id === "string" && id.length <= TEMPLATE_ID_CHARS_MAX && TEMPLATE_ID.test(id) && others.length === 0;

async function list(pool: Pool, { customerId }: KeyOwner, query: Query): Promise<Static<typeof List>> {
  const params = readParams(query);
  const [limit, place] = [params.limit(), params.cursor(isPlace)];
  params.check();
  const after = String(place?.[0] ?? "");
  const found = await listTemplates(pool, { customerId, after, limit: limit + 1 });
  const last = found.length > limit ? found[limit - 1] : undefined;
  return {
    templates: found.slice(0, limit).map(shown),
    next_cursor: last === undefined ? null : params.nextCursor([last.id]),
  };
}

const reading = ({ reads }: TemplateDeps): Route[] => [
  route({
    method: "GET",
    path: "/v1/templates",
    access: "read",
    query: ["limit", "cursor"],
    body: null,
    answers: { 200: List },
    errors: [],
    about: {
      operationId: "listTemplates",
      tag: "Templates",
      summary: "The templates at their newest versions, by id",
      answers: { 200: { templates: [EXAMPLE], next_cursor: null } },
    },
    handle: async ({ owner, query }) => ({
      status: 200,
      body: await list(reads(owner.customerId).pool, owner, query),
    }),
  }),
  route({
    method: "GET",
    path: "/v1/templates/:id",
    access: "read",
    query: [],
    body: null,
    answers: { 200: Whole },
    errors: ["not_found"],
    about: {
      operationId: "getTemplate",
      tag: "Templates",
      summary: "A template with all its versions, the newest first",
      path: PATH,
      answers: { 200: { id: EXAMPLE.id, versions: [VERSION_EXAMPLE] } },
    },
    async handle(call) {
      const id = idOf(call);
      const { customerId } = call.owner;
      const versions = await findTemplate(reads(customerId).pool, customerId, id);
      return { status: 200, body: { id, versions: versions.map(shownVersion) } };
    },
  }),
];
