// When keys were used last: noted at once, written later and together.

import { expect, test } from "bun:test";
import { KEY_USES_ROWS_MAX } from "../core/access-limits.ts";
import { KEY_CACHE_MAX } from "../core/limits.ts";
import { createKeyUses } from "./key-uses.ts";

/** A database that keeps which keys each statement wrote. */
function recorded() {
  const statements: string[][] = [];
  let fails = false;
  const write = (sql: string, values: unknown[] = []) => {
    if (fails) return Promise.reject(new Error("away"));
    expect(sql).toContain("updated_at=updated_at");
    statements.push([...(values[0] as string[])]);
    return Promise.resolve({ affectedRows: 0, insertId: 0, info: "" });
  };
  return { statements, uses: createKeyUses({ write }), fail: (isAway: boolean) => (fails = isAway) };
}

test("a key is written once, however often it was used; without uses nothing is written", async () => {
  const { statements, uses } = recorded();
  await uses.write();
  for (const keyId of ["b", "a", "b", "b"]) uses.note(keyId);
  await uses.write();
  await uses.write();
  expect(statements).toEqual([["a", "b"]]);
  uses.note("b");
  await uses.write();
  expect(statements).toEqual([["a", "b"], ["b"]]);
});

test("many keys are written in several statements, and those of a statement that failed the next time", async () => {
  const { statements, uses, fail } = recorded();
  for (let n = 0; n < KEY_USES_ROWS_MAX + 1; n++) uses.note(String(n).padStart(6, "0"));
  fail(true);
  expect(await uses.write().catch(String)).toBe("Error: away");
  expect(statements).toEqual([]);
  fail(false);
  await uses.write();
  expect(statements.map((keys) => keys.length)).toEqual([KEY_USES_ROWS_MAX, 1]);
});

test("no more keys are noted than are cached", async () => {
  const { statements, uses } = recorded();
  for (let n = 0; n < KEY_CACHE_MAX + 10; n++) uses.note(String(n));
  await uses.write();
  expect(statements.flat()).toHaveLength(KEY_CACHE_MAX);
});
