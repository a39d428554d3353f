// The pools of an ingest process that customers share, on a MySQL whose connections are all taken.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { CUSTOMER_RUNNING_MAX, READ_CONNECTIONS, TURNS_MAX } from "../../src/core/pool-limits.ts";
import { openPools } from "../../src/ingest/pools.ts";
import type { Role } from "../../src/platform/role.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await createTestDatabase();
});
afterAll(() => db.drop());

test("however many customers ask at once, a request that has begun is served, and only new ones are refused", async () => {
  const quiet = () => () => undefined;
  const metrics = { histogram: quiet, counter: quiet, gauge: () => undefined };
  const ended: (() => unknown)[] = [];
  const onStop = (end: () => unknown) => void ended.push(end);
  const pools = openPools({ config: db.config, metrics, onStop } as unknown as Role);
  const ask = (pool: ReturnType<typeof pools.readOf>) => pool.query<{ one: number }[]>("SELECT 1 AS one");
  const begun = Array.from({ length: TURNS_MAX + 100 }, (_, customer) => pools.readOf(customer));
  for (let at = 0; at < begun.length; at += 100) await Promise.all(begun.slice(at, at + 100).map(ask));

  const held = Promise.withResolvers<void>();
  const holding = Array.from({ length: READ_CONNECTIONS }, (_, n) =>
    pools.readOf(-1 - Math.floor(n / CUSTOMER_RUNNING_MAX)).use(() => held.promise),
  );
  const answers = begun.map(ask);
  expect(ask(pools.readOf(begun.length))).rejects.toMatchObject({ code: "overloaded", retryAfterS: 1 });
  held.resolve();
  await Promise.all(holding);
  for (const rows of await Promise.all(answers)) expect(rows).toEqual([{ one: 1 }]);
  expect(await ask(pools.readOf(begun.length))).toEqual([{ one: 1 }]);
  await Promise.all(ended.map((end) => end()));
});
