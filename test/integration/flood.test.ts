// Ten thousand requests at once, and clients that leave before their answer: each request is stored and
// charged once or not at all, and the process continues to work.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { ERRORS } from "../../src/core/errors.ts";
import { CUSTOMER_RUNNING_MAX } from "../../src/core/pool-limits.ts";
import { setMode } from "../../src/ledger/lease-admin.ts";
import { messages, sendBatch } from "../support/batches.ts";
import { commitsHeldUp } from "../support/held-up.ts";
import { makeCustomer, type TestCustomer } from "../support/ingest-process.ts";
import { answeredOrAskedToWait, during, sendAtOnce } from "../support/floods.ts";
import { head, openRequest, type RawAnswer, sendAndLeave } from "../support/raw-http.ts";
import { type Api, message, refused, startApi } from "../support/refusals.ts";
import { until } from "../support/roles.ts";

const PRICE = 500;
const FLOOD = 10_000;
const RICH = 100_000_000;
/** The requests to send that ended because their clients had left. */
const GONE = 'sluice_http_requests_total\\{(?=[^}]*code="499")(?=[^}]*route="/v1/sms/send")[^}]*\\}';

let api: Api;
beforeAll(async () => {
  api = await startApi();
}, 120_000);
afterAll(() => api.stop(), 30_000);

const body = JSON.stringify(message);
const request = (apiKey: string) =>
  head("POST", "/v1/sms/send", {
    "content-type": "application/json",
    "x-api-key": apiKey,
    "content-length": String(body.length),
  }) + body;

const flood = (requests: string[]) => sendAtOnce(api.ingest.url, requests);

/** The value of the first metric that this pattern fits, labels included; 0 if there is none. */
async function metric(pattern: string): Promise<number> {
  const text = await (await fetch(`${api.ingest.healthUrl}/metrics`)).text();
  return Number(new RegExp(`^${pattern}(?:\\{[^}]*\\})? (.*)$`, "m").exec(text)?.[1] ?? 0);
}

/** Waits until no request is under way in the process. */
const idle = () =>
  until(async () => (await metric("sluice_ingest_queue_messages")) === 0, "no message is queued");

/** Returns the number of stored messages, after checking that wallet, leases and entries agree with it. */
async function storedAndCharged(
  { customerId }: Pick<TestCustomer, "customerId">,
  opening: number,
): Promise<number> {
  const one = async (sql: string) => {
    const [row] = await api.db.pool.query<{ n: string | number | null }[]>(sql, [customerId]);
    return Number(row?.n ?? 0);
  };
  const stored = await one("SELECT COUNT(*) AS n FROM messages WHERE customer_id=?");
  const reserves = await one("SELECT COUNT(*) AS n FROM wallet_ledger WHERE customer_id=? AND op='reserve'");
  const balance = await one("SELECT balance AS n FROM wallet_accounts WHERE customer_id=?");
  const reserved = await one("SELECT reserved AS n FROM wallet_accounts WHERE customer_id=?");
  const held = await one("SELECT SUM(granted-spent) AS n FROM credit_leases WHERE customer_id=?");
  expect(reserves).toBe(stored);
  expect(balance + reserved).toBe(opening);
  expect(reserved - held).toBe(stored * PRICE);
  return stored;
}

test("10,000 concurrent requests of one customer are accepted and charged, or asked to wait", async () => {
  const customer = await makeCustomer(api.db.config, RICH);
  const answers = await flood(Array<string>(FLOOD).fill(request(customer.apiKey)));
  const accepted = answers.filter((answer) => answer?.status === 202);
  const others = answers.filter((answer) => answer?.status !== 202);
  for (const answer of others) {
    if (answer === null) throw new Error("a request got no answer");
    refused({ status: answer.status, headers: answer.headers, text: answer.body }, "overloaded");
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  }
  expect(accepted.length).toBeGreaterThan(FLOOD / 2);
  const ids = new Set(accepted.map((answer) => (JSON.parse(answer?.body ?? "{}") as { id: string }).id));
  expect(ids.size).toBe(accepted.length);
  expect(await storedAndCharged(customer, RICH)).toBe(accepted.length);
}, 120_000);

test("10,000 concurrent requests of 100 customers, half of them invalid, are answered correctly", async () => {
  const customers = await Promise.all(
    Array.from({ length: 100 }, () => makeCustomer(api.db.config, 25 * PRICE)),
  );
  const good = customers.flatMap(({ apiKey }) => Array<string>(50).fill(request(apiKey)));
  const bad = customers.flatMap(({ apiKey }) =>
    Array<string>(50).fill(request(apiKey).replace("phone", "fone_")),
  );
  const mixed = good.flatMap((one, i) => [one, bad[i] as string]);
  const answers = await flood(mixed);
  const count = new Map<number, number>();
  for (const answer of answers) count.set(answer?.status ?? 0, (count.get(answer?.status ?? 0) ?? 0) + 1);
  // Each wallet pays for 25 of its 50 requests; 503 is allowed where credit or the queue was busy, never a
  // fault.
  expect(count.get(422)).toBe(5_000);
  for (const status of count.keys()) expect([202, 402, 422, 503]).toContain(status);
  expect(count.get(202) ?? 0).toBeLessThanOrEqual(2_500);
  expect(count.get(402) ?? 0).toBeLessThanOrEqual(2_500);
  let stored = 0;
  for (const customer of customers) stored += await storedAndCharged(customer, 25 * PRICE);
  expect(stored).toBe(count.get(202) ?? 0);
}, 120_000);

const LEAVING = 400;
/** With each of these the server ends the connection at once, which shows that it has noticed. */
const NOTICED = ["next request", "no HTTP"] as const;

/** The messages of this customer in transactions that are still open, by their references. */
const inOpenCommits = (customerId: number): Promise<string[]> =>
  api.db.pool.use(async (conn) => {
    await conn.query("SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED");
    const rows = await conn.query<{ reference: string }[]>(
      "SELECT reference FROM messages WHERE customer_id=? AND reference <> ''",
      [customerId],
    );
    return rows.map(({ reference }) => reference).toSorted();
  });

test("of 400 clients that leave while their commits are held up, those in a commit are stored and charged, and the others leave nothing", async () => {
  const { customerId, apiKey } = await makeCustomer(api.db.config, RICH);
  const nameOf = (n: number) => `leaving ${n}`;
  const keyOf = (n: number) => (n % 4 < 2 ? { "idempotency-key": nameOf(n) } : undefined);
  const asks = (n: number) => ({ ...message, reference: nameOf(n) });
  const stored = async () =>
    (
      await api.db.pool.query<{ reference: string }[]>(
        "SELECT reference FROM messages WHERE customer_id=? AND reference <> ''",
        [customerId],
      )
    )
      .map(({ reference }) => reference)
      .toSorted();
  // The first grant pays for some of them: those can enter a commit, or wait until one of these ends; the
  // others wait for the locked wallet.
  expect((await api.send(message, {}, apiKey)).status).toBe(202);
  await idle();
  const goneBefore = await metric(GONE);
  let inCommit: string[] = [];
  await api.db.pool.transaction(async (conn) => {
    await conn.query("SELECT * FROM wallet_accounts WHERE customer_id=? FOR UPDATE", [customerId]);
    await conn.query("SELECT * FROM credit_leases WHERE customer_id=? FOR UPDATE", [customerId]);
    const clients = Array.from({ length: LEAVING }, (_, n) => {
      const body = JSON.stringify(asks(n));
      const headers = { "content-type": "application/json", "x-api-key": apiKey, ...keyOf(n) };
      const bytes =
        head("POST", "/v1/sms/send", { ...headers, "content-length": String(body.length) }) + body;
      return openRequest(api.ingest.url, bytes);
    });
    await until(async () => {
      if ((await metric("sluice_ingest_queue_messages")) !== LEAVING) return false;
      const isFull = (await commitsHeldUp(api.db.pool)) === api.db.config.commitConnections;
      inCommit = await inOpenCommits(customerId);
      return isFull || inCommit.length === LEAVING - (await metric("sluice_ingest_waiting_for_credit"));
    }, "no other can enter a commit");
    for (const [n, client] of clients.entries()) client.leave(NOTICED[n % 2] as (typeof NOTICED)[number]);
    for (const client of clients) expect(await client.answer).toBeNull();
  });
  await idle();
  expect(inCommit.length).toBeGreaterThan(0);
  expect(inCommit.length).toBeLessThan(LEAVING);
  expect(await stored()).toEqual(inCommit);
  expect((await metric(GONE)) - goneBefore).toBe(LEAVING - inCommit.length);
  expect(await storedAndCharged({ customerId }, RICH)).toBe(1 + inCommit.length);
  // Repeated with their keys, those are replayed, and the keys of the others are free.
  const repeated = Array.from({ length: LEAVING }, (_, n) => n).filter((n) => keyOf(n) !== undefined);
  await Promise.all(
    repeated.map(async (n) => {
      const { status, headers } = await api.send(asks(n), keyOf(n), apiKey);
      const isReplay = headers.get("idempotent-replayed") === "true";
      expect([nameOf(n), status, isReplay]).toEqual([nameOf(n), 202, inCommit.includes(nameOf(n))]);
    }),
  );
}, 120_000);

test("clients that leave in the middle of their request store nothing", async () => {
  const customer = await makeCustomer(api.db.config, RICH);
  const whole = request(customer.apiKey);
  const cuts = Array.from({ length: 200 }, (_, i) =>
    whole.slice(0, 1 + Math.floor((i * (whole.length - 1)) / 200)),
  );
  await Promise.all(cuts.map((cut) => sendAndLeave(api.ingest.url, [cut])));
  await idle();
  expect(await storedAndCharged(customer, RICH)).toBe(0);
});

test("clients that leave in the middle of a chunked body store nothing", async () => {
  const customer = await makeCustomer(api.db.config, RICH);
  const opening = head("POST", "/v1/sms/send", {
    "content-type": "application/json",
    "x-api-key": customer.apiKey,
    "transfer-encoding": "chunked",
  });
  const pieces = [opening, `${body.length.toString(16)}\r\n${body}\r\n`];
  await Promise.all(Array.from({ length: 100 }, () => sendAndLeave(api.ingest.url, pieces)));
  await Promise.all(Array.from({ length: 100 }, () => sendAndLeave(api.ingest.url, [opening, "zz\r\n"])));
  await idle();
  expect(await storedAndCharged(customer, RICH)).toBe(0);
});

test("300 filtered lists of one customer hold up neither another's keyed sends and reads nor /ready", async () => {
  const [busy, calm] = [await makeCustomer(api.db.config, RICH), await makeCustomer(api.db.config, RICH)];
  for (let n = 0; n < 3; n++)
    expect((await sendBatch(api.ingest, busy, { messages: messages(1_000) })).status).toBe(202);
  const list = head("GET", "/v1/messages?status=failed", { "x-api-key": busy.apiKey });
  const lists = flood(Array<string>(300).fill(list));
  const rounds = await during(lists, async (n) => {
    const [sent, wallet, ready] = await Promise.all([
      api.send(message, { "idempotency-key": `calm ${n}` }, calm.apiKey),
      api.ask("/v1/wallet", {}, calm.apiKey),
      fetch(`${api.ingest.healthUrl}/ready`),
    ]);
    expect([n, sent.status, wallet.status, ready.status]).toEqual([n, 202, 200, 200]);
  });
  // In one line with the lists, each round would take as long as all of them.
  expect(rounds).toBeGreaterThan(10);
  answeredOrAskedToWait("GET /v1/messages", 200, await lists);
}, 120_000);

const USED_BY_WRITES = 'sluice_mysql_pool_used\\{[^}]*pool="write"[^}]*\\}';

test("300 top-ups that wait for one customer's wallet hold up neither others' first messages nor the process's leases", async () => {
  const { config, pool } = api.db;
  const busy = await makeCustomer(config, PRICE);
  const calm = await Promise.all(Array.from({ length: 20 }, () => makeCustomer(config, RICH)));
  for (const { customerId } of calm.slice(10)) await setMode(pool, customerId, "strict");
  const topUp = (n: number) => {
    const asked = JSON.stringify({ amount: PRICE, request_id: `flood ${n}` });
    const headers = { "content-type": "application/json", "x-api-key": busy.apiKey };
    return head("POST", "/v1/wallet/topup", { ...headers, "content-length": String(asked.length) }) + asked;
  };
  const livesUntil = async () => {
    const [node] = await pool.query<{ at: Date }[]>("SELECT expires_at AS at FROM nodes");
    return (node as { at: Date }).at.getTime();
  };
  const known = await makeCustomer(config, RICH);
  expect((await api.send(message, {}, known.apiKey)).status).toBe(202); // with a lease the process is a node
  let topUps: Promise<(RawAnswer | null)[]> = Promise.resolve([]);
  await pool.transaction(async (conn) => {
    await conn.query("SELECT * FROM wallet_accounts WHERE customer_id=? FOR UPDATE", [busy.customerId]);
    topUps = flood(Array.from({ length: 300 }, (_, n) => topUp(n)));
    await until(
      async () => (await metric(USED_BY_WRITES)) >= CUSTOMER_RUNNING_MAX,
      "some wait for the wallet",
    );
    const renewedMs = await livesUntil();
    const sent = await Promise.all(calm.map(({ apiKey }) => api.send(message, {}, apiKey)));
    expect(sent.map(({ status }) => status)).toEqual(calm.map(() => 202));
    await until(async () => (await livesUntil()) > renewedMs, "the process renews its leases");
  });
  answeredOrAskedToWait("POST /v1/wallet/topup", 200, await topUps);
  const made = (await topUps).filter((answer) => answer?.status === 200).length;
  expect(await storedAndCharged(busy, (1 + made) * PRICE)).toBe(0);
}, 120_000);

test("after all of it, the log has no fault, and no text, phone or key", async () => {
  await api.untouched();
  expect(api.ingest.log()).not.toContain(ERRORS.internal.title);
  expect((await api.send(message)).status).toBe(202);
});
