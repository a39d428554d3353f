// Prints typebox's schemas, which are JSON Schema 2020-12, as the document shows them: shapes that routes
// share as references, answers open for members to come, bodies in which null means absent. A schema's
// `documented` are keywords that the document says and the check of a body leaves to its route, which has
// better words for them. Leaves to the operations which schemas there are.

import type { TObject, TSchema } from "typebox";
import { Currency, Cursor, CustomerId, Money, Phone, Sum, Time, Ulid } from "../shapes.ts";

export type Json = Record<string, unknown>;
/** What operations share; filled while they are printed. */
export type Components = { schemas: Json; responses: Json };

const SHAPES: Readonly<Record<string, TSchema>> = {
  Money,
  Sum,
  Currency,
  Ulid,
  CustomerId,
  Time,
  Phone,
  Cursor,
};
const NAMES = new Map<unknown, string>(Object.entries(SHAPES).map(([name, schema]) => [schema, name]));
/** The pattern of typebox's records with any string as a name. */
const ANY_NAME = "^.*$";

export const refTo = (kind: string, name: string): Json => ({ $ref: `#/components/${kind}/${name}` });

/** `open`: also allows members that it doesn't name. */
export function printSchema(schema: TSchema, open = false): Json {
  return print(schema, open) as Json;
}

/** As a body may be: what is optional may be null, as src/api/body-check.ts reads it. */
export const printBody = (schema: TObject): Json => withNulls(printSchema(schema));

function withNulls(schema: Json): Json {
  const { properties, required = [] } = schema as { properties?: Record<string, Json>; required?: string[] };
  if (properties === undefined) return schema;
  const fields = Object.entries(properties).map(([name, field]) => {
    const { items } = field as { items?: Json };
    const inner = items === undefined ? field : { ...field, items: withNulls(items) };
    return [name, required.includes(name) ? inner : orNull(inner)];
  });
  return { ...schema, properties: Object.fromEntries(fields) as Json };
}

function orNull({ description, ...schema }: Json): Json {
  const anyOf = [schema, { type: "null" }];
  return description === undefined ? { anyOf } : { anyOf, description };
}

/** The shapes themselves, by the names under which others refer to them. */
export const printShapes = (): Json =>
  // A copy isn't found among the names, so it is printed in full.
  Object.fromEntries(Object.entries(SHAPES).map(([name, schema]) => [name, printSchema({ ...schema })]));

function print(value: unknown, open: boolean): unknown {
  if (Array.isArray(value)) return value.map((each) => print(each, open));
  if (typeof value !== "object" || value === null) return value;
  const name = NAMES.get(value);
  if (name !== undefined) return refTo("schemas", name);
  return usual(
    Object.fromEntries(Object.entries(value).map(([key, each]) => [key, print(each, open)])),
    open,
  );
}

/** The forms that generators of clients know: maps by additionalProperties, enumerations with a type. */
function usual({ patternProperties, documented, ...known }: Json, open: boolean): Json {
  const schema: Json = { ...known, ...(documented as Json | undefined) };
  if (open && schema.additionalProperties === false) delete schema.additionalProperties;
  const values = (patternProperties as Json | undefined)?.[ANY_NAME];
  if (values !== undefined) return { ...schema, additionalProperties: values };
  const isOfStrings = Array.isArray(schema.enum) && schema.enum.every((each) => typeof each === "string");
  return isOfStrings ? { type: "string", ...schema } : schema;
}

/** `sendMessage` and `rate_limited` as names of types: `SendMessage`, `RateLimited`. */
export const typeName = (name: string): string =>
  name.replaceAll(/(?:^|_)(\w)/g, (_, first: string) => first.toUpperCase());
