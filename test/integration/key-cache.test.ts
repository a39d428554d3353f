// The API keys that a process caches: looked up once, and again only when something about them has changed.

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import { createKey, hashKey, revokeKey } from "../../src/customers/api-keys.ts";
import { createKeyCache, type KeyCache } from "../../src/customers/key-cache.ts";
import { type Connection, createPool, type Pool } from "../../src/platform/mysql.ts";
import { sleep } from "../../src/platform/retry.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { insertCustomer } from "../support/messages.ts";

let database: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database.config, { connections: 4, multipleStatements: true });
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

const id = createIdFactory({ now: Date.now });
let cache: KeyCache;
let lookUps = 0;
let rowReads = 0;
/** By how much MySQL's clock is set back, as far as the cache and the changes of a test can tell. */
let setBackMs = 0;
/** How long the answer to a poll is on its way, and what polls said of this machine's clock. */
let answerMs = 0;
let skewsMs: number[] = [];
let customerId: number;
let key: { keyId: string; apiKey: string };
beforeEach(async () => {
  lookUps = rowReads = setBackMs = answerMs = 0;
  const own: number[] = []; // the last poll of the test before may still be under way
  skewsMs = own;
  const counting: Pool = {
    ...pool,
    query: async <T>(sql: string, values?: unknown[]) => {
      if (sql.includes("key_hash=?")) lookUps++;
      if (sql.includes("AS changed_at")) rowReads++;
      const answer = await (setBackMs === 0
        ? pool.query<T>(sql, values)
        : atEarlierTime((conn) => conn.query<T>(sql, values)));
      if (sql.includes("AS digest")) await sleep(answerMs);
      return answer;
    },
  };
  cache = createKeyCache(
    { polls: counting, loads: () => counting },
    {
      monotonicMs: () => performance.now(),
      now: Date.now,
      onSkew: (ms) => own.push(ms),
    },
  );
  customerId = await insertCustomer(pool, 700);
  key = await createKey({ pool, id }, customerId, ["send"]);
  await sleep(1_300); // for the first poll, and one that sees the new customer
  await ask();
});
afterEach(() => cache.stop());

const atEarlierTime = <T>(work: (conn: Connection) => Promise<T>): Promise<T> =>
  pool.use(async (conn) => {
    await conn.query(`SET timestamp=${(Date.now() - setBackMs) / 1_000}`);
    const found = await work(conn);
    await conn.query("SET timestamp=DEFAULT");
    return found;
  });
const ask = async () => cache.get(key.apiKey) ?? (await cache.load(key.apiKey));
const askedFor = async (ms: number) => {
  for (const endMs = performance.now() + ms; performance.now() < endMs; await sleep(20)) await ask();
};

test("a recently created customer is looked up once, not at every poll", async () => {
  await askedFor(1_600);
  expect(lookUps).toBe(1);
});

test("a changed price is noticed, and looked up once", async () => {
  await pool.query("UPDATE customers SET price_normal=77 WHERE customer_id=?", [customerId]);
  await askedFor(1_500);
  expect((await ask())?.priceNormal).toBe(77);
  expect(lookUps).toBe(2);
});

test("changed rows are read once, not at every poll", async () => {
  const before = rowReads;
  await pool.query("UPDATE customers SET price_normal=76 WHERE customer_id=?", [customerId]);
  await askedFor(3_000);
  expect((await ask())?.priceNormal).toBe(76);
  // One more is due when the time that polls look back to moves on.
  expect(rowReads - before).toBeOneOf([1, 2]);
});

test("changes right after each other are all noticed", async () => {
  for (let price = 80; price < 100; price++) {
    await pool.query("UPDATE customers SET price_normal=? WHERE customer_id=?", [price, customerId]);
    await ask();
  }
  await askedFor(1_200);
  expect((await ask())?.priceNormal).toBe(99);
  const times = "SELECT COUNT(*) AS times FROM information_schema.columns WHERE table_schema=DATABASE() AND ";
  const [found] = await pool.query<{ times: number }[]>(
    `${times} table_name IN ('customers','api_keys') AND column_name='updated_at' AND datetime_precision=6`,
  );
  expect(found?.times).toBe(2);
});

test("a change after MySQL's clock was set back is noticed", async () => {
  setBackMs = 60_000;
  await askedFor(1_200);
  const change = "UPDATE customers SET price_normal=73 WHERE customer_id=?";
  await atEarlierTime((conn) => conn.write(change, [customerId]));
  await askedFor(1_500);
  expect((await ask())?.priceNormal).toBe(73);
}, 20_000);

test("an answer that was long on its way says nothing of the clock", async () => {
  const before = skewsMs.length;
  expect(before).toBeGreaterThan(0);
  answerMs = 1_500;
  await sleep(3_000);
  answerMs = 0;
  await sleep(3_000);
  expect(skewsMs.length).toBeGreaterThan(before);
  // Half of 1.5 s, if it counted.
  for (const ms of skewsMs) expect(Math.abs(ms)).toBeLessThan(700);
}, 20_000);

test("a change that is committed seconds after it was written is noticed", async () => {
  await pool.transaction(async (conn) => {
    await conn.write("UPDATE customers SET price_normal=75 WHERE customer_id=?", [customerId]);
    await askedFor(2_500);
  });
  await askedFor(1_200);
  expect((await ask())?.priceNormal).toBe(75);
});

test("guessed keys are remembered, but don't push out a customer's", async () => {
  const guess = async (n: number) =>
    cache.get(`sk_guess_${n}`) === undefined ? void (await cache.load(`sk_guess_${n}`)) : undefined;
  await guess(0);
  await guess(0);
  expect(lookUps).toBe(2);
  for (let n = 1; n <= 1_000; n++) await guess(n);
  await guess(0); // pushed out by the others
  expect(lookUps).toBe(1_003);
  expect(cache.get(key.apiKey)?.customerId).toBe(customerId);
});

test("a key that was unknown works within 2 s of its creation", async () => {
  const later = `sk_later_${id()}`;
  expect(await cache.load(later)).toBeNull();
  expect(cache.get(later)).toBeNull();
  await pool.query("INSERT INTO api_keys (key_id,key_hash,customer_id,scopes) VALUES (?,?,?,'send')", [
    id(),
    hashKey(later),
    customerId,
  ]);
  await sleep(1_500);
  const cached = cache.get(later); // null would be its former answer
  expect((cached === undefined ? await cache.load(later) : cached)?.customerId).toBe(customerId);
});

test("a revoked key is refused within 2 s", async () => {
  await revokeKey(pool, key.keyId);
  await askedFor(2_000);
  expect(cache.get(key.apiKey)).toBeNull();
});

// The last: for half a minute, every change after it drops the whole cache.
test("a change of thousands of customers at once is noticed, and one that follows it too", async () => {
  const many = Array.from({ length: 3_000 }, () => "('many',900,900)");
  await pool.query(`INSERT INTO customers (name,price_normal,price_express) VALUES ${many}`);
  await askedFor(1_200);
  await pool.query("UPDATE customers SET price_normal=price_normal+1");
  await askedFor(1_500);
  expect((await ask())?.priceNormal).toBe(501);
  await pool.query("UPDATE customers SET price_normal=price_normal+1 WHERE customer_id=?", [customerId]);
  await askedFor(1_500);
  expect((await ask())?.priceNormal).toBe(502);
});
