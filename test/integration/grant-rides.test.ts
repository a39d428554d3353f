// Messages that ride with their grant, on a real MySQL: grant and messages are one transaction.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { FencedError } from "../../src/ledger/accept.ts";
import { type KeyClaim, KeyTakenError } from "../../src/ledger/idempotency.ts";
import { createLeaseStore, type Riding } from "../../src/ledger/lease.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { insertCustomer, laneRecord } from "../support/messages.ts";

const id = createIdFactory({ now: Date.now });
const COST = 500;
let db: TestDatabase;
let pool: Pool;

beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 8, multipleStatements: true });
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});
afterEach(() => reconcileBooks(pool));

const keyOf = (customerId: number, owner: string): KeyClaim => ({
  customerId,
  operation: "send",
  key: "k",
  hash: Buffer.alloc(32, 7),
  owner,
  status: 202,
  answer: "{}",
});
/** That many messages, the first of which has the key `k`. */
function ridingOf(customerId: number, count: number): Riding {
  const records = Array.from({ length: count }, () => laneRecord(customerId, { cost: COST }));
  const owner = (records[0] as LaneRecord).id;
  const spends = [{ customerId, epoch: 1, amount: count * COST }];
  return { records, spends, keys: [keyOf(customerId, owner)] };
}
async function nodeFor(customerId: number) {
  const store = createLeaseStore({ pool, id, now: Date.now }, { nodeId: id(), ttlMs: 20_000 });
  await store.register();
  const want = { customerId, epoch: 1, target: 0, unit: 0, held: false };
  return {
    store,
    ride: (riding: Riding, costs = [COST, COST]) =>
      store.grant([{ ...want, costs }], { skipLocked: false, ride: () => riding }),
    isThere: ({ records: [first] }: Riding) => store.isStored((first as LaneRecord).id),
  };
}
const leasesOf = (customerId: number) =>
  pool.query("SELECT granted, spent FROM credit_leases WHERE customer_id=?", [customerId]);
const walletOf = async (customerId: number) =>
  (await pool.query("SELECT balance, reserved FROM wallet_accounts WHERE customer_id=?", [customerId]))[0];

test("what rides with a grant is stored and paid with it, or neither is", async () => {
  const customerId = await insertCustomer(pool, 10_000);
  const { ride, isThere } = await nodeFor(customerId);
  const [tooMuch, refused, stored, other] = [3, 2, 2, 2].map((count) => ridingOf(customerId, count)) as [
    Riding,
    Riding,
    Riding,
    Riding,
  ];
  (refused.records[1] as LaneRecord).phone = "9".repeat(200);
  expect(ride(tooMuch)).rejects.toBeInstanceOf(FencedError);
  expect(ride(refused)).rejects.toMatchObject({ sqlState: "22001" });
  expect([await leasesOf(customerId), await isThere(tooMuch), await isThere(refused)]).toEqual([
    [],
    false,
    false,
  ]);
  await ride(stored);
  const paid = [{ granted: 2 * COST, spent: 2 * COST }];
  expect([await leasesOf(customerId), await isThere(stored)]).toEqual([paid, true]);
  expect(ride(other)).rejects.toBeInstanceOf(KeyTakenError);
  expect([await leasesOf(customerId), await isThere(other)]).toEqual([paid, false]);
  expect(await walletOf(customerId)).toEqual({ balance: 10_000 - 2 * COST, reserved: 2 * COST });
});

test("a lock that is waited for in vain repeats all of it, with what is decided then", async () => {
  const customerId = await insertCustomer(pool, 10_000);
  const { store, isThere } = await nodeFor(customerId);
  const riding = ridingOf(customerId, 1);
  let asked = 0;
  const want = { customerId, epoch: 1, target: 0, unit: 0, held: false, costs: [COST] };
  // Another transaction has the key, and gives it up after this one has waited for it in vain.
  await pool.use(async (conn) => {
    await conn.query("BEGIN");
    const key = keyOf(customerId, id());
    await conn.write(
      "INSERT INTO idempotency_keys (customer_id,operation,idem_key,request_hash,owner,status,answer) " +
        "VALUES (?,'send','k',?,?,202,'')",
      [customerId, key.hash, key.owner],
    );
    const ride = () => {
      if (++asked === 2) void conn.query("ROLLBACK");
      return riding;
    };
    await store.grant([want], { skipLocked: false, ride });
  });
  expect([asked, await isThere(riding)]).toEqual([2, true]);
  expect(await leasesOf(customerId)).toEqual([{ granted: COST, spent: COST }]);
}, 30_000);
