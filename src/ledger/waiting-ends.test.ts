import { expect, test } from "bun:test";
import { findFirstEnds, forgetFirstEnds, keepFirstEnds, type WaitingEnd } from "./waiting-ends.ts";

const AT_MS = Date.UTC(2026, 10, 4, 8, 10, 0);
const end = (fields: Partial<WaitingEnd> = {}): WaitingEnd => ({
  operator: "A",
  about: "id-1",
  status: "delivered",
  error: null,
  doneAtMs: AT_MS,
  phone: "98912",
  receivedAtMs: AT_MS + 1,
  ...fields,
});
function connection(rows: readonly Record<string, unknown>[] = []) {
  const statements: string[] = [];
  const run = async (sql: string) => {
    statements.push(sql);
    return rows;
  };
  return { statements, conn: { query: run, write: run } as never };
}
const valuesOf = (sql = "") => /VALUES (.*) ON DUPLICATE/.exec(sql)?.[1] ?? "";

test("ends are stored 500 in a statement, in their order; without any there is none", async () => {
  const { conn, statements } = connection();
  await keepFirstEnds(conn, []);
  expect(statements).toEqual([]);
  const about = Array.from({ length: 501 }, (_, n) => `id-${n}`);
  const ends = about.map((each) => end({ about: each }));
  await keepFirstEnds(conn, ends);
  const stored = statements.map((sql) => [...valuesOf(sql).matchAll(/'(id-\d+)'/g)].map(([, id]) => id));
  expect(stored.map((some) => some.length)).toEqual([500, 1]);
  expect(stored.flat()).toEqual(about);
});

test("what a report leaves out is NULL, and nothing that it says ends its literal", async () => {
  const { conn, statements } = connection();
  await keepFirstEnds(conn, [end({ about: "x'),('y", error: "it's", doneAtMs: null, phone: null })]);
  const received = "'2026-11-04 08:10:00.001'";
  const values = `('A','x\\'),(\\'y','delivered','it\\'s',NULL,NULL,${received})`;
  expect(valuesOf(statements[0])).toBe(values);
});

test("each operator is asked about its own, and not at all if there is nothing", async () => {
  const found = { about: "k1", status: "undelivered", error: "expired", phone: null };
  const { conn, statements } = connection([{ ...found, done_at: null, received_at: new Date(AT_MS) }]);
  const about = new Map<string, string[]>([
    ["A", []],
    ["B", ["k1", "k'2"]],
  ]);
  const ends: unknown = await findFirstEnds(conn, about);
  expect(ends).toEqual([{ ...found, operator: "B", doneAtMs: null, receivedAtMs: AT_MS }]);
  await forgetFirstEnds(conn, about);
  expect(statements.map((sql) => sql.slice(sql.indexOf("WHERE")))).toEqual(
    Array(2).fill("WHERE operator='B' AND about IN ('k1','k\\'2')"),
  );
});
