// docs/reference/routes.schema.json: the JSON Schema of the routes file, for editors and other programs. The
// same schema as the one that the file is read by, but what has a default is not required of an author.

import { fileURLToPath } from "node:url";
import { ROUTES_SCHEMA } from "../operators/routes-file.ts";

export const ROUTES_SCHEMA_FILE = fileURLToPath(
  new URL("../../docs/reference/routes.schema.json", import.meta.url),
);

export function routesSchema(): string {
  const schema = {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Sluice's operators and routes",
    $comment: "Written by `bun src/main/docs.ts` from src/operators/; change the schema there instead.",
    ...(asAuthored(ROUTES_SCHEMA) as object),
  };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

type Properties = Record<string, { default?: unknown }>;

function asAuthored(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(asAuthored);
  if (typeof schema !== "object" || schema === null) return schema;
  const { properties, required } = schema as { properties?: Properties; required?: unknown };
  const fields = Object.entries(schema).map(([name, value]) => {
    if (name !== "required" || !Array.isArray(required)) return [name, asAuthored(value)];
    return [name, required.filter((each: string) => properties?.[each]?.default === undefined)];
  });
  return Object.fromEntries(fields);
}
