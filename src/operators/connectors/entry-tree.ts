// Walks the tree of an operator's entry for the checks that its schema can't make: each part with its path in
// the file, so that a fault is told where it is. What isn't there, or is of another form, is null or empty:
// the schema has named that already.

import { join, type Reading } from "../read-schema.ts";
import type { Tree } from "../yaml-tree.ts";

export type MapTree = Tree & { kind: "map" };
/** A part of the entry, and its path in it. */
export type At = { tree: Tree; path: string };

export function fault(reading: Reading, at: At | null, what: string): void {
  if (at !== null) reading.fault(at.tree, at.path, what);
}

export function child(at: At | null, name: string): At | null {
  return membersOf(at).find(([own]) => own === name)?.[1] ?? null;
}

export function membersOf(at: At | null): [name: string, value: At][] {
  if (at === null) return [];
  const { tree, path } = at;
  if (tree.kind !== "map") return [];
  return [...tree.entries].map(([name, { value }]) => [name, { tree: value, path: join(path, name) }]);
}

export function itemsOf(at: At | null): At[] {
  if (at === null) return [];
  const { tree, path } = at;
  return tree.kind === "list" ? tree.items.map((item, n) => ({ tree: item, path: `${path}[${n}]` })) : [];
}

export function valueOf(at: At | null): string | number | boolean | null {
  if (at === null) return null;
  const { tree } = at;
  return tree.kind === "value" ? tree.value : null;
}

export function textOf(at: At | null): string | null {
  const value = valueOf(at);
  return typeof value === "string" ? value : null;
}
