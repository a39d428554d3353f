import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import { exitCodeOf, reconcile } from "../../src/reconcile/reconcile.ts";
import type { Invariant, ReconcileResult } from "../../src/reconcile/result.ts";
import { type Clickhouse, createClickhouse } from "../../src/platform/clickhouse.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { createTestEngines, type TestEngines } from "../support/engines.ts";
import {
  auditSql,
  claimSql,
  deliverEvents,
  emptyTables,
  entrySql,
  keySql,
  makeBook,
  submissionSql,
} from "../support/small-book.ts";
import { insertCustomer } from "../support/messages.ts";

let engines: TestEngines;
let pool: Pool;
let clickhouse: Clickhouse;
beforeAll(async () => {
  engines = await createTestEngines();
  ({ pool, clickhouse } = engines);
});
afterAll(() => engines.drop());

const id = createIdFactory({ now: Date.now });
let [customerId, ids]: [number, string[]] = [0, []];
beforeEach(async () => {
  await emptyTables({ pool, clickhouse });
  ({ customerId, ids } = await makeBook(pool));
});

const delivered = (options: Parameters<typeof deliverEvents>[1] = {}) =>
  deliverEvents({ pool, clickhouse }, options);
const check = (options: { settled?: boolean; customerId?: number } = {}) =>
  reconcile({ pool, clickhouse }, options);
function invariantsOf(result: ReconcileResult): Invariant[] {
  expect(result).toMatchObject({ kind: "drift" });
  return result.kind === "drift" ? result.drifts.map(({ invariant }) => invariant).sort() : [];
}

type Plant = [what: string, sql: () => string, invariants: Invariant[]];

describe("reconcile", () => {
  const reserveOf = (i: number) => `customer_id=${customerId} AND entry_id='${ids[i]}' AND leg='open'`;
  const closeOf = (i: number) => `customer_id=${customerId} AND entry_id='${ids[i]}' AND leg='close'`;
  const entry = (op: string, leg: string, entryId: string) => entrySql(customerId, op, leg, entryId);
  const GHOST = id();
  const NODE = id();

  test("is clean when all events have arrived, and says what it checked", async () => {
    await delivered();
    const result = await check();
    expect(result).toMatchObject({
      kind: "clean",
      checked: { customers: 1, messages: 3, entries: 7 },
      pending: { entries: 0, events: 0, messages: 1 },
    });
    expect(exitCodeOf(result)).toBe(0);
    expect(await check({ customerId })).toMatchObject({ kind: "clean", checked: { customers: 1 } });
  });

  test("with `settled`, requires that nothing is under way: no open message, no events row, no missing event", async () => {
    await delivered();
    expect(invariantsOf(await check({ settled: true }))).toEqual(["settled"]);
    await pool.query(
      `UPDATE messages SET status='sent',sequence=4,operator='A' WHERE id='${ids[2]}';` +
        `UPDATE wallet_accounts SET reserved=reserved-500;` +
        `INSERT INTO wallet_ledger (customer_id,entry_id,leg,op,amount,created_at) ` +
        `VALUES (${customerId},'${ids[2]}','close','capture',500,NOW(3))`,
    );
    expect(invariantsOf(await check({ settled: true }))).toEqual(["settled"]); // its event is missing
    await delivered();
    expect(await check({ settled: true })).toMatchObject({
      kind: "clean",
      pending: { entries: 0, events: 0, messages: 0 },
    });
    await pool.query("INSERT INTO outbox (lane,payload) VALUES ('events','')");
    expect(invariantsOf(await check({ settled: true }))).toEqual(["settled"]);
  });

  test("says when it could not check", async () => {
    const nowhere = createClickhouse({ ...engines.config, clickhousePort: 1 });
    const result = await reconcile({ pool, clickhouse: nowhere });
    await nowhere.close();
    expect(result.kind).toBe("could_not_check");
    expect(exitCodeOf(result)).toBe(2);
    const noMysql = createPool({ ...engines.config, mysqlPort: 1 }, { connections: 1 });
    expect(await reconcile({ pool: noMysql, clickhouse })).toMatchObject({ kind: "could_not_check" });
    await noMysql.end();
    expect(await check({ customerId: 987_654 })).toMatchObject({ kind: "could_not_check" });
  });

  test("one customer's drift is not another's", async () => {
    const other = await insertCustomer(pool, 700);
    await delivered();
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

  test("keys of stored messages and top-ups are clean, and so are old ones whose message is gone", async () => {
    const [topup] = await pool.query<{ entry_id: string }[]>("SELECT entry_id FROM topups");
    await pool.query(
      `${keySql(customerId, "send", GHOST)};` +
        "UPDATE idempotency_keys SET created_at=NOW(3) - INTERVAL 25 HOUR;" +
        `${keySql(customerId, "send", ids[0] as string)};` +
        keySql(customerId, "topup", topup?.entry_id as string),
    );
    await delivered();
    expect(await check()).toMatchObject({ kind: "clean" });
  });

  test("an adjustment that is in the audit log is clean", async () => {
    const [up, down] = [id(), id()];
    await pool.query(
      `${entry("adjust_up", "open", up)};${auditSql(customerId, up, 500)};` +
        `${entry("adjust_down", "open", down)};${auditSql(customerId, down, -500)}`,
    );
    await delivered();
    expect(await check()).toMatchObject({ kind: "clean", checked: { entries: 9 } });
  });

  test("a claim for sending and unknown messages, and a refunded late express message, are clean", async () => {
    await pool.query(
      `UPDATE messages SET status='sending',sequence=2 WHERE id='${ids[2]}';` +
        `${claimSql("sending", [id(), ids[2] as string])};` +
        `UPDATE wallet_ledger SET op='refund' WHERE ${closeOf(0)};` +
        "UPDATE wallet_accounts SET balance=balance+500;UPDATE messages SET lane='express'," +
        `guaranteed_by=NOW(3) - INTERVAL 1 MINUTE WHERE id='${ids[0]}'`,
    );
    await delivered();
    expect(await check()).toMatchObject({ kind: "clean" });
    await pool.query(
      `UPDATE messages SET status='unknown',sequence=3 WHERE id='${ids[2]}';` +
        `DELETE FROM claims;${claimSql("unknown", [ids[2] as string])}`,
    );
    await delivered();
    expect(await check()).toMatchObject({ kind: "clean", pending: { messages: 0 } });
    expect(await check({ customerId })).toMatchObject({ kind: "clean" });
  });

  test("submits of messages that were taken, or may have been, and reports that wait, are clean", async () => {
    await pool.query(
      `UPDATE messages SET operator='A' WHERE id='${ids[1]}';` + // it failed after it had been unknown
        `UPDATE messages SET status='unknown',sequence=3,operator='A' WHERE id='${ids[2]}';` +
        `${claimSql("unknown", [ids[2] as string])};${ids.map(submissionSql).join(";")};` +
        "INSERT INTO inbox (run_at,payload) VALUES " +
        "(NOW(3) - INTERVAL 1 HOUR,''),(NOW(3) + INTERVAL 1 HOUR,'')",
    );
    await delivered();
    expect(await check()).toMatchObject({ kind: "clean" });
    expect(await check({ customerId })).toMatchObject({ kind: "clean" });
  });

  test("a customer's own check names its message without an operator, and its submit that was not taken", async () => {
    await pool.query(
      `UPDATE messages SET operator=NULL WHERE id='${ids[0]}';${submissionSql(ids[1] as string)}`,
    );
    await delivered();
    const result = await check({ customerId });
    expect(result).toMatchObject({
      kind: "drift",
      drifts: [
        { invariant: "message_has_operator", entries: [{ entry_id: ids[0], detail: "message is sent" }] },
        { invariant: "submission_was_taken", entries: [{ entry_id: ids[1], detail: "message is failed" }] },
      ],
    });
  });

  test("a lease whose process is known is clean, however dead it is; one whose process isn't is named with its credit", async () => {
    const plant = `INSERT INTO credit_leases (node_id,customer_id,epoch,granted,spent)
      VALUES ('${NODE}',${customerId},4,300,0)`;
    await pool.query(
      `INSERT INTO nodes VALUES ('${NODE}',NOW(3) - INTERVAL 3 DAY);${plant};` +
        "UPDATE wallet_accounts SET balance=balance-300,reserved=reserved+300;" +
        entry("grant", "open", id()).replace("500", "300"),
    );
    await delivered();
    expect(await check()).toMatchObject({ kind: "clean" });
    await pool.query("DELETE FROM nodes");
    const drift = {
      invariant: "lease_has_node",
      customer_id: String(customerId),
      entries: [{ entry_id: NODE, op: null, amount: 300, detail: "unspent credit of epoch 4" }],
    };
    expect(await check()).toMatchObject({ kind: "drift", drifts: [drift] });
    expect(await check({ customerId })).toMatchObject({ kind: "drift", drifts: [drift] });
  });

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
        `INSERT INTO nodes VALUES ('${NODE}',NOW(3));INSERT INTO credit_leases ` +
        `(node_id,customer_id,epoch,granted,spent) VALUES ('${NODE}',${customerId},1,300,100)`,
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
      () => `UPDATE messages SET status='sent',operator='A' WHERE id='${ids[1]}'`,
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
      "an adjustment that the audit log doesn't have",
      () => `${entry("adjust_up", "open", id())};UPDATE wallet_accounts SET balance=balance+500`,
      ["adjustment_has_audit"],
    ],
    [
      "an adjustment of which the audit log has another amount",
      () => {
        const entryId = id();
        return (
          `${entry("adjust_down", "open", entryId)};${auditSql(customerId, entryId, 500)};` +
          "UPDATE wallet_accounts SET balance=balance-500"
        );
      },
      ["adjustment_has_audit"],
    ],
    [
      "an adjustment of the audit log without its entry",
      () => auditSql(customerId, id(), 500),
      ["adjustment_has_audit"],
    ],
    [
      "a reserve and a capture without a message",
      () => `${entry("reserve", "open", GHOST)};${entry("capture", "close", GHOST)}`,
      ["entry_has_message", "reserved_equals_entries"],
    ],
    [
      "a capture whose reserve is gone",
      () => `DELETE FROM wallet_ledger WHERE ${reserveOf(0)}`,
      ["message_has_one_reserve"],
    ],
    [
      "a message in sending that no claim names",
      () => `UPDATE messages SET status='sending',sequence=2 WHERE id='${ids[2]}'`,
      ["message_has_claim"],
    ],
    [
      "an unknown message that only a claim to send names",
      () =>
        `UPDATE messages SET status='unknown' WHERE id='${ids[2]}';` +
        claimSql("sending", [ids[2] as string]),
      ["message_has_claim"],
    ],
    [
      "an unknown message that was closed",
      () =>
        `UPDATE messages SET status='unknown' WHERE id='${ids[0]}';` +
        `${claimSql("unknown", [ids[0] as string])};UPDATE wallet_accounts SET reserved=reserved+500`,
      ["message_close_matches_status", "reserved_equals_entries"],
    ],
    [
      "a normal message that was sent and refunded",
      () =>
        `UPDATE wallet_ledger SET op='refund' WHERE ${closeOf(0)};` +
        "UPDATE wallet_accounts SET balance=balance+500",
      ["message_close_matches_status"],
    ],
    [
      "an express message that was sent in time and refunded",
      () =>
        `UPDATE wallet_ledger SET op='refund' WHERE ${closeOf(0)};` +
        "UPDATE wallet_accounts SET balance=balance+500;UPDATE messages SET lane='express'," +
        `guaranteed_by=NOW(3) + INTERVAL 1 MINUTE WHERE id='${ids[0]}'`,
      ["message_close_matches_status"],
    ],
    [
      "a delivered message that names no operator",
      () => `UPDATE messages SET status='delivered',sequence=5,operator=NULL WHERE id='${ids[0]}'`,
      ["message_has_operator"],
    ],
    [
      "a scheduled message that no relay would send, and a row for one that was sent",
      () =>
        `UPDATE messages SET status='scheduled',sequence=0,send_at='2030-01-01' WHERE id='${ids[2]}';` +
        `INSERT INTO scheduled_messages (message_id,lane,run_at) VALUES ('${ids[0]}','normal','2030-01-01')`,
      ["message_has_schedule", "message_has_schedule"],
    ],
    [
      "a scheduled message that would be sent at another time",
      () =>
        `UPDATE messages SET status='scheduled',sequence=0,send_at='2030-01-01' WHERE id='${ids[2]}';` +
        `INSERT INTO scheduled_messages (message_id,lane,run_at) VALUES ('${ids[2]}','normal','2030-01-02')`,
      ["message_has_schedule"],
    ],
    [
      "a scheduled message that is held for a customer that nobody has suspended",
      () =>
        `UPDATE messages SET status='scheduled',sequence=0,send_at='2030-01-01' WHERE id='${ids[2]}';` +
        "INSERT INTO scheduled_messages (message_id,lane,run_at,held_for) VALUES " +
        `('${ids[2]}','normal','2030-01-01',${customerId})`,
      ["message_has_schedule"],
    ],
    [
      "submits of a message that is failed, and of one that is still queued",
      () => ids.slice(1).map(submissionSql).join(";"),
      ["submission_was_taken"],
    ],
    [
      "a report that has been due for two days, and one put off for two",
      () =>
        "INSERT INTO inbox (run_at,payload) VALUES (NOW(3) - INTERVAL 2 DAY,'')," +
        "(NOW(3) + INTERVAL 2 DAY,'')",
      ["reports_are_read"],
    ],
    [
      "a lease that spent more than it was granted, beside one that makes up for it",
      () =>
        "ALTER TABLE credit_leases ALTER CHECK credit_leases_chk_2 NOT ENFORCED;" +
        `INSERT INTO nodes VALUES ('${NODE}',NOW(3));INSERT INTO credit_leases ` +
        `(node_id,customer_id,epoch,granted,spent) VALUES ('${NODE}',${customerId},1,100,200),` +
        `('${NODE}',${customerId},2,200,100)`,
      ["never_negative"],
    ],
    [
      "a key whose message was never stored, and one whose top-up was a message",
      () => `${keySql(customerId, "send", GHOST)};${keySql(customerId, "topup", ids[0] as string)}`,
      ["key_has_owner"],
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
      await delivered();
      const result = await check();
      expect(invariantsOf(result)).toEqual(invariants);
      expect(exitCodeOf(result)).toBe(1);
    });
  }
});
