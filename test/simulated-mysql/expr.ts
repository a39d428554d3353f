// Parses SQL expressions, from the loosest operator to the tightest.

import type { Expr, Select, Value } from "./ast.ts";
import { Tokens } from "./tokens.ts";

const COMPARISONS = new Set(["=", "<>", "!=", "<", ">", "<=", ">="]);

export abstract class ExprParser {
  protected readonly t: Tokens;
  readonly #values: readonly unknown[];
  #value = 0;

  /** The values of the question marks passed since the first `from` were taken. */
  protected valuesSince(from: number): readonly unknown[] {
    return this.#values.slice(from, this.#value);
  }
  protected get valuesTaken(): number {
    return this.#value;
  }

  constructor(text: string, values: readonly unknown[]) {
    this.t = new Tokens(text);
    this.#values = values;
  }

  protected abstract select(): Select;

  expr(): Expr {
    let a = this.#and();
    while (this.take("OR")) a = { k: "bin", op: "OR", a, b: this.#and() };
    return a;
  }
  #and(): Expr {
    let a = this.#not();
    while (this.take("AND")) a = { k: "bin", op: "AND", a, b: this.#not() };
    return a;
  }
  #not(): Expr {
    return this.take("NOT") ? { k: "not", a: this.#not() } : this.#compare();
  }
  #compare(): Expr {
    const a = this.#sum();
    const { kind, value } = this.t;
    if (kind === "operator" && COMPARISONS.has(value)) {
      this.t.advance();
      return { k: "bin", op: value === "!=" ? "<>" : value, a, b: this.#sum() };
    }
    if (this.take("IS")) {
      const not = this.take("NOT");
      this.word("NULL");
      return { k: "null", a, not };
    }
    const not = this.take("NOT");
    if (this.take("IN")) return { k: "in", a, list: this.list(), not };
    if (this.take("BETWEEN")) {
      const low = this.#sum();
      this.word("AND");
      const within: Expr = {
        k: "bin",
        op: "AND",
        a: { k: "bin", op: ">=", a, b: low },
        b: { k: "bin", op: "<=", a, b: this.#sum() },
      };
      return not ? { k: "not", a: within } : within;
    }
    if (not) throw this.error("IN or BETWEEN");
    return a;
  }
  #sum(): Expr {
    let a = this.#product();
    for (;;) {
      const op = this.takeOp("+") ? "+" : this.takeOp("-") ? "-" : null;
      if (op === null) return a;
      a = { k: "bin", op, a, b: this.#product() };
    }
  }
  #product(): Expr {
    let a = this.#unary();
    for (;;) {
      const op = this.takeOp("*") ? "*" : this.takeOp("/") ? "/" : this.takeOp("%") ? "%" : null;
      if (op === null) return a;
      a = { k: "bin", op, a, b: this.#unary() };
    }
  }
  #unary(): Expr {
    if (!this.takeOp("-")) return this.#primary();
    const a = this.#unary();
    return a.k === "lit" ? { k: "lit", v: -Number(a.v) } : { k: "neg", a };
  }
  #primary(): Expr {
    const { kind, value } = this.t;
    this.t.advance();
    switch (kind) {
      case "number":
        return { k: "lit", v: Number(value) };
      case "string":
        return { k: "lit", v: value };
      case "hex":
        return { k: "lit", v: Buffer.from(value, "hex") };
      case "operator":
        return this.#operator(value);
      case "name":
        return this.#named(value);
      case "end":
        throw this.error("an expression");
    }
  }
  #operator(op: string): Expr {
    if (op === "*") return { k: "star" };
    if (op === "?") return { k: "lit", v: literal(this.#values[this.#value++]) };
    if (op !== "(") throw this.error("an expression");
    const first = this.expr();
    if (!this.isOp(",")) {
      this.op(")");
      return first;
    }
    const items = [first];
    while (this.takeOp(",")) items.push(this.expr());
    this.op(")");
    return { k: "row", items };
  }
  #named(name: string): Expr {
    const word = name.toUpperCase();
    if (word === "NULL") return { k: "lit", v: null };
    if (word === "TRUE" || word === "FALSE") return { k: "lit", v: word === "TRUE" ? 1 : 0 };
    if (word === "INTERVAL") {
      const a = this.#sum();
      return { k: "interval", a, unit: this.id().toUpperCase() };
    }
    if (word === "EXISTS") {
      this.op("(");
      const select = this.select();
      this.op(")");
      return { k: "exists", select };
    }
    if (word === "CASE") return this.#case();
    if (word === "TIMESTAMP" && this.t.kind === "string")
      return { k: "fn", name: word, args: [this.#primary()] };
    if (this.isOp("(")) return { k: "fn", name: word, args: this.list() };
    if (word === "CURRENT_TIMESTAMP") return { k: "fn", name: word, args: [] };
    if (!this.takeOp(".")) return { k: "col", q: null, n: name };
    if (this.takeOp("*")) return { k: "star" };
    return { k: "col", q: name, n: this.id() };
  }
  #case(): Expr {
    const whens: [Expr, Expr][] = [];
    const subject = this.is("WHEN") ? null : this.expr();
    while (this.take("WHEN")) {
      const given = this.expr();
      const when: Expr = subject === null ? given : { k: "bin", op: "=", a: subject, b: given };
      this.word("THEN");
      whens.push([when, this.expr()]);
    }
    const other: Expr = this.take("ELSE") ? this.expr() : { k: "lit", v: null };
    this.word("END");
    return { k: "case", whens, other };
  }

  protected list(): Expr[] {
    this.op("(");
    const items: Expr[] = [];
    if (this.takeOp(")")) return items;
    this.take("DISTINCT");
    do items.push(this.expr());
    while (this.takeOp(","));
    this.op(")");
    return items;
  }
  protected ids(): string[] {
    this.op("(");
    const names: string[] = [];
    do names.push(this.id());
    while (this.takeOp(","));
    this.op(")");
    return names;
  }

  protected isEnd(): boolean {
    return this.t.kind === "end";
  }
  protected is(word: string): boolean {
    const { kind, value } = this.t;
    if (kind !== "name" || value.length !== word.length) return false;
    return value === word || value.toUpperCase() === word;
  }
  protected take(word: string): boolean {
    if (!this.is(word)) return false;
    this.t.advance();
    return true;
  }
  protected word(word: string): void {
    if (!this.take(word)) throw this.error(word);
  }
  protected id(): string {
    const { kind, value } = this.t;
    if (kind !== "name") throw this.error("a name");
    this.t.advance();
    return value;
  }
  protected isOp(op: string): boolean {
    return this.t.kind === "operator" && this.t.value === op;
  }
  protected takeOp(op: string): boolean {
    if (!this.isOp(op)) return false;
    this.t.advance();
    return true;
  }
  protected op(op: string): void {
    if (!this.takeOp(op)) throw this.error(`'${op}'`);
  }
  protected error(wanted: string): Error {
    const { start, text } = this.t;
    const around = `${text.slice(Math.max(0, start - 60), start)}⟨here⟩${text.slice(start, start + 60)}`;
    return new Error(`the simulated database expected ${wanted}: ${around}`);
  }
}

function literal(value: unknown): Value {
  if (value === undefined || value === null) return null;
  if (typeof value === "boolean") return value ? 1 : 0;
  if (value instanceof Date) return value.toISOString().slice(0, 23).replace("T", " ");
  if (typeof value === "number" || typeof value === "string" || Buffer.isBuffer(value)) return value;
  throw new Error(`the simulated database can't take ${typeof value} for a question mark`);
}
