// Reads the audit log, newest first, for commands and the admin API. Leaves writing it to
// src/control/audit.ts. A page is read in the order of the key, which is that of the changes' statements.

import type { AuditAction, AuditDoor } from "../core/audit.ts";
import type { Pool } from "../platform/mysql.ts";
import { isNumberCursor, type Query, readParams } from "./params.ts";

export type AuditEntry = {
  audit_id: string;
  created_at: string;
  via: AuditDoor;
  who: string;
  origin: string;
  action: AuditAction;
  customer_id: string | null;
  subject: string | null;
  entry_id: string | null;
  /** minor units, below 0 if taken from the wallet */
  amount: number | null;
  reason: string | null;
  /** What changed, before and after. */
  old: Record<string, unknown> | null;
  new: Record<string, unknown> | null;
};
export type AuditPage = { entries: AuditEntry[]; next_cursor: string | null };

type Found = Omit<AuditEntry, "created_at" | "old" | "new"> & {
  created_at: Date;
  /** JSON */
  old_values: string | null;
  new_values: string | null;
};

/** By `who`, `action`, `customer`, `from` and `to`. @throws SluiceError validation_failed */
export async function listAudit({ pool }: { pool: Pool }, query: Query): Promise<AuditPage> {
  const params = readParams(query);
  const [from, to] = [params.time("from"), params.time("to")];
  const [who, action, customer] = [params.who(), params.action(), params.customer()];
  const cursor = params.cursor(isNumberCursor);
  const limit = params.limit();
  if (from !== null && to !== null && from >= to) params.fail("from", "must be before `to`");
  params.check();

  const wanted: string[] = ["TRUE"];
  const values: unknown[] = [];
  const where = (sql: string, value: unknown) => {
    if (value === null) return;
    wanted.push(sql);
    values.push(value);
  };
  const timeOf = (ms: number | null) => (ms === null ? null : new Date(ms));
  where("audit_id < ?", cursor?.[0] ?? null);
  where("who = ?", who);
  where("action = ?", action);
  where("customer_id = ?", customer);
  where("created_at >= ?", timeOf(from));
  where("created_at < ?", timeOf(to));
  const found = await pool.query<Found[]>(
    "SELECT CAST(audit_id AS CHAR) AS audit_id, created_at, via, who, origin, action, " +
      "CAST(customer_id AS CHAR) AS customer_id, subject, entry_id, amount, reason, old_values, new_values " +
      `FROM audit_log WHERE ${wanted.join(" AND ")} ORDER BY audit_log.audit_id DESC LIMIT ?`,
    [...values, limit + 1],
  );
  const page = found.slice(0, limit);
  const last = page.at(-1);
  const more = found.length > limit && last !== undefined;
  return {
    entries: page.map(entryOf),
    next_cursor: more ? params.nextCursor([Number(last.audit_id)]) : null,
  };
}

const entryOf = ({ created_at, old_values, new_values, ...row }: Found): AuditEntry => ({
  ...row,
  created_at: created_at.toISOString(),
  old: valuesOf(old_values),
  new: valuesOf(new_values),
});

const valuesOf = (json: string | null): AuditEntry["old"] =>
  json === null ? null : (JSON.parse(json) as Record<string, unknown>);
