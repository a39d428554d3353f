// Held rows on a real MySQL: what a claim takes of them, in which order, what it leaves, and what is left
// when a connection is lost or another sender is at work.

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import { type LaneRecord, unpackLaneRow } from "../../src/core/lane-record.ts";
import { CLAIM_ROWS_MAX } from "../../src/core/limits.ts";
import type { Lane } from "../../src/core/message.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import {
  claimHeld,
  type HeldClaim,
  hasHeldRows,
  heldAges,
  heldCustomers,
  holdRecords,
  lastHeldRow,
} from "../../src/ledger/held.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";

const id = createIdFactory({ now: Date.now });
let database: TestDatabase;
let pool: Pool;
let customerId: number;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database.config, { connections: 6, multipleStatements: true });
  customerId = await insertCustomer(pool, 1_000_000);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});
beforeEach(() => pool.query("DELETE FROM outbox_held; DELETE FROM outbox; DELETE FROM claims"));

/** Messages that are stored and queued, and held in rows of this size. */
async function held(count: number, rowSize: number): Promise<LaneRecord[]> {
  const records = Array.from({ length: count }, () => laneRecord(customerId, { cost: 1 }));
  await acceptMessages(pool, records);
  for (let at = 0; at < count; at += rowSize) await hold(records.slice(at, at + rowSize));
  return records;
}
/** A number of the link B; all others are of A. */
const OF_B = "+989351234567";
const hold = (records: readonly LaneRecord[], lane: Lane = "normal") =>
  holdRecords(pool, lane, records, ({ phone }) => (phone === OF_B ? "B" : "A"));
type Asked = Partial<Pick<HeldClaim, "claimId" | "partsMax" | "rowsMax" | "customers" | "link">>;
const claim = (recordsMax: number, asked: Asked = {}): HeldClaim => {
  const bounds = { recordsMax, partsMax: Number.POSITIVE_INFINITY, rowsMax: 8 };
  const of = { lane: "normal" as const, link: "A", customers: [customerId] };
  return { claimId: id(), nowMs: Date.now(), ...of, ...bounds, ...asked };
};
const idsOf = (records: readonly LaneRecord[]) => records.map((record) => record.id);
const left = async (): Promise<string[]> => {
  const rows = await pool.query<{ payload: Buffer }[]>("SELECT payload FROM outbox_held ORDER BY id");
  return rows.flatMap(({ payload }) => idsOf(unpackLaneRow(payload)));
};
const sending = async (): Promise<string[]> => {
  const rows = await pool.query<{ id: string }[]>(
    "SELECT id FROM messages WHERE status='sending' ORDER BY id",
  );
  return rows.map((row) => row.id);
};
const endAll = () => pool.write("UPDATE messages SET status='failed' WHERE status IN ('queued','sending')");

test("a claim takes the oldest records first; of a row that it needs in part, the rest stays", async () => {
  const records = await held(7, 3);
  const first = await claimHeld(pool, claim(4), new Map());
  expect(idsOf(first.records)).toEqual(idsOf(records.slice(0, 4)));
  expect(first).toMatchObject({ read: 4, rows: 2, wasStored: false });
  expect(await left()).toEqual(idsOf(records.slice(4)));
  expect(await sending()).toEqual(idsOf(records.slice(0, 4)));
  const second = await claimHeld(pool, claim(CLAIM_ROWS_MAX), new Map());
  expect(idsOf(second.records)).toEqual(idsOf(records.slice(4)));
  expect(await left()).toEqual([]);
  expect(await claimHeld(pool, claim(4), new Map())).toMatchObject({
    read: 0,
    rows: 0,
    records: [],
    empty: [customerId],
  });
  await endAll();
});

test("a claim of so many parts ends with the record that brings it there, and what follows stays", async () => {
  const records = Array.from({ length: 6 }, () => laneRecord(customerId, { cost: 1, parts: 4 }));
  await acceptMessages(pool, records);
  for (const at of [0, 3]) await hold(records.slice(at, at + 3));
  const some = await claimHeld(pool, claim(100, { partsMax: 15 }), new Map());
  expect(some).toMatchObject({ read: 4, rows: 2 });
  expect(idsOf(some.records)).toEqual(idsOf(records.slice(0, 4)));
  const one = await claimHeld(pool, claim(100, { partsMax: 1 }), new Map());
  expect(idsOf(one.records)).toEqual(idsOf(records.slice(4, 5)));
  expect(await left()).toEqual(idsOf(records.slice(5)));
  await claimHeld(pool, claim(100), new Map());
  await endAll();
});

test("what one customer leaves of a batch goes to the next ones, who keep the rest; the one without rows is named", async () => {
  const records = await held(3, 2);
  const other = await insertCustomer(pool, 1_000);
  const others = Array.from({ length: 4 }, () => laneRecord(other, { cost: 1 }));
  await acceptMessages(pool, others);
  await hold(others);
  const claimed = await claimHeld(pool, claim(5, { customers: [customerId, 999_999, other] }), new Map());
  expect(idsOf(claimed.records)).toEqual(idsOf([...records, ...others.slice(0, 2)]));
  expect(claimed).toMatchObject({ read: 5, rows: 3, empty: [999_999] });
  expect(await left()).toEqual(idsOf(others.slice(2)));
  await endAll();
});

test("what another sender has claimed, or a later attempt has replaced, is skipped and leaves its row", async () => {
  const records = await held(3, 3);
  const [one] = records as [LaneRecord, LaneRecord, LaneRecord];
  await claimMessages(pool, { claimId: id(), lane: "normal", records: [one], nowMs: Date.now() });
  await pool.write("UPDATE messages SET attempt=1 WHERE id=?", [records[1]?.id]);
  const claimed = await claimHeld(pool, claim(10), new Map());
  expect(idsOf(claimed.records)).toEqual(idsOf(records.slice(2)));
  expect(claimed.read).toBe(3);
  expect(await left()).toEqual([]);
  await endAll();
});

test("records that are held twice are claimed once", async () => {
  const records = await held(2, 2);
  await hold(records);
  expect(idsOf((await claimHeld(pool, claim(10), new Map())).records)).toEqual(idsOf(records));
  expect(await left()).toEqual([]);
  await endAll();
});

test("a claim that was stored although its answer was lost is found again, with its records", async () => {
  const records = await held(3, 3);
  const seen = new Map<string, LaneRecord>();
  const request = claim(2);
  await claimHeld(pool, request, seen);
  const again = await claimHeld(pool, request, seen, true);
  expect(again.wasStored).toBe(true);
  expect(idsOf(again.records).toSorted()).toEqual(idsOf(records.slice(0, 2)).toSorted());
  expect(await left()).toEqual(idsOf(records.slice(2)));
  await endAll();
});

test("a claim that is found again has the records that it took, not older ones that it read after them", async () => {
  const [record] = (await held(1, 1)) as [LaneRecord];
  await pool.query("UPDATE messages SET attempt=1 WHERE id=?; DELETE FROM outbox_held", [record.id]);
  await hold([{ ...record, attempt: 1 }]);
  await hold([record]);
  const seen = new Map<string, LaneRecord>();
  const request = claim(10);
  const first = await claimHeld(pool, request, seen);
  const again = await claimHeld(pool, request, seen, true);
  expect([first, again].map(({ records }) => records.map(({ attempt }) => attempt))).toEqual([[1], [1]]);
  await endAll();
});

test("a claim that fails leaves the rows and the messages as they were", async () => {
  const records = await held(2, 2);
  const claimId = id();
  await pool.write(
    "INSERT INTO claims (claim_id,kind,lane,expires_at,ids) VALUES (?,'sending','normal',NOW(3),'')",
    [claimId],
  );
  expect(claimHeld(pool, claim(10, { claimId }), new Map())).rejects.toThrow();
  await Bun.sleep(200);
  expect(await left()).toEqual(idsOf(records));
  expect(await sending()).toEqual([]);
  await endAll();
});

test("two claims at once take different rows of a customer", async () => {
  const records = await held(8, 2);
  const claims = await Promise.all([0, 1].map(() => claimHeld(pool, claim(4, { rowsMax: 2 }), new Map())));
  const taken = claims.flatMap((one) => idsOf(one.records));
  expect(new Set(taken).size).toBe(taken.length);
  expect([...taken, ...(await left())].toSorted()).toEqual(idsOf(records).toSorted());
  await endAll();
});

test("a claim takes the records of one link, past any number of another one's, and leaves those", async () => {
  const slow = await held(6, 2);
  const others = Array.from({ length: 3 }, () => laneRecord(customerId, { cost: 1, phone: OF_B }));
  await acceptMessages(pool, others);
  await hold([...others.slice(0, 1), ...slow.slice(0, 1)]);
  await hold(others.slice(1));
  const claimed = await claimHeld(pool, claim(10, { link: "B" }), new Map());
  expect(idsOf(claimed.records)).toEqual(idsOf(others));
  expect(claimed).toMatchObject({ read: 3, rows: 2, empty: [] });
  expect((await left()).toSorted()).toEqual(idsOf([...slow, ...slow.slice(0, 1)]).toSorted());
  const next = await claimHeld(pool, claim(10, { link: "B" }), new Map());
  expect(next).toMatchObject({ read: 0, empty: [customerId] });
  await endAll();
});

test("looks find the customers of a lane, how long their rows have waited, and whether old rows are left", async () => {
  await hold([laneRecord(3), laneRecord(5), laneRecord(3), laneRecord(5, { phone: OF_B })]);
  await hold([laneRecord(7)], "express");
  await pool.query("UPDATE outbox_held SET created_at=NOW(3) - INTERVAL 9 SECOND WHERE customer_id=7");
  const ofFive = ["A", "B"].map((link) => ({ customerId: 5, link }));
  expect(await heldCustomers(pool, "normal")).toEqual([{ customerId: 3, link: "A" }, ...ofFive]);
  expect(await heldCustomers(pool, "normal", 3)).toEqual(ofFive);
  expect((await heldAges(pool, "normal")).map(({ customerId: of, link }) => [of, link])).toEqual([
    [3, "A"],
    [5, "A"],
    [5, "B"],
  ]);
  const ages = await heldAges(pool, "express");
  expect(ages).toEqual([{ customerId: 7, link: "A", ageMs: expect.any(Number) }]);
  expect(ages[0]?.ageMs).toBeGreaterThan(8_900);
  const last = await lastHeldRow(pool);
  expect(await hasHeldRows(pool, "normal", last)).toBe(true);
  await pool.query("DELETE FROM outbox_held WHERE lane='normal'");
  await hold([laneRecord(3)]);
  expect(await hasHeldRows(pool, "normal", last)).toBe(false);
});

test("a group commit holds the normal messages of held customers, and only those", async () => {
  const other = await insertCustomer(pool, 1_000);
  const records = [
    laneRecord(customerId, { cost: 1 }),
    laneRecord(customerId, { cost: 1, lane: "express", guaranteedByMs: Date.now() + 5_000 }),
    laneRecord(other, { cost: 1 }),
  ];
  await acceptMessages(pool, records, (record) => (record.customerId === customerId ? "A B" : null));
  expect(await left()).toEqual([records[0]?.id as string]);
  expect(await heldCustomers(pool, "normal")).toEqual([{ customerId, link: "A B" }]);
  const rows = await pool.query<{ lane: string; payload: Buffer }[]>(
    "SELECT lane, payload FROM outbox WHERE lane<>'events' ORDER BY lane",
  );
  expect(rows.map(({ lane, payload }) => [lane, idsOf(unpackLaneRow(payload))])).toEqual([
    ["express", [records[1]?.id as string]],
    ["normal", [records[2]?.id as string]],
  ]);
  await endAll();
});
