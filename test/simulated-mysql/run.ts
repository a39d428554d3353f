// Executes one statement for one transaction: what it changes, and under which locks. A generator: it yields
// the row it has to wait for, and continues when it has that row's lock. Leaves finding rows to read.ts, and
// deadlocks, commits and connections to server.ts.

import type { Assign, Expr, From, Select, Statement, Value } from "./ast.ts";
import { evaluate, type Scope, truthy } from "./eval.ts";
import {
  type Combo,
  contextOf,
  lock,
  lockAll,
  lockNamed,
  type Outcome,
  type Run,
  scan,
  scopeFor,
  select,
  sortBy,
  tableOf,
  type Tx,
  type WriteOutcome,
} from "./read.ts";
import { PRESENT, type Row, SqlError, stored, type Table, type Values } from "./tables.ts";

export function* execute(tx: Tx, statement: Statement): Run<Outcome> {
  switch (statement.k) {
    case "select":
      return yield* select(tx, statement);
    case "insert":
      return yield* insert(tx, statement);
    case "update":
      return yield* update(tx, statement);
    case "delete":
      return yield* remove(tx, statement);
    case "begin":
    case "commit":
    case "rollback":
    case "nothing":
      return done(0);
  }
}

const done = (affectedRows: number, insertId = 0): WriteOutcome => ({ affectedRows, insertId, info: "" });

function write(tx: Tx, row: Row, values: Values | null): void {
  if (values !== null) {
    for (const check of row.table.spec.checks) {
      const result = evaluate(check, [{ alias: "", values, table: row.table }], { nowMs: tx.nowMs });
      if (result !== null && !truthy(result))
        throw new SqlError(3819, `a check of ${row.table.spec.name} is violated`);
    }
  }
  tx.undo.push({ row, before: row.current });
  row.current = values;
  row.table.reindex(row);
}

// ---- writing ----

function* insert(tx: Tx, s: Statement & { k: "insert" }): Run<Outcome> {
  const table = tableOf(tx, s.table);
  const context = contextOf(tx);
  const given =
    s.select === null
      ? s.rows.map((row) => row.map((expr) => evaluate(expr, [], context)))
      : ((yield* select(tx, s.select)) as Record<string, Value>[]).map((row) => Object.values(row));
  let affected = 0;
  let insertId = 0;
  for (const row of given) {
    const values: Values = {};
    for (const column of table.spec.columns) {
      const at = s.columns.indexOf(column.name);
      if (at >= 0) values[column.name] = stored(column, row[at] as Value);
      else if (column.fallback === undefined) throw new SqlError(1364, `${column.name} has no default`);
      else if (column.auto) values[column.name] = table.nextAuto++;
      else values[column.name] = column.fallback === PRESENT ? tx.nowMs : column.fallback;
      if (column.auto) insertId ||= Number(values[column.name]);
    }
    affected += yield* insertRow(tx, table, values, s);
  }
  return done(affected, insertId);
}

/** No other row has the values of a unique key; for one that an open transaction has written, it waits. */
function* refuseTwins(tx: Tx, table: Table, values: Values): Run<void> {
  for (const columns of table.spec.unique) {
    const first = columns[0] as string;
    if (columns.some((name) => values[name] === null)) continue;
    const isTwin = (of: Values | null) => of !== null && columns.every((name) => of[name] === values[name]);
    for (const row of table.having(first, values[first] as Value)) {
      if (!isTwin(row.current) && !isTwin(row.committed)) continue;
      yield* lock(tx, row, false);
      if (!row.gone && isTwin(row.current))
        throw new SqlError(1062, `duplicate key of ${table.spec.name}: ${columns}`);
    }
  }
}

function* insertRow(tx: Tx, table: Table, values: Values, s: Statement & { k: "insert" }): Run<number> {
  if (s.onDuplicate === null) yield* refuseTwins(tx, table, values);
  const key = table.keyOf(values);
  for (;;) {
    const known = table.rows.get(key);
    if (known === undefined) {
      const row = table.add(key, tx);
      tx.held.add(row);
      write(tx, row, values);
      return 1;
    }
    yield* lock(tx, known, false);
    if (known.gone) continue;
    if (known.current === null) {
      write(tx, known, values);
      return 1;
    }
    if (s.onDuplicate === null) throw new SqlError(1062, `duplicate key of ${table.spec.name}: ${key}`);
    const scope: Scope = [{ alias: table.spec.name, values: known.current, table }];
    if (s.alias !== null) scope.push({ alias: s.alias, values, table });
    const changed = assigned(tx, table, s.onDuplicate, scope);
    const isSame = table.spec.columns.every(({ name }) => known.current?.[name] === changed[name]);
    if (!isSame) write(tx, known, changed);
    return isSame ? 1 : 2;
  }
}

// From left to right, each assignment seeing the earlier ones, as in MySQL.
function assigned(tx: Tx, table: Table, set: readonly Assign[], scope: Scope): Values {
  const own = scope.find((one) => one.table === table && one.values !== null) as Scope[number];
  const values = { ...(own.values as Values) };
  const context = contextOf(tx);
  const seen = scope.map((one) => (one === own ? { ...one, values } : one));
  for (const { column, expr } of set) {
    const spec = table.columns.get(column);
    if (spec === undefined) throw new SqlError(1054, `unknown column ${column}`);
    values[column] = stored(spec, evaluate(expr, seen, context));
  }
  const isChanged = () => table.spec.columns.some(({ name }) => own.values?.[name] !== values[name]);
  for (const { name, touched } of table.spec.columns)
    if (touched && !set.some(({ column }) => column === name) && isChanged()) values[name] = tx.nowMs;
  return values;
}

function* changing(
  tx: Tx,
  s: { from: From[]; where: Expr | null; order: Select["order"]; limit: Expr | null },
): Run<Combo[]> {
  const context = contextOf(tx);
  yield* lockNamed(tx, s.from, s.where);
  const combos = scan(tx, s.from, s.where, true);
  if (s.order.length > 0) sortBy(combos, s.order, (c) => scopeFor(tx, s.from, c, true), context);
  const limit = s.limit === null ? Number.POSITIVE_INFINITY : Number(evaluate(s.limit, [], context));
  return yield* lockAll(tx, s.from, s.where, combos, limit, false);
}

function* update(tx: Tx, s: Statement & { k: "update" }): Run<Outcome> {
  const target = targetOf(s.from, s.set[0]?.q ?? null);
  const combos = yield* changing(tx, s);
  const changed = new Set<Row>();
  for (const combo of combos) {
    const row = combo[target] as Row;
    if (changed.has(row)) continue;
    changed.add(row);
    const scope = scopeFor(tx, s.from, combo, true);
    // The row to change comes first, so that unqualified names mean its columns.
    const own = scope.splice(target, 1);
    write(tx, row, assigned(tx, row.table, s.set, [...own, ...scope]));
  }
  return done(changed.size);
}

function* remove(tx: Tx, s: Statement & { k: "delete" }): Run<Outcome> {
  const target = targetOf(s.from, s.target);
  const combos = yield* changing(tx, s);
  const rows = new Set(combos.map((combo) => combo[target] as Row));
  for (const row of rows) write(tx, row, null);
  return done(rows.size);
}

function targetOf(from: readonly From[], alias: string | null): number {
  const at = from.findIndex((ref) => ref.table !== null && (alias === null || ref.alias === alias));
  if (at < 0) throw new Error(`the simulated database finds no table ${alias} to change`);
  return at;
}
