// Collects the evidence at the end of a run: what MySQL, ClickHouse and the operators hold, into the run's
// folder. Also decides when nothing more is to be waited for. Leaves judging to checker.ts. Bound: PAGE_ROWS
// rows of MySQL at a time, one customer's rows of ClickHouse.

import { copyFileSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { unpackReports } from "../../src/core/raw-report.ts";
import { type Clickhouse, createClickhouse } from "../../src/platform/clickhouse.ts";
import type { Pool } from "../../src/platform/mysql.ts";
import { sleep } from "../../src/platform/retry.ts";
import {
  type EntryRow,
  files,
  type InboundRow,
  type MessageRow,
  OPERATOR_NAMES,
  openLines,
  type StatusRow,
  type TopupRow,
  type WalletRow,
  writeLines,
} from "./evidence.ts";
import type { FaultStack } from "./stack.ts";

const PAGE_ROWS = 20_000;
const LOOK_MS = 500;
const CLICKHOUSE_MAX_MS = 90_000;
const QUERY_MAX_MS = 60_000;
const REPORTS_READ_MAX = 1_000;
/** A report that has waited for its message for longer is tried ever less often (src/dlr/take.ts). */
const WAITED_MS = 65_000;

export type Left = { open: number; outbox: number; leases: number; reports: number; webhooks: number };

/**
 * Counts what is still under way: messages that have not ended, outbox rows, credit held by processes, calls
 * to customers, delivery reports at operators and in the inbox, except those that have waited for their
 * message for a minute: it is unknown, and the operator doesn't name our id. Recalls all leases, so that
 * whatever remains in them is held by no living process.
 */
async function leftNow(pool: Pool, operatorPort: number): Promise<Left> {
  await pool.query("UPDATE credit_leases SET recall=TRUE WHERE NOT recall");
  let unsent = 0;
  for (const at of OPERATOR_NAMES.keys()) {
    const answer = await fetch(`http://127.0.0.1:${operatorPort + at}/reports/waiting`);
    unsent += ((await answer.json()) as { waiting: number }).waiting;
  }
  const [row] = await pool.query<Left[]>(
    "SELECT (SELECT COUNT(*) FROM messages WHERE status IN ('scheduled', 'queued', 'sending')) AS open, " +
      "(SELECT COUNT(*) FROM outbox) + (SELECT COUNT(*) FROM outbox_held) AS outbox, " +
      "(SELECT COUNT(*) FROM credit_leases) AS leases, " +
      "(SELECT COUNT(*) FROM webhook_events) + " +
      "(SELECT COUNT(*) FROM webhook_deliveries WHERE state='pending') AS webhooks",
  );
  return { ...(row as Left), reports: unsent + (await reportsLeft(pool)) };
}

/** Hundreds wait for messages that stay unknown, and one of them is nearly always due. */
async function reportsLeft(pool: Pool): Promise<number> {
  const rows = await pool.query<{ isOverdue: number; payload: Buffer }[]>(
    "SELECT run_at < NOW(3) - INTERVAL 2 SECOND AS isOverdue, payload FROM inbox " +
      `WHERE run_at < NOW(3) + INTERVAL 6 SECOND LIMIT ${REPORTS_READ_MAX}`,
  );
  const youngMs = Date.now() - WAITED_MS;
  return rows.filter(
    ({ isOverdue, payload }) =>
      isOverdue === 1 || unpackReports(payload).some(({ receivedAtMs }) => receivedAtMs > youngMs),
  ).length;
}

/**
 * Has every report tried again that waits for its message, and waits for that: the message may have got its
 * answer late, long after the report, which is then not tried again for as long as it has waited.
 */
export async function tryReportsAgain(pool: Pool, stuckMs: number): Promise<void> {
  await pool.query("UPDATE inbox SET run_at=NOW(3)");
  for (const endMs = performance.now() + stuckMs; performance.now() < endMs; await sleep(LOOK_MS)) {
    const [row] = await pool.query<{ due: number }[]>(
      "SELECT COUNT(*) AS due FROM inbox WHERE run_at <= NOW(3)",
    );
    if (Number(row?.due) === 0) return;
  }
}

/**
 * Waits until nothing is under way, as long as the remainder shrinks within `stuckMs`; resolves with the
 * remainder when it gives up.
 */
export async function untilDrained(
  pool: Pool,
  operatorPort: number,
  stuckMs: number,
  tell: (left: Left) => void,
): Promise<Left | null> {
  let left: Left = { open: -1, outbox: -1, leases: -1, reports: -1, webhooks: -1 };
  let least = Number.POSITIVE_INFINITY;
  let lessAt = performance.now();
  for (;;) {
    const found = await leftNow(pool, operatorPort).catch(() => null);
    if (found !== null) {
      left = found;
      const all = left.open + left.outbox + left.leases + left.reports + left.webhooks;
      if (all === 0) return null;
      if (all < least) [least, lessAt] = [all, performance.now()];
    }
    if (performance.now() - lessAt > stuckMs) return left;
    tell(left);
    await sleep(LOOK_MS);
  }
}

export async function dump(stack: FaultStack, pool: Pool, folder: string): Promise<void> {
  await dumpMysql(pool, folder);
  await dumpInbound(pool, folder);
  for (const name of OPERATOR_NAMES) {
    const own = (file: string) => join(stack.stateFolder, "operators", `${name}.${file}`);
    copyIfThere(own("log"), join(folder, files.operator(name)));
    copyIfThere(own("reports"), join(folder, files.reports(name)));
    copyIfThere(own("smpp.log"), join(folder, files.smpp(name)));
    copyIfThere(own("smpp.reports"), join(folder, files.smppReports(name)));
  }
  const clickhouse = createClickhouse(stack.config, { timeoutMs: QUERY_MAX_MS });
  try {
    await untilAllEvents(clickhouse, pool);
    await dumpClickhouse(clickhouse, await customersOf(pool), folder);
  } finally {
    await clickhouse.close();
  }
}

/** Copies a file; an empty one if it doesn't exist. */
function copyIfThere(from: string, to: string): void {
  if (existsSync(from)) copyFileSync(from, to);
  else writeFileSync(to, "");
}

/** Twilio's requests have no reference: the text says which one it is of. */
type StoredRow = MessageRow & { twilioText: string | null };

async function dumpMysql(pool: Pool, folder: string): Promise<void> {
  const messages = openLines<MessageRow>(folder, files.messages);
  for (let after = ""; ; ) {
    const rows = await pool.query<StoredRow[]>(
      "SELECT id, CAST(customer_id AS CHAR) AS customer, reference, lane, status, cost, attempt, " +
        "sequence, callback_statuses IS NOT NULL AND callback_form IS NULL AS told, " +
        "send_at IS NOT NULL AS later, unreserved, " +
        "IF(callback_form LIKE 'twilio %', text, NULL) AS twilioText FROM messages " +
        `WHERE id > ? ORDER BY id LIMIT ${PAGE_ROWS}`,
      [after],
    );
    for (const { twilioText, ...row } of rows)
      messages.add(twilioText === null ? row : { ...row, reference: `r${/\d+/.exec(twilioText)?.[0]}` });
    if (rows.length < PAGE_ROWS) break;
    after = rows.at(-1)?.id ?? "";
  }
  messages.close();
  const entries = openLines<EntryRow>(folder, files.entries);
  for (const customer of await customersOf(pool)) {
    for (let after = ["", ""]; ; ) {
      const rows = await pool.query<EntryRow[]>(
        "SELECT CAST(customer_id AS CHAR) AS customer, entry_id AS entry, CAST(leg AS CHAR) AS leg, op, " +
          "amount FROM wallet_ledger WHERE customer_id = ? AND " +
          `(entry_id > ? OR (entry_id = ? AND leg > ?)) ORDER BY entry_id, leg LIMIT ${PAGE_ROWS}`,
        [customer, after[0], after[0], after[1]],
      );
      for (const row of rows) entries.add(row);
      if (rows.length < PAGE_ROWS) break;
      after = [rows.at(-1)?.entry ?? "", rows.at(-1)?.leg ?? ""];
    }
  }
  entries.close();
  writeLines(
    folder,
    files.wallets,
    await pool.query<WalletRow[]>(
      "SELECT CAST(w.customer_id AS CHAR) AS customer, w.balance, w.reserved, " +
        "CAST(COALESCE(SUM(l.granted - l.spent), 0) AS SIGNED) AS leases FROM wallet_accounts w " +
        "LEFT JOIN credit_leases l ON l.customer_id = w.customer_id GROUP BY w.customer_id",
    ),
  );
  writeLines(
    folder,
    files.topups,
    await pool.query<TopupRow[]>(
      "SELECT CAST(customer_id AS CHAR) AS customer, request_id AS request, amount FROM topups",
    ),
  );
}

async function dumpInbound(pool: Pool, folder: string): Promise<void> {
  const rows = await pool.query<InboundRow[]>(
    "SELECT id AS event, CAST(customer_id AS CHAR) AS customer, operator_message_id AS operatorId, told " +
      "FROM inbound_messages",
  );
  writeLines(folder, files.inboundRows, rows);
}

async function customersOf(pool: Pool): Promise<number[]> {
  const rows = await pool.query<{ customer: number }[]>(
    "SELECT customer_id AS customer FROM wallet_accounts",
  );
  return rows.map(({ customer }) => Number(customer));
}

// Events arrive through Kafka, statuses and entries in separate topics: waits until both are complete, but
// not for ever. The checker reports what is missing then.
async function untilAllEvents(clickhouse: Clickhouse, pool: Pool): Promise<void> {
  const [wanted] = await pool.query<{ messages: number; sequences: number; entries: number }[]>(
    "SELECT COUNT(*) AS messages, CAST(COALESCE(SUM(sequence), 0) AS SIGNED) AS sequences, " +
      "(SELECT COUNT(*) FROM wallet_ledger) AS entries FROM messages",
  );
  for (const endMs = performance.now() + CLICKHOUSE_MAX_MS; performance.now() < endMs; ) {
    const [there] = await clickhouse
      .query<{ messages: string; sequences: string; entries: string }>(
        "SELECT count() AS messages, sum(sequence) AS sequences, " +
          "(SELECT count() FROM wallet_ledger FINAL) AS entries " +
          "FROM (SELECT id, max(sequence) AS sequence FROM messages_log GROUP BY id)",
      )
      .catch(() => []);
    const isWhole =
      Number(there?.messages) === Number(wanted?.messages) &&
      Number(there?.sequences) === Number(wanted?.sequences) &&
      Number(there?.entries) === Number(wanted?.entries);
    if (isWhole) return;
    await sleep(LOOK_MS);
  }
}

async function dumpClickhouse(
  clickhouse: Clickhouse,
  customers: readonly number[],
  folder: string,
): Promise<void> {
  const entries = openLines<EntryRow>(folder, files.clickhouseEntries);
  const statuses = openLines<StatusRow>(folder, files.clickhouseStatuses);
  for (const customer of customers) {
    const rows = await clickhouse.query<{ entry: string; leg: string; op: string; amount: string }>(
      "SELECT entry_id AS entry, leg, op, amount FROM wallet_ledger FINAL " +
        "WHERE customer_id = {customer:UInt64}",
      { customer },
    );
    for (const { entry, leg, op, amount } of rows)
      entries.add({ customer: String(customer), entry, leg, op, amount: Number(amount) });
    const latest = await clickhouse.query<StatusRow>(
      "SELECT l.id AS id, argMax(l.status, l.sequence) AS status, max(l.sequence) AS sequence, " +
        "max(l.status = 'sent') AS wasSent FROM messages_log AS l " +
        "WHERE l.customer_id = {customer:UInt64} GROUP BY l.id",
      { customer },
    );
    for (const { sequence, ...row } of latest) statuses.add({ ...row, sequence: Number(sequence) });
  }
  entries.close();
  statuses.close();
}
