// What must fit together in a routes file beyond the shape of each entry: names that exist, shares of 100,
// one route for a prefix and lane, fallbacks that end, operators that take what a route gives them. Turns the
// entries into routes whose fallbacks are resolved.

import type { Lane } from "../core/message.ts";
import type { OperatorSpec } from "./connectors/kinds.ts";
import type { Reading } from "./read-schema.ts";
import type { NamedRoute, Share, Tiers } from "./route.ts";
import type { Place, Tree } from "./yaml-tree.ts";

/** A route as the file has it; `fields` are undefined where the entry isn't even a map. */
export type RouteEntry = {
  name: string;
  key: Place;
  tree: Tree;
  fields:
    | {
        prefixes?: (string | undefined)[];
        lanes?: (Lane | undefined)[];
        operators?: (string | undefined)[];
        split?: Record<string, number | undefined>;
        fallback?: string;
      }
    | undefined;
};
export type Checked = {
  specs: readonly OperatorSpec[];
  /** All names in the file, also of operators with faults of their own. */
  operatorNames: readonly string[];
  entries: readonly RouteEntry[];
};

const SHARES = 100;

/** The routes in the order of the file; worth something only if nothing was faulty. */
export function checkRoutes(reading: Reading, checked: Checked): NamedRoute[] {
  const byName = new Map(checked.entries.map((entry) => [entry.name, entry]));
  for (const entry of checked.entries) {
    checkOperators(reading, entry, new Set(checked.operatorNames));
    checkFallback(reading, entry, byName);
  }
  checkOverlap(reading, checked.entries);
  checkUse(reading, checked.entries);
  const routes = checked.entries.map(({ name, fields }) => ({
    name,
    prefixes: present(fields?.prefixes),
    lanes: present(fields?.lanes),
    tiers: tiersOf(name, byName),
  }));
  for (const [at, route] of routes.entries())
    checkTaken(reading, checked, checked.entries[at] as RouteEntry, route);
  return routes;
}

function checkOperators(
  reading: Reading,
  { name, tree, fields }: RouteEntry,
  known: ReadonlySet<string>,
): void {
  if (fields === undefined || tree.kind !== "map") return;
  const { operators, split } = fields;
  const path = `routes.${name}`;
  if ((tree.entries.has("operators") ? 1 : 0) + (tree.entries.has("split") ? 1 : 0) !== 1)
    reading.fault(
      tree,
      path,
      "must have one of `operators` (a list, in order) and `split` (shares in percent)",
    );
  const missing = (operator: string) =>
    `there is no operator ${operator}: name one of ${[...known].join(", ")}`;
  for (const [n, operator] of (operators ?? []).entries())
    if (operator !== undefined && !known.has(operator))
      reading.fault(placeOf(tree, "operators", n), `${path}.operators[${n}]`, missing(operator));
  if (split === undefined) return;
  for (const operator of Object.keys(split))
    if (!known.has(operator))
      reading.fault(placeOf(tree, "split", operator), `${path}.split.${operator}`, missing(operator));
  const shares = Object.values(split);
  const sum = present(shares).reduce((total, share) => total + share, 0);
  if (present(shares).length === shares.length && sum !== SHARES)
    reading.fault(placeOf(tree, "split"), `${path}.split`, `its shares sum to ${sum}: make them ${SHARES}`);
}

/** Follows the fallbacks; a circle is told once, at its first route. */
function checkFallback(reading: Reading, entry: RouteEntry, byName: ReadonlyMap<string, RouteEntry>): void {
  const first = entry.fields?.fallback;
  if (first === undefined) return;
  const fault = (what: string) =>
    reading.fault(placeOf(entry.tree, "fallback"), `routes.${entry.name}.fallback`, what);
  if (!byName.has(first)) return fault(`there is no route ${first}: name another route, or remove the line`);
  const seen = new Set<string>();
  let isFirst = true;
  for (let at: RouteEntry | undefined = entry; at !== undefined && !seen.has(at.name); ) {
    seen.add(at.name);
    isFirst &&= at.key.line >= entry.key.line;
    const next: string | undefined = at.fields?.fallback;
    if (next === entry.name && isFirst)
      fault(`the fallbacks go in a circle, ${[...seen, next].join(" → ")}: remove one of them`);
    at = next === undefined ? undefined : byName.get(next);
  }
}

function checkOverlap(reading: Reading, entries: readonly RouteEntry[]): void {
  const taken = new Map<string, RouteEntry>();
  for (const entry of entries) {
    for (const [n, prefix] of (entry.fields?.prefixes ?? []).entries()) {
      for (const lane of new Set(present(entry.fields?.lanes))) {
        const before = taken.get(`${lane} ${prefix}`);
        if (prefix === undefined || before === entry) continue;
        if (before === undefined) taken.set(`${lane} ${prefix}`, entry);
        else
          reading.fault(
            placeOf(entry.tree, "prefixes", n),
            `routes.${entry.name}.prefixes[${n}]`,
            `${prefix} in the lane ${lane} is the route ${before.name}'s already ` +
              `(line ${before.key.line}): remove it from one of them`,
          );
      }
    }
  }
}

function checkUse(reading: Reading, entries: readonly RouteEntry[]): void {
  const fallbacks = new Set(entries.map(({ fields }) => fields?.fallback));
  for (const { name, key, tree, fields } of entries) {
    const isUsed = fallbacks.has(name) || (tree.kind === "map" && tree.entries.has("prefixes"));
    if (fields !== undefined && !isUsed)
      reading.fault(key, `routes.${name}`, "is never used: give it prefixes, or name it as a fallback");
  }
}

/** Every operator of a route, fallbacks included, must take all its numbers in all its lanes. */
function checkTaken(reading: Reading, { specs }: Checked, { tree }: RouteEntry, route: NamedRoute): void {
  const operators = new Set(route.tiers.flat().map(({ operator }) => operator));
  for (const { name, prefixes, lanes } of specs) {
    if (!operators.has(name) || prefixes === undefined || lanes === undefined) continue;
    for (const [n, prefix] of route.prefixes.entries())
      if (!prefixes.some((own) => own !== undefined && prefix.startsWith(own)))
        reading.fault(
          placeOf(tree, "prefixes", n),
          `routes.${route.name}.prefixes[${n}]`,
          `the operator ${name} of this route does not take ${prefix}: add it to the operator's prefixes, ` +
            "or leave the operator out",
        );
    const refused = route.prefixes.length === 0 ? [] : route.lanes.filter((lane) => !lanes.includes(lane));
    if (refused.length > 0)
      reading.fault(
        placeOf(tree, "lanes"),
        `routes.${route.name}.lanes`,
        `the operator ${name} of this route does not take the lane ${refused.join(", ")}: ` +
          "leave one of them out",
      );
  }
}

/** Of a route and its fallbacks. An operator counts where it comes first. */
function tiersOf(name: string, byName: ReadonlyMap<string, RouteEntry>): Tiers {
  const tiers: Share[][] = [];
  const operators = new Set<string>();
  const routes = new Set<string>();
  for (let at = byName.get(name); at !== undefined && !routes.has(at.name); ) {
    routes.add(at.name);
    const { operators: list, split, fallback } = at.fields ?? {};
    const own: Share[][] = split
      ? [Object.entries(split).map(([operator, weight]) => ({ operator, weight: weight ?? 0 }))]
      : present(list).map((operator) => [{ operator, weight: 1 }]);
    for (const shares of own) {
      const fresh = shares.filter(({ operator }) => !operators.has(operator));
      if (fresh.length > 0) tiers.push(fresh);
      for (const { operator } of fresh) operators.add(operator);
    }
    at = fallback === undefined ? undefined : byName.get(fallback);
  }
  return tiers;
}

/** The place of a field, or of one of its items; of the whole entry if it isn't there. */
function placeOf(tree: Tree, field: string, item?: number | string): Place {
  const value = tree.kind === "map" ? tree.entries.get(field)?.value : undefined;
  if (value === undefined) return tree;
  if (typeof item === "number" && value.kind === "list") return value.items[item] ?? value;
  if (typeof item === "string" && value.kind === "map") return value.entries.get(item)?.key ?? value;
  return value;
}

const present = <T>(values: readonly (T | undefined)[] | undefined): T[] =>
  (values ?? []).filter((value) => value !== undefined);
