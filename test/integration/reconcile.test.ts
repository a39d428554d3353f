import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import { exitCodeOf, reconcile } from "../../src/ledger/reconcile.ts";
import type { Invariant, ReconcileResult } from "../../src/ledger/reconcile-result.ts";
import { type Clickhouse, createClickhouse } from "../../src/platform/clickhouse.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { createTestClickhouse, insertLedgerEvents, type TestClickhouse } from "../support/clickhouse.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";

let database: TestDatabase;
let events: TestClickhouse;
let pool: Pool;
let clickhouse: Clickhouse;
beforeAll(async () => {
  [database, events] = await Promise.all([createTestDatabase(), createTestClickhouse()]);
  pool = createPool(database.config, { connections: 4, multipleStatements: true });
  clickhouse = events.clickhouse;
});
afterAll(async () => {
  await pool.end();
  await Promise.all([database.drop(), events.drop()]);
});

const TABLES = [
  "wallet_ledger",
  "messages",
  "outbox",
  "credit_leases",
  "topups",
  "wallet_accounts",
  "customers",
];
const OLD_MS = 600_000;
const id = createIdFactory({ now: Date.now });
let customerId: number;
let ids: string[];

/**
 * A customer with 10,000: one message sent, one failed, one queued, 500 each, all as the roles would have
 * left it.
 */
beforeEach(async () => {
  await pool.query(
    `SET foreign_key_checks=0;${TABLES.map((t) => `DELETE FROM ${t}`).join(";")};SET foreign_key_checks=1`,
  );
  for (const table of ["wallet_ledger", "wallet_ledger_closed_days", "ledger_days", "freshness"])
    await clickhouse.command(`TRUNCATE TABLE ${table}`);
  customerId = await insertCustomer(pool, 10_000);
  const records = [0, 1, 2].map(() => laneRecord(customerId));
  ids = records.map((record) => record.id);
  await acceptMessages(pool, records);
  const entry = (messageId: string, op: string) =>
    `INSERT INTO wallet_ledger (customer_id,entry_id,leg,op,amount,created_at) ` +
    `VALUES (${customerId},'${messageId}','close','${op}',500,NOW(3))`;
  await pool.query(
    `UPDATE messages SET status='sent' WHERE id='${ids[0]}';${entry(ids[0] as string, "capture")};` +
      `UPDATE messages SET status='failed' WHERE id='${ids[1]}';${entry(ids[1] as string, "refund")};` +
      `UPDATE wallet_accounts SET reserved=reserved-1000, balance=balance+500`,
  );
});

/**
 * What relay, broker and ClickHouse do; `old` moves every entry ten minutes back first, past what may be on
 * its way.
 */
async function deliverEvents({ old = false, except = "" } = {}): Promise<void> {
  if (old)
    await pool.query(
      `UPDATE wallet_ledger SET created_at = created_at - INTERVAL ${OLD_MS * 1000} MICROSECOND`,
    );
  const rows = await pool.query<
    { event_id: string; customer_id: number; op: string; amount: number; created_at_ms: number }[]
  >(
    `SELECT CONCAT(entry_id,':',leg) AS event_id, customer_id, op, amount,
    CAST(UNIX_TIMESTAMP(created_at)*1000 AS SIGNED) AS created_at_ms
     FROM wallet_ledger WHERE entry_id <> '${except}'`,
  );
  await insertLedgerEvents(clickhouse, rows);
  await pool.query("DELETE FROM outbox WHERE lane='events'");
  if (old) {
    const created_at_ms = Date.now() + 120_000; // a newer entry of somebody else has come through since
    await insertLedgerEvents(clickhouse, [
      { event_id: `${id()}:open`, customer_id: 0, op: "topup", amount: 1, created_at_ms },
    ]);
    await clickhouse.command(
      "ALTER TABLE wallet_ledger DELETE WHERE customer_id = 0 SETTINGS mutations_sync = 1",
    );
  }
}

const check = (options: { settled?: boolean; customerId?: number } = {}) =>
  reconcile({ pool, clickhouse }, options);
function invariantsOf(result: ReconcileResult): Invariant[] {
  expect(result).toMatchObject({ kind: "drift" });
  return result.kind === "drift" ? result.drifts.map(({ invariant }) => invariant).sort() : [];
}

describe("reconcile", () => {
  test("is clean when all events are in, and says what it looked at", async () => {
    await deliverEvents();
    const result = await check();
    expect(result).toMatchObject({
      kind: "clean",
      checked: { customers: 1, messages: 3, entries: 7 },
      pending: { entries: 0, events: 0, messages: 1 },
    });
    expect(exitCodeOf(result)).toBe(0);
    expect(await check({ customerId })).toMatchObject({ kind: "clean", checked: { customers: 1 } });
  });

  test("counts events on their way as pending", async () => {
    expect(await check()).toMatchObject({ kind: "clean", pending: { entries: 7 } });
    await pool.query(
      `UPDATE wallet_ledger SET created_at = created_at - INTERVAL ${OLD_MS * 1000} MICROSECOND`,
    );
    const result = await check();
    expect(result).toMatchObject({ kind: "clean", pending: { entries: 7 } }); // event rows wait in the outbox
  });

  test("with settled, needs an empty way: no open message, no event row, no missing event", async () => {
    await deliverEvents();
    expect(invariantsOf(await check({ settled: true }))).toEqual(["settled"]);
    await pool.query(
      `UPDATE messages SET status='sent' WHERE id='${ids[2]}';UPDATE wallet_accounts ` +
        `SET reserved=reserved-500;` +
        `INSERT INTO wallet_ledger (customer_id,entry_id,leg,op,amount,created_at) ` +
        `VALUES (${customerId},'${ids[2]}','close','capture',500,NOW(3))`,
    );
    expect(invariantsOf(await check({ settled: true }))).toEqual(["settled"]); // its event is missing
    await deliverEvents();
    expect(await check({ settled: true })).toMatchObject({
      kind: "clean",
      pending: { entries: 0, events: 0, messages: 0 },
    });
    await pool.query("INSERT INTO outbox (lane,payload) VALUES ('events','')");
    expect(invariantsOf(await check({ settled: true }))).toEqual(["settled"]);
  });

  test("a record delivered twice is no drift", async () => {
    await deliverEvents();
    await deliverEvents();
    expect(await check()).toMatchObject({ kind: "clean", pending: { entries: 0 } });
  });

  test("says when it could not check", async () => {
    const nowhere = createClickhouse({ ...events.config, clickhousePort: 1 });
    const result = await reconcile({ pool, clickhouse: nowhere });
    await nowhere.close();
    expect(result.kind).toBe("could_not_check");
    expect(exitCodeOf(result)).toBe(2);
    const noMysql = createPool({ ...database.config, mysqlPort: 1 }, { connections: 1 });
    expect(await reconcile({ pool: noMysql, clickhouse })).toMatchObject({ kind: "could_not_check" });
    await noMysql.end();
    expect(await check({ customerId: 987_654 })).toMatchObject({ kind: "could_not_check" });
  });

  test("one customer's drift is not another's", async () => {
    const other = await insertCustomer(pool, 700);
    await deliverEvents();
    await pool.query(`UPDATE wallet_accounts SET balance=balance+1 WHERE customer_id=${other}`);
    expect(await check({ customerId })).toMatchObject({ kind: "clean" });
    expect(await check({ customerId: other })).toMatchObject({ kind: "drift" });
    expect(await check()).toMatchObject({
      kind: "drift",
      drifts: [
        { invariant: "balance_equals_entries", customer_id: String(other), expected: 700, found: 701 },
      ],
    });
  });

  type Plant = [what: string, sql: () => string, invariants: Invariant[]];
  const reserveOf = (i: number) => `customer_id=${customerId} AND entry_id='${ids[i]}' AND leg='open'`;
  const closeOf = (i: number) => `customer_id=${customerId} AND entry_id='${ids[i]}' AND leg='close'`;
  const entry = (op: string, leg: string, entryId: string) =>
    `INSERT INTO wallet_ledger (customer_id,entry_id,leg,op,amount,created_at) ` +
    `VALUES (${customerId},'${entryId}','${leg}','${op}',500,NOW(3))`;
  const plants: Plant[] = [
    ["a balance that grew", () => "UPDATE wallet_accounts SET balance=balance+1", ["balance_equals_entries"]],
    [
      "a reserved that shrank",
      () => "UPDATE wallet_accounts SET reserved=reserved-1",
      ["reserved_equals_entries", "reserved_equals_leases_and_messages"],
    ],
    [
      "a lease that nobody granted",
      () =>
        `INSERT INTO credit_leases (node_id,customer_id,epoch,granted,spent,expires_at) ` +
        `VALUES ('${id()}',${customerId},1,300,100,NOW(3))`,
      ["reserved_equals_leases_and_messages"],
    ],
    [
      "a reserve that is gone",
      () => `DELETE FROM wallet_ledger WHERE ${reserveOf(2)}`,
      ["message_has_one_reserve"],
    ],
    [
      "a reserve of another amount",
      () => `UPDATE wallet_ledger SET amount=499 WHERE ${reserveOf(0)}`,
      ["message_has_one_reserve"],
    ],
    [
      "two reserves that swapped their amounts",
      () =>
        `UPDATE wallet_ledger SET amount=400 WHERE ${reserveOf(0)};UPDATE wallet_ledger SET amount=600 ` +
        `WHERE ${reserveOf(1)}`,
      ["message_has_one_reserve"],
    ],
    [
      "a capture that is gone",
      () => `DELETE FROM wallet_ledger WHERE ${closeOf(0)}`,
      ["message_close_matches_status", "reserved_equals_entries"],
    ],
    [
      "a capture where a refund is due",
      () => `UPDATE wallet_ledger SET op='capture' WHERE ${closeOf(1)}`,
      ["balance_equals_entries", "message_close_matches_status"],
    ],
    [
      "a close of a message still open",
      () => entry("capture", "close", ids[2] as string),
      ["message_close_matches_status", "reserved_equals_entries"],
    ],
    [
      "a failed message that became sent",
      () => `UPDATE messages SET status='sent' WHERE id='${ids[1]}'`,
      ["message_close_matches_status"],
    ],
    ["entries without a message", () => entry("reserve", "open", id()), ["entry_has_message"]],
    ["a message that is gone", () => `DELETE FROM messages WHERE id='${ids[0]}'`, ["entry_has_message"]],
    [
      "a top-up without its entry",
      () =>
        `INSERT INTO topups (customer_id,request_id,amount,entry_id,created_at) ` +
        `VALUES (${customerId},'x',5,'${id()}',NOW(3))`,
      ["topup_has_entry"],
    ],
    [
      "a top-up entry without its top-up",
      () => `${entry("topup", "open", id())};UPDATE wallet_accounts SET balance=balance+500`,
      ["topup_has_entry"],
    ],
    [
      "a negative balance",
      () =>
        "ALTER TABLE wallet_accounts ALTER CHECK wallet_accounts_chk_1 NOT ENFORCED;UPDATE " +
        "wallet_accounts SET balance=-1",
      ["balance_equals_entries", "never_negative"],
    ],
  ];
  for (const [what, sql, invariants] of plants) {
    test(`finds ${what}`, async () => {
      await pool.query(sql());
      await deliverEvents();
      const result = await check();
      expect(invariantsOf(result)).toEqual(invariants);
      expect(exitCodeOf(result)).toBe(1);
    });
  }

  test("finds an entry that ClickHouse lost, and names it", async () => {
    await deliverEvents({ old: true, except: ids[0] as string });
    const result = await check();
    expect(invariantsOf(result)).toEqual(["clickhouse_has_entry"]);
    expect(result).toMatchObject({
      drifts: [
        {
          customer_id: String(customerId),
          entries_total: 2,
          entries: [{ entry_id: ids[0] }, { entry_id: ids[0] }],
        },
      ],
    });
    expect(invariantsOf(await check({ customerId }))).toEqual(["clickhouse_has_entry"]);
  });

  test("finds an entry that only ClickHouse has", async () => {
    await deliverEvents();
    await insertLedgerEvents(clickhouse, [
      {
        event_id: `${ids[2]}:close`,
        customer_id: customerId,
        op: "capture",
        amount: 500,
        created_at_ms: Date.now(),
      },
    ]);
    expect(invariantsOf(await check())).toEqual(["clickhouse_has_no_other_entry"]);
  });

  test("finds an amount that differs in ClickHouse", async () => {
    await deliverEvents();
    await pool.query(
      `UPDATE wallet_ledger SET amount=1 WHERE op='topup';UPDATE topups ` +
        `SET amount=1;UPDATE wallet_accounts SET balance=balance-9999`,
    );
    const found = invariantsOf(await check());
    expect(found).toContain("clickhouse_entry_is_equal");
  });

  test("finds a wrong sum of a day whose entries ClickHouse no longer keeps", async () => {
    await pool.query("UPDATE wallet_ledger SET created_at = created_at - INTERVAL 40 DAY");
    expect(invariantsOf(await check())).toContain("clickhouse_sum_is_equal");
  });

  test("says that a whole day is lost without naming each of its entries", async () => {
    const row = (second: number) => `ROW(${customerId},'${id()}','open','topup',1,${second})`;
    const values = Array.from({ length: 10_500 }, (_, second) => row(second)).join(",");
    await pool.query(
      "INSERT INTO wallet_ledger (customer_id,entry_id,leg,op,amount,created_at) SELECT c,e,l,o,a," +
        `DATE(NOW()) - INTERVAL 1 DAY + INTERVAL s SECOND FROM (VALUES ${values}) AS v (c,e,l,o,a,s)`,
    );
    await pool.query("DELETE FROM outbox");
    const created_at_ms = Date.now();
    await insertLedgerEvents(clickhouse, [
      { event_id: `${id()}:open`, customer_id: customerId, op: "topup", amount: 1, created_at_ms },
    ]);
    const found = invariantsOf(await check());
    expect(found).toContain("clickhouse_has_entry");
  });
});
