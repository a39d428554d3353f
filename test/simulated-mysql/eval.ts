// Evaluates expressions over the rows in scope. Pure except for the clock it is given. Three-valued logic as
// far as it matters here: a comparison with NULL is NULL, and NULL counts as false.

import type { Expr, Value } from "./ast.ts";
import { type Kind, SqlError, type Table, timeOf, type Values } from "./tables.ts";

export type Scope = { alias: string; values: Values | null; table: Table | null }[];
export type EvalContext = { nowMs: number; exists?: (expr: Expr & { k: "exists" }, scope: Scope) => boolean };

const UNIT_MS: Record<string, number> = {
  MICROSECOND: 0.001,
  SECOND: 1_000,
  MINUTE: 60_000,
  HOUR: 3_600_000,
  DAY: 86_400_000,
};
export const AGGREGATES = new Set(["SUM", "COUNT", "MIN", "MAX"]);

export function evaluate(expr: Expr, scope: Scope, context: EvalContext): Value {
  switch (expr.k) {
    case "lit":
      return expr.v;
    case "col":
      return column(expr.q, expr.n, scope);
    case "bin":
      return binary(expr, scope, context);
    case "not": {
      const a = evaluate(expr.a, scope, context);
      return a === null ? null : Number(!truthy(a));
    }
    case "neg": {
      const a = evaluate(expr.a, scope, context);
      return a === null ? null : -Number(a);
    }
    case "null":
      return Number((evaluate(expr.a, scope, context) === null) !== expr.not);
    case "in":
      return isIn(expr, scope, context);
    case "interval":
      return Number(evaluate(expr.a, scope, context)) * (UNIT_MS[expr.unit] ?? Number.NaN);
    case "fn":
      return call(expr.name, expr.args, scope, context);
    case "case":
      for (const [when, then] of expr.whens)
        if (truthy(evaluate(when, scope, context))) return evaluate(then, scope, context);
      return evaluate(expr.other, scope, context);
    case "exists":
      return Number(context.exists?.(expr, scope) ?? unsupported("EXISTS"));
    case "row":
    case "star":
      return unsupported(expr.k);
  }
}

export const truthy = (value: Value): boolean => value !== null && Number(value) !== 0;

function unsupported(what: string): never {
  throw new Error(`the simulated database has no ${what} here`);
}

function column(q: string | null, name: string, scope: Scope): Value {
  for (const { alias, values } of scope) {
    if (q !== null && q !== alias) continue;
    if (values === null) {
      if (q !== null) return null; // the empty side of a left join
      continue;
    }
    const value = values[name];
    if (value !== undefined) return value;
  }
  throw new SqlError(1054, `unknown column ${q === null ? "" : `${q}.`}${name}`);
}

function binary(expr: Expr & { k: "bin" }, scope: Scope, context: EvalContext): Value {
  const { op } = expr;
  if (op === "AND") {
    const a = evaluate(expr.a, scope, context);
    if (a !== null && !truthy(a)) return 0;
    const b = evaluate(expr.b, scope, context);
    return b !== null && !truthy(b) ? 0 : a === null || b === null ? null : 1;
  }
  if (op === "OR") {
    const a = evaluate(expr.a, scope, context);
    if (truthy(a)) return 1;
    const b = evaluate(expr.b, scope, context);
    return truthy(b) ? 1 : a === null || b === null ? null : 0;
  }
  if (expr.a.k === "row" && expr.b.k === "row")
    return Number(rowEquals(expr.a.items, expr.b.items, scope, context) === (op === "="));
  const a = evaluate(expr.a, scope, context);
  const b = evaluate(expr.b, scope, context);
  if (op === "<=>") return Number(a === null || b === null ? a === b : compare(a, b) === 0);
  if (a === null || b === null) return null;
  switch (op) {
    case "=":
      return Number(compare(a, b) === 0);
    case "<>":
      return Number(compare(a, b) !== 0);
    case "<":
      return Number(compare(a, b) < 0);
    case ">":
      return Number(compare(a, b) > 0);
    case "<=":
      return Number(compare(a, b) <= 0);
    case ">=":
      return Number(compare(a, b) >= 0);
    case "+":
      return Number(a) + Number(b);
    case "-":
      return Number(a) - Number(b);
    case "*":
      return Number(a) * Number(b);
    case "/":
      return Number(a) / Number(b);
    case "%":
      return Number(a) % Number(b);
    default:
      return unsupported(op);
  }
}

const TIME = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/;

function compare(a: Exclude<Value, null>, b: Exclude<Value, null>): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "number") return a - numberOf(b as string | Buffer);
  if (typeof b === "number") return numberOf(a) - b;
  const x = typeof a === "string" ? a : a.toString("latin1");
  const y = typeof b === "string" ? b : b.toString("latin1");
  return x < y ? -1 : x > y ? 1 : 0;
}

const numberOf = (value: string | Buffer): number =>
  typeof value === "string" && TIME.test(value) ? timeOf(value) : Number(value);

function isIn(expr: Expr & { k: "in" }, scope: Scope, context: EvalContext): Value {
  let found = false;
  if (expr.a.k === "row") {
    const { items } = expr.a;
    found = expr.list.some((one) => rowEquals(items, (one as Expr & { k: "row" }).items, scope, context));
  } else {
    const a = evaluate(expr.a, scope, context);
    if (a === null) return null;
    found = expr.list.some((one) => {
      const b = evaluate(one, scope, context);
      return b !== null && compare(a, b) === 0;
    });
  }
  return Number(found !== expr.not);
}

function rowEquals(a: readonly Expr[], b: readonly Expr[], scope: Scope, context: EvalContext): boolean {
  return a.every((one, i) => {
    const x = evaluate(one, scope, context);
    const y = evaluate(b[i] as Expr, scope, context);
    return x !== null && y !== null && compare(x, y) === 0;
  });
}

function call(name: string, args: readonly Expr[], scope: Scope, context: EvalContext): Value {
  const arg = (i: number): Value => evaluate(args[i] as Expr, scope, context);
  switch (name) {
    case "NOW":
    case "CURRENT_TIMESTAMP":
    case "UTC_TIMESTAMP":
      return context.nowMs;
    case "COALESCE":
    case "IFNULL": {
      for (let i = 0; i < args.length; i++) {
        const value = arg(i);
        if (value !== null) return value;
      }
      return null;
    }
    case "IF":
      return truthy(arg(0)) ? arg(1) : arg(2);
    case "LEAST":
    case "GREATEST": {
      const values = args.map((_, i) => arg(i));
      if (values.includes(null)) return null;
      const sorted = (values as Exclude<Value, null>[]).sort(compare);
      return (name === "LEAST" ? sorted[0] : sorted.at(-1)) as Value;
    }
    case "CONCAT":
      return args.map((_, i) => String(arg(i))).join("");
    case "RIGHT":
      return String(arg(0)).slice(-Number(arg(1)));
    case "FROM_BASE64":
      return Buffer.from(String(arg(0)), "base64");
    case "UNHEX":
      return Buffer.from(String(arg(0)), "hex");
    case "POW":
      return Number(arg(0)) ** Number(arg(1));
    case "FLOOR":
      return Math.floor(Number(arg(0)));
    case "SIGN":
      return Math.sign(Number(arg(0)));
    case "UNIX_TIMESTAMP":
      return args.length === 0 ? context.nowMs / 1_000 : Number(arg(0)) / 1_000;
    case "TIMESTAMP":
      return timeOf(String(arg(0)));
    case "TIMESTAMPDIFF": {
      const unit = (args[0] as Expr & { k: "col" }).n.toUpperCase();
      const [from, to] = [arg(1), arg(2)];
      if (from === null || to === null) return null;
      return Math.floor((Number(to) - Number(from)) / (UNIT_MS[unit] as number));
    }
    default:
      return unsupported(`function ${name}`);
  }
}

/** Whether a column of a result is returned as a Date. */
export function kindOf(expr: Expr, tables: readonly { alias: string; table: Table | null }[]): Kind | null {
  if (expr.k === "fn") {
    if (/^(NOW|CURRENT_TIMESTAMP)$/.test(expr.name)) return "time";
    const [first] = expr.args;
    return first !== undefined && /^(MIN|MAX|COALESCE)$/.test(expr.name) ? kindOf(first, tables) : null;
  }
  if (expr.k !== "col") return null;
  for (const { alias, table } of tables) {
    if (expr.q !== null && expr.q !== alias) continue;
    const found = table?.columns.get(expr.n);
    if (found !== undefined) return found.kind;
  }
  return null;
}
