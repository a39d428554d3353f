// Prints clients/typescript/types.ts from the OpenAPI document: the types of the operations that customers
// call, of what goes into them and comes out of them, and of every problem. Written by `bun
// src/main/docs.ts`, and compared by its test, so the client can't know another API than this one.
// Leaves out what isn't JSON, such as lists in another `format`, because the client reads nothing else, and
// what needs no key, which is not for customers' programs.

import { fileURLToPath } from "node:url";
import { openApi } from "../api/openapi/document.ts";
import { CODES, problemName } from "../api/openapi/problems.ts";
import type { Json } from "../api/openapi/schemas.ts";
import { declaredRoutes } from "../api/table.ts";

export const CLIENT_TYPES = fileURLToPath(new URL("../../clients/typescript/types.ts", import.meta.url));

type Named = Record<string, Json>;
type Media = Record<string, { schema: Json }>;
type Parameter = { name?: string; in?: string; required?: boolean; schema?: Json; $ref?: string };
type Operation = {
  operationId: string;
  summary: string;
  security: Named[];
  parameters: Parameter[];
  requestBody?: { content: Media };
  responses: Record<string, { content?: Media }>;
};
type Document = { paths: Record<string, Named>; components: { schemas: Named } };
type Found = Operation & { method: string; path: string };

/** The whole file. @throws Error for a schema that it can't print */
export function clientTypes(): string {
  const routes = declaredRoutes();
  const document = openApi(routes) as unknown as Document;
  const once = routes.filter(({ about }) => about.repeatable === false).map(({ about }) => about.operationId);
  const { schemas } = document.components;
  const operations = operationsOf(document.paths);
  const problems = CODES.map((code) => `  ${code}: ${problemName(code)};`);
  const types = operations.map(operationType);
  const names = namedIn([...types, ...problems].join("\n"), schemas);
  return [
    "// Written by `bun src/main/docs.ts` from the OpenAPI document; change the routes of src/api/ instead.",
    "",
    ...names.map((name) => declaration(name, schemas[name] as Json)),
    "/** The problem document of each code. */",
    `export type Problems = {\n${problems.join("\n")}\n};`,
    "",
    "/** What each operation takes and answers, by its operationId. */",
    `export type Operations = {\n${types.join("\n")}\n};`,
    "",
    "/** `keyed`: takes an Idempotency-Key. `repeatable`: a repeat of what took effect does no harm. */",
    `export const OPERATIONS = {\n${operations.map((each) => entry(each, once)).join("\n")}\n} as const;`,
    "",
  ].join("\n");
}

const declaration = (name: string, schema: Json): string =>
  `${comment(schema, "")}export type ${name} = ${typeOf(schema, "")};\n`;

function operationsOf(paths: Record<string, Named>): Found[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .map(([method, operation]) => ({ ...(operation as unknown as Operation), method, path }))
      .filter(({ security, responses }) => {
        const needsKey = security.some((one) => one.apiKey !== undefined);
        return needsKey && answersOf(responses).length > 0;
      }),
  );
}

const jsonOf = (content: Media | undefined): Json | undefined => content?.["application/json"]?.schema;

const answersOf = (responses: Operation["responses"]): Json[] =>
  Object.entries(responses).flatMap(([status, { content }]) => {
    const schema = jsonOf(content);
    return status.startsWith("2") && schema !== undefined ? [schema] : [];
  });

const isKeyed = ({ parameters }: Operation): boolean =>
  parameters.some(({ $ref }) => $ref?.endsWith("/Idempotency-Key") === true);

/** `once`: the operations that are not repeatable. */
function entry(operation: Found, once: readonly string[]): string {
  const { operationId, path } = operation;
  const method = operation.method.toUpperCase();
  const flags = `keyed: ${isKeyed(operation)}, repeatable: ${!once.includes(operationId)}`;
  return `  ${operationId}: { method: "${method}", path: "${path}", ${flags} },`;
}

function operationType(operation: Found): string {
  const { operationId, summary, parameters, requestBody, responses } = operation;
  const members = ["path", "query"].flatMap((place) => {
    const fields = parameters.filter((one) => one.in === place && one.name !== "format");
    if (fields.length === 0) return [];
    const mark = (needed: boolean) => (needed ? "" : "?");
    const types = fields.map(
      ({ name, required = false, schema = {} }) => `${name}${mark(required)}: ${typeOf(schema, "")}`,
    );
    return [`${place}${mark(fields.some(({ required }) => required))}: { ${types.join("; ")} };`];
  });
  const body = jsonOf(requestBody?.content);
  if (body !== undefined) members.push(`body: ${typeOf(body, "")};`);
  members.push(
    `answer: ${answersOf(responses)
      .map((each) => typeOf(each, ""))
      .join(" | ")};`,
  );
  const lines = members.map((each) => `    ${each}`).join("\n");
  return `  /** ${summary}. */\n  ${operationId}: {\n${lines}\n  };`;
}

/** The schemas that a text names, and those that these name, in the document's order. */
function namedIn(text: string, schemas: Named): string[] {
  const found = new Set<string>();
  const look = (within: string) => {
    for (const [name] of within.matchAll(/\b[A-Z]\w+\b/g))
      if (schemas[name] !== undefined && !found.has(name)) {
        found.add(name);
        look(typeOf(schemas[name], ""));
      }
  };
  look(text);
  return Object.keys(schemas).filter((name) => found.has(name));
}

const JOINED = [
  ["anyOf", " | "],
  ["oneOf", " | "],
  ["allOf", " & "],
] as const;

/** `indent`: of the line that the type begins on. @throws Error */
function typeOf(schema: Json, indent: string): string {
  const { $ref, type, properties, additionalProperties, items } = schema;
  if (typeof $ref === "string") return $ref.slice($ref.lastIndexOf("/") + 1);
  if ("const" in schema) return JSON.stringify(schema.const);
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  // What an object's members must be together is more than a type says.
  for (const [word, sign] of properties === undefined ? JOINED : [])
    if (Array.isArray(schema[word]))
      return (schema[word] as Json[]).map((each) => typeOf(each, indent)).join(sign);
  switch (type) {
    case "integer":
    case "number":
      return "number";
    case "string":
    case "boolean":
    case "null":
      return type;
    case "array":
      return `Array<${typeOf((items ?? {}) as Json, indent)}>`;
    case "object":
      if (properties !== undefined) return objectOf(schema, indent);
      return `Record<string, ${typeOf((additionalProperties ?? {}) as Json, indent)}>`;
    case undefined:
      return "unknown";
    default:
      throw new Error(`no TypeScript for the type ${JSON.stringify(type)}`);
  }
}

function objectOf({ properties, required }: Json, indent: string): string {
  const needed = (required ?? []) as string[];
  const inner = `${indent}  `;
  const fields = Object.entries(properties as Named).map(([name, schema]) => {
    const mark = needed.includes(name) ? "" : "?";
    return `${comment(schema, inner)}${inner}${name}${mark}: ${typeOf(schema, inner)};`;
  });
  return `{\n${fields.join("\n")}\n${indent}}`;
}

const comment = ({ description }: Json, indent: string): string =>
  typeof description === "string" ? `${indent}/** ${description.replaceAll(/\s+/g, " ")} */\n` : "";
