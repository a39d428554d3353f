// What an express message is promised, on a real ingest process and MySQL: it follows what the lane's senders
// say and how long outbox rows wait. The senders are played here, but for a real one whose operators refuse.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { reportSender } from "../../src/ledger/lane-senders.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  type IngestProcess,
  makeCustomer,
  post,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";
import { createDownstream, type Downstream, metricOf, type Role, until } from "../support/roles.ts";

let db: TestDatabase;
let ingest: IngestProcess;
let customer: TestCustomer;
let saying: ReturnType<typeof setInterval> | undefined;
let said: Promise<void> = Promise.resolve();
beforeAll(async () => {
  db = await createTestDatabase();
  ingest = await startIngest(db.config);
  customer = await makeCustomer(db.config, 1_000_000);
});
afterEach(async () => {
  clearInterval(saying);
  await said; // it would bring its row back
  await db.pool.query("DELETE FROM lane_senders");
  await db.pool.query("DELETE FROM outbox");
  await db.pool.query("DELETE FROM outbox_held");
});
afterAll(async () => {
  await ingest.end();
  await db.drop();
});

/** Until ingest has looked at the lanes once more: a look that ends now may have begun before. */
async function untilLooked(): Promise<void> {
  for (let looks = 0; looks < 2; looks++) {
    const fromMs = performance.now();
    const hasLooked = async () => {
      const sinceMs = performance.now() - fromMs; // before the age is told, so that it isn't too long
      return (await metricOf(ingest.healthUrl, "sluice_job_age_seconds", '"lanes"')) * 1_000 < sinceMs;
    };
    await until(hasLooked, "ingest looks at the lanes");
  }
}
/**
 * A sender that says this, again and again, until the test ends; resolves when ingest has read it. What was
 * accepted before waits no longer.
 */
async function senderSays(waitMs: number): Promise<void> {
  clearInterval(saying);
  await said;
  await db.pool.query("DELETE FROM outbox");
  const say = () => reportSender(db.pool, { lane: "express", instance: "s-1", waitMs });
  await say();
  saying = setInterval(() => {
    said = said.then(say).catch(() => undefined);
  }, 300);
  await untilLooked();
}
type Fields = Record<string, unknown>;
const sendTo = ({ url }: IngestProcess, { apiKey }: TestCustomer, fields: Fields) =>
  post(`${url}/v1/sms/send`, apiKey, {
    phone: "+989121234567",
    text: "hello",
    type: "express",
    ...fields,
  });
const send = (fields: Fields = {}) => sendTo(ingest, customer, fields);
const promisedMs = async (): Promise<number> => {
  const answer = await send();
  expect(answer.status).toBe(202);
  return Date.parse(((await answer.json()) as { guaranteed_by: string }).guaranteed_by) - Date.now();
};

test("a slower lane gets a later guaranteed_by, and the usual one again when it has caught up", async () => {
  await senderSays(100);
  expect(await promisedMs()).toBeLessThanOrEqual(5_000);
  await senderSays(4_000);
  const slow = await promisedMs();
  expect(slow).toBeGreaterThan(9_000);
  expect(slow).toBeLessThanOrEqual(11_000);
  await senderSays(100);
  expect(await promisedMs()).toBeLessThanOrEqual(5_000);
}, 120_000);

test("when even the largest promise can't be kept the answer is 503 lane_saturated, says what could be promised, and costs nothing", async () => {
  await senderSays(20_000);
  const stored = await db.pool.query<{ n: number }[]>("SELECT COUNT(*) AS n FROM messages");
  const answer = await send();
  expect(answer.status).toBe(503);
  expect(Number(answer.headers.get("retry-after"))).toBe(7);
  expect(await answer.json()).toMatchObject({
    code: "lane_saturated",
    could_promise_s: 43,
    promise_max_s: 30,
  });
  expect(await db.pool.query("SELECT COUNT(*) AS n FROM messages")).toEqual(stored);
}, 120_000);

test("with fallback normal it is accepted as a normal message instead, at that price and without a promise", async () => {
  await senderSays(20_000);
  const answer = await send({ fallback: "normal" });
  expect(answer.status).toBe(202);
  const body = (await answer.json()) as Record<string, unknown>;
  expect(body).toMatchObject({ type: "normal", cost: 500 });
  expect(body.guaranteed_by).toBeUndefined();
  const [row] = await db.pool.query("SELECT lane, guaranteed_by FROM messages WHERE id=?", [body.id]);
  expect(row).toEqual({ lane: "normal", guaranteed_by: null });
}, 120_000);

test("a fallback is only for express, and only to normal", async () => {
  for (const fields of [{ type: "normal", fallback: "normal" }, { fallback: "express" }]) {
    const answer = await send(fields);
    expect(answer.status).toBe(422);
    expect(await answer.json()).toMatchObject({ errors: [{ field: "fallback" }] });
  }
  expect((await send({ type: "normal", fallback: null })).status).toBe(202);
});

test("rows that wait in the outbox count, and so does a sender that says nothing any more", async () => {
  await db.pool.query(
    "INSERT INTO outbox (lane,run_at,payload) VALUES ('express',NOW(3) - INTERVAL 5 SECOND,x'90')",
  );
  await untilLooked(); // what the last test's sender said is forgotten
  await until(async () => (await promisedMs()) > 10_000, "the rows count");
  await senderSays(50);
  clearInterval(saying);
  await said;
  await db.pool.query("UPDATE lane_senders SET renewed_at=NOW(3) - INTERVAL 40 SECOND");
  await until(async () => (await send()).status === 503, "its silence counts");
}, 120_000);

test("a customer whose own express messages are held can't be promised what others can", async () => {
  await senderSays(100);
  const other = customer;
  customer = await makeCustomer(db.config, 1_000_000);
  await db.pool.query(
    "INSERT INTO outbox_held (lane,customer_id,created_at,payload) VALUES " +
      `('express',${customer.customerId},NOW(3) - INTERVAL 30 SECOND,x'90')`,
  );
  await until(async () => (await send()).status === 503, "its held messages count");
  customer = other;
  await db.pool.query("DELETE FROM outbox"); // of those that were accepted until then
  await until(async () => (await promisedMs()) <= 5_000, "they don't count for others");
}, 120_000);

describe("with a real sender", () => {
  const OPERATORS = ["A", "B", "C"] as const;
  let down: Downstream;
  let sender: Role;
  let own: IngestProcess;
  let payer: TestCustomer;
  beforeAll(async () => {
    down = await createDownstream();
    const operators = OPERATORS.map((name) => down.startOperator(name, "refusing"));
    await Promise.all([...operators, down.start("relay")]);
    sender = await down.start("sender-express");
    own = await startIngest(down.config);
    payer = await makeCustomer(down.config, 10_000_000);
  }, 120_000);
  afterAll(async () => {
    await own.end();
    await down.end();
  });

  const statuses = async (of = "lane='express'") => {
    const rows = await down.pool.query<{ status: string }[]>(
      `SELECT DISTINCT status FROM messages WHERE ${of}`,
    );
    return rows.map(({ status }) => status);
  };
  /** What ingest would promise now; more than the largest promise means nothing. */
  const promiseS = async () => {
    const text = await fetch(`${own.healthUrl}/metrics`).then((answer) => answer.text());
    return Number(/^sluice_ingest_express_promise_seconds\{[^}]*\} (.*)$/m.exec(text)?.[1]);
  };
  /** Sends express until that is the status of the answer. */
  const answers = (status: number) =>
    until(async () => (await sendTo(own, payer, {})).status === status, `a ${status}`, 30_000, sender.log);

  test("while all operators refuse, nothing is promised soon: 503, or normal by its fallback; what was promised is refunded", async () => {
    expect((await sendTo(own, payer, {})).status).toBe(202);
    await answers(503);
    const refused = await sendTo(own, payer, {});
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ code: "lane_saturated" });
    const instead = await sendTo(own, payer, { fallback: "normal" });
    expect(instead.status).toBe(202);
    expect(await instead.json()).toMatchObject({ type: "normal" });
    const areOver = async () => (await statuses()).every((status) => status === "expired");
    await until(areOver, "what was promised is over", 60_000, sender.log);
    const closes = await down.pool.query(
      "SELECT DISTINCT l.op FROM wallet_ledger l JOIN messages m ON m.id=l.entry_id " +
        "WHERE l.leg='close' AND m.lane='express'",
    );
    expect(closes).toEqual([{ op: "refund" }]);
  }, 120_000);

  test("once operators take messages, the usual time is promised again, though nothing was accepted meanwhile", async () => {
    await Promise.all(OPERATORS.map((name) => down.behave(name, "fast")));
    await until(async () => (await promiseS()) === 5, "the usual promise", 30_000, sender.log);
    const answer = await sendTo(own, payer, {});
    expect(answer.status).toBe(202);
    const { id } = (await answer.json()) as { id: string };
    await until(async () => (await statuses(`id='${id}'`))[0] === "sent", "it is sent", 30_000, sender.log);
    // Now they are known to take messages, and what they refused before is too long ago to count.
    expect(await promiseS()).toBe(5);
    expect((await sendTo(own, payer, {})).status).toBe(202);
  }, 120_000);
});
