// Named locks on a real MySQL: only one holder at a time, and none for ever.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { takeLock, withLock } from "../../src/platform/named-lock.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

let database: TestDatabase;
let first: Pool;
let second: Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  first = createPool(database.config, { connections: 2 });
  second = createPool(database.config, { connections: 2 });
}, 60_000);
afterAll(async () => {
  await Promise.all([first.end(), second.end()]);
  await database.drop();
});

test("while one holds it, another finds it busy, and gets it when the first is done or fails", async () => {
  const held = Promise.withResolvers<void>();
  const told = Promise.withResolvers<void>();
  const holding = withLock(first, "job", async () => {
    held.resolve();
    await told.promise;
    return "done";
  });
  await held.promise;
  expect(await withLock(second, "job", async () => "mine")).toBe("busy");
  expect(await withLock(second, "another", async () => "mine")).toBe("mine");
  told.resolve();
  expect(await holding).toBe("done");
  expect(await withLock(second, "job", async () => "mine")).toBe("mine");
  const failing = withLock(first, "job", async () => {
    throw new Error("broken");
  });
  expect(await failing.catch((error: Error) => error.message)).toBe("broken");
  // The server notices the lost connection a moment later.
  const next = await second.use(async (conn) => {
    const lock = await takeLock(conn, "job", { waitS: 10 });
    await lock?.release();
    return lock;
  });
  expect(next).not.toBeNull();
});

test("a silent holder, as when its machine is gone, loses it after a time", async () => {
  await first
    .use(async (conn) => {
      expect(await takeLock(conn, "job", { silentMaxS: 1 })).not.toBeNull();
      const next = await second.use((other) => takeLock(other, "job", { waitS: 10 }));
      expect(next).not.toBeNull();
      throw new Error("the connection is of no use any more");
    })
    .catch((error: Error) => expect(error.message).toContain("no use"));
});
