// Hundreds of requests of one customer at once, which wait for a row of its own: each is served in its turn
// or asked to wait, and nobody else waits for them.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { CUSTOMER_RUNNING_MAX } from "../../src/core/pool-limits.ts";
import { setOtpCode } from "../../src/customers/customers.ts";
import { answeredOrAskedToWait, sendAtOnce } from "../support/floods.ts";
import { makeCustomer, type TestCustomer } from "../support/ingest-process.ts";
import { head, type RawAnswer } from "../support/raw-http.ts";
import { type Api, startApi } from "../support/refusals.ts";
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
function post(path: string, { apiKey }: TestCustomer, body: object): string {
  const asked = JSON.stringify(body);
  const headers = { "content-type": "application/json", "x-api-key": apiKey };
  return head("POST", path, { ...headers, "content-length": String(asked.length) }) + asked;
}
const usedOf = (pool: string) => metricOf(api.ingest.healthUrl, "sluice_mysql_pool_used", `pool="${pool}"`);
/** Until as many requests of a customer have a connection of this pool as may. */
const allWait = (pool: string) =>
  until(async () => (await usedOf(pool)) >= CUSTOMER_RUNNING_MAX, `they wait for a row of pool ${pool}`);
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
    await allWait("otp");
    const sent = await ask("/v1/otp", { phone: phoneOf(0) });
    expect(sent.status).toBe(202);
    const { id, otp_code } = JSON.parse(sent.text) as { id: string; otp_code: string };
    const verified = await ask(`/v1/otp/${id}/verify`, { code: otp_code });
    expect(verified.status).toBe(200);
  });
  answeredOrAskedToWait("POST /v1/otp", 202, await codes);
}, 120_000);
