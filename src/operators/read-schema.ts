// Reads a tree of YAML as a schema asks for it: returns the value with defaults and secrets filled in, and
// adds a fault for everything that is not as the schema says, each at its own place. typebox's own list of
// errors has no places and stops after some; here it only decides about single values.
// Invariant: what is returned without a new fault is a value of the schema. A fault shows no value of the
// file, which may be a secret in the wrong place.

import type { TSchema } from "typebox";
import { Value } from "typebox/value";
import { findSecret, type SecretSource } from "./secret.ts";
import type { Entry, Place, Tree } from "./yaml-tree.ts";

/** What reading needs besides the tree; collects the faults. */
export type Reading = SecretSource & { fault: (at: Place, path: string, what: string) => undefined };

/** The keywords of JSON Schema that these schemas use. `errorMessage` says what a text must be, in words. */
export type Keywords = {
  type?: string;
  properties?: Record<string, TSchema>;
  required?: readonly string[];
  patternProperties?: Record<string, TSchema>;
  items?: TSchema;
  anyOf?: readonly TSchema[];
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  minProperties?: number;
  minLength?: number;
  maxLength?: number;
  enum?: readonly unknown[];
  const?: string;
  minimum?: number;
  maximum?: number;
  default?: unknown;
  writeOnly?: boolean;
  /** Not of JSON Schema: any value of YAML, of whatever depth. */
  anything?: boolean;
  description?: string;
  errorMessage?: string;
};

/** Undefined where there is a fault; the caller then has nothing to use. */
export function readAs(reading: Reading, schema: TSchema, tree: Tree, path: string): unknown {
  const words = schema as Keywords;
  if (words.anything === true) return plain(tree);
  if (tree.kind === "value" && tree.value === null) {
    reading.fault(tree, path, `has no value: it ${wanted(words)}, or remove the line`);
    return undefined;
  }
  if (words.writeOnly === true) return readSecret(reading, schema, tree, path);
  // Of one of several types, such as a word or a map, or a text or a number.
  const isMap = tree.kind === "map";
  const some = words.anyOf?.filter((each) => ((each as Keywords).type === "object") === isMap);
  const one = some?.find((each) => tree.kind === "value" && Value.Check(each, tree.value)) ?? some?.[0];
  if (one !== undefined)
    return readAs(reading, isMap ? one : { ...one, errorMessage: wanted(words) }, tree, path);
  if (words.type === "object") return readMap(reading, words, tree, path);
  if (words.type === "array") return readList(reading, words, tree, path);
  if (tree.kind === "value" && Value.Check(schema, tree.value)) return tree.value;
  const isUnquoted = words.type === "string" && tree.kind === "value" && typeof tree.value !== "string";
  reading.fault(tree, path, wanted(words) + (isUnquoted ? ", in quotes" : ""));
  return undefined;
}

/** The fields of a map by the properties of its schema. */
function readFields(reading: Reading, words: Keywords, tree: Tree & { kind: "map" }, path: string): unknown {
  const { properties = {}, required = [] } = words;
  refuseUnknown(reading, Object.keys(properties), tree, path);
  const fields: [string, unknown][] = [];
  for (const [name, schema] of Object.entries(properties)) {
    const entry = tree.entries.get(name);
    const own = schema as Keywords;
    if (entry !== undefined) fields.push([name, readAs(reading, schema, entry.value, join(path, name))]);
    else if (own.default !== undefined) fields.push([name, own.default]);
    else if (required.includes(name)) reading.fault(tree, join(path, name), `is missing: it ${wanted(own)}`);
  }
  return Object.fromEntries(fields);
}

export function refuseUnknown(
  reading: Reading,
  known: readonly string[],
  tree: Tree & { kind: "map" },
  path: string,
): void {
  for (const [name, { key }] of tree.entries)
    if (!known.includes(name))
      reading.fault(key, join(path, name), `is not a field here; the fields are ${known.join(", ")}`);
}

export const join = (path: string, name: string): string => (path === "" ? name : `${path}.${name}`);

function readMap(reading: Reading, words: Keywords, tree: Tree, path: string): unknown {
  if (tree.kind !== "map") return reading.fault(tree, path, wanted(words));
  const [named] = Object.entries(words.patternProperties ?? {});
  if (named === undefined) return readFields(reading, words, tree, path);
  const [pattern, each] = named;
  for (const [name, { key }] of tree.entries)
    if (!new RegExp(pattern).test(name))
      reading.fault(key, join(path, name), `is no name that can be here: it must match ${pattern}`);
  if (tree.entries.size < (words.minProperties ?? 0)) reading.fault(tree, path, wanted(words));
  const read = ([name, { value }]: [string, Entry]) => [name, readAs(reading, each, value, join(path, name))];
  return Object.fromEntries([...tree.entries].map(read));
}

function readList(reading: Reading, words: Keywords, tree: Tree, path: string): unknown {
  const { items, minItems = 0, maxItems = Number.POSITIVE_INFINITY } = words;
  if (tree.kind !== "list" || items === undefined) return reading.fault(tree, path, wanted(words));
  const { length } = tree.items;
  if (length < minItems || length > maxItems) reading.fault(tree, path, wanted(words));
  const values = tree.items.map((item, n) => readAs(reading, items, item, `${path}[${n}]`));
  if (words.uniqueItems === true)
    for (const [n, value] of values.entries())
      if (value !== undefined && values.indexOf(value) < n)
        reading.fault(tree.items[n] as Tree, `${path}[${n}]`, "is in the list already: remove it");
  return values;
}

function readSecret(reading: Reading, schema: TSchema, tree: Tree, path: string): string | undefined {
  const kept = plain(tree);
  if (!Value.Check(schema, kept)) {
    reading.fault(tree, path, "must be {env: NAME} or {file: PATH}; a secret is never in this file itself");
    return undefined;
  }
  const found = findSecret(kept as unknown as { env: string } | { file: string }, reading);
  if ("problem" in found) return reading.fault(tree, path, found.problem);
  const { maxLength = Number.POSITIVE_INFINITY } = schema as Keywords;
  if (found.secret.length > maxLength)
    return reading.fault(tree, path, `the secret has more than ${maxLength} characters`);
  return found.secret;
}

/** The tree without its places. */
function plain(tree: Tree): unknown {
  if (tree.kind === "value") return tree.value;
  if (tree.kind === "list") return tree.items.map(plain);
  return Object.fromEntries([...tree.entries].map(([name, { value }]) => [name, plain(value)]));
}

/** What a value must be, for a person: "must be a whole number from 1 to 1000". */
export function wanted(words: Keywords): string {
  if (words.errorMessage !== undefined) return words.errorMessage;
  if (words.writeOnly === true) return "must be {env: NAME} or {file: PATH}";
  if (words.enum !== undefined) return `must be one of ${words.enum.map(String).join(", ")}`;
  if (words.const !== undefined) return `must be ${words.const}`;
  switch (words.type) {
    case "integer":
      return `must be a whole number${range(words)}`;
    case "boolean":
      return "must be true or false";
    case "array":
      return `must be a list${counted(words.minItems, words.maxItems)}`;
    case "object":
      return `must be a map of names and values${counted(words.minProperties)}`;
    case undefined:
    default:
      return `must be text${textRange(words)}`;
  }
}

function textRange({ minLength = 0, maxLength }: Keywords): string {
  if (maxLength === undefined) return "";
  return ` of ${minLength > 0 ? `${minLength} to` : "at most"} ${maxLength} characters`;
}

function range({ minimum, maximum }: Keywords): string {
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`;
  return minimum === undefined ? "" : `, at least ${minimum}`;
}

function counted(least: number | undefined, most?: number): string {
  if (least === undefined) return most === undefined ? "" : ` of at most ${most}`;
  return most === undefined ? ` of at least ${least}` : ` of ${least} to ${most}`;
}
