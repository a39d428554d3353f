// `audit`: prints who changed what, when and from where.

import type { Command } from "commander";
import { type AuditAction, AUDIT_ACTIONS } from "../core/audit.ts";
import { LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX } from "../core/limits.ts";
import { say } from "../platform/output.ts";
import { type AuditEntry, listAudit } from "../reports/audit-log.ts";
import { type Json, jsonFlag, withDatabase } from "./database.ts";
import { oneOf, time, wholeNumber } from "./options.ts";

type Options = Json & {
  who?: string;
  action?: AuditAction;
  customer?: number;
  from?: number;
  to?: number;
  limit: number;
  cursor?: string;
};

export function declareAudit(program: Command): void {
  program
    .command("audit")
    .description("print who changed what, when and from where, newest first")
    .option("--who <name>", "only changes by this admin token's name, or operating system's user")
    .option("--action <action>", `one of ${AUDIT_ACTIONS.join(", ")}`, oneOf(...AUDIT_ACTIONS))
    .option("--customer <id>", "only of this customer", wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option("--from <time>", "changes since then, RFC 3339", time)
    .option("--to <time>", "changes before then", time)
    .option("--limit <n>", "at most this many", wholeNumber(1, LIST_LIMIT_MAX), LIST_LIMIT_DEFAULT)
    .option("--cursor <text>", "go on with the same filters: next_cursor of --json")
    .option(...jsonFlag)
    .action((options: Options) =>
      withDatabase(async (pool) => {
        const page = await listAudit({ pool }, queryOf(options));
        if (options.json) return say(JSON.stringify(page));
        for (const entry of page.entries) say(lineOf(entry));
        if (page.entries.length === 0) say("no changes");
        if (page.next_cursor !== null) say(`there are older ones: --cursor ${page.next_cursor}`);
      }),
    );
}

function queryOf({ json: _, from, to, ...options }: Options): ReadonlyMap<string, string> {
  const isoOf = (ms: number | undefined) => (ms === undefined ? undefined : new Date(ms).toISOString());
  const given = Object.entries({ ...options, from: isoOf(from), to: isoOf(to) });
  return new Map(given.flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])));
}

/** One change on one line. */
export function lineOf(entry: AuditEntry): string {
  const { created_at, who, via, origin, action, customer_id, subject, amount, reason } = entry;
  const parts = [
    `${created_at} ${who} (${via}, ${origin}): ${action}`,
    ...(customer_id === null ? [] : [`customer ${customer_id}`]),
    ...(subject === null ? [] : [JSON.stringify(subject)]),
    ...(amount === null ? [] : [`amount ${amount}`]),
    ...(reason === null ? [] : [`reason ${JSON.stringify(reason)}`]),
    ...(entry.old === null ? [] : [`was ${JSON.stringify(entry.old)}`]),
    ...(entry.new === null ? [] : [`is ${JSON.stringify(entry.new)}`]),
  ];
  return parts.join("; ");
}
