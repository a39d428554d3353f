// Hundreds of requests of one customer at once, which wait for a row of its own, or of somebody who guesses
// keys: each is served in its turn or asked to wait, and nobody else waits for them.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { CUSTOMER_RUNNING_MAX, KEY_LOADS_RUNNING_MAX } from "../../src/core/pool-limits.ts";
import { setOtpCode, setSuspended } from "../../src/customers/customers.ts";
import { answeredOrAskedToWait, sendAtOnce } from "../support/floods.ts";
import { makeCustomer, type TestCustomer } from "../support/ingest-process.ts";
import { head, type RawAnswer } from "../support/raw-http.ts";
import { type Api, message, startApi } from "../support/refusals.ts";
import { metricOf, until } from "../support/roles.ts";

const RICH = 100_000_000;
const NO_LIMITS = { otpCustomerHourly: 0, otpRangeHourly: 0, otpVerifiedPercent: 0 };

let api: Api;
beforeAll(async () => {
  api = await startApi({ otpSecret: "a secret of the tests, long enough for it", ...NO_LIMITS });
}, 120_000);
afterAll(() => api.stop(), 30_000);

const customerWith = (balance: number): Promise<TestCustomer> => makeCustomer(api.db.config, balance);
const flood = (requests: string[]) => sendAtOnce(api.ingest.url, requests);
function post(path: string, { apiKey }: { apiKey: string }, body: object): string {
  const asked = JSON.stringify(body);
  const headers = { "content-type": "application/json", "x-api-key": apiKey };
  return head("POST", path, { ...headers, "content-length": String(asked.length) }) + asked;
}
const usedOf = (pool: string) => metricOf(api.ingest.healthUrl, "sluice_mysql_pool_used", `pool="${pool}"`);
/** Until as many requests as may have a connection of this pool. */
const allWait = (pool: string, running: number) =>
  until(async () => (await usedOf(pool)) >= running, `they have connections of pool ${pool}`);
/** A customer whose key is in memory and stays there: a poll has seen the last change of it. */
async function knownCustomer(): Promise<TestCustomer> {
  const customer = await customerWith(RICH);
  for (const status of [403, 202]) {
    await setSuspended(api.db.pool, customer.customerId, status === 403);
    const sent = async () => (await api.send(message, {}, customer.apiKey)).status;
    await until(async () => (await sent()) === status, "the process knows the customer as it is now");
  }
  return customer;
}
/** A keyed send of another customer, and whether the process is ready. */
async function others({ apiKey }: TestCustomer, key: string): Promise<number[]> {
  const [sent, ready] = await Promise.all([
    api.send(message, { "idempotency-key": key }, apiKey),
    fetch(`${api.ingest.healthUrl}/ready`),
  ]);
  return [sent.status, ready.status];
}
const phoneOf = (n: number) => `+98912${String(n).padStart(7, "0")}`;

test("300 one-time codes of one customer that wait for its counts hold up neither another's code nor its verification", async () => {
  const [busy, calm] = [await customerWith(RICH), await customerWith(RICH)];
  await setOtpCode(api.db.pool, calm.customerId, true);
  const ask = (path: string, body: object) =>
    api.ask(path, { method: "POST", body: JSON.stringify(body) }, calm.apiKey);
  await flood([post("/v1/otp", busy, { phone: phoneOf(0) })]);
  let codes: Promise<(RawAnswer | null)[]> = Promise.resolve([]);
  await api.db.pool.transaction(async (conn) => {
    await conn.query("SELECT * FROM otp_counts WHERE customer_id=? FOR UPDATE", [busy.customerId]);
    codes = flood(Array.from({ length: 300 }, (_, n) => post("/v1/otp", busy, { phone: phoneOf(n + 1) })));
    await allWait("otp", CUSTOMER_RUNNING_MAX);
    const sent = await ask("/v1/otp", { phone: phoneOf(0) });
    expect(sent.status).toBe(202);
    const { id, otp_code } = JSON.parse(sent.text) as { id: string; otp_code: string };
    const verified = await ask(`/v1/otp/${id}/verify`, { code: otp_code });
    expect(verified.status).toBe(200);
  });
  answeredOrAskedToWait("POST /v1/otp", 202, await codes);
}, 120_000);

/** Longer than a process knows its keys without a poll, and shorter than MYSQL_ANSWER_MAX_MS. */
const UNREADABLE_MS = 3_000;

/** Sends these while nobody can read this table, and expects that another customer notices nothing. */
async function floodUnread(
  table: string,
  running: number,
  requests: string[],
): Promise<(RawAnswer | null)[]> {
  const calm = await knownCustomer();
  let answers: Promise<(RawAnswer | null)[]> = Promise.resolve([]);
  await api.db.pool.use(async (conn) => {
    await conn.query(`LOCK TABLES ${table} WRITE`);
    answers = flood(requests);
    await allWait("look-up", running);
    const endMs = performance.now() + UNREADABLE_MS;
    for (let n = 0; performance.now() < endMs; n++)
      expect([n, ...(await others(calm, `${table} ${n}`))]).toEqual([n, 202, 200]);
    await conn.query("UNLOCK TABLES");
  });
  return answers;
}

test("300 templates of one customer that can't be read hold up neither another's keyed sends nor /ready", async () => {
  const busy = await knownCustomer();
  const named = (n: number) => post("/v1/sms/send", busy, { ...message, text: undefined, template: `t${n}` });
  const requests = Array.from({ length: 300 }, (_, n) => named(n));
  const answers = await floodUnread("templates", CUSTOMER_RUNNING_MAX, requests);
  answeredOrAskedToWait("POST /v1/sms/send", 422, answers);
}, 120_000);

test("1,500 guessed keys that can't be looked up hold up neither keyed sends nor /ready", async () => {
  const guess = (n: number) => ({ apiKey: `sk_${String(n).padStart(27, "0")}` });
  const requests = Array.from({ length: 1_500 }, (_, n) => post("/v1/sms/send", guess(n), message));
  // Look-ups of keys read it as well.
  const answers = await floodUnread("webhooks", KEY_LOADS_RUNNING_MAX, requests);
  answeredOrAskedToWait("POST /v1/sms/send", 401, answers);
}, 120_000);
