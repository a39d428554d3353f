// Small books for tests of reconcile: one customer with a sent, a failed and a queued message as the roles
// leave them, and functions that do what relay, broker and ClickHouse would do with its events.

import type { Clickhouse } from "../../src/platform/clickhouse.ts";
import type { Pool } from "../../src/platform/mysql.ts";
import { insertLedgerEvents, insertStatusEvents, type LedgerEvent, type StatusEvent } from "./clickhouse.ts";
import { createIdFactory } from "../../src/core/id.ts";
import { sequenceOf, type Status } from "../../src/core/message.ts";
import { acceptMessages, insertCustomer, laneRecord } from "./messages.ts";

export type Book = { customerId: number; ids: string[] };
type Engines = { pool: Pool; clickhouse: Clickhouse };

const id = createIdFactory({ now: Date.now });
const TABLES = [
  "wallet_ledger",
  "messages",
  "outbox",
  "outbox_held",
  "scheduled_messages",
  "resumed_customers",
  "claims",
  "submissions",
  "inbox",
  "idempotency_keys",
  "inbound_messages",
  "webhook_events",
  "webhook_deliveries",
  "webhook_endpoints",
  "webhooks",
  "credit_leases",
  "spend_caps",
  "nodes",
  "topups",
  "wallet_accounts",
  "customers",
];
/** Older than anything that may still be on its way. */
export const OLD_MS = 600_000;
const NOW = "NOW(3)";

export async function emptyTables({ pool, clickhouse }: Engines): Promise<void> {
  const deletes = TABLES.map((table) => `DELETE FROM ${table}`).join(";");
  await pool.query(`SET foreign_key_checks=0;${deletes};SET foreign_key_checks=1`);
  // Its triggers refuse to delete from it, but stop no DDL.
  if ((await pool.query("SELECT 1 FROM audit_log LIMIT 1")).length > 0)
    await pool.query("TRUNCATE TABLE audit_log");
  for (const table of [
    "wallet_ledger",
    "wallet_ledger_closed_days",
    "ledger_days",
    "messages_log",
    "freshness",
  ])
    await clickhouse.command(`TRUNCATE TABLE ${table}`);
}

/**
 * A customer with 10,000, and three messages of 500 each: the first sent, the second failed, the third
 * queued.
 */
export async function makeBook(pool: Pool): Promise<Book> {
  const customerId = await insertCustomer(pool, 10_000);
  const records = [0, 1, 2].map(() => laneRecord(customerId));
  const ids = records.map((record) => record.id);
  await acceptMessages(pool, records);
  const close = (messageId: string, op: string) => entrySql(customerId, op, "close", messageId);
  const ended = (i: number, status: Status, operator = "NULL") =>
    `UPDATE messages SET operator=${operator},status='${status}',sequence=${sequenceOf(0, status)},` +
    `updated_at=${NOW} WHERE id='${ids[i]}'`;
  await pool.query(
    `${ended(0, "sent", "'A'")};${close(ids[0] as string, "capture")};` +
      `${ended(1, "failed")};${close(ids[1] as string, "refund")};` +
      "UPDATE wallet_accounts SET reserved=reserved-1000, balance=balance+500 " +
      `WHERE customer_id=${customerId}`,
  );
  return { customerId, ids };
}

export const entrySql = (customerId: number, op: string, leg: string, entryId: string): string =>
  `INSERT INTO wallet_ledger (customer_id,entry_id,leg,op,amount,created_at) ` +
  `VALUES (${customerId},'${entryId}','${leg}','${op}',500,${NOW})`;

export const claimSql = (kind: "sending" | "unknown", ids: readonly string[]): string =>
  `INSERT INTO claims (claim_id,kind,lane,expires_at,ids) ` +
  `VALUES ('${id()}','${kind}','normal',NOW(3) + INTERVAL 30 SECOND,'${ids.join(",")}')`;

/** A submit by whose id an operator's report would find the message. */
export const submissionSql = (messageId: string): string =>
  "INSERT INTO submissions (message_id,part,submits,operator,id_key,operator_message_id) " +
  `VALUES ('${messageId}',0,1,'A','${messageId}','${messageId}')`;

export const keySql = (customerId: number, operation: "send" | "topup", owner: string): string =>
  `INSERT INTO idempotency_keys (customer_id,operation,idem_key,request_hash,owner,status,answer) ` +
  `VALUES (${customerId},'${operation}','${id()}','','${owner}',202,'{}')`;

/** What the audit log says of an adjustment. */
export const auditSql = (customerId: number, entryId: string, amount: number): string =>
  "INSERT INTO audit_log (via,who,origin,action,customer_id,entry_id,amount) " +
  `VALUES ('cli','tester','here','wallet.adjust',${customerId},'${entryId}',${amount})`;

/** Makes everything ten minutes older, so that nothing counts as being on its way. */
export const ageAll = (pool: Pool): Promise<unknown> =>
  pool.query(
    `UPDATE wallet_ledger SET created_at=created_at - INTERVAL ${OLD_MS * 1000} MICROSECOND;` +
      `UPDATE messages SET updated_at=updated_at - INTERVAL ${OLD_MS * 1000} MICROSECOND`,
  );

/**
 * Does what relay, broker and ClickHouse do with everything in the tables; `old` makes it older first, and
 * delivers something newer afterwards.
 */
export async function deliverEvents(
  { pool, clickhouse }: Engines,
  { old = false, except = "", exceptStatus = "" } = {},
): Promise<void> {
  if (old) await ageAll(pool);
  const { entries, statuses } = await eventsIn(pool);
  await insertLedgerEvents(
    clickhouse,
    entries.filter(({ event_id }) => except === "" || !event_id.startsWith(except)),
  );
  const told = statuses.filter((event) => event.id !== exceptStatus);
  if (told.length > 0) await insertStatusEvents(clickhouse, told);
  await pool.query("DELETE FROM outbox WHERE lane='events'");
  if (old) await passOthers(clickhouse);
}

/** The events of everything in the tables, as ClickHouse reads them. */
export async function eventsIn(pool: Pool): Promise<{ entries: LedgerEvent[]; statuses: StatusEvent[] }> {
  const entries = await pool.query<LedgerEvent[]>(
    `SELECT CONCAT(entry_id,':',leg) AS event_id, customer_id, op, amount,
       CAST(UNIX_TIMESTAMP(created_at)*1000 AS SIGNED) AS created_at_ms
     FROM wallet_ledger`,
  );
  const statuses = await pool.query<StatusEvent[]>(
    `SELECT id, customer_id, phone, lane AS type, IF(status='sending','queued',status) AS status, parts, cost,
       COALESCE(reference,'') AS reference, sequence - (status='sending') AS sequence, attempt,
       CAST(UNIX_TIMESTAMP(created_at)*1000 AS SIGNED) AS created_at_ms,
       CAST(UNIX_TIMESTAMP(updated_at)*1000 AS SIGNED) AS updated_at_ms
     FROM messages`,
  );
  return { entries, statuses };
}

/** Delivers newer events of another customer: whatever hasn't arrived by then counts as lost. */
async function passOthers(clickhouse: Clickhouse): Promise<void> {
  const created_at_ms = Date.now() + 120_000;
  await insertLedgerEvents(clickhouse, [
    { event_id: `${id()}:open`, customer_id: 0, op: "topup", amount: 1, created_at_ms },
  ]);
  const event = { id: id(), sequence: 1, status: "queued", customer_id: 0 };
  await insertStatusEvents(clickhouse, [{ ...event, created_at_ms, updated_at_ms: created_at_ms }]);
  for (const table of ["wallet_ledger", "messages_log"])
    await clickhouse.command(`ALTER TABLE ${table} DELETE WHERE customer_id = 0 SETTINGS mutations_sync = 1`);
}
