// The routes file: its schema, and reading it into operators and routes, or into everything that is wrong
// with it. Leaves text to yaml-tree.ts, single values to read-schema.ts, what fits together to
// check-routes.ts, the choice to route.ts. Every process that needs it reads it whole, at start and on SIGHUP
// (watch.ts).

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type TSchema, Type } from "typebox";
import { OPERATORS_MAX } from "../core/limits.ts";
import { checkRoutes, type RouteEntry } from "./check-routes.ts";
import {
  checkEntry,
  completed,
  KIND_NAMES,
  type Kind,
  type OperatorSpec,
  settingsOf,
} from "./connectors/kinds.ts";
import { withPlaceholders } from "./placeholders.ts";
import { join, type Keywords, readAs, type Reading, refuseUnknown, wanted } from "./read-schema.ts";
import { checkReports } from "./reports/settings.ts";
import type { NamedRoute } from "./route.ts";
import { lanes, NAME_PATTERN, NAME_WANTED, Name, prefixes, ROUTES_MAX, TERMS } from "./terms.ts";
import { type Entry, type Fault, FAULTS_MAX, FILE_BYTES_MAX, readTree, type Tree } from "./yaml-tree.ts";

export type RoutesFile = { operators: readonly OperatorSpec[]; routes: readonly NamedRoute[] };
/** Faults are in the order of their places. */
export type LoadedRoutes = { kind: "ok"; file: RoutesFile } | { kind: "bad"; faults: readonly Fault[] };
export type Environment = Readonly<Record<string, string | undefined>>;

const closed = { additionalProperties: false };

const KindName = Type.Enum(KIND_NAMES, { description: "the kind of its connector" });

const operatorOf = (kind: Kind): TSchema =>
  Type.Object(
    { kind: Type.Literal(kind, { description: `its connector` }), ...TERMS, ...settingsOf(kind) },
    closed,
  );

/** Of `routes`. One of `operators` and `split` is given. */
export const ROUTE = Type.Object(
  {
    prefixes: Type.Optional(
      prefixes({ description: "the numbers it decides; none: only a fallback of others" }),
    ),
    lanes: lanes("the lanes it decides"),
    operators: Type.Optional(
      Type.Array(Name, {
        minItems: 1,
        maxItems: OPERATORS_MAX,
        uniqueItems: true,
        description: "operators in the order in which they are asked",
      }),
    ),
    split: Type.Optional(
      Type.Record(Type.String(), Type.Integer({ minimum: 1, maximum: 100 }), {
        minProperties: 1,
        description: "operators and their shares in percent, to compare them",
      }),
    ),
    fallback: Type.Optional(
      Type.String({
        pattern: NAME_PATTERN,
        errorMessage: NAME_WANTED,
        description: "the route whose operators are asked when none of this one takes the message",
      }),
    ),
  },
  closed,
);

/** What is published as docs/reference/routes.schema.json, for editors. */
export const ROUTES_SCHEMA = Type.Object(
  {
    operators: Type.Record(Type.String({ pattern: NAME_PATTERN }), Type.Union(KIND_NAMES.map(operatorOf)), {
      ...closed,
      minProperties: 1,
      maxProperties: OPERATORS_MAX,
      description: "operators by name",
    }),
    routes: Type.Optional(
      Type.Record(Type.String({ pattern: NAME_PATTERN }), ROUTE, {
        ...closed,
        maxProperties: ROUTES_MAX,
        description: "exceptions from the operators' own terms, by name",
      }),
    ),
  },
  closed,
);

/** Reads the file. Never throws for what is in it; secrets and placeholders come from `env`. */
export const loadRoutes = (path: string, env: Environment): LoadedRoutes => loadWithBytes(path, env).loaded;

/** The same, with what was read; null if it can't be. */
export function loadWithBytes(
  path: string,
  env: Environment,
): { bytes: Uint8Array | null; loaded: LoadedRoutes } {
  const read = readBytes(path);
  if ("problem" in read)
    return {
      bytes: null,
      loaded: { kind: "bad", faults: [{ line: 1, column: 1, path: "", what: read.problem }] },
    };
  return { bytes: read.bytes, loaded: parseRoutes(read.bytes, { env, folder: dirname(resolve(path)) }) };
}

/** The same for those who can't go on without it. @throws Error that names every fault */
export function requireRoutes(path: string, env: Environment): { bytes: Uint8Array; file: RoutesFile } {
  const { bytes, loaded } = loadWithBytes(path, env);
  if (loaded.kind === "ok") return { bytes: bytes as Uint8Array, file: loaded.file };
  throw new Error(`the routes file can't be used:\n  ${faultLines(path, loaded.faults).join("\n  ")}`);
}

/** `folder`: where relative paths of secrets start. */
export function parseRoutes(
  bytes: Uint8Array,
  { env, folder }: { env: Environment; folder: string },
): LoadedRoutes {
  const read = readTree(bytes);
  if (read.kind === "bad") return read;
  const faults: Fault[] = [];
  const reading: Reading = {
    env,
    folder,
    fault: (at, path, what) => {
      faults.push({ line: at.line, column: at.column, path, what });
    },
  };
  const tree = withPlaceholders(reading, read.tree, "");
  const file = readFile(reading, tree);
  if (faults.length === 0 && file !== null) return { kind: "ok", file };
  const inOrder = faults.toSorted((a, b) => a.line - b.line || a.column - b.column);
  return { kind: "bad", faults: inOrder.slice(0, FAULTS_MAX) };
}

/** `routes.yaml:12:5 operators.A.price: what to do`, a line for each. */
export const faultLines = (path: string, faults: readonly Fault[]): string[] =>
  faults.map((f) => `${path}:${f.line}:${f.column} ${f.path === "" ? "" : `${f.path}: `}${f.what}`);

/** At most FILE_BYTES_MAX and one more. */
export function readBytes(path: string): { bytes: Uint8Array } | { problem: string } {
  try {
    const file = openSync(path, "r");
    try {
      if (!fstatSync(file).isFile()) return { problem: "is not a file" };
      // One byte more than is allowed, so that a longer file is refused without being read.
      const bytes = new Uint8Array(FILE_BYTES_MAX + 1);
      return { bytes: bytes.subarray(0, readSync(file, bytes, 0, bytes.length, 0)) };
    } finally {
      closeSync(file);
    }
  } catch (error) {
    return { problem: `can't be read (${(error as NodeJS.ErrnoException).code ?? "unknown"})` };
  }
}

function readFile(reading: Reading, tree: Tree): RoutesFile | null {
  if (tree.kind !== "map") {
    reading.fault(tree, "", "must be a map that begins with `operators:`");
    return null;
  }
  refuseUnknown(reading, Object.keys(ROUTES_SCHEMA.properties), tree, "");
  const operators = namedEntries(reading, tree, "operators", OPERATORS_MAX);
  const routes = tree.entries.has("routes") ? namedEntries(reading, tree, "routes", ROUTES_MAX) : [];
  const specs = operators.flatMap(([name, { value }]) => readOperator(reading, name, value) ?? []);
  const entries = routes.map(
    ([name, { key, value }]): RouteEntry => ({
      name,
      key,
      tree: value,
      fields: readAs(reading, ROUTE, value, `routes.${name}`) as RouteEntry["fields"],
    }),
  );
  const named = checkRoutes(reading, { specs, operatorNames: operators.map(([name]) => name), entries });
  return { operators: specs, routes: named };
}

function namedEntries(
  reading: Reading,
  tree: Tree & { kind: "map" },
  field: "operators" | "routes",
  most: number,
): [string, Entry][] {
  const entry = tree.entries.get(field);
  if (entry === undefined) {
    reading.fault(tree, field, "is missing: name at least one");
    return [];
  }
  const { value } = entry;
  if (value.kind !== "map" || value.entries.size === 0 || value.entries.size > most)
    reading.fault(value, field, `must be a map of 1 to ${most} ${field} by name`);
  if (value.kind !== "map") return [];
  for (const [name, { key }] of value.entries)
    if (!new RegExp(NAME_PATTERN).test(name))
      reading.fault(key, join(field, name), `its name ${NAME_WANTED}`);
  return [...value.entries].slice(0, most);
}

function readOperator(reading: Reading, name: string, tree: Tree): OperatorSpec | undefined {
  const path = `operators.${name}`;
  if (tree.kind !== "map") return reading.fault(tree, path, "must be a map of its settings");
  const given = tree.entries.get("kind");
  if (given === undefined)
    return reading.fault(tree, `${path}.kind`, `is missing: it ${wanted(KindName as Keywords)}`);
  const kind = readAs(reading, KindName, given.value, `${path}.kind`) as Kind | undefined;
  if (kind === undefined) return undefined;
  const reports = tree.entries.get("reports")?.value;
  if (reports !== undefined) checkReports(reading, reports, `${path}.reports`, kind);
  checkEntry(kind, reading, tree, path);
  return completed({ name, ...(readAs(reading, operatorOf(kind), tree, path) as object) } as OperatorSpec);
}
