// Reads rows for one transaction: which rows match, what a SELECT makes of them, and locking them. Functions
// that may wait are generators: they yield the row they wait for, and continue when they have its lock.
// Behaves like InnoDB at READ COMMITTED in what the code here relies on: plain reads see committed rows and
// the transaction's own writes; locking reads and writes see the latest version, wait for the transaction
// that holds it, and look again; there are no gap locks.

import type { Expr, From, Select, Value } from "./ast.ts";
import { AGGREGATES, evaluate, type EvalContext, kindOf, type Scope, truthy } from "./eval.ts";
import { type Row, SqlError, type Table, type Values } from "./tables.ts";

/** The part of a transaction that statements need. */
export type Tx = {
  nowMs: number;
  tables: ReadonlyMap<string, Table>;
  /** Latest last; what a statement added is undone when it fails. */
  undo: { row: Row; before: Values | null }[];
  held: Set<Row>;
  /** Called before a row is held that was there before. */
  onLock?: (row: Row) => void;
};
export type WriteOutcome = { affectedRows: number; insertId: number; info: string };
export type Outcome = Record<string, unknown>[] | WriteOutcome;
export type Run<T> = Generator<Row, T, void>;
export type Combo = (Row | Value[] | Record<string, Value> | null)[];

export const tableOf = (tx: Tx, name: string): Table => {
  const table = tx.tables.get(name);
  if (table === undefined) throw new SqlError(1146, `no table ${name}`);
  return table;
};
export const contextOf = (tx: Tx): EvalContext => ({
  nowMs: tx.nowMs,
  exists: ({ select: inner }, outer) => scan(tx, inner.from, inner.where, false, outer).length > 0,
});
const mine = (tx: Tx, row: Row): Values | null => (row.holder === tx ? row.current : row.committed);

// ---- reading ----

export function* select(tx: Tx, s: Select): Run<Outcome> {
  const context = contextOf(tx);
  const limit = s.limit === null ? Number.POSITIVE_INFINITY : Number(evaluate(s.limit, [], context));
  if (s.lock && !s.skipLocked) yield* lockNamed(tx, s.from, s.where);
  let combos = s.from.length === 0 ? [[]] : scan(tx, s.from, s.where, s.lock);
  const scopeOf = (combo: Combo) => scopeFor(tx, s.from, combo, s.lock);
  const isGrouped = s.group.length > 0 || s.items.some((item) => hasAggregate(item.expr));
  if (s.order.length > 0 && !isGrouped) sortBy(combos, s.order, scopeOf, context);
  if (s.lock) combos = yield* lockAll(tx, s.from, s.where, combos, limit, s.skipLocked);
  if (isGrouped) return grouped(s, combos.map(scopeOf), context).slice(0, limit);
  const tables = s.from.map((from) => ({
    alias: from.alias,
    table: from.table === null ? null : tableOf(tx, from.table),
  }));
  const isTime = s.items.map(({ expr }) => kindOf(expr, tables) === "time");
  const seen = new Set<string>();
  const out: Record<string, unknown>[] = [];
  for (const combo of combos) {
    if (out.length >= limit) break;
    const scope = scopeOf(combo);
    const row: Record<string, unknown> = {};
    s.items.forEach(({ expr, name }, i) => {
      if (expr.k === "star") for (const one of scope) Object.assign(row, one.values);
      else {
        const value = evaluate(expr, scope, context);
        row[name] = isTime[i] && value !== null ? new Date(Number(value)) : value;
      }
    });
    if (s.distinct) {
      const key = JSON.stringify(row);
      if (seen.has(key)) continue;
      seen.add(key);
    }
    out.push(row);
  }
  return out;
}

function hasAggregate(expr: Expr): boolean {
  if (expr.k === "fn") return AGGREGATES.has(expr.name) || expr.args.some(hasAggregate);
  if (expr.k === "bin") return hasAggregate(expr.a) || hasAggregate(expr.b);
  return false;
}

function grouped(s: Select, scopes: Scope[], context: EvalContext): Record<string, unknown>[] {
  const groups = Map.groupBy(scopes, (scope) =>
    JSON.stringify(s.group.map((expr) => evaluate(expr, scope, context))),
  );
  if (groups.size === 0 && s.group.length === 0) groups.set("", []);
  const having = s.having === null ? null : unnamed(s.having, s.items);
  const out: Record<string, unknown>[] = [];
  for (const of of groups.values()) {
    const value = (expr: Expr): Value => evaluate(withoutAggregates(expr, of, context), of[0] ?? [], context);
    if (having !== null && !truthy(value(having))) continue;
    // A SUM is a DECIMAL, which the driver returns as text.
    const item = ({ expr }: { expr: Expr }) => {
      const v = value(expr);
      return expr.k === "fn" && expr.name === "SUM" && v !== null ? String(v) : v;
    };
    out.push(Object.fromEntries(s.items.map((one) => [one.name, item(one)])));
  }
  return out;
}

/** HAVING may name what is selected. */
function unnamed(expr: Expr, items: Select["items"]): Expr {
  if (expr.k === "bin") return { ...expr, a: unnamed(expr.a, items), b: unnamed(expr.b, items) };
  if (expr.k !== "col" || expr.q !== null) return expr;
  return items.find(({ name }) => name === expr.n)?.expr ?? expr;
}

function withoutAggregates(expr: Expr, of: readonly Scope[], context: EvalContext): Expr {
  if (expr.k === "bin")
    return {
      ...expr,
      a: withoutAggregates(expr.a, of, context),
      b: withoutAggregates(expr.b, of, context),
    };
  if (expr.k !== "fn") return expr;
  if (!AGGREGATES.has(expr.name))
    return { ...expr, args: expr.args.map((arg) => withoutAggregates(arg, of, context)) };
  const [arg] = expr.args as [Expr];
  if (arg.k === "star") return { k: "lit", v: of.length };
  const values = of.map((scope) => evaluate(arg, scope, context)).filter((v) => v !== null);
  if (expr.name === "COUNT") return { k: "lit", v: values.length };
  if (values.length === 0) return { k: "lit", v: null };
  const numbers = values.map(Number);
  if (expr.name === "SUM") return { k: "lit", v: numbers.reduce((a, b) => a + b, 0) };
  return { k: "lit", v: expr.name === "MIN" ? Math.min(...numbers) : Math.max(...numbers) };
}

export function sortBy(
  combos: Combo[],
  order: Select["order"],
  scopeOf: (combo: Combo) => Scope,
  context: EvalContext,
): void {
  const keyed = combos.map((combo) => {
    const scope = scopeOf(combo);
    return { combo, keys: order.map(({ expr }) => evaluate(expr, scope, context)) };
  });
  keyed.sort((a, b) => {
    for (let i = 0; i < order.length; i++) {
      const [x, y] = [a.keys[i] as Value, b.keys[i] as Value];
      if (x === y) continue;
      const before = x === null || (y !== null && x < y);
      return before === (order[i]?.desc !== true) ? -1 : 1;
    }
    return 0;
  });
  keyed.forEach(({ combo }, i) => {
    combos[i] = combo;
  });
}

export function scopeFor(tx: Tx, from: readonly From[], combo: Combo, locking: boolean): Scope {
  return from.map((ref, i) => {
    const part = combo[i] ?? null;
    if (ref.table === null) return { alias: ref.alias, values: named(ref, part), table: null };
    const row = part as Row | null;
    // Another transaction may have deleted it without committing: until it commits, the row exists and is
    // waited for.
    const values = row === null ? null : locking ? (row.current ?? row.committed) : mine(tx, row);
    return { alias: ref.alias, values, table: tableOf(tx, ref.table) };
  });
}

const named = (ref: From, part: Combo[number]): Values | null =>
  Array.isArray(part)
    ? Object.fromEntries(ref.columns.map((name, i) => [name, part[i] as Value]))
    : (part as Values | null);

// ---- which rows ----

/** All rows that match. When locking, also rows that match in an uncommitted version. */
export function scan(
  tx: Tx,
  from: readonly From[],
  where: Expr | null,
  locking: boolean,
  outer: Scope = [],
): Combo[] {
  const context = contextOf(tx);
  const found: Combo[] = [];
  const seen = new Set<string>();
  const combo: Combo = [];
  const scope: Scope = [];
  const holds = (expr: Expr | null) =>
    expr === null || truthy(evaluate(expr, outer.length === 0 ? scope : [...scope, ...outer], context));
  const down = (i: number): void => {
    const ref = from[i];
    if (ref === undefined) {
      if (!holds(where)) return;
      const key = locking ? combo.map((part) => (isRow(part) ? part.key : "")).join("\n") : "";
      if (locking && seen.has(key)) return;
      if (locking) seen.add(key);
      found.push([...combo]);
      return;
    }
    const table = ref.table === null ? null : tableOf(tx, ref.table);
    let matched = false;
    const visit = (part: Combo[number], values: Values | null) => {
      combo.push(part);
      scope.push({ alias: ref.alias, values, table });
      if (holds(ref.on)) {
        matched = true;
        down(i + 1);
      }
      scope.pop();
      combo.pop();
    };
    if (table === null) for (const part of derived(tx, ref)) visit(part, named(ref, part));
    else {
      for (const row of candidates(table, ref, where, from, scope, outer, context, locking)) {
        if (!locking) {
          const values = mine(tx, row);
          if (values !== null) visit(row, values);
          continue;
        }
        if (row.current !== null) visit(row, row.current);
        if (row.holder !== tx && row.committed !== null && row.committed !== row.current)
          visit(row, row.committed);
      }
    }
    if (!matched && ref.left) {
      combo.push(null);
      scope.push({ alias: ref.alias, values: null, table });
      down(i + 1);
      scope.pop();
      combo.pop();
    }
  };
  down(0);
  return found;
}

const isRow = (part: Combo[number]): part is Row => part !== null && !Array.isArray(part) && "table" in part;

function derived(tx: Tx, ref: From): (Value[] | Values)[] {
  const context = contextOf(tx);
  if (ref.values !== null) return ref.values.map((row) => row.map((expr) => evaluate(expr, [], context)));
  // Plain reads never wait, so the inner generator ends at once.
  const result = select(tx, ref.select as Select).next();
  return result.value as unknown as Values[];
}

function candidates(
  table: Table,
  ref: From,
  where: Expr | null,
  from: readonly From[],
  scope: Scope,
  outer: Scope,
  context: EvalContext,
  locking: boolean,
): Iterable<Row> {
  const isOwn = (expr: Expr): expr is Expr & { k: "col" } =>
    expr.k === "col" &&
    (expr.q === ref.alias || (expr.q === null && from.length === 1)) &&
    table.isIndexed(expr.n);
  const isBound = (expr: Expr): boolean =>
    expr.k === "lit" ||
    (expr.k === "col" && expr.q !== null && [...scope, ...outer].some((s) => s.alias === expr.q));
  const value = (expr: Expr): Value =>
    expr.k === "lit" ? expr.v : evaluate(expr, outer.length === 0 ? scope : [...scope, ...outer], context);
  for (const expr of ref.on === null ? conjuncts(where) : [...conjuncts(ref.on), ...conjuncts(where)]) {
    if (expr.k === "bin" && expr.op === "=") {
      if (isOwn(expr.a) && isBound(expr.b)) return table.having(expr.a.n, value(expr.b));
      if (isOwn(expr.b) && isBound(expr.a)) return table.having(expr.b.n, value(expr.a));
    }
    if (expr.k !== "in" || expr.not) continue;
    const at = expr.a.k === "row" ? expr.a.items.findIndex(isOwn) : isOwn(expr.a) ? -1 : null;
    if (at === null || (at === -1 && expr.a.k === "row")) continue;
    const column = expr.a.k === "row" ? (expr.a.items[at] as Expr & { k: "col" }) : expr.a;
    const wanted = expr.list.map((one) => (at < 0 ? one : ((one as Expr & { k: "row" }).items[at] as Expr)));
    if (column.k !== "col" || !wanted.every(isBound)) continue;
    const rows = new Set<Row>();
    if (expr.a.k === "row" && expr.a.items.length === table.spec.key.length) {
      const names = expr.a.items.map((item) => (item.k === "col" ? item.n : ""));
      if (names.every((name, i) => name === table.spec.key[i])) {
        for (const one of expr.list) {
          const values = (one as Expr & { k: "row" }).items.map(value);
          const row = table.rows.get(
            table.keyOf(Object.fromEntries(names.map((n, i) => [n, values[i] ?? null]))),
          );
          if (row !== undefined) rows.add(row);
        }
        return inKeyOrder(rows);
      }
    }
    for (const one of wanted) for (const row of table.having(column.n, value(one))) rows.add(row);
    return inKeyOrder(rows);
  }
  return locking ? inKeyOrder(table.rows.values()) : table.rows.values();
}

const inKeyOrder = (rows: Iterable<Row>): Row[] => [...rows].sort((a, b) => (a.key < b.key ? -1 : 1));

const split = new WeakMap<Expr, Expr[]>();
function conjuncts(expr: Expr | null): readonly Expr[] {
  if (expr === null) return [];
  let known = split.get(expr);
  if (known === undefined) {
    known = expr.k === "bin" && expr.op === "AND" ? [...conjuncts(expr.a), ...conjuncts(expr.b)] : [expr];
    split.set(expr, known);
  }
  return known;
}

// ---- locks ----

export function* lockAll(
  tx: Tx,
  from: readonly From[],
  where: Expr | null,
  combos: readonly Combo[],
  limit: number,
  skip: boolean,
): Run<Combo[]> {
  const kept: Combo[] = [];
  for (const combo of combos) {
    if (kept.length >= limit) break;
    const rows = combo.filter(isRow);
    let isOurs = true;
    for (const row of rows) isOurs &&= yield* lock(tx, row, skip);
    if (isOurs && matches(tx, from, where, combo)) kept.push(combo);
  }
  return kept;
}

/**
 * Locks rows named by their primary key, whatever other conditions there are: MySQL only checks those when it
 * has the row. MySQL unlocks some of the rows that don't match; here they stay locked.
 */
export function* lockNamed(tx: Tx, from: readonly From[], where: Expr | null): Run<void> {
  const [ref] = from;
  if (from.length !== 1 || ref === undefined || ref.table === null) return;
  const table = tableOf(tx, ref.table);
  const [key, ...more] = table.spec.key;
  if (key === undefined || more.length > 0) return;
  for (const expr of conjuncts(where)) {
    if (!("a" in expr) || expr.a.k !== "col" || expr.a.n !== key) continue;
    const named =
      expr.k === "in" && !expr.not ? expr.list : expr.k === "bin" && expr.op === "=" ? [expr.b] : [];
    const found = named.flatMap((one) => (one.k === "lit" ? [...table.having(key, one.v)] : []));
    for (const row of inKeyOrder(found)) yield* lock(tx, row, false);
  }
}

// After the wait the row may have changed, or be gone.
function matches(tx: Tx, from: readonly From[], where: Expr | null, combo: Combo): boolean {
  if (combo.some((part) => isRow(part) && (part.gone || part.current === null))) return false;
  const scope = scopeFor(tx, from, combo, true);
  const context = contextOf(tx);
  return [where, ...from.map((ref) => ref.on)].every(
    (expr) => expr === null || truthy(evaluate(expr, scope, context)),
  );
}

/** Locks the row; true if this transaction then holds it. */
export function* lock(tx: Tx, row: Row, skip: boolean): Run<boolean> {
  if (row.holder !== tx) tx.onLock?.(row);
  while (row.holder !== tx) {
    if (row.gone) return true;
    if (row.holder === null) {
      row.holder = tx;
      break;
    }
    if (skip) return false;
    yield row;
  }
  tx.held.add(row);
  return true;
}
