// Rate limits over several ingest processes, on real MySQL: what one takes is missing from the others'
// buckets a moment later, what they took at once is a debt, and the headers say what is left.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { TEXT_PARTS_MAX } from "../../src/core/limits.ts";
import { setTerms } from "../../src/customers/customers.ts";
import { shareRates } from "../../src/customers/rate-shares.ts";
import { createRateLimits } from "../../src/ingest/rate-limits.ts";
import { shareOnce } from "../../src/ingest/rate-sharing.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { type IngestProcess, makeCustomer, post, startIngest } from "../support/ingest-process.ts";

let db: TestDatabase;
let ingests: IngestProcess[];
beforeAll(async () => {
  db = await createTestDatabase();
  ingests = await Promise.all([startIngest(db.config), startIngest(db.config)]);
}, 60_000);
afterAll(async () => {
  await Promise.all(ingests.map((ingest) => ingest.end()));
  await db.drop();
});

const message = { phone: "+989121234567", text: "hello", type: "normal" };
const send = (at: number, apiKey: string) =>
  post(`${(ingests[at] as IngestProcess).url}/v1/sms/send`, apiKey, message);
/** Longer than processes need to tell each other. */
const TOLD_MS = 1_000;

test("what one process took is missing in the other a moment later, and a restart doesn't fill the bucket", async () => {
  const { apiKey } = await makeCustomer(db.config, 100_000, { rateLimit: 2 });
  expect((await send(1, apiKey)).status).toBe(202);
  for (let n = 0; n < 8; n++) expect((await send(0, apiKey)).status).toBe(202);
  await Bun.sleep(TOLD_MS);
  // It was not asked since, so it doesn't know yet.
  const last = await send(1, apiKey);
  expect([last.status, last.headers.get("ratelimit-policy")]).toEqual([
    202,
    '"parts";q=10;w=300;qu="message-parts"',
  ]);
  await Bun.sleep(TOLD_MS);
  const refused = await send(1, apiKey);
  expect(refused.status).toBe(429);
  expect(refused.headers.get("ratelimit")).toMatch(/^"parts";r=0;t=(29\d|300)$/);
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(1);
  const third = await startIngest(db.config);
  try {
    const url = `${third.url}/v1/sms/send`;
    await post(url, apiKey, message); // by now it may know of no bucket
    await Bun.sleep(TOLD_MS);
    expect((await post(url, apiKey, message)).status).toBe(429);
  } finally {
    await third.end();
  }
}, 30_000);

test("requests are limited on every route that takes a key, by a setting that holds within 2 s", async () => {
  const { apiKey, customerId } = await makeCustomer(db.config, 100_000);
  const wallet = (at: number) =>
    fetch(`${(ingests[at] as IngestProcess).url}/v1/wallet`, { headers: { "x-api-key": apiKey } });
  expect((await wallet(0)).status).toBe(200);
  await setTerms(db.pool, customerId, { requestLimit: 5, rateLimit: 60 });
  await Bun.sleep(2_000);
  const sent = await send(0, apiKey);
  expect([sent.status, sent.headers.get("ratelimit-policy")]).toEqual([
    202,
    '"parts";q=60;w=60;qu="message-parts", "requests";q=5;w=60',
  ]);
  expect(sent.headers.get("ratelimit")).toMatch(/^"parts";r=59;t=1, "requests";r=4;t=12$/);
  for (let n = 0; n < 4; n++) expect((await wallet(0)).status).toBe(200);
  const refused = await wallet(0);
  expect(refused.status).toBe(429);
  expect(refused.headers.get("ratelimit")).toMatch(/"requests";r=0;t=\d+$/);
  await Bun.sleep(TOLD_MS);
  await wallet(1);
  await Bun.sleep(TOLD_MS);
  expect((await wallet(1)).status).toBe(429);
  await setTerms(db.pool, customerId, { requestLimit: null });
  await Bun.sleep(2_000);
  expect((await wallet(1)).status).toBe(200);
}, 30_000);

test("a lower limit shuts nobody out for longer than its bucket takes to fill, whoever still tells the old one", async () => {
  const { apiKey, customerId } = await makeCustomer(db.config, 100_000);
  await setTerms(db.pool, customerId, { rateLimit: 10_000, requestLimit: 10_000 });
  await Promise.all([send(0, apiKey), send(1, apiKey)]); // both know the customer, and its old limits
  const used = (unit: "parts" | "requests") => ({ customerId, unit, perMinute: 10_000, taken: 9_700 });
  await Bun.sleep(TOLD_MS);
  await shareRates(db.pool, [used("parts"), used("requests")]);
  await setTerms(db.pool, customerId, { rateLimit: 100, requestLimit: 100 });
  const answers: Response[] = [];
  for (const endMs = performance.now() + 4_000; performance.now() < endMs; await Bun.sleep(100))
    answers.push(...(await Promise.all([send(0, apiKey), send(1, apiKey)])));
  const last = answers.at(-1) as Response;
  expect(last.headers.get("ratelimit-policy")).toMatch(/^"parts";q=100;.*"requests";q=100;/);
  const waits = answers.map((answer) => Number(answer.headers.get("retry-after") ?? 0));
  expect(Math.max(...waits)).toBeLessThanOrEqual(60);
  await Bun.sleep(Number(last.headers.get("retry-after") ?? 0) * 1_000);
  expect((await send(0, apiKey)).status).toBe(202);
}, 90_000);

test("processes that tell two limits see what all have taken; a debt ends with the limit", async () => {
  const customerId = 4_100_000;
  const tell = async (perMinute: number, taken: number, unit: "parts" | "requests" = "parts") => {
    const [sum] = await shareRates(db.pool, [{ customerId, unit, perMinute, taken }]);
    expect(sum).toMatchObject({ customerId, unit, perMinute });
    return sum?.used ?? 0;
  };
  /** Some of it has come back since. */
  const isAbout = (used: number, wanted: number) => {
    expect(used).toBeGreaterThan(wanted * 0.95);
    expect(used).toBeLessThanOrEqual(wanted);
  };
  await tell(10_000, 8_000);
  isAbout(await tell(100, 0), 80);
  isAbout(await tell(10_000, 1_000), 9_000);
  await tell(100, 900);
  isAbout(await tell(10_000, 0), 10_000);
  isAbout(await tell(2, 0), TEXT_PARTS_MAX); // no bucket holds less
  await tell(1_000, 900, "requests");
  isAbout(await tell(2, 0, "requests"), 1.8);
}, 30_000);

test("several processes that are asked for far more take together what one would take, within a few percent", async () => {
  const owner = { customerId: 4_000_000, rateLimit: 6_000 };
  const all = [createRateLimits(), createRateLimits(), createRateLimits()];
  let taken = 0;
  const seconds = 6;
  // Each is asked for 4,000 a second: the three for twelve times the limit.
  const ask = async (limits: (typeof all)[number]) => {
    for (const endMs = performance.now() + seconds * 1_000; performance.now() < endMs; ) {
      for (let n = 0; n < 40; n++) {
        try {
          limits.take(owner, 1);
          taken++;
        } catch {
          // the limit
        }
      }
      await Bun.sleep(10);
    }
  };
  const isOver = { value: false };
  const share = async (limits: (typeof all)[number]) => {
    while (!isOver.value) {
      await Bun.sleep(200);
      await shareOnce(db.pool, limits);
    }
  };
  const sharing = all.map(share);
  await Promise.all(all.map(ask));
  isOver.value = true;
  await Promise.all(sharing);
  const allowed = owner.rateLimit + (owner.rateLimit / 60) * seconds;
  const [shared] = await shareRates(db.pool, [
    { customerId: owner.customerId, unit: "parts", perMinute: owner.rateLimit, taken: 0 },
  ]);
  // What was taken too much is a debt.
  const debt = Math.max(0, (shared?.used ?? 0) - owner.rateLimit);
  expect(taken - debt).toBeLessThan(allowed * 1.03);
  expect(taken).toBeGreaterThan(allowed * 0.97);
}, 30_000);

test("the sum goes down with time and never below nothing, and many processes may tell at once", async () => {
  const share = (customerId: number, taken: number) => ({
    customerId,
    unit: "parts" as const,
    perMinute: 600,
    taken,
  });
  expect(await shareRates(db.pool, [share(5_000_001, -3)])).toMatchObject([{ used: 0 }]);
  await shareRates(db.pool, [share(5_000_001, 100)]);
  await Bun.sleep(1_000);
  const [now] = await shareRates(db.pool, [share(5_000_001, 0)]);
  expect(now?.used).toBeGreaterThan(80);
  expect(now?.used).toBeLessThan(91);
  const ids = Array.from({ length: 50 }, (_, n) => 5_001_000 + n);
  const tell = () => shareRates(db.pool, ids.map((id) => share(id, 1_000)).toReversed());
  await Promise.all(Array.from({ length: 8 }, tell));
  const sums = await shareRates(
    db.pool,
    ids.map((id) => share(id, 0)),
  );
  expect(sums).toHaveLength(50);
  for (const { used } of sums) {
    expect(used).toBeGreaterThan(7_900);
    expect(used).toBeLessThanOrEqual(8_000);
  }
}, 30_000);
