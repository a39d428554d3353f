// Parses the SQL that src/ writes into trees that run.ts executes: only the part of MySQL's language that is
// used here. Anything else is an error, so that a new kind of statement is noticed at once.
// Owns statements; leaves expressions to expr.ts. Bound: caches the trees of CACHED_MAX texts shorter than
// CACHED_CHARS_MAX.

import type { Assign, Expr, From, Select, Statement } from "./ast.ts";
import { ExprParser } from "./expr.ts";

const CACHED_CHARS_MAX = 400;
const CACHED_MAX = 2_000;
const cached = new Map<string, Statement[]>();

/** The statements of one text; `values` replace its question marks. */
export function parseSql(text: string, values: readonly unknown[] = []): Statement[] {
  const known = values.length === 0 ? cached.get(text) : undefined;
  if (known !== undefined) return known;
  const statements = new Parser(text, values).statements();
  if (values.length === 0 && text.length < CACHED_CHARS_MAX && cached.size < CACHED_MAX)
    cached.set(text, statements);
  return statements;
}

/** Parses a single expression, such as a table's CHECK. */
export function parseExpr(text: string): Expr {
  return new Parser(text, []).expr();
}

const WORDS_AFTER_TABLE =
  /^(FORCE|ON|SET|WHERE|ORDER|GROUP|LIMIT|FOR|JOIN|STRAIGHT_JOIN|LEFT|INNER|USING|HAVING|VALUES|SELECT)$/i;

class Parser extends ExprParser {
  statements(): Statement[] {
    const out: Statement[] = [];
    while (!this.isEnd()) {
      const { start } = this.t;
      const taken = this.valuesTaken;
      const statement: Statement = this.#statement();
      statement.source = { text: this.t.text.slice(start, this.t.start), values: this.valuesSince(taken) };
      out.push(statement);
      if (!this.isEnd()) this.op(";");
    }
    return out;
  }

  #statement(): Statement {
    if (this.is("SELECT") || this.isOp("(")) return this.select();
    if (this.take("BEGIN")) return { k: "begin" };
    if (this.take("COMMIT")) return { k: "commit" };
    if (this.take("ROLLBACK")) return { k: "rollback" };
    if (this.take("START")) return this.#rest({ k: "begin" });
    if (this.take("SET") || this.take("DO")) return this.#rest({ k: "nothing" });
    if (this.take("INSERT")) return this.#insert();
    if (this.take("UPDATE")) return this.#update();
    if (this.take("DELETE")) return this.#delete();
    throw this.error("a statement");
  }

  #rest(statement: Statement): Statement {
    while (!this.isEnd() && !this.isOp(";")) this.t.advance();
    return statement;
  }

  protected override select(): Select {
    if (this.takeOp("(")) {
      const inner = this.select();
      this.op(")");
      return inner;
    }
    this.word("SELECT");
    const distinct = this.take("DISTINCT");
    const items: Select["items"] = [];
    do {
      const { start } = this.t;
      const expr = this.expr();
      const text = this.t.text.slice(start, this.t.start).trim();
      let name = expr.k === "col" ? expr.n : text;
      if (this.take("AS")) name = this.id();
      else if (this.t.kind === "name" && !/^(FROM|WHERE|ORDER|LIMIT|FOR|UNION|GROUP)$/i.test(this.t.value))
        name = this.id();
      items.push({ expr, name });
    } while (this.takeOp(","));
    const from = this.take("FROM") ? this.#from() : [];
    const where = this.take("WHERE") ? this.expr() : null;
    const group: Expr[] = [];
    if (this.take("GROUP")) {
      this.word("BY");
      do group.push(this.expr());
      while (this.takeOp(","));
    }
    const having = this.take("HAVING") ? this.expr() : null;
    const order = this.#order();
    const limit = this.take("LIMIT") ? this.expr() : null;
    let lock = false;
    let skipLocked = false;
    if (this.take("FOR")) {
      if (!this.take("UPDATE")) this.word("SHARE");
      lock = true;
      if (this.take("OF")) this.id();
      if (this.take("SKIP")) {
        this.word("LOCKED");
        skipLocked = true;
      }
    }
    return { k: "select", items, distinct, from, where, group, having, order, limit, lock, skipLocked };
  }

  #order(): Select["order"] {
    const order: Select["order"] = [];
    if (!this.take("ORDER")) return order;
    this.word("BY");
    do {
      const expr = this.expr();
      const desc = this.take("DESC");
      if (!desc) this.take("ASC");
      order.push({ expr, desc });
    } while (this.takeOp(","));
    return order;
  }

  #from(): From[] {
    const from = [this.#tableRef()];
    for (;;) {
      const left = this.take("LEFT");
      if (left || this.is("INNER") || this.is("CROSS")) this.take("OUTER");
      if (this.takeOp(",")) {
        from.push(this.#tableRef());
        continue;
      }
      if (!this.take("STRAIGHT_JOIN")) {
        if (!this.take("INNER")) this.take("CROSS");
        if (!this.take("JOIN")) return from;
      }
      const ref = this.#tableRef();
      ref.left = left;
      if (this.take("ON")) ref.on = this.expr();
      else if (this.take("USING")) ref.on = this.#using(from.at(-1) as From, ref);
      from.push(ref);
    }
  }

  #using(left: From, right: From): Expr {
    return this.ids()
      .map(
        (n): Expr => ({
          k: "bin",
          op: "=",
          a: { k: "col", q: left.alias, n },
          b: { k: "col", q: right.alias, n },
        }),
      )
      .reduce((a, b): Expr => ({ k: "bin", op: "AND", a, b }));
  }

  #tableRef(): From {
    const ref: From = {
      table: null,
      values: null,
      select: null,
      alias: "",
      columns: [],
      on: null,
      left: false,
    };
    if (this.takeOp("(")) {
      if (this.take("VALUES")) ref.values = this.#rows(true);
      else ref.select = this.select();
      this.op(")");
    } else {
      ref.table = this.id();
      ref.alias = ref.table;
    }
    if (this.take("AS")) ref.alias = this.id();
    else if (this.t.kind === "name" && !WORDS_AFTER_TABLE.test(this.t.value)) ref.alias = this.id();
    // The index that MySQL uses changes what it locks and what that costs, not which rows it finds.
    if (this.take("FORCE")) {
      this.word("INDEX");
      this.ids();
    }
    if (ref.table === null && this.isOp("(")) ref.columns = this.ids();
    return ref;
  }

  #rows(named: boolean): Expr[][] {
    const rows: Expr[][] = [];
    do {
      if (named) this.word("ROW");
      rows.push(this.list());
    } while (this.takeOp(","));
    return rows;
  }

  #insert(): Statement {
    this.word("INTO");
    const table = this.id();
    const columns = this.ids();
    let rows: Expr[][] = [];
    let select: Select | null = null;
    if (this.take("VALUES")) rows = this.#rows(this.is("ROW"));
    else select = this.select();
    const alias = this.take("AS") ? this.id() : null;
    let onDuplicate: Assign[] | null = null;
    if (this.take("ON")) {
      for (const word of ["DUPLICATE", "KEY", "UPDATE"]) this.word(word);
      onDuplicate = this.#assigns();
    }
    return { k: "insert", table, columns, rows, select, alias, onDuplicate };
  }

  #assigns(): Assign[] {
    const out: Assign[] = [];
    do {
      const first = this.id();
      const column = this.takeOp(".") ? this.id() : null;
      this.op("=");
      out.push({ column: column ?? first, q: column === null ? null : first, expr: this.expr() });
    } while (this.takeOp(","));
    return out;
  }

  #update(): Statement {
    const from = this.#from();
    this.word("SET");
    const set = this.#assigns();
    const where = this.take("WHERE") ? this.expr() : null;
    const order = this.#order();
    return { k: "update", from, set, where, order, limit: this.take("LIMIT") ? this.expr() : null };
  }

  #delete(): Statement {
    let target: string | null = null;
    if (!this.take("FROM")) {
      target = this.id();
      this.word("FROM");
    }
    const from = this.#from();
    const where = this.take("WHERE") ? this.expr() : null;
    const order = this.#order();
    const limit = this.take("LIMIT") ? this.expr() : null;
    return { k: "delete", target: target ?? (from[0] as From).alias, from, where, order, limit };
  }
}
