// Bodies that name a template instead of a text: their fields, and the text that they mean. A body without
// one pays a comparison; a template that is known costs no query.

import { Type } from "typebox";
import { TEMPLATE_ID_CHARS_MAX, TEMPLATE_VERSIONS_MAX } from "../core/batch-limits.ts";
import type { FieldError } from "../core/errors.ts";
import { type Template, TEMPLATE_ID, type Values } from "../core/template.ts";
import type { KeyOwner } from "../customers/api-keys.ts";
import type { TemplateCache } from "../customers/templates.ts";

export const TemplateId = Type.String({
  minLength: 1,
  maxLength: TEMPLATE_ID_CHARS_MAX,
  description: "letters, digits, dots, dashes and underscores",
  documented: { pattern: TEMPLATE_ID.source },
});
export const TemplateName = Type.Optional({
  ...TemplateId,
  description: "the id of a template, instead of `text`",
});
export const TemplateVersionNumber = Type.Optional(
  Type.Integer({
    minimum: 1,
    maximum: TEMPLATE_VERSIONS_MAX,
    description: "of the template; its newest one if absent",
  }),
);
export const Parameters = Type.Record(Type.String(), Type.String(), {
  description: "what stands for each `{name}` of the template",
});

/** What a body says of its text. */
export type Templated = { text?: string; template?: string; template_version?: number; parameters?: unknown };

/** What is wrong with the fields together: a template and its parameters are instead of a text. */
export function templatedErrors({ text, template, template_version, parameters }: Templated): FieldError[] {
  const others = { template_version, parameters };
  if (template !== undefined)
    return text === undefined ? [] : [{ field: "template", reason: "can't be given together with text" }];
  return Object.entries(others).flatMap(([field, value]) =>
    value === undefined ? [] : [{ field, reason: "is only for a template" }],
  );
}

/** The template that a body names; `errors`: why there is none. */
export async function namedTemplate(
  templates: TemplateCache,
  owner: KeyOwner,
  { template, template_version: version }: Templated,
): Promise<Template | { errors: FieldError[] }> {
  const id = template as string;
  const found = TEMPLATE_ID.test(id) ? await templates.find(owner, id, version) : null;
  if (found !== null) return found;
  const isKnown = version !== undefined && TEMPLATE_ID.test(id) && (await templates.find(owner, id)) !== null;
  return {
    errors: [
      isKnown
        ? { field: "template_version", reason: "is no version of this template" }
        : { field: "template", reason: "is no template of this customer" },
    ],
  };
}

/** The text of a body that names a template or has anything of one, or everything that is wrong with that. */
export async function textOf(
  templates: TemplateCache,
  owner: KeyOwner,
  body: Templated & { parameters?: Values },
): Promise<{ text: string } | { errors: FieldError[] }> {
  const errors = templatedErrors(body);
  if (errors.length > 0) return { errors };
  const named = await namedTemplate(templates, owner, body);
  return "errors" in named ? named : named.fill(body.parameters ?? {});
}
