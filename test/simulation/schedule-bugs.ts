// Planted bugs in scheduled messages; bugs.ts has the list of all. One seed in seven has scheduled messages.

import { type Bug, bug, unasserted } from "./bug.ts";

const SCHEDULE = "src/ledger/schedule.ts";
const ROWS = "src/ledger/schedule-rows.ts";

export const SCHEDULE_BUGS: readonly Bug[] = [
  bug(
    "schedule",
    "messages are queued whatever their time",
    ROWS,
    "`AND run_at<=NOW(3) ORDER BY",
    "`ORDER BY",
  ),
  bug(
    "schedule",
    "a move is not one transaction",
    ROWS,
    "`BEGIN;SELECT message_id FROM ${DUE} WHERE lane",
    "`DO 0;SELECT message_id FROM ${DUE} WHERE lane",
  ),
  bug(
    "schedule",
    "a message is queued without an outbox row",
    "src/ledger/settle-plan.ts",
    'if (to === "queued") plan.queued',
    "if (attempt > record.attempt) plan.queued",
  ),
  bug(
    "schedule",
    "a move writes its outbox row twice",
    SCHEDULE,
    "await markMoved(conn, ids);",
    "await markMoved(conn, ids);\n" +
      "    const again = changes.map((change) => ({ record: change.record, inMs: 0 }));\n" +
      "    if (again.length > 0) await conn.query(queueSql(again.map(({ record }) => record), 0));",
    {
      file: SCHEDULE,
      find: "import { apply, type LockedMessage,",
      replace: "import { queueSql, apply, type LockedMessage,",
    },
    { file: "src/ledger/settle.ts", find: "function queueSql(", replace: "export function queueSql(" },
  ),
  bug("schedule", "what is moved keeps its row", SCHEDULE, "await markMoved(conn, ids);", ""),
  bug(
    "schedule",
    "a cancel refunds a message that was queued already",
    SCHEDULE,
    'const isDone = row.status === "scheduled" && !own.isGone();',
    'const isDone = (row.status === "scheduled" || row.status === "queued") && !own.isGone();',
    {
      file: SCHEDULE,
      find: 'const change = changeTo("canceled", record, "scheduled", null);',
      replace:
        "const [own_] = await lockRows(conn, [record.id]);\n" +
        '    const change = changeTo("canceled", record, own_?.status ?? "scheduled", null);',
    },
    {
      file: SCHEDULE,
      find: 'if (found !== "scheduled") return found;',
      replace: 'if (found !== "scheduled" && found !== "queued") return found;',
    },
    unasserted,
  ),
  bug(
    "schedule",
    "a canceled message stays reserved",
    "src/core/message.ts",
    'to: ["failed", "rejected", "expired", "canceled"],\n    charge: "refund",',
    'to: ["failed", "rejected", "expired"],\n    charge: "refund",',
    {
      file: "src/core/message.ts",
      find: 'to: ["scheduled", "queued", "sending"], charge: null },',
      replace: 'to: ["scheduled", "queued", "sending", "canceled"], charge: null },',
    },
  ),
  bug(
    "schedule",
    "a canceled message stays in the schedule",
    SCHEDULE,
    "await dropScheduled(conn, [record.id]);",
    "",
  ),
  bug(
    "schedule",
    "a cancel is answered, but not stored",
    SCHEDULE,
    'await conn.query(isDone ? "COMMIT" : "ROLLBACK");',
    'await conn.query("ROLLBACK");',
  ),
  bug(
    "schedule",
    "a change of the time is stored with the message only",
    SCHEDULE,
    "await putOff(conn, record.id, sendAtMs);",
    "",
  ),
  bug(
    "schedule",
    "validity does not move with the time",
    "src/ledger/move.ts",
    "dateTime(ms + laterMs)",
    "dateTime(ms)",
  ),
  bug(
    "schedule",
    "validity counts from the acceptance",
    "src/ingest/accept-message.ts",
    "draft.validForMs === null ? null : fromMs + draft.validForMs",
    "draft.validForMs === null ? null : createdAtMs + draft.validForMs",
  ),
  bug(
    "schedule",
    "messages of a suspended customer are queued at their time",
    SCHEDULE,
    "of isSuspended.size === 0 ? [] : await lockSuspended(conn, isSuspended)) {",
    "of isSuspended.size >= 0 ? [] : await lockSuspended(conn, isSuspended)) {",
  ),
  bug(
    "schedule",
    "a resumed customer is forgotten while messages of it are held",
    SCHEDULE,
    "else if (isAgain || !(await hasHeld(conn, customerId))) await dropResumed",
    "else await dropResumed",
  ),
  bug(
    "schedule",
    "relays are not told that a customer was resumed",
    "src/customers/customers.ts",
    "if (!isSuspended)\n      await conn.write(",
    "if (customerId < 0)\n      await conn.write(",
  ),
  bug(
    "schedule",
    "what a suspended customer has due is marked as moved",
    ROWS,
    "SET held_for=${customerId} WHERE message_id IN ${listed(ids)}`,",
    "SET moved=TRUE,held_for=${customerId} WHERE message_id IN ${listed(ids)}`,",
  ),
  bug(
    "schedule",
    "a scheduled message is queued at once as well",
    "src/ledger/accept.ts",
    "const others = held.size === 0 ? queued : queued.filter((r) => !held.has(r));",
    "const others = records.filter((r) => !held.has(r));",
  ),
];
