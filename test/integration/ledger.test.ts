// The books under concurrency, on a real MySQL: grants, the group commit's fence, release, reaping and
// top-ups.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { createIdFactory } from "../../src/core/id.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { createCustomer } from "../../src/customers/customers.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { acceptBatch, type Batch, FencedError, isStored } from "../../src/ledger/accept.ts";
import type { Grant, Want } from "../../src/ledger/grant.ts";
import { findKeys, type KeyClaim, KeyTakenError, purgeKeys } from "../../src/ledger/idempotency.ts";
import { setMode } from "../../src/ledger/lease-admin.ts";
import {
  createLeaseStore,
  grantLeases,
  type LeaseDeps,
  reapLeases,
  releaseLeases,
} from "../../src/ledger/lease.ts";
import { topUp } from "../../src/ledger/topup.ts";

const id = createIdFactory({ now: Date.now });
let db: TestDatabase;
let pool: Pool;
let deps: LeaseDeps;

beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 16, multipleStatements: true });
  deps = { pool, id, now: Date.now };
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});
afterEach(() => reconcileBooks(pool));

async function customerWith(balance: number): Promise<number> {
  const customerId = await createCustomer(pool, {
    name: "test",
    priceNormal: 500,
    priceExpress: 700,
    rateLimit: null,
  });
  if (balance > 0) await topUp(deps, customerId, balance, "first");
  return customerId;
}

const record = (customerId: number, cost = 500): LaneRecord => ({
  id: id(),
  customerId,
  phone: "+989121234567",
  text: "it's \\ a 'test'\n",
  from: null,
  reference: 'a"b',
  lane: "normal",
  encoding: "gsm7",
  parts: 1,
  cost,
  createdAtMs: Date.now(),
  attempt: 0,
  guaranteedByMs: null,
  traceparent: "",
});
const batch = (nodeId: string, customerId: number, epoch: number, count: number): Batch => ({
  nodeId,
  records: Array.from({ length: count }, () => record(customerId)),
  spends: [{ customerId, epoch, amount: count * 500 }],
  keys: [],
  nowMs: Date.now(),
});
const grant = async (
  nodeId: string,
  customerId: number,
  costs: number[],
  held = false,
  ttlMs = 20_000,
): Promise<Grant> =>
  (
    await grantLeases(deps, nodeId, [{ customerId, epoch: 1, costs, target: 0, unit: 0, held }], {
      ttlMs,
      skipLocked: false,
    })
  )[0] as Grant;
const ttlMs = 20_000;
const never = { ttlMs, skipLocked: false };
const want = (customerId: number, costs: number[]): Want => ({
  customerId,
  epoch: 1,
  costs,
  target: 0,
  unit: 0,
  held: false,
});
const wallet = async (customerId: number) =>
  (await pool.query("SELECT balance, reserved FROM wallet_accounts WHERE customer_id=?", [customerId]))[0];

test("a batch stores messages, entries, outbox rows and what the lease spent, or nothing", async () => {
  const customerId = await customerWith(10_000);
  const node = id();
  await grant(node, customerId, [2_000]);
  const stored = batch(node, customerId, 1, 3);
  await pool.use((conn) => acceptBatch(conn, stored));
  expect(await pool.use((conn) => isStored(conn, stored))).toBe(true);
  const [lease] = await pool.query("SELECT granted, spent FROM credit_leases WHERE customer_id=?", [
    customerId,
  ]);
  expect(lease).toEqual({ granted: 2_000, spent: 1_500 });
  const [message] = await pool.query("SELECT text, reference, status FROM messages WHERE id=?", [
    stored.records[0]?.id,
  ]);
  expect(message).toEqual({ text: "it's \\ a 'test'\n", reference: 'a"b', status: "queued" });
});

test("a lease can't be spent above what it was granted", async () => {
  const customerId = await customerWith(10_000);
  const node = id();
  await grant(node, customerId, [500]);
  const tooMuch = batch(node, customerId, 1, 2);
  expect(pool.use((conn) => acceptBatch(conn, tooMuch))).rejects.toBeInstanceOf(FencedError);
  expect(await pool.use((conn) => isStored(conn, tooMuch))).toBe(false);
});

test("a reaped lease fences its late owner, and its credit is back in the wallet", async () => {
  const customerId = await customerWith(10_000);
  const node = id();
  await grant(node, customerId, [4_000], false, 1);
  await Bun.sleep(20);
  expect(await reapLeases(deps)).toBe(1);
  expect(await wallet(customerId)).toEqual({ balance: 10_000, reserved: 0 });
  const late = batch(node, customerId, 1, 1);
  const error = await pool.use((conn) => acceptBatch(conn, late)).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(FencedError);
  expect((error as FencedError).lost).toEqual(late.spends);
  expect((await grant(node, customerId, [500], true)).fenced).toBe(true);
});

test("a release gives back what is unspent and drops the lease", async () => {
  const customerId = await customerWith(10_000);
  const node = id();
  await grant(node, customerId, [2_000]);
  await pool.use((conn) => acceptBatch(conn, batch(node, customerId, 1, 1)));
  await releaseLeases(deps, node, [{ customerId, epoch: 1, amount: 1_500, ends: true }]);
  expect(await wallet(customerId)).toEqual({ balance: 9_500, reserved: 500 });
  expect(await pool.query("SELECT 1 FROM credit_leases WHERE customer_id=?", [customerId])).toEqual([]);
});

test("a lease given back in part keeps its row, for the commits under way", async () => {
  const customerId = await customerWith(10_000);
  const node = id();
  await grant(node, customerId, [2_000]);
  await releaseLeases(deps, node, [{ customerId, epoch: 1, amount: 1_500, ends: false }]);
  await pool.use((conn) => acceptBatch(conn, batch(node, customerId, 1, 1)));
  expect(await wallet(customerId)).toEqual({ balance: 9_500, reserved: 500 });
  expect((await grant(node, customerId, [500], true)).fenced).toBe(false);
});

test("two leases of one customer given back at once both reach the wallet", async () => {
  const customerId = await customerWith(10_000);
  const node = id();
  await grant(node, customerId, [2_000]);
  await grantLeases(deps, node, [{ ...want(customerId, [1_000]), epoch: 2 }], never);
  const of = (epoch: number, amount: number) => ({ customerId, epoch, amount, ends: true });
  await releaseLeases(deps, node, [of(1, 2_000), of(2, 1_000)]);
  expect(await wallet(customerId)).toEqual({ balance: 10_000, reserved: 0 });
});

test("credit held elsewhere is recalled by who needs it, and only then", async () => {
  const customerId = await customerWith(1_000);
  const [holder, other] = [createLeaseStore(deps, { nodeId: id(), ttlMs }), id()];
  await holder.grant([want(customerId, [800])], { skipLocked: false });
  expect((await grant(other, customerId, [200])).recall).toBe(false);
  expect(await holder.recalled()).toEqual([]);
  const asked = await grant(other, customerId, [500], true);
  expect(asked).toMatchObject({ granted: 0, elsewhere: 800, total: 1_000, recall: true });
  expect(await holder.recalled()).toEqual([{ customerId, epoch: 1 }]);
  await holder.release([{ customerId, epoch: 1, amount: 800, ends: true }]);
  expect(await holder.recalled()).toEqual([]);
  expect((await grant(other, customerId, [500], true)).granted).toBe(500);
});

test("a strict customer is given exactly what waits, from the moment its mode changed", async () => {
  const customerId = await customerWith(1_000_000);
  const ahead = { ...want(customerId, [500]), target: 10_000 };
  const store = createLeaseStore(deps, { nodeId: id(), ttlMs });
  const [first] = await store.grant([ahead], { skipLocked: false });
  expect(first).toMatchObject({ granted: 10_500, mode: "lease" });
  await setMode(pool, customerId, "strict");
  expect(await store.recalled()).toEqual([{ customerId, epoch: 1 }]);
  const [second] = await store.grant([{ ...ahead, held: true }], { skipLocked: false });
  expect(second).toMatchObject({ granted: 500, mode: "strict", balance: 989_000 });
});

const keyOf = (customerId: number, owner: string, key = "k"): KeyClaim => ({
  customerId,
  operation: "send",
  key,
  hash: Buffer.alloc(32, 7),
  owner,
  status: 202,
  answer: `{"id":"${owner}","quote":"it's"}`,
});

test("a key is stored with its message, and whoever brings it again stores nothing", async () => {
  const customerId = await customerWith(10_000);
  const node = id();
  await grant(node, customerId, [4_000]);
  const first = batch(node, customerId, 1, 2);
  const owner = first.records[1]?.id as string;
  first.keys = [keyOf(customerId, owner)];
  await pool.use((conn) => acceptBatch(conn, first));
  const second = batch(node, customerId, 1, 3);
  const loser = second.records[2]?.id as string;
  second.keys = [keyOf(customerId, loser), keyOf(customerId, second.records[0]?.id as string, "other")];
  const error = await pool.use((conn) => acceptBatch(conn, second)).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(KeyTakenError);
  expect([...(error as KeyTakenError).owners]).toEqual([loser]);
  expect(await pool.use((conn) => isStored(conn, second))).toBe(false);
  const refs = [keyOf(customerId, "", "other"), keyOf(customerId, ""), { ...keyOf(0, "") }];
  expect(await findKeys(pool, refs)).toEqual([
    null,
    { hash: Buffer.alloc(32, 7), status: 202, answer: `{"id":"${owner}","quote":"it's"}` },
    null,
  ]);
});

test("keys that differ in case, spaces or operation are different keys", async () => {
  const customerId = await customerWith(10_000);
  const node = id();
  await grant(node, customerId, [4_000]);
  const all = batch(node, customerId, 1, 4);
  const keys = ["a", "A", "a b", "a  b"];
  all.keys = all.records.map((r, at) => keyOf(customerId, r.id, keys[at] as string));
  await pool.use((conn) => acceptBatch(conn, all));
  const found = await findKeys(pool, [
    ...keys.map((key) => keyOf(customerId, "", key)),
    { customerId, operation: "topup", key: "a" },
  ]);
  expect(found.map((f) => f?.answer.includes('"id"') ?? null)).toEqual([true, true, true, true, null]);
});

test("keys leave after 24 h, and not before", async () => {
  const customerId = await customerWith(10_000);
  const node = id();
  await grant(node, customerId, [4_000]);
  const stored = batch(node, customerId, 1, 2);
  stored.keys = stored.records.map((r) => keyOf(customerId, r.id, r.id));
  await pool.use((conn) => acceptBatch(conn, stored));
  await pool.query("UPDATE idempotency_keys SET created_at=NOW(3) - INTERVAL 1439 MINUTE");
  expect(await purgeKeys(pool)).toBe(0);
  await pool.query("UPDATE idempotency_keys SET created_at=NOW(3) - INTERVAL 1441 MINUTE LIMIT 1");
  expect(await purgeKeys(pool)).toBe(1);
  expect(await purgeKeys(pool)).toBe(0);
});

test("many processes granting from one wallet never take more than it holds", async () => {
  const customerId = await customerWith(10_000);
  const grants = await Promise.all(Array.from({ length: 30 }, () => grant(id(), customerId, [500])));
  expect(grants.reduce((sum, g) => sum + g.granted, 0)).toBe(10_000);
  expect(await wallet(customerId)).toEqual({ balance: 0, reserved: 10_000 });
});

test("a top-up repeated at once, 16 times over, counts once", async () => {
  const customerId = await customerWith(0);
  const results = await Promise.all(Array.from({ length: 16 }, () => topUp(deps, customerId, 700, "same")));
  expect(results.filter((r) => !r.idempotent)).toHaveLength(1);
  expect(await wallet(customerId)).toEqual({ balance: 700, reserved: 0 });
});

test("a request_id with another amount is refused, and changes nothing", async () => {
  const customerId = await customerWith(700);
  expect(topUp(deps, customerId, 701, "first")).rejects.toMatchObject({ code: "topup_conflict" });
  expect(await wallet(customerId)).toEqual({ balance: 700, reserved: 0 });
});

test("a wallet can't be filled above what JSON can carry exactly", async () => {
  const customerId = await customerWith(Number.MAX_SAFE_INTEGER);
  expect(topUp(deps, customerId, 1, "more")).rejects.toMatchObject({ code: "validation_failed" });
});
