import { expect, test } from "bun:test";
import type { Connection, Pool } from "../platform/mysql.ts";
import { createCheckPace, restFactor } from "./pace.ts";

test("the rest grows from four to forty times the work, with the commits of others", () => {
  expect([0, 75, 150, 900].map(restFactor)).toEqual([4, 22, 40, 40]);
  expect(restFactor(-1)).toBe(4); // the server was restarted
});

test("only the time of its own statements counts, each once", async () => {
  let nowMs = 0;
  let commits = 100;
  const conn = {
    query: (sql: string) => {
      if (!sql.startsWith("SHOW")) nowMs += 10;
      return Promise.resolve([{ Value: String(commits) }]);
    },
  } as unknown as Connection;
  const pool = { use: (body: (own: Connection) => unknown) => body(conn) } as unknown as Pool;
  const pace = createCheckPace(pool, () => nowMs);
  await pace.pool.use(async (own) => {
    await own.query("SELECT 1");
    nowMs += 5_000; // ClickHouse
    await own.query("SELECT 2");
  });
  expect(await pace.restMs(conn)).toBe(4 * 20);
  expect(await pace.restMs(conn)).toBe(0);
  nowMs += 1_000;
  commits += 500;
  await pace.counted(conn).query("SELECT 3");
  expect(await pace.restMs(conn)).toBe(40 * 10);
});
