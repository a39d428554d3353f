// Price plans, spend caps and low balances on a real MySQL and real ingest processes: what a message costs by
// destination, how soon a change holds, that no cap is exceeded whichever process spends, and that a customer
// is told once when its credit falls.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createIdFactory, ulidOf, ulidTimeMs } from "../../src/core/id.ts";
import type { Rate } from "../../src/core/price-plan.ts";
import { periodAt } from "../../src/core/spend-cap.ts";
import { unpackWebhookEvents } from "../../src/core/webhook-event.ts";
import { givePlan, listRates, removePlan, removeRates, setRates } from "../../src/customers/price-plans.ts";
import { setWebhook } from "../../src/customers/webhooks.ts";
import { setCaps, showCaps } from "../../src/ledger/cap-admin.ts";
import { drainsLeft, listLeases, setMode } from "../../src/ledger/lease-admin.ts";
import { tellLowBalances } from "../../src/ledger/low-balances.ts";
import { topUp } from "../../src/ledger/topup.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { sleep } from "../../src/platform/retry.ts";
import { readBooks } from "../../src/reconcile/books.ts";
import { checkBooks } from "../../src/reconcile/check.ts";
import { inSnapshot } from "../../src/reconcile/reconcile.ts";
import { ALL_CUSTOMERS } from "../../src/reconcile/result.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  type IngestProcess,
  makeCustomer,
  post,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";
import { until } from "../support/roles.ts";

const BALANCE = 1_000_000;
const DAY_MS = 86_400_000;
const id = createIdFactory({ now: Date.now });
let db: TestDatabase;
let pool: Pool;
let one: IngestProcess;
let two: IngestProcess;
let plans = 0;

beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 4, multipleStatements: true });
  [one, two] = await Promise.all([startIngest(db.config), startIngest(db.config)]);
}, 120_000);
afterAll(async () => {
  await Promise.all([one.end("SIGKILL"), two.end("SIGKILL")]);
  await pool.end();
  await db.drop();
});
afterEach(async () => {
  await reconcileBooks(pool);
  expect(await capDrifts()).toEqual([]);
  // No relay runs here: what stays in the outbox would make the express lane look slow.
  await pool.query("DELETE FROM outbox");
});

/** What reconcile finds about caps: what should be counted, and what is. */
async function capDrifts(): Promise<unknown[]> {
  const found = await inSnapshot(pool, { maxMs: 10_000, waitS: 5 }, async (conn) =>
    checkBooks(conn, await readBooks(conn, ALL_CUSTOMERS)),
  );
  const own = found.filter(({ invariant }) => invariant === "cap_counts_reserves");
  return own.map(({ expected, found: counted }) => [expected, counted]);
}

const rate = (prefix: string, normal: number | null, validFromMs = 0): Rate => ({
  prefix,
  validFromMs,
  prices: normal === null ? null : { normal, express: normal + 200 },
});
const message = { phone: "09121234567", text: "hello", type: "normal" };
const ABROAD = "+447400123456";
type Told = Record<string, unknown> & { status: number };

async function ask(at: IngestProcess, path: string, { apiKey }: TestCustomer, body: object): Promise<Told> {
  const answer = await post(`${at.url}${path}`, apiKey, body);
  return { ...((await answer.json()) as object), status: answer.status };
}
const send = (customer: TestCustomer, fields: object = {}, at = one) =>
  ask(at, "/v1/sms/send", customer, { ...message, ...fields });
const preview = (customer: TestCustomer, fields: object = {}) =>
  ask(one, "/v1/sms/preview", customer, { ...message, ...fields });
const spentOf = async ({ customerId }: TestCustomer): Promise<number> => {
  const [row] = await pool.query<{ spent: string | null }[]>(
    "SELECT SUM(cost) AS spent FROM messages WHERE customer_id=?",
    [customerId],
  );
  return Number(row?.spent);
};
/** A customer with a plan of these rates. */
async function withPlan(...rates: Rate[]): Promise<{ customer: TestCustomer; plan: string }> {
  const plan = `plan ${++plans}`;
  const customer = await makeCustomer(db.config, BALANCE);
  await setRates(pool, plan, rates, { replaces: false });
  await givePlan(pool, customer.customerId, plan);
  return { customer, plan };
}

describe("a price plan", () => {
  test("prices a message by destination and lane; what it says nothing of costs the customer's own price", async () => {
    const { customer } = await withPlan(rate("+98", 100), rate("+98912", 90));
    const costs = async (phone: string) => [
      (await send(customer, { phone })).cost,
      (await send(customer, { phone, type: "express" })).cost,
    ];
    expect(await costs("+989121234567")).toEqual([90, 290]);
    expect(await costs("+989351234567")).toEqual([100, 300]);
    expect(await costs(ABROAD)).toEqual([500, 700]);
    const [row] = await pool.query<{ costs: string }[]>(
      "SELECT GROUP_CONCAT(cost ORDER BY cost) AS costs FROM messages WHERE customer_id=?",
      [customer.customerId],
    );
    expect(row?.costs).toBe("90,100,290,300,500,700");
  });

  test("is used alike by a send, a preview and a batch", async () => {
    const { customer } = await withPlan(rate("+98912", 90));
    const long = "x".repeat(161);
    const shown = await preview(customer, { text: long });
    expect(shown).toMatchObject({ status: 200, cost: 180, prices: { normal: 90, express: 290 } });
    expect((await send(customer, { text: long })).cost).toBe(180);
    const batch = await ask(one, "/v1/sms/batches", customer, {
      phones: ["09121234567", ABROAD],
      text: long,
    });
    expect((batch.accepted as { cost: number }[]).map(({ cost }) => cost)).toEqual([180, 1_000]);
  });

  test("that refuses a destination refuses it by name of the field, before any charge", async () => {
    const { customer } = await withPlan(rate("+44", null));
    const reason = "goes to a destination that the customer's price plan refuses";
    const refusal = { status: 422, code: "validation_failed", errors: [{ field: "phone", reason }] };
    expect(await send(customer, { phone: ABROAD })).toMatchObject(refusal);
    expect(await send(customer, { phone: ABROAD, type: "express" })).toMatchObject(refusal);
    expect(await preview(customer, { phone: ABROAD })).toMatchObject(refusal);
    const batch = await ask(one, "/v1/sms/batches", customer, { phones: [ABROAD, message.phone], text: "x" });
    expect(batch).toMatchObject({
      status: 202,
      accepted: [{ index: 1, cost: 500 }],
      rejected: [{ index: 0, code: "validation_failed", detail: `phone ${reason}.` }],
    });
    expect(await spentOf(customer)).toBe(500);
  });

  test("that changes holds within 2 s in every process, for its customers alone; what was accepted keeps its cost", async () => {
    const { customer, plan } = await withPlan(rate("+98", 100));
    const { customer: other } = await withPlan(rate("+98", 7));
    const before = await send(customer);
    await send(customer, {}, two);
    await setRates(pool, plan, [rate("+98", 120)], { replaces: false });
    await sleep(2_000);
    expect([(await send(customer)).cost, (await send(customer, {}, two)).cost]).toEqual([120, 120]);
    expect((await send(other)).cost).toBe(7);
    const [row] = await pool.query("SELECT cost FROM messages WHERE id=?", [before.id]);
    expect([before.cost, row]).toEqual([100, { cost: 100 }]);
    await givePlan(pool, customer.customerId, null);
    await sleep(2_000);
    expect((await send(customer)).cost).toBe(500);
  }, 120_000);

  test("has rates that begin later: they hold from their moment on, without any change", async () => {
    const { customer } = await withPlan(rate("+98", 100), rate("+98", 130, Date.now() + 2_500));
    expect((await send(customer)).cost).toBe(100);
    await sleep(2_700);
    expect((await send(customer)).cost).toBe(130);
  }, 120_000);

  test("is replaced as a whole, loses a rate, and is removed only when nobody has it", async () => {
    const { customer, plan } = await withPlan(rate("+98", 100), rate("+98", 110, DAY_MS), rate("+44", 9));
    expect(await removeRates(pool, plan, { prefix: "+98", validFromMs: DAY_MS })).toBe(1);
    expect(await removeRates(pool, plan, { prefix: "+7", validFromMs: null })).toBe(0);
    expect((await listRates(pool, plan)).map(({ prefix }) => prefix)).toEqual(["+44", "+98"]);
    await setRates(pool, plan, [rate("+1", null)], { replaces: true });
    expect(await listRates(pool, plan)).toEqual([rate("+1", null)]);
    expect(removePlan(pool, plan)).rejects.toMatchObject({ code: "validation_failed" });
    await givePlan(pool, customer.customerId, null);
    await removePlan(pool, plan);
    expect(listRates(pool, plan)).rejects.toMatchObject({ code: "not_found" });
    expect(givePlan(pool, customer.customerId, plan)).rejects.toMatchObject({ code: "not_found" });
  });
});

describe("a spend cap", () => {
  const capped = async (daily: number | null, monthly: number | null, balance = BALANCE) => {
    const customer = await makeCustomer(db.config, balance);
    await setCaps(pool, customer.customerId, { daily, monthly });
    return customer;
  };
  // A test that spans midnight would see a new day.
  beforeEach(async () => {
    const leftMs = periodAt("daily", Date.now()).toMs - Date.now();
    if (leftMs < 30_000) await sleep(leftMs + 1_000);
  }, 120_000);

  test("is spent to the last unit and never exceeded, by two processes that send at once", async () => {
    const customer = await capped(100 * 500 + 499, null);
    const told = await Promise.all(
      Array.from({ length: 240 }, (_, n) => send(customer, {}, n % 2 === 0 ? one : two)),
    );
    const refusals = told.filter(({ status }) => status !== 202);
    expect(told.length - refusals.length).toBe(100);
    expect(await spentOf(customer)).toBe(100 * 500);
    for (const refusal of refusals)
      expect(refusal).toMatchObject({
        status: 402,
        code: "spend_cap_reached",
        cap: "daily",
        limit: 50_499,
        required: 500,
        left: 499,
        resets_at: new Date(periodAt("daily", Date.now()).toMs).toISOString(),
      });
  }, 120_000);

  test("of a month holds too; an empty wallet is still a 402 of its own", async () => {
    const customer = await capped(null, 1_200);
    expect([(await send(customer)).status, (await send(customer)).status]).toEqual([202, 202]);
    expect(await send(customer)).toMatchObject({ code: "spend_cap_reached", cap: "monthly", left: 200 });
    const poor = await capped(10_000, null, 600);
    expect((await send(poor)).status).toBe(202);
    expect(await send(poor)).toMatchObject({ code: "insufficient_balance", balance: 100 });
  });

  test("takes the first messages of a partial batch that it has room for, and says why not the others", async () => {
    const customer = await capped(1_200, null);
    const body = { phones: Array(4).fill(message.phone), text: "hello" };
    const whole = await ask(one, "/v1/sms/batches", customer, body);
    expect(whole).toMatchObject({ status: 402, code: "spend_cap_reached", required: 2_000, left: 1_200 });
    const some = await ask(one, "/v1/sms/batches", customer, { ...body, partial: true });
    expect(some).toMatchObject({ status: 202, cost: 1_000 });
    expect((some.rejected as { code: string }[]).map(({ code }) => code)).toEqual(
      Array(2).fill("spend_cap_reached"),
    );
    const none = await ask(one, "/v1/sms/batches", customer, { ...body, partial: true });
    expect(none).toMatchObject({ status: 402, code: "spend_cap_reached", required: 500, left: 200 });
  });

  test("that is set counts what was spent in its day before, takes back what processes hold, and can be raised", async () => {
    const customer = await makeCustomer(db.config, BALANCE);
    const { customerId } = customer;
    for (let n = 0; n < 10; n++) await send(customer);
    expect((await listLeases(pool, { customerId })).length).toBe(1);
    await setCaps(pool, customerId, { daily: 5_500 });
    await until(async () => (await drainsLeft(pool, customerId)) === 0, "the leases are back");
    expect((await showCaps(pool, customerId))[0]).toMatchObject({ cap: "daily", limit: 5_500, left: 500 });
    expect((await send(customer)).status).toBe(202);
    expect(await send(customer)).toMatchObject({ code: "spend_cap_reached", left: 0 });
    await setCaps(pool, customerId, { daily: 6_000 });
    expect((await send(customer)).status).toBe(202);
    expect((await send(customer)).status).toBe(402);
    await setCaps(pool, customerId, { daily: null });
    expect((await send(customer)).status).toBe(202);
    expect(await showCaps(pool, customerId)).toEqual([]);
  }, 120_000);

  test("counts what reconcile recomputes; more only for what crossed the beginning of a period", async () => {
    const customer = await capped(50_000, 90_000);
    for (let n = 0; n < 3; n++) await send(customer);
    const set = (change: string) =>
      pool.query(`UPDATE spend_caps SET ${change} WHERE customer_id=${customer.customerId}`);
    const found = async (change: string, undo: string) => {
      await set(change);
      const drifts = await capDrifts();
      await set(undo);
      return drifts;
    };
    const [more, less] = [
      [1_500, 1_501],
      [1_500, 1_499],
    ];
    expect(await found("taken=taken+1", "taken=taken-1")).toEqual([more, more]);
    expect(await found("taken=taken-1", "taken=taken+1")).toEqual([less, less]);
    expect(await found("day_base=day_base+1", "day_base=day_base-1")).toEqual([less]);
    expect(await found("month_base=month_base-1", "month_base=month_base+1")).toEqual([more]);
    // As if all had been accepted at the very end of the day before, and committed after it.
    const [row] = await pool.query<{ last: string }[]>(
      "SELECT MAX(entry_id) AS last FROM wallet_ledger WHERE customer_id=? AND op='reserve'",
      [customer.customerId],
    );
    const fromMs = ulidTimeMs(String(row?.last)) + 1;
    await set(`day_from=${fromMs}`);
    expect(await capDrifts()).toEqual([]);
    expect(await found("day_base=day_base-1", "day_base=day_base+1")).toEqual([more]);
    expect(await found(`day_from=${fromMs + 120_000}`, `day_from=${fromMs}`)).toEqual([[0, 1_500]]);
  });

  test("begins anew with its period, and counts what was spent in that before its first grant", async () => {
    const customer = await capped(2_000, 4_000);
    const { customerId } = customer;
    await setMode(pool, customerId, "strict");
    for (let n = 0; n < 4; n++) expect((await send(customer)).status).toBe(202);
    expect(await send(customer)).toMatchObject({ code: "spend_cap_reached", cap: "daily" });
    // As if all of that had been yesterday but one message, which a lease of yesterday paid for.
    const { fromMs } = periodAt("daily", Date.now());
    const rows = await pool.query<{ entry_id: string }[]>(
      "SELECT entry_id FROM wallet_ledger WHERE customer_id=? AND op='reserve' ORDER BY entry_id",
      [customerId],
    );
    for (const [n, { entry_id }] of rows.slice(0, 3).entries()) {
      const older = ulidOf(fromMs - 1_000 - n, new Uint8Array(10).fill(n));
      await pool.query("UPDATE wallet_ledger SET entry_id=? WHERE customer_id=? AND entry_id=?", [
        older,
        customerId,
        entry_id,
      ]);
    }
    await pool.query("UPDATE spend_caps SET day_from=day_from-? WHERE customer_id=?", [DAY_MS, customerId]);
    expect((await showCaps(pool, customerId))[0]).toMatchObject({ cap: "daily", left: 1_500 });
    for (let n = 0; n < 3; n++) expect((await send(customer)).status).toBe(202);
    expect(await send(customer)).toMatchObject({ code: "spend_cap_reached", cap: "daily", left: 0 });
    const [row] = await pool.query("SELECT day_from FROM spend_caps WHERE customer_id=?", [customerId]);
    expect(row).toEqual({ day_from: fromMs });
  }, 120_000);
});

describe("low balance", () => {
  const rules = { allowPrivate: false };
  const watched = async (balance: number, lowBalance: number) => {
    const customer = await makeCustomer(db.config, balance);
    const { customerId } = customer;
    await setWebhook(pool, customerId, { url: "https://example.com/sms", statuses: [], lowBalance }, rules);
    return customer;
  };
  const events = async ({ customerId }: TestCustomer) => {
    const rows = await pool.query<{ payload: Buffer }[]>("SELECT payload FROM webhook_events ORDER BY id");
    return rows
      .flatMap(({ payload }) => unpackWebhookEvents(payload))
      .filter((event) => event.customerId === customerId);
  };
  /** As several webhook processes do. */
  const look = () => Promise.all([tellLowBalances(pool), tellLowBalances(pool), tellLowBalances(pool)]);

  test("is told once for each fall, however many processes look, and again after a top-up and another fall", async () => {
    const customer = await watched(2_600, 2_000);
    await look();
    expect(await events(customer)).toEqual([]);
    for (let n = 0; n < 2; n++) await send(customer);
    await look();
    await look();
    const [first, ...others] = await events(customer);
    expect(first).toMatchObject({ balance: 1_600, threshold: 2_000, currency: "IRR", url: null });
    expect(others).toEqual([]);
    await topUp({ pool, id, now: Date.now }, customer.customerId, 500, "more");
    await look();
    expect(await events(customer)).toHaveLength(1);
    await send(customer);
    await look();
    const told = await events(customer);
    expect(told).toHaveLength(2);
    expect(told[1]).toMatchObject({ balance: 1_600 });
  });

  test("counts what leases could still spend, as the customer's own view does", async () => {
    const customer = await watched(BALANCE, BALANCE - 600);
    await send(customer);
    expect((await listLeases(pool, { customerId: customer.customerId }))[0]?.unspent).toBeGreaterThan(0);
    await look();
    expect(await events(customer)).toEqual([]);
    await send(customer);
    await look();
    expect(await events(customer)).toMatchObject([{ balance: BALANCE - 1_000 }]);
  });

  test("a fall after it had risen is told anew, also if nobody was to be told of the rise", async () => {
    const [gone, unwatched] = [await watched(600, 2_000), await watched(600, 2_000)];
    await look();
    const more = (customer: TestCustomer) =>
      topUp({ pool, id, now: Date.now }, customer.customerId, 2_000, "more");
    await setWebhook(pool, gone.customerId, { url: null }, rules);
    await setWebhook(pool, unwatched.customerId, { lowBalance: null }, rules);
    await Promise.all([more(gone), more(unwatched)]);
    await look();
    for (const customer of [gone, unwatched]) for (let n = 0; n < 2; n++) await send(customer);
    await setWebhook(pool, gone.customerId, { url: "https://example.com/sms" }, rules);
    await setWebhook(pool, unwatched.customerId, { lowBalance: 2_000 }, rules);
    await look();
    for (const customer of [gone, unwatched])
      expect((await events(customer)).map((event) => (event as { balance: number }).balance)).toEqual([
        600, 1_600,
      ]);
  });

  test("is told to nobody without a URL", async () => {
    const customer = await watched(100, 2_000);
    await setWebhook(pool, customer.customerId, { url: null }, rules);
    await look();
    expect(await events(customer)).toEqual([]);
    await setWebhook(pool, customer.customerId, { url: "https://example.com/sms" }, rules);
    await look();
    expect(await events(customer)).toHaveLength(1);
  });
});
