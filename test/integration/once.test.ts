// Requests with one key that meet, on a real MySQL: one runs, and what is told is final for all that ran.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createCustomerRoutes } from "../../src/api/admin/customers.ts";
import { createPriceRoutes } from "../../src/api/admin/prices.ts";
import { change } from "../../src/api/admin/run.ts";
import { type By, lent, type Once, once } from "../../src/control/audit.ts";
import { makeCustomer } from "../../src/control/customers.ts";
import { adjustWallet, type Posting } from "../../src/control/wallets.ts";
import type { Actor } from "../../src/core/audit.ts";
import { SluiceError } from "../../src/core/errors.ts";
import { createIdFactory } from "../../src/core/id.ts";
import { readCustomer } from "../../src/customers/customers.ts";
import { listPlans, lockPlan } from "../../src/customers/price-plans.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { sleep } from "../../src/platform/retry.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

const id = createIdFactory({ now: Date.now });
const actor: Actor = { via: "api", who: "sara", origin: "here" };
let database: TestDatabase;
/** Of two admin processes. */
let first: Pool;
let second: Pool;
let customerId = 0;
beforeAll(async () => {
  database = await createTestDatabase();
  const size = { connections: 2, multipleStatements: true };
  first = createPool(database.config, size);
  second = createPool(database.config, size);
  const terms = { name: "met", priceNormal: 1, priceExpress: 1, rateLimit: null };
  customerId = Number((await makeCustomer({ pool: first, actor }, terms)).customer_id);
}, 60_000);
afterAll(async () => {
  await Promise.all([first.end(), second.end()]);
  await database.drop();
});

const byKey = (pool: Pool, key: string): Posting => {
  const kept = { key, hash: Buffer.alloc(32, key) };
  return { pool, actor, kept, id, now: Date.now };
};
const adjust = (by: Posting, amount: number) => adjustWallet(by, { customerId, amount, reason: "a test" });
const ask = (pool: Pool, key: string, amount: number) =>
  once(byKey(pool, key), (by) => adjust(by, amount)).catch(codeOf);
const codeOf = (error: unknown) => (error instanceof SluiceError ? error.code : String(error));
const booked = async () =>
  (
    await database.pool.query<{ amount: number }[]>(
      "SELECT amount FROM audit_log WHERE customer_id=? AND amount IS NOT NULL ORDER BY audit_id",
      [customerId],
    )
  ).map(({ amount }) => amount);

/** A request that has begun, and changes nothing before `go`. */
async function begun(pool: Pool, key: string, amount: number) {
  const isIn = Promise.withResolvers<Pool>();
  const gate = Promise.withResolvers<void>();
  const answer = once(byKey(pool, key), async (by) => {
    isIn.resolve(by.pool);
    await gate.promise;
    return adjust(by, amount);
  }).catch(codeOf);
  return { pool: await isIn.promise, go: gate.resolve, answer };
}

test("while a request is under way, one with its key is not refused what the other may yet get", async () => {
  const slow = await begun(first, "late", -50);
  for (const pool of [first, second]) expect(await ask(pool, "late", -50)).toBe("idempotency_in_progress");
  // Another key, or another admin's, has nothing to do with it.
  expect(await ask(second, "credit", 50)).toMatchObject({ isRepeat: false });
  const other: By = { ...byKey(second, "late"), actor: { ...actor, who: "reza" } };
  expect(await once(other, () => Promise.resolve(1))).toEqual({ answer: "1", isRepeat: false });
  slow.go();
  const { answer } = (await slow.answer) as Once;
  expect(await ask(second, "late", -50)).toEqual({ answer, isRepeat: true });
  expect(await booked()).toEqual([50, -50]);
});

test("a refusal leaves its key free at once", async () => {
  for (let n = 0; n < 20; n++) {
    const pool = n % 2 === 0 ? first : second;
    expect(await ask(pool, "poor", -1)).toBe("insufficient_balance");
  }
  expect(await ask(first, "gift", 1)).toMatchObject({ isRepeat: false });
  expect(await ask(second, "poor", -1)).toMatchObject({ isRepeat: false });
});

test("a request whose connection is lost books nothing afterwards, and its key is free", async () => {
  const before = await booked();
  const lost = await begun(first, "cut", 7);
  const [row] = await lost.pool.query<{ thread: number }[]>("SELECT CONNECTION_ID() AS thread");
  await database.pool.query(`KILL ${row?.thread}`);
  lost.go();
  expect(await lost.answer).toBe("outcome_unknown");
  expect(await booked()).toEqual(before);
  let again: unknown;
  for (let n = 0; n < 200 && (again = await ask(second, "cut", 7)) === "idempotency_in_progress"; n++)
    await sleep(25);
  expect(again).toMatchObject({ isRepeat: false });
  expect(await booked()).toEqual([...before, 7]);
});

const losing = (pool: Pool) =>
  pool.transaction(async (conn) => {
    const [row] = await conn.query<{ thread: number }[]>("SELECT CONNECTION_ID() AS thread");
    await database.pool.query(`KILL ${row?.thread}`);
    await conn.query("SELECT 1");
  });
const again = "Repeat the request: twice has the effect of once.";
const look = "Ask what became of it before you repeat the request.";

test("what is told of a lost answer, and of a key of another request, is true of the route", async () => {
  type Keyed = Parameters<typeof change>[2]["key"];
  const told = (key: Keyed, given: string | null, run: (pool: Pool) => Promise<unknown>) => {
    const request = new Request("http://sluice/x", {
      method: "POST",
      headers: given === null ? {} : { "idempotency-key": given },
    });
    const owner = { name: "sara" } as Parameters<typeof change>[1]["owner"];
    const call = { owner, request, clientAddress: () => "here", bytes: new Uint8Array(0) };
    return change({ changes: first }, call, { status: 200, key }, ({ pool }) => run(pool)).then(
      () => "done",
      (error: SluiceError) => `${error.code}: ${error.detail}`,
    );
  };
  for (const [key, given, todo] of [
    ["none", null, again],
    ["once", "ignored", look],
    ["takes", null, look],
    ["takes", "lost-1", "Repeat the request with the same Idempotency-Key."],
    ["needs", "lost-2", "Repeat the request with the same Idempotency-Key."],
  ] as const) {
    const lost = `outcome_unknown: The connection to the database was lost. ${todo}`;
    expect([key, given, await told(key, given, losing)]).toEqual([key, given, lost]);
  }
  await ask(first, "used", 1);
  expect(await told("needs", "used", () => Promise.resolve())).toBe(
    "idempotency_key_reused: This Idempotency-Key, which is kept for ever, was used for another request. " +
      "Nothing was done.",
  );
});

test("a change that was stored, and whose answer was lost, is to be repeated only where that changes nothing", async () => {
  /** Loses the connection once the change is stored. */
  const changes: Pool = {
    ...first,
    transaction: async (body, options) => {
      await first.transaction(body, options);
      return (await losing(first)) as never;
    },
  };
  const deps = { pool: second, changes };
  const routes = [...createPriceRoutes(deps), ...createCustomerRoutes(deps)];
  const paths = { rates: "/admin/v1/plans/:plan/rates", customer: "/admin/v1/customers/:id" };
  const ask = async (method: string, path: string, body: object | null, version?: string) => {
    const headers = new Headers(version === undefined ? [] : [["if-match", version]]);
    const request = new Request("http://sluice/x", { method, headers });
    const params = { plan: "lost", id: String(customerId) };
    const owner = { name: "sara" };
    const call = { owner, request, params, body, bytes: new Uint8Array(0), clientAddress: () => "here" };
    const route = routes.find((each) => each.method === method && each.path === path);
    const told = await Promise.resolve(route?.handle(call as never)).catch((error: SluiceError) => error);
    return String((told as SluiceError).detail).replace("The connection to the database was lost. ", "");
  };
  const planVersion = async () => (await lockPlan(first, "lost"))?.version;
  const dated = { prefix: "+98", valid_from: "2026-01-01T00:00:00Z", normal: 2, express: 3 };
  const undated = { prefix: "+98", normal: 2, express: 3 };
  const { rates, customer } = paths;
  expect(await ask("POST", rates, { rates: [dated] })).toBe(again);
  expect(await ask("POST", rates, { rates: [dated] }, await planVersion())).toBe(look);
  expect(await ask("POST", rates, { rates: [dated, undated] })).toBe(look);
  expect(await ask("POST", `${rates}/remove`, { prefix: "+98" })).toBe(look);
  expect(await ask("DELETE", "/admin/v1/plans/:plan", null)).toBe(look);
  expect(await listPlans(first)).toEqual([]);
  const { version } = await readCustomer(first, customerId);
  expect(await ask("PATCH", customer, { price_normal: 2 }, version)).toBe(look);
  expect(await ask("PATCH", customer, { price_normal: 3 })).toBe(again);
  expect(await readCustomer(first, customerId)).toMatchObject({ price_normal: 3 });
});

test("a transaction on a lent connection is repeated after a lock wait, and leaves nothing of what failed", async () => {
  await first.write("CREATE TABLE marks (mark INT)");
  const mark = (pool: Pool, n: number, state: string | null) =>
    pool.transaction(async (conn) => {
      await conn.write("INSERT INTO marks VALUES (?)", [n]);
      if (state !== null) await conn.query(state);
    });
  let tries = 0;
  await first.use(async (conn) => {
    const pool = lent(conn);
    const failing = mark(pool, 1, "SIGNAL SQLSTATE '45000'");
    expect(await failing.catch((error: { sqlState?: string }) => error.sqlState)).toBe("45000");
    await pool.transaction(async (tx) => {
      await tx.write("INSERT INTO marks VALUES (?)", [++tries]);
      // 1205: the lock wait of which InnoDB rolls back the statement only.
      if (tries === 1) await tx.query("SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO=1205");
    });
  });
  expect(await first.query<object[]>("SELECT mark FROM marks")).toEqual([{ mark: 2 }]);
});
