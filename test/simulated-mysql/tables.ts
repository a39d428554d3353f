// The tables of the simulated database, made from the real migrations in sql/mysql: columns, primary key,
// defaults and CHECKs. Owns rows, each with its committed version, the version of the transaction that holds
// it, and its lock; leaves transactions to server.ts.

import { readdirSync, readFileSync } from "node:fs";
import type { Expr, Value } from "./ast.ts";
import { parseExpr } from "./parse.ts";

export type Kind = "number" | "text" | "time" | "bytes";
export type Column = {
  name: string;
  kind: Kind;
  unsigned: boolean;
  nullable: boolean;
  /** The default. undefined: none, so every INSERT must give a value; PRESENT: the current time. */
  fallback: Value | undefined;
  values: readonly string[] | null;
  auto: boolean;
  /** ON UPDATE CURRENT_TIMESTAMP: the time at which something else in its row changed. */
  touched: boolean;
  /** A BOOLEAN, by which no index finds few rows. */
  flag: boolean;
};
export type TableSpec = {
  name: string;
  columns: Column[];
  key: string[];
  indexed: string[];
  unique: string[][];
  checks: Expr[];
};
export type Values = Record<string, Value>;
export type Row = {
  table: Table;
  key: string;
  committed: Values | null;
  current: Values | null;
  /** The transaction that has written or locked it. */
  holder: object | null;
  waiting: { holder: object; granted: () => void }[];
  /** No longer in its table. */
  gone: boolean;
  /** The entries of the table's indexes that contain it. */
  sets: Set<Set<Row>>;
};

export const PRESENT = "now";
const COLUMN = /^`?(\w+)`?\s+([A-Za-z]+)\s*(\([^)]*\))?(.*)$/s;

/** The specs of all tables, as they are after the last migration. */
export function readSchema(folder: URL): TableSpec[] {
  const specs = new Map<string, TableSpec>();
  const texts = readdirSync(folder)
    .filter((file) => file.endsWith(".sql"))
    .sort()
    .map((file) => readFileSync(new URL(file, folder), "utf8"));
  const text = texts
    .join("\n")
    .replaceAll(/--[^\n]*/g, "")
    .replaceAll(/COMMENT '[^']*'/g, "");
  for (const statement of text.split(";")) {
    const create = /CREATE TABLE (?:IF NOT EXISTS )?(\w+)\s*\(([\s\S]*)\)\s*ENGINE/.exec(statement);
    if (create !== null) specs.set(create[1] as string, tableOf(create[1] as string, create[2] as string));
    const alter = /ALTER TABLE (\w+)([\s\S]*)/.exec(statement);
    if (alter !== null) {
      const spec = specs.get(alter[1] as string) as TableSpec;
      for (const part of parts(alter[2] as string)) {
        const dropped = /^DROP COLUMN (\w+)$/.exec(part)?.[1];
        if (dropped !== undefined) spec.columns = spec.columns.filter((c) => c.name !== dropped);
        const modified = /^MODIFY\s+(?:COLUMN\s+)?([\s\S]*)$/.exec(part)?.[1];
        if (modified !== undefined) {
          const column = columnOf(spec, modified);
          spec.columns = spec.columns.map((c) => (c.name === column.name ? column : c));
        }
        const added = /^ADD\s+(?:COLUMN\s+)?([\s\S]*)$/.exec(part);
        if (added !== null) addPart(spec, (added[1] as string).replace(/\s+(AFTER\s+\w+|FIRST)\s*$/, ""));
      }
    }
  }
  return [...specs.values()];
}

function tableOf(name: string, body: string): TableSpec {
  const spec: TableSpec = { name, columns: [], key: [], indexed: [], unique: [], checks: [] };
  for (const part of parts(body)) addPart(spec, part);
  const first = spec.key[0];
  if (first !== undefined) spec.indexed.push(first);
  return spec;
}

function addPart(spec: TableSpec, part: string): void {
  const names = (text: string) => text.split(",").map((n) => n.trim());
  const primary = /^PRIMARY KEY\s*\(([^)]*)\)/.exec(part);
  const key = /^(UNIQUE\s+)?(?:KEY|INDEX)\s+\w+\s*\(([^)]*)\)/.exec(part);
  if (primary !== null) spec.key = names(primary[1] as string);
  else if (key !== null) {
    const columns = names(key[2] as string);
    if (key[1] !== undefined) spec.unique.push(columns);
    const column = spec.columns.find((c) => c.name === columns[0]);
    if (column === undefined || column.kind === "time" || column.flag) return;
    if (!spec.indexed.includes(column.name)) spec.indexed.push(column.name);
  } else if (/^CHECK\s*\(/.test(part)) spec.checks.push(parseExpr(part.slice(5)));
  else if (/^CONSTRAINT\s+\w+\s+CHECK/.test(part))
    spec.checks.push(parseExpr(part.slice(part.indexOf("CHECK") + 5)));
  else if (!/^(FOREIGN|CONSTRAINT)/.test(part)) spec.columns.push(columnOf(spec, part));
}

function columnOf(spec: TableSpec, part: string): Column {
  const [, name = "", type = "", size = "", rest = ""] = COLUMN.exec(part) ?? [];
  const upper = type.toUpperCase();
  const kind: Kind = /INT|BOOL|DECIMAL|DOUBLE/.test(upper)
    ? "number"
    : /DATETIME|TIMESTAMP/.test(upper)
      ? "time"
      : /BLOB|BINARY/.test(upper)
        ? "bytes"
        : "text";
  if (/PRIMARY KEY/.test(rest)) spec.key = [name];
  const given = /DEFAULT\s+('[^']*'|[\w.]+)/.exec(rest)?.[1];
  const nullable = !/NOT NULL/.test(rest);
  const auto = /AUTO_INCREMENT/.test(rest);
  const generated = /GENERATED|\bAS\s*\(/.test(rest);
  const fallback =
    given === undefined
      ? nullable || auto || generated
        ? null
        : undefined
      : /CURRENT_TIMESTAMP/.test(given)
        ? PRESENT
        : /^NULL$/i.test(given)
          ? null
          : given.startsWith("'")
            ? given.slice(1, -1)
            : /^(TRUE|FALSE)$/i.test(given)
              ? Number(/^TRUE$/i.test(given))
              : Number(given);
  const values = upper === "ENUM" ? [...size.matchAll(/'([^']*)'/g)].map((m) => m[1] as string) : null;
  const [unsigned, touched] = [/UNSIGNED/i.test(rest), /ON UPDATE CURRENT_TIMESTAMP/i.test(rest)];
  return { name, kind, unsigned, nullable, fallback, values, auto, touched, flag: upper.startsWith("BOOL") };
}

/** Splits at commas that are not inside brackets or strings. */
function parts(text: string): string[] {
  const out: string[] = [];
  let depth = 0;
  let quoted = false;
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === "'") quoted = !quoted;
    if (quoted) continue;
    if (c === "(") depth++;
    else if (c === ")") depth--;
    else if (c === "," && depth === 0) {
      out.push(text.slice(from, i).trim());
      from = i + 1;
    }
  }
  out.push(text.slice(from).trim());
  return out.filter((part) => part !== "");
}

/** The rows of one table, by primary key and by the first column of each key. */
export class Table {
  readonly spec: TableSpec;
  readonly rows = new Map<string, Row>();
  readonly columns: ReadonlyMap<string, Column>;
  readonly #indexes = new Map<string, Map<Value, Set<Row>>>();
  nextAuto = 1;

  constructor(spec: TableSpec) {
    this.spec = spec;
    this.columns = new Map(spec.columns.map((c) => [c.name, c]));
    for (const name of spec.indexed) this.#indexes.set(name, new Map());
  }

  keyOf(values: Values): string {
    let key = "";
    for (const name of this.spec.key) {
      const v = values[name] as Value;
      key += typeof v === "number" ? `${String(v).padStart(16, "0")}|` : `${String(v)}|`;
    }
    return key;
  }

  isIndexed(column: string): boolean {
    return this.#indexes.has(column);
  }

  /** Rows that may have this value, in their committed or an uncommitted version. */
  having(column: string, value: Value): Iterable<Row> {
    return this.#indexes.get(column)?.get(value) ?? [];
  }

  /** Adds an empty row, to be written by its holder. */
  add(key: string, holder: object): Row {
    const row: Row = {
      table: this,
      key,
      committed: null,
      current: null,
      holder,
      waiting: [],
      gone: false,
      sets: new Set(),
    };
    this.rows.set(key, row);
    return row;
  }

  /** Call it after a change: the row also stays under its old values until it is gone. */
  reindex(row: Row): void {
    const { current } = row;
    if (current === null) return;
    for (const [column, index] of this.#indexes) {
      const value = current[column] as Value;
      let rows = index.get(value);
      if (rows === undefined) index.set(value, (rows = new Set()));
      rows.add(row);
      row.sets.add(rows);
    }
  }

  remove(row: Row): void {
    row.gone = true;
    this.rows.delete(row.key);
    for (const rows of row.sets) rows.delete(row);
  }
}

/** The value as the column stores it. @throws SqlError, as MySQL would, for a value that doesn't fit */
export function stored(column: Column, value: Value): Value {
  if (value === null) {
    if (!column.nullable) throw new SqlError(1048, `${column.name} is not null`);
    return null;
  }
  switch (column.kind) {
    case "number": {
      const n = Number(value);
      if (Number.isNaN(n)) throw new SqlError(1366, `${column.name}: not a number`);
      if (n < 0 && column.unsigned) throw new SqlError(1264, `${column.name}: below 0`);
      return Math.round(n);
    }
    case "time":
      return Math.round(typeof value === "number" ? value : timeOf(String(value))); // DATETIME(3)
    case "bytes":
      return Buffer.isBuffer(value) ? value : Buffer.from(String(value));
    case "text": {
      const text = Buffer.isBuffer(value) ? value.toString() : String(value);
      if (column.values !== null && !column.values.includes(text))
        throw new SqlError(1265, `${column.name}: no such value`);
      return text;
    }
  }
}

export const timeOf = (text: string): number => Date.parse(`${text.replace(" ", "T")}Z`);

const STATES: Record<number, string> = { 1048: "23000", 1062: "23000", 1213: "40001", 1264: "22003" };

/** The server's answer instead of a result. */
export class SqlError extends Error {
  override readonly name = "SqlError";
  readonly errno: number;
  readonly code: string;
  readonly sqlState: string;
  readonly fatal = false;
  constructor(errno: number, message: string) {
    super(message);
    this.errno = errno;
    this.code = `ER_${errno}`;
    this.sqlState = STATES[errno] ?? "HY000";
  }
}
