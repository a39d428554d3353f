// The ledger under concurrency, on a real MySQL: grants, fencing of commits, releases, reaping, top-ups.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { createIdFactory } from "../../src/core/id.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { createCustomer } from "../../src/customers/customers.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { acceptBatch, type CommitBatch, FencedError, isStored } from "../../src/ledger/accept.ts";
import type { Grant, Want } from "../../src/ledger/grant.ts";
import { findKeys, type KeyClaim, KeyTakenError, purgeKeys } from "../../src/ledger/idempotency.ts";
import { setMode } from "../../src/ledger/lease-admin.ts";
import { createLeaseStore, NodeExpiredError } from "../../src/ledger/lease.ts";
import { LEASE_BATCH_MAX, type LeaseDeps } from "../../src/ledger/lease-rows.ts";
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
  validUntilMs: null,
  traceparent: "",
});
const batch = (nodeId: string, customerId: number, epoch: number, count: number): CommitBatch => ({
  nodeId,
  records: Array.from({ length: count }, () => record(customerId)),
  spends: [{ customerId, epoch, amount: count * 500 }],
  keys: [],
  nowMs: Date.now(),
});
const firstOf = ({ records: [first] }: CommitBatch): string => first?.id ?? "";
const storeOf = (nodeId: string, ttlMs = 20_000) => createLeaseStore(deps, { nodeId, ttlMs });
/** Registers the node first, so that it is alive. */
const grant = async (
  nodeId: string,
  customerId: number,
  costs: number[],
  { held = false, epoch = 1, ttlMs = 20_000 } = {},
): Promise<Grant> => {
  const store = storeOf(nodeId, ttlMs);
  await store.register();
  const wants = [{ ...want(customerId, costs), epoch, held }];
  return (await store.grant(wants, { skipLocked: false }))[0] as Grant;
};
const want = (customerId: number, costs: number[]): Want => ({
  customerId,
  epoch: 1,
  costs,
  target: 0,
  unit: 0,
  held: false,
});
const expire = (nodeId: string) =>
  pool.write("UPDATE nodes SET expires_at=NOW(3) WHERE node_id=?", [nodeId]).then(() => Bun.sleep(2));
const wallet = async (customerId: number) =>
  (await pool.query("SELECT balance, reserved FROM wallet_accounts WHERE customer_id=?", [customerId]))[0];

test("a batch stores messages, entries, outbox rows and what the lease spent, or nothing", async () => {
  const customerId = await customerWith(10_000);
  const node = id();
  await grant(node, customerId, [2_000]);
  const stored = batch(node, customerId, 1, 3);
  await pool.use((conn) => acceptBatch(conn, stored));
  expect(await pool.use((conn) => isStored(conn, firstOf(stored)))).toBe(true);
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
  expect(await pool.use((conn) => isStored(conn, firstOf(tooMuch)))).toBe(false);
});

test("a reaped lease fences its late owner, and its credit is back in the wallet", async () => {
  const customerId = await customerWith(10_000);
  const node = id();
  await grant(node, customerId, [4_000]);
  await expire(node);
  await storeOf(id()).reap();
  expect(await wallet(customerId)).toEqual({ balance: 10_000, reserved: 0 });
  const late = batch(node, customerId, 1, 1);
  const error = await pool.use((conn) => acceptBatch(conn, late)).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(FencedError);
  expect((error as FencedError).lost).toEqual(late.spends);
  expect((await grant(node, customerId, [500], { held: true })).fenced).toBe(true);
});

describe("a node", () => {
  test("is renewed while it lives, and nobody else can take its leases", async () => {
    const customerId = await customerWith(10_000);
    const node = id();
    await grant(node, customerId, [4_000], { ttlMs: 2_000 });
    expect(await storeOf(node).renew()).toBe(true);
    const [row] = await pool.query<{ left: number }[]>(
      "SELECT TIMESTAMPDIFF(SECOND, NOW(3), expires_at) AS `left` FROM nodes WHERE node_id=?",
      [node],
    );
    expect(row?.left).toBeGreaterThan(15);
    await storeOf(id()).reap();
    expect(await wallet(customerId)).toEqual({ balance: 6_000, reserved: 4_000 });
  });

  test("is granted nothing before it is registered, and neither renewed nor granted anything after its lifetime", async () => {
    const customerId = await customerWith(10_000);
    const [node, wants] = [id(), [want(customerId, [500])]];
    const store = storeOf(node);
    expect(store.grant(wants, { skipLocked: false })).rejects.toBeInstanceOf(NodeExpiredError);
    expect(await store.renew()).toBe(false);
    await store.register();
    await expire(node);
    expect(store.grant(wants, { skipLocked: false })).rejects.toBeInstanceOf(NodeExpiredError);
    expect(await store.renew()).toBe(false);
    await store.register();
    expect(await store.grant(wants, { skipLocked: false })).toMatchObject([{ granted: 500 }]);
    expect(await wallet(customerId)).toEqual({ balance: 9_500, reserved: 500 });
    await store.retire();
  });

  test("that retires returns all its leases, keeping only what was spent; others keep theirs", async () => {
    const [one, other] = [await customerWith(10_000), await customerWith(10_000)];
    const [node, alive] = [id(), id()];
    await grant(node, one, [2_000]);
    await grant(node, other, [3_000]);
    await grant(alive, one, [1_000]);
    await pool.use((conn) => acceptBatch(conn, batch(node, one, 1, 1)));
    await storeOf(node).retire();
    expect(await wallet(one)).toEqual({ balance: 8_500, reserved: 1_500 });
    expect(await wallet(other)).toEqual({ balance: 10_000, reserved: 0 });
    expect(await storeOf(node).renew()).toBe(false);
  });

  test("that is long dead is deleted, but never while it has a lease: a lease granted late is found through it", async () => {
    const customerId = await customerWith(10_000);
    const node = id();
    await grant(node, customerId, [2_000]);
    const age = (days: number) =>
      pool.query("UPDATE nodes SET expires_at=NOW(3) - INTERVAL ? DAY WHERE node_id=?", [days, node]);
    const isKnown = async () =>
      (await pool.query("SELECT 1 FROM nodes WHERE node_id=?", [node])).length === 1;
    await age(3);
    await storeOf(id()).reap();
    expect([await isKnown(), await wallet(customerId)]).toEqual([true, { balance: 10_000, reserved: 0 }]);
    await age(1);
    await storeOf(id()).reap();
    expect(await isKnown()).toBe(true);
    await age(3);
    await storeOf(id()).reap();
    expect(await isKnown()).toBe(false);
  });

  test("is checked for leases with one look into an index", async () => {
    const plan = await pool.query<{ table: string; type: string; key: string }[]>(
      "EXPLAIN FORMAT=TRADITIONAL SELECT node_id, EXISTS (SELECT 1 FROM credit_leases AS l " +
        "FORCE INDEX (by_recall) WHERE l.node_id=n.node_id) AS holds FROM nodes AS n " +
        "WHERE expires_at <= NOW(3)",
    );
    expect(plan.find(({ table }) => table === "l")).toMatchObject({ type: "ref", key: "by_recall" });
  });

  test("with more leases than fit a transaction, and no time to return them, is reaped completely, by several processes at once", async () => {
    const node = id();
    const customers: number[] = [];
    for (let i = 0; i < LEASE_BATCH_MAX + 1; i++) customers.push(await customerWith(0));
    await pool.query(`UPDATE wallet_accounts SET balance=700 WHERE customer_id IN (${customers})`);
    await pool.query(
      "INSERT INTO wallet_ledger (customer_id,entry_id,leg,op,amount,created_at) " +
        `SELECT customer_id,'${id()}','open','topup',700,NOW(3) FROM wallet_accounts ` +
        `WHERE customer_id IN (${customers})`,
    );
    const store = storeOf(node);
    await store.register();
    const wants = customers.map((customerId) => want(customerId, [700]));
    await store.grant(wants, { skipLocked: false });
    const returned = async () => {
      const sql = "SELECT CAST(SUM(balance) AS SIGNED) AS back FROM wallet_accounts WHERE customer_id IN (?)";
      return (await pool.query<{ back: number }[]>(sql, [customers]))[0]?.back;
    };
    await store.retire(AbortSignal.abort());
    expect(await returned()).toBe(0);
    await Promise.all([storeOf(id()).reap(), storeOf(id()).reap()]);
    expect(await returned()).toBe(700 * customers.length);
  }, 30_000);
});

test("ending a lease returns what is unspent, once, however often it is repeated", async () => {
  const customerId = await customerWith(10_000);
  const node = id();
  await grant(node, customerId, [2_000]);
  await pool.use((conn) => acceptBatch(conn, batch(node, customerId, 1, 1)));
  await storeOf(node).end([{ customerId, epoch: 1 }]);
  await storeOf(node).end([{ customerId, epoch: 1 }]);
  expect(await wallet(customerId)).toEqual({ balance: 9_500, reserved: 500 });
  expect(await pool.query("SELECT 1 FROM credit_leases WHERE customer_id=?", [customerId])).toEqual([]);
});

test("a partly returned lease keeps its row, for the commits under way", async () => {
  const customerId = await customerWith(10_000);
  const node = id();
  await grant(node, customerId, [2_000]);
  await storeOf(node).giveBack([{ customerId, epoch: 1, amount: 1_500 }]);
  await pool.use((conn) => acceptBatch(conn, batch(node, customerId, 1, 1)));
  expect(await wallet(customerId)).toEqual({ balance: 9_500, reserved: 500 });
  expect((await grant(node, customerId, [500], { held: true })).fenced).toBe(false);
});

test("what a process returns of a lease that was taken from it reaches the wallet once", async () => {
  const customerId = await customerWith(10_000);
  const node = id();
  await grant(node, customerId, [2_000]);
  await storeOf(node).end([{ customerId, epoch: 1 }]);
  await storeOf(node).giveBack([{ customerId, epoch: 1, amount: 1_500 }]);
  expect(await wallet(customerId)).toEqual({ balance: 10_000, reserved: 0 });
});

test("two leases of one customer, ended at once, both reach the wallet, and a third one stays", async () => {
  const customerId = await customerWith(10_000);
  const node = id();
  for (const [epoch, amount] of [
    [1, 2_000],
    [2, 1_000],
    [3, 500],
  ] as const)
    await grant(node, customerId, [amount], { epoch });
  await storeOf(node).end([
    { customerId, epoch: 1 },
    { customerId, epoch: 2 },
  ]);
  expect(await wallet(customerId)).toEqual({ balance: 9_500, reserved: 500 });
});

test("credit held elsewhere is recalled by a process that needs it, and only then", async () => {
  const customerId = await customerWith(1_000);
  const [holder, other] = [storeOf(id()), id()];
  await holder.register();
  await holder.grant([want(customerId, [800])], { skipLocked: false });
  expect((await grant(other, customerId, [200])).recall).toBe(false);
  expect(await holder.recalled()).toEqual([]);
  const asked = await grant(other, customerId, [500], { held: true });
  expect(asked).toMatchObject({ granted: 0, elsewhere: 800, total: 1_000, recall: true });
  expect(await holder.recalled()).toEqual([{ customerId, epoch: 1 }]);
  await holder.end([{ customerId, epoch: 1 }]);
  expect(await holder.recalled()).toEqual([]);
  expect((await grant(other, customerId, [500], { held: true })).granted).toBe(500);
});

test("looking for recalled leases reads an empty range of an index, however many there are", async () => {
  const plan = await pool.query<{ key: string; type: string; Extra: string }[]>(
    "EXPLAIN FORMAT=TRADITIONAL SELECT customer_id, epoch FROM credit_leases FORCE INDEX (by_recall) " +
      `WHERE node_id='${id()}' AND recall=TRUE`,
  );
  expect(plan).toMatchObject([{ type: "ref", key: "by_recall", Extra: "Using index" }]);
});

test("a strict customer is granted exactly what waits, from the moment its mode changed", async () => {
  const customerId = await customerWith(1_000_000);
  const ahead = { ...want(customerId, [500]), target: 10_000 };
  const store = storeOf(id());
  await store.register();
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

test("a key is stored with its message, and a repeat stores nothing", async () => {
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
  expect(await pool.use((conn) => isStored(conn, firstOf(second)))).toBe(false);
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

test("keys are deleted after 24 h, and not before", async () => {
  const customerId = await customerWith(10_000);
  const node = id();
  await grant(node, customerId, [4_000]);
  const stored = batch(node, customerId, 1, 2);
  stored.keys = stored.records.map((r) => keyOf(customerId, r.id, r.id));
  await pool.use((conn) => acceptBatch(conn, stored));
  await pool.query("UPDATE idempotency_keys SET created_at=NOW(3) - INTERVAL 1439 MINUTE");
  expect(await purgeKeys(pool, Date.now())).toBe(0);
  await pool.query("UPDATE idempotency_keys SET created_at=NOW(3) - INTERVAL 1441 MINUTE LIMIT 1");
  expect(await purgeKeys(pool, Date.now())).toBe(1);
  expect(await purgeKeys(pool, Date.now())).toBe(0);
});

test("many processes granting from one wallet never take more than it holds", async () => {
  const customerId = await customerWith(10_000);
  const grants = await Promise.all(Array.from({ length: 30 }, () => grant(id(), customerId, [500])));
  expect(grants.reduce((sum, g) => sum + g.granted, 0)).toBe(10_000);
  expect(await wallet(customerId)).toEqual({ balance: 0, reserved: 10_000 });
});

test("16 simultaneous copies of a top-up count once", async () => {
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

test("a wallet can't be filled beyond what JSON can represent exactly", async () => {
  const customerId = await customerWith(Number.MAX_SAFE_INTEGER);
  expect(topUp(deps, customerId, 1, "more")).rejects.toMatchObject({ code: "validation_failed" });
});
