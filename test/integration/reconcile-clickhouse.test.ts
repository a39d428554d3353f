import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import { sequenceOf } from "../../src/core/message.ts";
import { unpackEvents } from "../../src/core/event-record.ts";
import { eventsSql } from "../../src/ledger/posting.ts";
import { RESEND_MAX } from "../../src/reconcile/resend.ts";
import { reconcile } from "../../src/reconcile/reconcile.ts";
import type { Invariant, ReconcileResult } from "../../src/reconcile/result.ts";
import type { Clickhouse } from "../../src/platform/clickhouse.ts";
import type { Pool } from "../../src/platform/mysql.ts";
import { sleep } from "../../src/platform/retry.ts";
import { insertLedgerEvents, insertStatusEvents } from "../support/clickhouse.ts";
import { createTestEngines, type TestEngines } from "../support/engines.ts";
import { ageAll, claimSql, deliverEvents, emptyTables, makeBook, OLD_MS } from "../support/small-book.ts";

let engines: TestEngines;
let pool: Pool;
let clickhouse: Clickhouse;
beforeAll(async () => {
  engines = await createTestEngines();
  ({ pool, clickhouse } = engines);
});
afterAll(() => engines.drop());

const id = createIdFactory({ now: Date.now });
let customerId: number;
let ids: string[];
beforeEach(async () => {
  await emptyTables({ pool, clickhouse });
  ({ customerId, ids } = await makeBook(pool));
});

const delivered = (options: Parameters<typeof deliverEvents>[1] = {}) =>
  deliverEvents({ pool, clickhouse }, options);
const check = (options: { settled?: boolean; customerId?: number } = {}) =>
  reconcile({ pool, clickhouse }, options);
/** ClickHouse as if it had been up for this long: a test's engines may have been started a moment ago. */
const upFor = (seconds: number): Clickhouse => ({
  ...clickhouse,
  query: (sql, params) => clickhouse.query(sql.replace("uptime()", String(seconds)), params),
});
function invariantsOf(result: ReconcileResult): Invariant[] {
  expect(result).toMatchObject({ kind: "drift" });
  return result.kind === "drift" ? result.drifts.map(({ invariant }) => invariant).sort() : [];
}

describe("reconcile, MySQL with ClickHouse", () => {
  test("counts events on their way as pending", async () => {
    const nothingThere = { kind: "clean", pending: { entries: 7, statuses: 3 } };
    expect(await check()).toMatchObject(nothingThere);
    await ageAll(pool);
    await pool.query("DELETE FROM outbox WHERE lane='events'");
    const entry = { entryId: id(), leg: "open", op: "topup", customerId, amount: 1 } as const;
    await pool.query(eventsSql([], [{ ...entry, createdAtMs: Date.now() - OLD_MS }]));
    expect(await check()).toMatchObject(nothingThere); // all of it may be in rows that wait in the outbox
  });

  test("a record delivered twice is not a drift", async () => {
    await delivered();
    await delivered();
    expect(await check()).toMatchObject({ kind: "clean", pending: { entries: 0, statuses: 0 } });
  });

  test("finds an entry that ClickHouse lost, and names it", async () => {
    await delivered({ old: true, except: ids[0] as string });
    const result = await check();
    expect(invariantsOf(result)).toEqual(["clickhouse_has_entry"]);
    const entries = [{ entry_id: ids[0] }, { entry_id: ids[0] }];
    expect(result).toMatchObject({
      drifts: [{ customer_id: String(customerId), entries_total: 2, entries }],
    });
    expect(invariantsOf(await check({ customerId }))).toEqual(["clickhouse_has_entry"]);
  });

  test("finds a message of which ClickHouse lost all statuses or the latest, and names it", async () => {
    await delivered({ old: true, exceptStatus: ids[0] as string });
    const lost = await check();
    expect(invariantsOf(lost)).toEqual(["clickhouse_has_status"]);
    expect(lost).toMatchObject({ drifts: [{ entries_total: 1, entries: [{ entry_id: ids[0] }] }] });
    const event = { id: ids[0] as string, customer_id: customerId, sequence: 1, status: "queued" };
    await insertStatusEvents(clickhouse, [{ ...event, created_at_ms: await acceptedMs(0) }]);
    expect(invariantsOf(await check())).toEqual(["clickhouse_has_status"]);
    expect(invariantsOf(await check({ customerId }))).toEqual(["clickhouse_has_status"]);
  });

  test("finds an entry that only ClickHouse has", async () => {
    await delivered({ old: true });
    const event = { event_id: `${ids[2]}:close`, customer_id: customerId, op: "capture", amount: 500 };
    await insertLedgerEvents(clickhouse, [{ ...event, created_at_ms: Date.now() - OLD_MS }]);
    expect(invariantsOf(await check())).toEqual(["clickhouse_has_no_other_entry"]);
  });

  test("finds a message, and a later status, that only ClickHouse has", async () => {
    await delivered({ old: true });
    const ghost = { id: id(), customer_id: customerId, sequence: 1, status: "queued" };
    const later = { id: ids[2] as string, customer_id: customerId, sequence: 4, status: "sent" };
    const updated_at_ms = Date.now() - OLD_MS;
    await insertStatusEvents(clickhouse, [
      { ...ghost, created_at_ms: updated_at_ms, updated_at_ms },
      { ...later, created_at_ms: await acceptedMs(2), updated_at_ms },
    ]);
    const result = await check();
    expect(invariantsOf(result)).toEqual(["clickhouse_has_no_other_message"]);
    expect(result).toMatchObject({ drifts: [{ entries_total: 2 }] });
  });

  test("finds an amount and a status that differ in ClickHouse", async () => {
    await delivered({ old: true });
    await pool.query(
      `UPDATE wallet_ledger SET amount=9999 WHERE op='topup';UPDATE topups SET amount=9999;` +
        `UPDATE wallet_accounts SET balance=balance-1;UPDATE messages SET status='delivered' ` +
        `WHERE id='${ids[0]}'`,
    );
    expect(invariantsOf(await check())).toEqual(["clickhouse_entry_is_equal", "clickhouse_status_is_equal"]);
  });

  test("a sending message counts as queued, which is all that ClickHouse can know", async () => {
    await pool.query(
      `UPDATE messages SET status='sending',sequence=2 WHERE id='${ids[2]}';` +
        claimSql("sending", [ids[2] as string]),
    );
    await delivered({ old: true });
    expect(await check()).toMatchObject({ kind: "clean", pending: { statuses: 0 } });
  });

  test("finds a wrong sum of a day whose entries ClickHouse no longer keeps", async () => {
    await pool.query("UPDATE wallet_ledger SET created_at = created_at - INTERVAL 40 DAY");
    expect(invariantsOf(await check())).toContain("clickhouse_sum_is_equal");
  });

  test("lost sums of old days are drifts until MySQL's are written, as docs/OPERATIONS.md says", async () => {
    await pool.query("UPDATE wallet_ledger SET created_at = created_at - INTERVAL 40 DAY");
    const bySum = async () => {
      const result = await check();
      const drifts = result.kind === "drift" ? result.drifts : [];
      return drifts.filter(({ invariant }) => invariant === "clickhouse_sum_is_equal").length;
    };
    expect(await bySum()).toBeGreaterThan(0);
    const sums = await pool.query<Record<string, unknown>[]>(
      `SELECT CAST(DATE(created_at) AS CHAR) AS day, customer_id, op, SUM(amount) AS amount,
         COUNT(*) AS entries
       FROM wallet_ledger GROUP BY day, customer_id, op`,
    );
    const summed_at = new Date().toISOString().slice(0, 23).replace("T", " ");
    const rows = sums.map((row) => ({ ...row, summed_at }));
    await clickhouse.insert("wallet_ledger_closed_days", rows);
    expect(await bySum()).toBe(0);
  });

  test("names the first entries of a whole lost day, and says how many there are", async () => {
    const row = (second: number) => `ROW(${customerId},'${id()}','open','topup',1,${second})`;
    const values = Array.from({ length: 10_500 }, (_, second) => row(second)).join(",");
    await delivered({ old: true });
    await pool.query(
      "INSERT INTO wallet_ledger (customer_id,entry_id,leg,op,amount,created_at) SELECT c,e,l,o,a," +
        `DATE(NOW()) - INTERVAL 1 DAY + INTERVAL s SECOND FROM (VALUES ${values}) AS v (c,e,l,o,a,s)`,
    );
    const result = await check();
    const lost = result.kind === "drift" && result.drifts.find((d) => d.invariant === "clickhouse_has_entry");
    expect(lost).toMatchObject({ entries_total: 10_500 });
  });
});

describe("reconcile --resend", () => {
  const sentAgain = (upS = 3_600) =>
    reconcile({ pool, clickhouse: upFor(upS) }, { resend: true, confirmMs: 100 });

  test("writes lost events to the outbox with the same ids; when they arrive, all is clean", async () => {
    await delivered({ old: true, except: ids[0] as string, exceptStatus: ids[1] as string });
    expect(await sentAgain()).toMatchObject({ kind: "drift", resent: 3 });
    const rows = await pool.query<{ payload: Buffer }[]>("SELECT payload FROM outbox WHERE lane='events'");
    const sent = rows.map(({ payload }) => unpackEvents(payload));
    const eventIds = sent.flatMap(({ status, ledger }) => [...lines(ledger), ...lines(status)]).sort();
    expect(eventIds).toEqual(
      [`${ids[0]}:close`, `${ids[0]}:open`, `${ids[1]}:${sequenceOf(0, "failed")}`].sort(),
    );
    // While they wait in the outbox they count as pending, and are not sent a third time.
    expect(await sentAgain()).toMatchObject({
      kind: "clean",
      resent: 0,
      pending: { entries: 2, statuses: 1 },
    });
    await delivered();
    expect(await sentAgain()).toMatchObject({
      kind: "clean",
      resent: 0,
      pending: { entries: 0, statuses: 0 },
    });
  });

  test("sends even the very last events again, after which nothing newer has arrived", async () => {
    await ageAll(pool);
    await pool.query("DELETE FROM outbox WHERE lane='events'");
    const result = await sentAgain();
    expect(result).toMatchObject({ resent: 10 });
    expect(invariantsOf(result)).toEqual(["clickhouse_has_entry", "clickhouse_has_status"]);
  });

  test("of a ClickHouse that started within the last minute, silence proves nothing", async () => {
    await ageAll(pool);
    await pool.query("DELETE FROM outbox WHERE lane='events'");
    expect(await sentAgain(59)).toMatchObject({
      kind: "clean",
      resent: 0,
      pending: { entries: 7, statuses: 3 },
    });
    expect(await sentAgain(60)).toMatchObject({ kind: "drift", resent: 10 });
  });

  test("a tail that ClickHouse reads while it is watched counts as on its way", async () => {
    await ageAll(pool);
    await pool.query("DELETE FROM outbox WHERE lane='events'");
    const watched = reconcile({ pool, clickhouse: upFor(3_600) }, { confirmMs: 4_000 });
    await sleep(700);
    await delivered();
    expect(await watched).toMatchObject({ kind: "clean", pending: { entries: 7, statuses: 0 } });
  });

  test("doesn't send again what is young or waits in the outbox", async () => {
    expect(await sentAgain()).toMatchObject({ kind: "clean", resent: 0 });
    await pool.query("DELETE FROM outbox WHERE lane='events'");
    expect(await sentAgain()).toMatchObject({ kind: "clean", resent: 0 });
  });

  test("sends nothing again while ClickHouse is catching up", async () => {
    await ageAll(pool);
    await pool.query("DELETE FROM outbox WHERE lane='events'");
    const created_at_ms = Date.now() - 2 * OLD_MS; // taken in just now, and older than all that is missing
    await insertLedgerEvents(clickhouse, [
      { event_id: `${id()}:open`, customer_id: 0, op: "topup", amount: 1, created_at_ms },
    ]);
    const event = { id: id(), customer_id: 0, sequence: 1, status: "queued", created_at_ms };
    await insertStatusEvents(clickhouse, [event]);
    const result = await reconcile({ pool, clickhouse }, { resend: true, customerId });
    expect(result).toMatchObject({ kind: "clean", resent: 0, pending: { entries: 7, statuses: 3 } });
  });

  test("is bounded per run", async () => {
    await delivered({ old: true });
    const row = (second: number) => `ROW(${customerId},'${id()}','open','topup',1,${second})`;
    const values = Array.from({ length: RESEND_MAX + 10 }, (_, n) => row(n % 1_000)).join(",");
    await pool.query(
      "INSERT INTO wallet_ledger (customer_id,entry_id,leg,op,amount,created_at) SELECT c,e,l,o,a," +
        `NOW(3) - INTERVAL 3000 + s SECOND FROM (VALUES ${values}) AS v (c,e,l,o,a,s)`,
    );
    expect(await sentAgain()).toMatchObject({ kind: "drift", resent: RESEND_MAX });
  });
});

const acceptedMs = async (i: number): Promise<number> => {
  const sql = `SELECT created_at FROM messages WHERE id='${ids[i]}'`;
  const [row] = await pool.query<{ created_at: Date }[]>(sql);
  return row?.created_at.getTime() ?? 0;
};
const lines = (text: string): string[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => (JSON.parse(line) as { event_id: string }).event_id);
