import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { SluiceError } from "../../src/core/errors.ts";
import { createIdFactory } from "../../src/core/id.ts";
import { VALID_FOR_MS } from "../../src/core/limits.ts";
import { createLeaseStore } from "../../src/ledger/lease.ts";
import { createClickhouse } from "../../src/platform/clickhouse.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { listMessages, oneMessage } from "../../src/reports/messages-list.ts";
import { readLedger, readWallet } from "../../src/reports/wallet.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";

/** The error with which it was refused. */
const refusal = (work: Promise<unknown>) =>
  work.then(
    () => "",
    (error: Error) => error.message,
  );
const id = createIdFactory({ now: Date.now });
let database: TestDatabase;
let pool: Pool;
let customerId: number;
let otherId: number;
let ids: string[];
const owner = () => ({ customerId, region: "IR", currency: "IRR" });
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database.config, { connections: 4, multipleStatements: true });
  [customerId, otherId] = [await insertCustomer(pool, 10_000), await insertCustomer(pool, 5_000)];
  const records = [
    laneRecord(customerId, { reference: "r1", from: "Shop" }),
    laneRecord(customerId, {
      lane: "express",
      cost: 700,
      guaranteedByMs: Date.UTC(2026, 0, 1),
      validUntilMs: Date.UTC(2026, 0, 2),
    }),
    laneRecord(customerId, { phone: "+989351112233" }),
  ];
  ids = records.map((record) => record.id);
  await acceptMessages(pool, records);
  await acceptMessages(pool, [laneRecord(otherId)]);
  await pool.query(
    `UPDATE messages SET status='sent', operator='A', operator_message_id='a1' WHERE id='${ids[0]}';` +
      "INSERT INTO wallet_ledger (customer_id,entry_id,leg,op,amount,created_at) " +
      `VALUES (${customerId},'${ids[0]}','close','capture',500,NOW(3));` +
      `UPDATE wallet_accounts SET reserved=reserved-500 WHERE customer_id=${customerId}`,
  );
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

const params = (query: Record<string, string> = {}) => new Map(new URLSearchParams(query));

describe("GET /v1/wallet", () => {
  test("counts the unspent credit of leases as balance, and only open messages as reserved", async () => {
    const wallet = {
      customer_id: String(customerId),
      balance: 8_300,
      reserved: 1_200,
      available: 8_300,
      currency: "IRR",
    };
    expect(await readWallet({ pool }, customerId)).toEqual(wallet);
    const want = { customerId, epoch: 1, costs: [3_000], target: 0, unit: 0, held: false };
    const leases = createLeaseStore({ pool, id, now: Date.now }, { nodeId: id(), ttlMs: 60_000 });
    await leases.register();
    await leases.grant([want], { skipLocked: false });
    const [row] = await pool.query<{ balance: number }[]>(
      "SELECT balance FROM wallet_accounts WHERE customer_id=?",
      [customerId],
    );
    expect(row?.balance).toBe(5_300);
    expect(await readWallet({ pool }, customerId)).toEqual(wallet);
  });
});

describe("GET /v1/wallet/ledger", () => {
  test("shows what the customer paid for, newest first, without grants and releases, page by page", async () => {
    const { entries, next_cursor } = await readLedger({ pool }, customerId, params());
    expect(entries.map(({ op, amount, message_id }) => [op, amount, message_id])).toEqual([
      ["reserve", 500, ids[2]],
      ["reserve", 700, ids[1]],
      ["capture", 500, ids[0]],
      ["reserve", 500, ids[0]],
      ["topup", 10_000, undefined],
    ]);
    expect(entries.at(-1)?.request_id).toHaveLength(26);
    expect(next_cursor).toBeNull();
    const paged = [];
    let cursor: string | null = null;
    do {
      const page = await readLedger(
        { pool },
        customerId,
        params({ limit: "1", ...(cursor === null ? {} : { cursor }) }),
      );
      paged.push(...page.entries);
      cursor = page.next_cursor;
    } while (cursor !== null);
    expect(paged).toEqual(entries);
  });

  test("refuses values that it can't read", async () => {
    const error = await readLedger({ pool }, customerId, params({ limit: "0", cursor: "x" })).catch(
      (e: unknown) => e,
    );
    expect((error as SluiceError).errors.map(({ field }) => field).sort()).toEqual(["cursor", "limit"]);
  });
});

describe("GET /v1/messages", () => {
  const list = async (query: Record<string, string> = {}) =>
    (await listMessages({ pool }, owner(), params(query))).messages.map((message) => message.id);

  test("lists the customer's own messages, newest first, by status, type and phone", async () => {
    expect(await list()).toEqual(ids.toReversed());
    expect(await list({ status: "sent" })).toEqual([ids[0] as string]);
    expect(await list({ type: "express" })).toEqual([ids[1] as string]);
    expect(await list({ phone: "0935 111 22 33", status: "queued" })).toEqual([ids[2] as string]);
    expect(await list({ phone: "09121234567", type: "normal" })).toEqual([ids[0] as string]);
    expect(await list({ status: "failed" })).toEqual([]);
    const [before, after] = [-60_000, 60_000].map((ms) => new Date(Date.now() + ms).toISOString()) as [
      string,
      string,
    ];
    expect(await list({ from: before, to: after })).toEqual(ids.toReversed());
    expect([await list({ to: before }), await list({ from: after })]).toEqual([[], []]);
    const empty = listMessages({ pool }, owner(), params({ from: after, to: before }));
    expect(await refusal(empty)).toContain("from must be before");
  });

  test("pages without a gap or a repeat", async () => {
    const from = new Date(Date.now() - 60_000).toISOString();
    for (const filter of [{}, { from }, { status: "queued" }] as Record<string, string>[]) {
      const seen: string[] = [];
      let cursor: string | null = null;
      do {
        const page = await listMessages(
          { pool },
          owner(),
          params({ ...filter, limit: "1", ...(cursor === null ? {} : { cursor }) }),
        );
        seen.push(...page.messages.map((message) => message.id));
        cursor = page.next_cursor;
      } while (cursor !== null);
      expect(seen).toEqual((filter.status === undefined ? ids : ids.slice(1)).toReversed());
    }
  });

  test("repeats nothing if messages come while a filtered page is read", async () => {
    const busyId = await insertCustomer(pool, 10_000);
    const busy = { ...owner(), customerId: busyId };
    const records = [1, 2, 3].map(() => laneRecord(busyId));
    const came = laneRecord(busyId);
    await acceptMessages(pool, records);
    let statements = 0;
    const query: Pool["query"] = async (...args) => {
      if (++statements === 2) await acceptMessages(pool, [came]);
      return pool.query(...args);
    };
    const deps = { pool: { ...pool, query }, scanMax: 2 };
    const shown: string[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const given: Record<string, string> = cursor === "" ? {} : { cursor };
      const page = await listMessages(deps, busy, params({ status: "queued", ...given }));
      shown.push(...page.messages.map((message) => message.id));
      cursor = page.next_cursor;
    }
    expect(shown).toEqual(records.map((record) => record.id).toReversed());
  });

  test("shows one message, with no timeline while ClickHouse can't be reached", async () => {
    const clickhouse = createClickhouse({ ...database.config, clickhousePort: 1 });
    const one = await oneMessage({ pool, clickhouse }, owner(), ids[0] as string);
    expect(one).toMatchObject({
      id: ids[0],
      customer_id: String(customerId),
      status: "sent",
      type: "normal",
      from: "Shop",
      reference: "r1",
      attempts: 1,
      operator: "A",
      operator_message_id: "a1",
      cost: 500,
      currency: "IRR",
      timeline: null,
    });
    const lower = (ids[0] as string).toLowerCase();
    expect((await oneMessage({ pool, clickhouse }, owner(), lower)).id).toBe(ids[0] as string);
    // Nothing was said about it: 72 hours.
    expect(Date.parse(one.valid_until) - Date.parse(one.created_at)).toBe(VALID_FOR_MS);
    expect(await oneMessage({ pool, clickhouse }, owner(), ids[1] as string)).toMatchObject({
      status: "queued",
      attempts: 0,
      operator: null,
      guaranteed_by: "2026-01-01T00:00:00.000Z",
      valid_until: "2026-01-02T00:00:00.000Z",
    });
    for (const wrong of [id(), "x", "' OR 1=1 --"])
      expect(await refusal(oneMessage({ pool, clickhouse }, owner(), wrong))).toContain("not_found");
    const others = { ...owner(), customerId: otherId };
    expect(await refusal(oneMessage({ pool, clickhouse }, others, ids[0] as string))).toContain("not_found");
    await clickhouse.close();
  });
});
