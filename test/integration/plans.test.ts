// Statements on tables whose size changes by the second: each must use an index and sort nothing, whatever
// the optimizer believes about the table. The test makes it believe the opposite of the truth: that a full
// table is empty, and that an empty one is full.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { WAITS_MAX } from "../../src/api/doors/outcomes.ts";
import { createIdFactory } from "../../src/core/id.ts";
import { purgeNonces, takeNonce } from "../../src/customers/nonces.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import { listLetters, purgeLetters } from "../../src/ledger/dead-letters.ts";
import * as held from "../../src/ledger/held.ts";
import { claimKeysSql, findKeys, type KeyClaim, purgeKeys } from "../../src/ledger/idempotency.ts";
import { reapClaim } from "../../src/ledger/settle.ts";
import { type Connection, createPool, type Pool } from "../../src/platform/mysql.ts";
import { type Books, readBooks } from "../../src/reconcile/books.ts";
import { ALL_CUSTOMERS } from "../../src/reconcile/result.ts";
import { submissionsNotTaken } from "../../src/reconcile/rows.ts";
import { checkWebhooks } from "../../src/reconcile/webhooks.ts";
import { heldRows } from "../../src/relay/backlog-rows.ts";
import * as outbox from "../../src/relay/outbox.ts";
import { readOutcomes } from "../../src/reports/outcomes.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { laneRecord } from "../support/messages.ts";
import { submissionSql } from "../support/small-book.ts";

const CHANGING = ["outbox", "outbox_held", "claims", "idempotency_keys", "dead_letters", "request_nonces"];
const FULL = 1_000;
const id = createIdFactory({ now: Date.now });
let database: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database.config, { connections: 4, multipleStatements: true });
  for (const table of CHANGING) await pool.query(`ALTER TABLE ${table} STATS_AUTO_RECALC=0`);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

const fill = async (rows: number): Promise<void> => {
  for (const table of CHANGING) await pool.query(`DELETE FROM ${table}`);
  const each = (row: (n: number) => string) => Array.from({ length: rows }, (_, n) => row(n)).join(",");
  const payload = "x".repeat(200); // of large rows it would read as few as possible anyway
  if (rows === 0) return;
  await pool.query(
    "INSERT INTO outbox (lane,payload) VALUES " +
      each((n) => `('${n % 100 === 0 ? "normal" : "events"}','${payload}')`),
  );
  await pool.query(
    "INSERT INTO outbox_held (lane,customer_id,payload) VALUES " +
      each((n) => `('${n % 100 === 0 ? "normal" : "express"}',${n % 7},'${payload}')`),
  );
  await pool.query(
    "INSERT INTO claims (claim_id,kind,lane,expires_at,ids) VALUES " +
      each((n) => `('${id()}','sending','normal',NOW(3) + INTERVAL ${n - 10} SECOND,'${id()}')`),
  );
  await pool.query(
    "INSERT INTO idempotency_keys (customer_id,operation,idem_key,request_hash,owner,status,answer," +
      "created_at) VALUES " +
      each((n) => `(1,'send','${n}','','${id()}',202,'',NOW(3) - INTERVAL ${n} MINUTE)`),
  );
  await pool.query(
    "INSERT INTO request_nonces (key_id,nonce,expires_at) VALUES " +
      each((n) => `('${id()}','${n}',NOW(3) + INTERVAL ${n - 10} SECOND)`),
  );
  await pool.query(
    "INSERT INTO dead_letters (source,place,reason,fingerprint,payload,created_at) VALUES " +
      each((n) => `('record','','',UNHEX(SHA2('${n}',256)),'',NOW(3) - INTERVAL ${n} HOUR)`),
  );
};
const learn = () => pool.query(`ANALYZE TABLE ${CHANGING.join(",")}`);

const situations: Record<string, () => Promise<void>> = {
  "a table believed to be empty that is full": async () => {
    await fill(0);
    await learn();
    await fill(FULL);
  },
  "a table believed to be full that is almost empty": async () => {
    await fill(FULL);
    await learn();
    await fill(30);
  },
  "a full table known as it is": async () => {
    await fill(FULL);
    await learn();
  },
};

describe.each(Object.entries(situations))("%s", (_, make) => {
  test("is read by an index, without sorting", async () => {
    await make();
    const said = new Set<string>();
    await workOn(recorded(pool, said));
    expect(said.size).toBeGreaterThan(12);
    const bad: string[] = [];
    for (const sql of said) bad.push(...(await faultsOf(sql)));
    expect(bad).toEqual([]);
  });
});

test("only the submits of a message are read to see whether it has one, whatever is believed of them", async () => {
  const said: string[] = [];
  const conn = saying(said);
  for (const scope of [ALL_CUSTOMERS, { low: 1, high: 1 }])
    await submissionsNotTaken(conn, { scope, nowMs: Date.now() });
  await pool.query("ALTER TABLE submissions STATS_AUTO_RECALC=0");
  const submit = Array.from({ length: FULL }, () => submissionSql(id())).join(";");
  for (const fillAndLearn of [`ANALYZE TABLE submissions;${submit}`, "ANALYZE TABLE submissions"]) {
    await pool.query(fillAndLearn);
    for (const sql of said) {
      const plan = await pool.query<PlanRow[]>(`EXPLAIN FORMAT=TRADITIONAL ${sql}`);
      const how = (of: string) => plan.find(({ table }) => table === of);
      expect(how("s")).toMatchObject({ type: "ref", key: "PRIMARY" });
      expect(how("m")).toMatchObject({ type: sql === said[0] ? "range" : "eq_ref", key: "PRIMARY" });
    }
  }
});

test("of webhooks only a customer's own events are read, and of messages those of its events, whatever is believed of them", async () => {
  const said: string[] = [];
  const customers = new Map([[1, { told: 1 }]]) as unknown as Books["customers"];
  const scope = { low: 1, high: 1 };
  await checkWebhooks(saying(said), { scope, nowMs: Date.now(), customers });
  expect(said).toHaveLength(5);
  await pool.query("ALTER TABLE webhook_deliveries STATS_AUTO_RECALC=0");
  const event = () => `(1,'${id()}','','${id()}',1,'queued',NOW(3),'',NOW(3))`;
  const events =
    "INSERT INTO webhook_deliveries (customer_id,event_id,endpoint,message_id,sequence,status,occurred_at," +
    `body,give_up_at) VALUES ${Array.from({ length: FULL }, event).join(",")}`;
  const keys = {
    d: "PRIMARY",
    m: "PRIMARY",
    e: "PRIMARY",
    webhook_deliveries: "due",
    webhook_events: "PRIMARY",
  };
  for (const fillAndLearn of [
    `ANALYZE TABLE webhook_deliveries;${events}`,
    "ANALYZE TABLE webhook_deliveries",
  ]) {
    await pool.query(fillAndLearn);
    for (const sql of said) {
      const plan = await pool.query<PlanRow[]>(`EXPLAIN FORMAT=TRADITIONAL ${sql}`);
      for (const [table, key] of Object.entries(keys)) {
        const how = plan.find((row) => row.table === table);
        if (how === undefined) continue;
        expect([table, how.key, how.type === "ALL"]).toEqual([table, key, false]);
        if (table === "m") expect(how.type).toBe("eq_ref");
      }
    }
  }
});

test("what becomes of messages is read by their ids, also while their table is believed to be empty", async () => {
  const said: string[] = [];
  await readOutcomes(saying(said), []);
  expect(said).toHaveLength(1);
  await pool.query("ALTER TABLE messages STATS_AUTO_RECALC=0");
  await pool.query("ANALYZE TABLE messages");
  // Of more than 200 (eq_range_index_dive_limit) it goes by what it believes.
  const ids = Array.from({ length: WAITS_MAX }, () => `'${id()}'`).join();
  for (const sql of said) {
    const plan = await pool.query<PlanRow[]>(`EXPLAIN FORMAT=TRADITIONAL ${sql.replace("?", ids)}`);
    expect(plan).toMatchObject([{ table: "messages", type: "range", key: "PRIMARY" }]);
  }
});

test("the check finds a plan without an index, and one that sorts", async () => {
  await fill(30);
  expect(await faultsOf("SELECT payload FROM outbox WHERE attempts=7")).toHaveLength(1);
  expect(
    await faultsOf("SELECT id FROM outbox FORCE INDEX (due) WHERE lane='normal' ORDER BY id LIMIT 1"),
  ).toHaveLength(1);
});

/** A connection that only notes what it is asked. */
function saying(said: string[]): Connection {
  const query = (sql: string) => {
    said.push(sql);
    return Promise.resolve([]);
  };
  return { query } as unknown as Connection;
}

/** Everything that the roles regularly do with these tables. */
async function workOn(own: Pool): Promise<void> {
  await own.use(async (conn) => {
    for (const lane of ["express", "normal", "events"] as const) {
      await outbox.isDue(conn, lane);
      const rows = await outbox.takeRows(conn, lane, 16);
      const [first] = rows;
      if (first !== undefined)
        await outbox.deferRow(conn, { row: first, payload: null, reason: "away", delayMs: 1 });
      await outbox.deleteRows(conn, rows.slice(1));
      await conn.query("COMMIT");
    }
  });
  const { lastRow } = await outbox.momentOf(own);
  await outbox.hasRowsOf(own, "normal", { lastRow, dueMs: Date.now() });
  for (const lane of ["express", "normal"] as const) {
    await held.heldCustomers(own, lane);
    await held.heldAges(own, lane);
    await held.hasHeldRows(own, lane, await held.lastHeldRow(own));
    const claim = { claimId: id(), lane, link: "", customers: [0, 1], nowMs: Date.now() };
    await held.claimHeld(own, { ...claim, recordsMax: 200, partsMax: 2_000, rowsMax: 8 }, new Map());
    await own.use((conn) => heldRows(conn, lane));
  }
  await own.use((conn) => readBooks(conn, { low: 1, high: 1 }));
  const records = [laneRecord(1), laneRecord(1)];
  await claimMessages(own, { claimId: id(), lane: "normal", records, nowMs: Date.now() }, true);
  await reapClaim({ pool: own, id }, Date.now());
  const key: KeyClaim = {
    customerId: 1,
    operation: "send",
    key: "3",
    hash: Buffer.alloc(32),
    owner: id(),
    status: 202,
    answer: "",
  };
  await findKeys(own, [key]);
  await own.query(claimKeysSql([key]));
  await purgeKeys(own, Date.now());
  await takeNonce(own, { keyId: id(), nonce: "0123456789abcdef", expiresAtMs: Date.now() });
  await purgeNonces(own);
  await listLetters(own, { source: "record", limit: 16 });
  await purgeLetters(own);
}

/** A pool that records each statement which has a plan and uses one of these tables. */
function recorded(own: Pool, said: Set<string>): Pool {
  const noted = <T>(query: Connection["query"]) => {
    return (sql: string, values?: unknown[]) => {
      for (const one of sql.split(";"))
        if (isPlanned(one)) said.add(values === undefined ? one : one.replaceAll("?", "NULL"));
      return query<T>(sql, values);
    };
  };
  const wrap = (conn: Connection): Connection => ({
    ...conn,
    query: noted(conn.query) as Connection["query"],
    write: noted(conn.write as Connection["query"]) as Connection["write"],
  });
  return {
    ...own,
    query: noted(own.query) as Pool["query"],
    write: noted(own.write as Pool["query"]) as Pool["write"],
    use: (body) => own.use((conn) => body(wrap(conn))),
  };
}

// The check of the books reads all claims on purpose, through JSON_TABLE.
const isPlanned = (sql: string): boolean =>
  !sql.includes("JSON_TABLE") &&
  /^\s*(SELECT|UPDATE|DELETE)/.test(sql) &&
  CHANGING.some((table) => sql.includes(table));

type PlanRow = { table: string | null; type: string | null; key: string | null; Extra: string | null };

async function faultsOf(sql: string): Promise<string[]> {
  const plan = await pool.query<PlanRow[]>(`EXPLAIN FORMAT=TRADITIONAL ${sql}`);
  return (
    plan
      .filter(({ table }) => table !== null && CHANGING.some((one) => sql.includes(one)))
      // The result of a subquery with a LIMIT, which is another row of the plan.
      .filter(({ table }) => table?.startsWith("<derived") !== true)
      .filter(({ type, key, Extra }) => type === "ALL" || key === null || /filesort/.test(Extra ?? ""))
      .map(({ table, type, key, Extra }) => `${table}: ${type} by ${key}, ${Extra}: ${sql.slice(0, 200)}`)
  );
}
