import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createReconcileRoute } from "../../src/api/routes/wallet-reconcile.ts";
import type { SluiceError } from "../../src/core/errors.ts";
import { createIdFactory } from "../../src/core/id.ts";
import { CUSTOMER_RUNNING_MAX } from "../../src/core/pool-limits.ts";
import { CUSTOMER_MAX_MS, type CustomerReconcile } from "../../src/reconcile/customer.ts";
import { takeLock } from "../../src/platform/named-lock.ts";
import { lockAllTables } from "../../src/schema/tables-lock.ts";
import type { Pool } from "../../src/platform/mysql.ts";
import { sleep } from "../../src/platform/retry.ts";
import { createTestEngines, type TestEngines } from "../support/engines.ts";
import { answeredOrAskedToWait, sendAtOnce } from "../support/floods.ts";
import { replaysHeldUp } from "../support/held-up.ts";
import { type IngestProcess, makeCustomer, post, startIngest } from "../support/ingest-process.ts";
import { head, type RawAnswer } from "../support/raw-http.ts";
import { until } from "../support/roles.ts";
import { deliverEvents } from "../support/small-book.ts";

let engines: TestEngines;
let pool: Pool;
let ingest: IngestProcess;
beforeAll(async () => {
  engines = await createTestEngines();
  ({ pool } = engines);
  ingest = await startIngest(engines.config);
});
afterAll(async () => {
  await ingest.end();
  await engines.drop();
});

/** Enough for a check of nothing on a busy machine. */
const WAIT_MS = 3_000;
const PATH = "/v1/wallet/reconcile";
const get = (apiKey: string, url = ingest.url, query = "") =>
  fetch(`${url}${PATH}${query}`, { headers: { "x-api-key": apiKey } });
/** Retries: on a busy machine a check may be so slow that it must rest before the next. */
async function proofOf(apiKey: string): Promise<CustomerReconcile> {
  for (;;) {
    const answer = await get(apiKey);
    if (answer.status === 200) return (await answer.json()) as CustomerReconcile;
    expect(answer.status).toBe(429);
    await sleep(Number(answer.headers.get("retry-after")) * 1_000);
  }
}
const send = (apiKey: string) =>
  post(`${ingest.url}/v1/sms/send`, apiKey, { phone: "+989121234567", text: "hello", type: "normal" });
const delivered = (old = false) => deliverEvents(engines, { old });

describe("GET /v1/wallet/reconcile", () => {
  test("adds up a wallet with open messages, while a lease holds credit, without showing the lease", async () => {
    const { apiKey, customerId } = await makeCustomer(engines.config, 100_000);
    for (let i = 0; i < 3; i++) expect((await send(apiKey)).status).toBe(202);
    const proof = await proofOf(apiKey);
    expect(proof).toMatchObject({
      customer_id: String(customerId),
      currency: "IRR",
      ok: true,
      balance: 98_500,
      reserved: 1_500,
      topped_up: 100_000,
      captured: 0,
      refunded: 0,
      open_reserves: { messages: 3, amount: 1_500 },
      drifts: [],
    });
    expect(proof.equations.map(({ left, right, ok }) => [left, right, ok])).toEqual([
      [98_500, 98_500, true],
      [1_500, 1_500, true],
      [1_500, 1_500, true],
      [100_000, 100_000, true],
    ]);
    expect(Math.abs(Date.parse(proof.as_of) - Date.now())).toBeLessThan(10_000);
    expect(JSON.stringify(proof)).not.toMatch(/lease|grant|release/);
  });

  test("compares with the report by day, using only the entries of a statement", async () => {
    const { apiKey } = await makeCustomer(engines.config, 100_000);
    expect((await send(apiKey)).status).toBe(202);
    const before = await proofOf(apiKey);
    expect(before.report.state).toBe("compared");
    expect(before.report.pending).toBeGreaterThan(0);
    await delivered();
    const { report, ok } = await proofOf(apiKey);
    const side = { count: 2, amount: 100_500 };
    expect(ok).toBe(true);
    expect(report).toMatchObject({
      state: "compared",
      pending: 0,
      days: [
        {
          entries: { ledger: side, report: side },
          messages: { stored: { count: 1, amount: 500 }, report: { count: 1, amount: 500 } },
          by_status: { queued: { stored: 1, report: 1 } },
        },
      ],
    });
  });

  test("names each drift, and is not ok as a whole", async () => {
    const { apiKey, customerId } = await makeCustomer(engines.config, 100_000);
    const { id } = (await (await send(apiKey)).json()) as { id: string };
    await delivered(true);
    await pool.query(`DELETE FROM wallet_ledger WHERE entry_id='${id}' AND leg='open'`);
    const proof = await proofOf(apiKey);
    expect(proof.ok).toBe(false);
    expect(proof.drifts.map(({ invariant }) => invariant)).toContain("wallet_equals_entries");
    expect(proof.equations.every(({ ok }) => ok)).toBe(false);
    await pool.query(`DELETE FROM messages WHERE customer_id=${customerId}`);
    const { drifts } = await proofOf(apiKey);
    const named = drifts.filter(({ invariant }) => invariant.startsWith("report_has_no_other"));
    expect(named.map(({ entries }) => entries[0]?.entry_id)).toEqual([id, id]);
    expect(JSON.stringify(drifts)).not.toMatch(/clickhouse|mysql/i);
    await pool.query(`DELETE FROM wallet_ledger WHERE customer_id=${customerId}`);
  });

  test("contains nothing of another customer, whatever is wrong there", async () => {
    const [one, other] = [
      await makeCustomer(engines.config, 100_000),
      await makeCustomer(engines.config, 55_555),
    ];
    const { id } = (await (await send(other.apiKey)).json()) as { id: string };
    expect((await send(one.apiKey)).status).toBe(202);
    await delivered();
    await pool.query(`UPDATE wallet_accounts SET balance=balance+1 WHERE customer_id=${other.customerId}`);
    const proof = await proofOf(one.apiKey);
    expect(proof.ok).toBe(true);
    const text = JSON.stringify(proof);
    expect(text).not.toContain(id);
    expect(text).not.toContain("5555");
    expect((await proofOf(other.apiKey)).ok).toBe(false);
    // A message assigned to the wrong customer reveals neither its owner nor the row of its id.
    await pool.query(`UPDATE messages SET customer_id=${one.customerId} WHERE id='${id}'`);
    expect((await proofOf(one.apiKey)).topped_up).toBe(100_000);
    await pool.query(`UPDATE messages SET customer_id=${other.customerId} WHERE id='${id}'`);
  });

  test("needs the scope `read`, and accepts no parameters", async () => {
    const { apiKey } = await makeCustomer(engines.config, 0, { scopes: ["send", "billing"] });
    const refused = await get(apiKey);
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({ code: "scope_missing" });
    const { apiKey: reader } = await makeCustomer(engines.config, 0, { scopes: ["read"] });
    const odd = await get(reader, ingest.url, "?customer_id=1");
    expect(odd.status).toBe(422);
    expect(await odd.json()).toMatchObject({ errors: [{ field: "customer_id" }] });
    expect(await proofOf(reader)).toMatchObject({ ok: true, balance: 0, report: { days: [] } });
  });

  test("with ClickHouse away it has everything else, and says so", async () => {
    const { apiKey } = await makeCustomer(engines.config, 100_000);
    const alone = await startIngest(engines.config, { clickhousePort: 1 });
    try {
      const answer = await get(apiKey, alone.url);
      expect(answer.status).toBe(200);
      expect(await answer.json()).toMatchObject({
        ok: true,
        balance: 100_000,
        report: { state: "unreachable", pending: null, days: null },
      });
    } finally {
      await alone.end();
    }
  });

  test("runs once at a time for a customer, over all processes: otherwise 429 with Retry-After", async () => {
    const { apiKey, customerId } = await makeCustomer(engines.config, 0);
    await pool.use(async (conn) => {
      const lock = await takeLock(conn, `reconcile-${customerId}`);
      expect(lock).not.toBeNull();
      const refused = await get(apiKey);
      expect(refused.status).toBe(429);
      expect(refused.headers.get("retry-after")).toBe("5");
      expect(await refused.json()).toMatchObject({ code: "rate_limited" });
      await lock?.release();
    });
    expect((await get(apiKey)).status).toBe(200);
  });

  test("books too large to check: 503 whose Retry-After is true, and no advice to try again", async () => {
    const { customerId } = await makeCustomer(engines.config, 0);
    // A check that may take no time at all, on a clock that says that it took as long as a real one may.
    let nowMs = 0;
    const use: Pool["use"] = (body) => pool.use(body).finally(() => (nowMs += CUSTOMER_MAX_MS));
    const { handle } = createReconcileRoute({
      pool: { ...pool, use },
      clickhouse: engines.clickhouse,
      monotonicMs: () => nowMs,
      maxMs: 0,
    });
    const refusal = async () => {
      try {
        return await handle({ owner: { customerId } } as never);
      } catch (error) {
        return error as SluiceError;
      }
    };
    const restS = (4 * CUSTOMER_MAX_MS) / 1_000;
    expect(await refusal()).toMatchObject({ code: "check_too_long", retryable: false, retryAfterS: restS });
    nowMs += restS * 1_000 - 1;
    expect(await refusal()).toMatchObject({ code: "rate_limited" });
    nowMs += 1;
    expect(await refusal()).toMatchObject({ code: "check_too_long" });
  });

  test("the wait for a connection is none of its time: the report is compared, and the next is not too soon", async () => {
    const { customerId } = await makeCustomer(engines.config, 0);
    let nowMs = 0;
    const use: Pool["use"] = async (body) => {
      nowMs += CUSTOMER_MAX_MS;
      await sleep(WAIT_MS);
      return pool.use(body);
    };
    const deps = { pool: { ...pool, use }, clickhouse: engines.clickhouse, monotonicMs: () => nowMs };
    const { handle } = createReconcileRoute({ ...deps, maxMs: WAIT_MS });
    for (let n = 0; n < 2; n++)
      expect(await handle({ owner: { customerId } } as never)).toMatchObject({
        body: { report: { state: "compared" } },
      });
  });

  test("300 replays of another customer's webhooks that wait for a row hold up no check", async () => {
    const [busy, calm] = [await makeCustomer(engines.config, 0), await makeCustomer(engines.config, 0)];
    const event = createIdFactory({ now: Date.now })();
    await pool.query(
      "INSERT INTO webhook_deliveries (customer_id,event_id,endpoint,message_id,sequence,status," +
        "occurred_at,body,state,error,give_up_at) VALUES " +
        `(${busy.customerId},'${event}','','${event}',1,'queued',NOW(3),'{}','failed','x',NOW(3))`,
    );
    const headers = { "content-type": "application/json", "x-api-key": busy.apiKey, "content-length": "2" };
    const path = `/v1/webhooks/deliveries/${event}/replay`;
    const replay = `${head("POST", path, headers)}{}`;
    let replays: Promise<(RawAnswer | null)[]> = Promise.resolve([]);
    await pool.transaction(async (conn) => {
      await conn.query(`SELECT * FROM webhook_deliveries WHERE event_id='${event}' FOR UPDATE`);
      replays = sendAtOnce(ingest.url, Array<string>(300).fill(replay));
      await until(async () => (await replaysHeldUp(pool)) >= CUSTOMER_RUNNING_MAX, "some wait for the row");
      expect((await proofOf(calm.apiKey)).report.state).toBe("compared");
    });
    answeredOrAskedToWait(`POST ${path}`, 200, await replays);
  });

  test("while partitions change, or all places are taken: 503 with Retry-After", async () => {
    const { apiKey } = await makeCustomer(engines.config, 0);
    await pool.use(async (conn) => {
      const lock = await lockAllTables(conn, 1);
      const refused = await get(apiKey);
      expect(refused.status).toBe(503);
      expect(refused.headers.get("retry-after")).toBe("5");
      expect(await refused.json()).toMatchObject({ code: "overloaded" });
      await lock?.release();
    });
    expect((await get(apiKey)).status).toBe(200);
  });
});
