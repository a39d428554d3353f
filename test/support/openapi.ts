// Checks an OpenAPI 3.1 document as tools read it: each object has only fields that the specification knows
// for it, and those that it requires; each reference resolves; schemas are JSON Schema 2020-12. Only the
// objects that the document uses are known here, so another kind is a finding until it is added.

import { Check, Meta } from "typebox/schema";

export type Json = Record<string, unknown>;
export type Finding = string;

type Shape = { must: readonly string[]; fields: Readonly<Record<string, string>> };
/** `{x}` is a map of x by any name, `[x]` a list; `any` is data. The others are objects of this table. */
const OBJECTS: Readonly<Record<string, Shape>> = {
  document: {
    must: ["openapi", "info", "paths"],
    fields: {
      openapi: "string",
      info: "info",
      servers: "[server]",
      tags: "[tag]",
      paths: "{path}",
      components: "components",
    },
  },
  info: { must: ["title", "version"], fields: { title: "string", version: "string", description: "string" } },
  server: { must: ["url"], fields: { url: "string", description: "string" } },
  tag: { must: ["name"], fields: { name: "string", description: "string" } },
  path: {
    must: [],
    fields: {
      get: "operation",
      post: "operation",
      put: "operation",
      patch: "operation",
      delete: "operation",
    },
  },
  operation: {
    must: ["operationId", "summary", "security", "responses"],
    fields: {
      operationId: "string",
      tags: "[string]",
      summary: "string",
      description: "string",
      security: "[any]",
      parameters: "[parameter]",
      requestBody: "requestBody",
      responses: "{response}",
    },
  },
  parameter: {
    must: ["name", "in", "description", "schema", "example"],
    fields: {
      name: "string",
      in: "string",
      required: "boolean",
      description: "string",
      style: "string",
      explode: "boolean",
      schema: "schema",
      example: "any",
    },
  },
  requestBody: { must: ["content"], fields: { required: "boolean", content: "{mediaType}" } },
  mediaType: { must: ["schema"], fields: { schema: "schema", example: "any", examples: "{example}" } },
  response: {
    must: ["description", "headers"],
    fields: { description: "string", headers: "{header}", content: "{mediaType}", links: "{link}" },
  },
  link: { must: ["operationId", "parameters"], fields: { operationId: "string", parameters: "{any}" } },
  header: {
    must: ["description", "schema", "example"],
    fields: { description: "string", required: "boolean", schema: "schema", example: "any" },
  },
  example: { must: ["summary", "value"], fields: { summary: "string", value: "any" } },
  components: {
    must: [],
    fields: {
      schemas: "{schema}",
      responses: "{response}",
      parameters: "{parameter}",
      examples: "{example}",
      headers: "{header}",
      securitySchemes: "{securityScheme}",
    },
  },
  securityScheme: {
    must: ["type"],
    fields: { type: "string", in: "string", name: "string", scheme: "string", description: "string" },
  },
};

/** Every keyword of JSON Schema 2020-12, by what it holds. */
const HOLD_SCHEMA = [
  ..."additionalProperties contains contentSchema else if items not propertyNames then".split(" "),
  ..."unevaluatedItems unevaluatedProperties".split(" "),
];
const HOLD_SCHEMAS = "allOf anyOf oneOf prefixItems".split(" ");
const HOLD_NAMED = "$defs dependentSchemas patternProperties properties".split(" ");
const HOLD_DATA = [
  ..."$anchor $comment $dynamicAnchor $dynamicRef $id $ref $schema $vocabulary".split(" "),
  ..."const contentEncoding contentMediaType default dependentRequired deprecated description".split(" "),
  ..."enum examples exclusiveMaximum exclusiveMinimum format maxContains maximum maxItems".split(" "),
  ..."maxLength maxProperties minContains minimum minItems minLength minProperties multipleOf".split(" "),
  ..."pattern readOnly required title type uniqueItems writeOnly".split(" "),
];
// The catalogue of errors also has those that only the edge answers.
const USED_BY_NAME = new Set(["schemas", "examples", "securitySchemes"]);
const META = Meta["https://json-schema.org/draft/2020-12/schema"];

/** Everything that is wrong with the document, each with its place. */
export const findingsOf = (document: Json): Finding[] => [
  ...ofKind(document, "document", "#", document),
  ...ofComponents(document),
];

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function ofKind(value: unknown, kind: string, at: string, root: Json): Finding[] {
  if (kind === "any") return [];
  if (kind === "string" || kind === "boolean")
    return typeof value === kind && value !== "" ? [] : [`${at} must be a ${kind}`];
  const inner = kind.slice(1, -1);
  if (kind.startsWith("[")) {
    if (!Array.isArray(value)) return [`${at} must be a list`];
    return value.flatMap((each: unknown, n) => ofKind(each, inner, `${at}/${n}`, root));
  }
  if (!isObject(value)) return [`${at} must be an object`];
  if (kind.startsWith("{"))
    return Object.entries(value).flatMap(([name, each]) => ofKind(each, inner, `${at}/${name}`, root));
  if (kind === "schema") return ofSchema(value, at, root);
  if (value.$ref !== undefined) return ofReference(value, kind, at, root);
  return ofObject(value, kind, at, root);
}

function ofObject(value: Json, kind: string, at: string, root: Json): Finding[] {
  const { must, fields } = OBJECTS[kind] as Shape;
  const missing = must.filter((name) => !Object.hasOwn(value, name)).map((name) => `${at} has no ${name}`);
  const inner = Object.entries(value).flatMap(([name, each]) => {
    const field = fields[name];
    return field === undefined ? [`${at} must not have ${name}`] : ofKind(each, field, `${at}/${name}`, root);
  });
  const hasNone = value.example === undefined && value.examples === undefined;
  if (kind === "mediaType" && hasNone) missing.push(`${at} has no example`);
  if (value.example !== undefined && value.examples !== undefined) missing.push(`${at} has both examples`);
  return [...missing, ...inner];
}

function ofReference(value: Json, kind: string, at: string, root: Json): Finding[] {
  const place = `#/components/${kind}s/`;
  const ref = String(value.$ref);
  const wrong = Object.keys(value).length === 1 ? [] : [`${at} has fields beside its $ref`];
  if (!ref.startsWith(place)) wrong.push(`${at} must refer to ${place}`);
  if (resolve(ref, root) === undefined) wrong.push(`${at} refers to nothing: ${ref}`);
  return wrong;
}

function ofSchema(schema: Json, at: string, root: Json): Finding[] {
  if (schema.$ref !== undefined) return ofReference(schema, "schema", at, root);
  const found: Finding[] = Check(META, schema) ? [] : [`${at} is not a schema`];
  for (const [word, value] of Object.entries(schema)) {
    const place = `${at}/${word}`;
    const all = HOLD_SCHEMAS.includes(word)
      ? Object.entries(value as Json[])
      : HOLD_NAMED.includes(word)
        ? Object.entries(value as Json)
        : [];
    for (const [name, each] of all) found.push(...ofKind(each, "schema", `${place}/${name}`, root));
    if (HOLD_SCHEMA.includes(word) && typeof value !== "boolean")
      found.push(...ofKind(value, "schema", place, root));
    if (![...HOLD_SCHEMA, ...HOLD_SCHEMAS, ...HOLD_NAMED, ...HOLD_DATA].includes(word))
      found.push(`${at} has the unknown keyword ${word}`);
  }
  return found;
}

function ofComponents(root: Json): Finding[] {
  const text = JSON.stringify(root);
  const found: Finding[] = [];
  for (const [kind, named] of Object.entries((root.components ?? {}) as Record<string, Json>))
    for (const name of Object.keys(named)) {
      const at = `#/components/${kind}/${name}`;
      if (!/^[\w.-]+$/.test(name)) found.push(`${at} is no name for a component`);
      if (!USED_BY_NAME.has(kind) && !text.includes(`"${at}"`)) found.push(`${at} is not used`);
    }
  return found;
}

/** What a reference within the document names; undefined if there is no such thing. */
export function resolve(ref: string, root: Json): unknown {
  let found: unknown = root;
  for (const name of ref.replace(/^#\//, "").split("/")) {
    if (!isObject(found) || !Object.hasOwn(found, name)) return undefined;
    found = found[name];
  }
  return found;
}

/** The value with everything that it refers to in place. */
export function expanded(value: unknown, root: Json): unknown {
  if (Array.isArray(value)) return value.map((each: unknown) => expanded(each, root));
  if (!isObject(value)) return value;
  if (typeof value.$ref === "string") return expanded(resolve(value.$ref, root), root);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, expanded(each, root)]));
}
