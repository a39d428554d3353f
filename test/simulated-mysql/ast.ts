// The syntax trees that the simulated database's parser makes and its executor runs: only the part of MySQL's
// language that is used here.

export type Value = number | string | Buffer | null;
export type Expr =
  | { k: "lit"; v: Value }
  | { k: "col"; q: string | null; n: string }
  | { k: "bin"; op: string; a: Expr; b: Expr }
  | { k: "not"; a: Expr }
  | { k: "neg"; a: Expr }
  | { k: "in"; a: Expr; list: Expr[]; not: boolean }
  | { k: "row"; items: Expr[] }
  | { k: "null"; a: Expr; not: boolean }
  | { k: "fn"; name: string; args: Expr[] }
  | { k: "case"; whens: [Expr, Expr][]; other: Expr }
  | { k: "interval"; a: Expr; unit: string }
  | { k: "exists"; select: Select }
  | { k: "star" };
export type From = {
  table: string | null;
  values: Expr[][] | null;
  select: Select | null;
  alias: string;
  columns: string[];
  on: Expr | null;
  left: boolean;
};
export type Select = {
  k: "select";
  items: { expr: Expr; name: string }[];
  distinct: boolean;
  from: From[];
  where: Expr | null;
  group: Expr[];
  having: Expr | null;
  order: { expr: Expr; desc: boolean }[];
  limit: Expr | null;
  lock: boolean;
  skipLocked: boolean;
};
export type Assign = { column: string; q: string | null; expr: Expr };
/** A statement's text, with the values of its question marks. */
export type Source = { text: string; values: readonly unknown[] };
export type Statement = { source?: Source } & StatementTree;
type StatementTree =
  | Select
  | {
      k: "insert";
      table: string;
      columns: string[];
      rows: Expr[][];
      select: Select | null;
      alias: string | null;
      onDuplicate: Assign[] | null;
    }
  | {
      k: "update";
      from: From[];
      set: Assign[];
      where: Expr | null;
      order: Select["order"];
      limit: Expr | null;
    }
  | {
      k: "delete";
      target: string;
      from: From[];
      where: Expr | null;
      order: Select["order"];
      limit: Expr | null;
    }
  | { k: "begin" | "commit" | "rollback" | "nothing" };
