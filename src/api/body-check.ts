// Checks whether a body matches its schema, and if not, why. The fast check is compiled once; reasons are
// only worked out after it has failed. Leaves checks beyond the shape (phones, texts, money) to others.
// Invariant: null for an optional field means that it is absent, as in this API's answers, and is removed
// before a route sees the body.

import type { Static, TObject, TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { Settings } from "typebox/system";
import { type FieldError, fieldName, SluiceError } from "../core/errors.ts";
import { FIELD_ERRORS_MAX } from "../core/limits.ts";

// typebox stops at 8 errors by default, and a union counts as one for each of its values.
Settings.Set({ maxErrors: 4 * FIELD_ERRORS_MAX });

/** Fields that are required, unless the other one is given. */
export type Unless = Readonly<Record<string, string>>;

/** Returns a function that returns the body as the schema's type, or throws validation_failed. */
export function checkerOf<S extends TObject>(schema: S, unless: Unless = {}): (body: unknown) => Static<S> {
  const pairs = Object.entries(unless);
  const compiled = Compile(schema);
  const fields = Object.keys(schema.properties);
  const nullable = optionalOf(schema);
  const lists = listsOf(schema);
  return (body) => {
    if (isObject(body)) {
      for (const name of nullable) if (body[name] === null) delete body[name];
      for (const list of lists) withoutNulls(body[list.name], list.nullable);
    }
    const lacks = isObject(body) && pairs.some((pair) => isLacking(body, pair));
    if (!lacks && compiled.Check(body)) return body;
    const errors = isObject(body)
      ? [
          ...fieldErrors(compiled.Errors(onlyKnown(body, fields))),
          ...pairs.filter((pair) => isLacking(body, pair)).map(lackingField),
          ...unknownFields(body, fields),
        ]
      : [{ field: "body", reason: "must be a JSON object" }];
    throw new SluiceError("validation_failed", { errors: errors.slice(0, FIELD_ERRORS_MAX) });
  };
}

const isLacking = (body: Record<string, unknown>, [field, other]: readonly [string, string]): boolean =>
  body[field] === undefined && body[other] === undefined;

const lackingField = ([field, other]: readonly [string, string]): FieldError => ({
  field,
  reason: `is required, or ${other}`,
});

function optionalOf({ properties, required }: TObject): string[] {
  // Left out by typebox if every field is optional.
  const needed = (required as readonly string[] | undefined) ?? [];
  return Object.keys(properties).filter((name) => !needed.includes(name));
}

type ListOfObjects = { name: string; nullable: readonly string[] };

/** The fields that are lists of objects of which something may be absent. */
function listsOf({ properties }: TObject): ListOfObjects[] {
  return Object.entries(properties).flatMap(([name, field]) => {
    const items = (field as { items?: TSchema }).items as TObject | undefined;
    const nullable = items?.properties === undefined ? [] : optionalOf(items);
    return nullable.length === 0 ? [] : [{ name, nullable }];
  });
}

function withoutNulls(list: unknown, nullable: readonly string[]): void {
  if (!Array.isArray(list)) return;
  for (const item of list as unknown[])
    if (isObject(item)) for (const name of nullable) if (item[name] === null) delete item[name];
}

type SchemaError = { keyword: string; instancePath: string; params: object; message: string };

const isObject = (body: unknown): body is Record<string, unknown> =>
  typeof body === "object" && body !== null && !Array.isArray(body);

// Removes unknown fields before typebox lists the errors: they would use up its maximum number of errors.
const onlyKnown = (body: Record<string, unknown>, fields: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(body).filter(([name]) => fields.includes(name)));

const unknownFields = (body: Record<string, unknown>, fields: readonly string[]): FieldError[] =>
  Object.keys(body)
    .filter((name) => !fields.includes(name))
    .slice(0, FIELD_ERRORS_MAX)
    .map((name) => ({
      field: fieldName(name),
      reason: `is not a field of this request (${fields.join(", ")})`,
    }));

// One reason per field, the first that typebox gives.
function fieldErrors(found: Iterable<SchemaError>): FieldError[] {
  const reasons = new Map<string, string>();
  for (const error of found) {
    const field = error.instancePath.slice(1).split("/").map(fieldName).join(".");
    const params = error.params as Record<string, unknown>;
    if (error.keyword === "required") {
      const before = error.instancePath === "" ? "" : `${field}.`;
      for (const name of params.requiredProperties as string[])
        reasons.set(`${before}${name}`, "is required");
    } else if (!reasons.has(field)) reasons.set(field, reasonOf(error.keyword, params, error));
  }
  return [...reasons].map(([field, reason]) => ({ field, reason }));
}

function reasonOf(keyword: string, params: Record<string, unknown>, error: SchemaError): string {
  switch (keyword) {
    case "type":
      return `must be ${TYPES[params.type as keyof typeof TYPES] ?? `a ${String(params.type)}`}`;
    case "enum":
      return `must be one of ${(params.allowedValues as unknown[]).map((v) => JSON.stringify(v)).join(", ")}`;
    case "minLength":
      return params.limit === 1
        ? "must not be empty"
        : `must have at least ${String(params.limit)} characters`;
    case "minItems":
      return "must not be empty";
    case "maxItems":
      return `must have at most ${String(params.limit)} entries`;
    case "additionalProperties":
      return "has a member that it must not have";
    case "maxLength":
      return `must have at most ${String(params.limit)} characters`;
    case "minimum":
      return `must be at least ${String(params.limit)}`;
    case "format":
      return "must be RFC 3339 with seconds and an offset, such as 2026-01-31T09:30:00+03:30";
    case "maximum":
      return `must be at most ${String(params.limit)}`;
    default:
      return error.message;
  }
}

const TYPES = { integer: "a whole number", object: "a JSON object", array: "an array" };
