// What differs between two routes files, a line for each operator and route: for whoever is about to replace
// one, and for the audit log. Invariant: no line has a value of a connector's setting, which may be a secret;
// it is only named. Bounds: CHANGES_MAX lines, VALUE_CHARS_MAX of each value.

import { SHOWN } from "./listing.ts";
import type { LoadedRoutes, RoutesFile } from "./routes-file.ts";

const CHANGES_MAX = 100;
const VALUE_CHARS_MAX = 60;

/** Empty if both say the same, however they are written. */
export function changesBetween(before: LoadedRoutes, after: RoutesFile): string[] {
  if (before.kind === "bad") return ["the file of before had faults"];
  const lines = [
    ...differences("operator", before.file.operators, after.operators, SHOWN),
    ...differences("route", before.file.routes, after.routes, ["prefixes", "lanes", "tiers"]),
  ];
  const more = lines.length - CHANGES_MAX;
  return more > 0 ? [...lines.slice(0, CHANGES_MAX), `and ${more} more`] : lines;
}

type Named = { readonly name: string };

function differences(
  what: string,
  before: readonly Named[],
  after: readonly Named[],
  shown: readonly string[],
): string[] {
  const old = new Map(before.map((each) => [each.name, each]));
  const kept = new Set(after.map(({ name }) => name));
  const removed = before.filter(({ name }) => !kept.has(name)).map(({ name }) => `${what} ${name}: removed`);
  const others = after.flatMap((each) => {
    const was = old.get(each.name);
    if (was === undefined) return [`${what} ${each.name}: added`];
    const fields = changedFields({ ...was }, { ...each }, shown);
    return fields.length === 0 ? [] : [`${what} ${each.name}: ${fields.join(", ")}`];
  });
  return [...removed, ...others];
}

type Fields = Readonly<Record<string, unknown>>;

function changedFields(was: Fields, is: Fields, shown: readonly string[]): string[] {
  return [...new Set([...Object.keys(was), ...Object.keys(is)])].flatMap((field) => {
    const [old, now] = [textOf(was[field]), textOf(is[field])];
    if (old === now) return [];
    const isShort = old.length <= VALUE_CHARS_MAX && now.length <= VALUE_CHARS_MAX;
    return [shown.includes(field) && isShort ? `${field} ${old} → ${now}` : `${field} changed`];
  });
}

const textOf = (value: unknown): string => (value === undefined ? "none" : JSON.stringify(value));
