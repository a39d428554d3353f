// Planted bugs in what becomes of delivery reports; bugs.ts has the list of all.

import { type Bug, bug, unasserted } from "./bug.ts";

export const REPORT_BUGS: readonly Bug[] = [
  bug(
    "report",
    "a report is acknowledged before it is stored",
    "src/ledger/inbox.ts",
    "waiting.push({ report, resolve, reject });",
    "waiting.push({ report, resolve, reject });\n        resolve();",
  ),
  bug(
    "report",
    "a report whose message is still being sent is forgotten",
    "src/dlr/take.ts",
    'const WAITS: readonly Result[] = ["unmatched", "crowded", "ambiguous", "nowhere", "early"];',
    'const WAITS: readonly Result[] = ["unmatched", "crowded", "ambiguous", "nowhere"];',
  ),
  bug(
    "report",
    "a report that overtakes its submit's answer is forgotten",
    "src/dlr/take.ts",
    'const WAITS: readonly Result[] = ["unmatched", "crowded", "ambiguous", "nowhere", "early"];',
    'const WAITS: readonly Result[] = ["nowhere", "early"];',
  ),
  bug(
    "report",
    "a report taken is deleted although its settlement was rolled back",
    "src/dlr/take.ts",
    "if (rows.length > 0) {\n      const { open: read",
    "if (rows.length > 0) {\n await deleteInbox(conn, rows);\n" +
      'await conn.query("COMMIT;BEGIN");\n const { open: read',
  ),
  bug(
    "report",
    "the last report wins, not the first",
    "src/ledger/settle-reports.ts",
    'if (isFinal(row.status) || changes.has(end.messageId)) return "late";\n' +
      '    if (!isOpen(row.status)) return "early";',
    'if (changes.has(end.messageId)) return "late";\n' +
      'if (!isOpen(row.status) && !isFinal(row.status)) return "early";',
    unasserted,
  ),
  bug(
    "report",
    "a report that waits for its message loses its place to a later one",
    "src/dlr/order.ts",
    "if (waiting.length > 0) await keepFirstEnds(conn, waiting.flatMap(waitingEnds));",
    "",
  ),
  bug(
    "report",
    "a report that comes after the end of its message leaves no trace",
    "src/ledger/settle-reports.ts",
    "await keepLateReports(conn, late);",
    "",
  ),
  bug(
    "report",
    "the last of several reports that wait counts, not the first",
    "src/ledger/waiting-ends.ts",
    "ON DUPLICATE KEY UPDATE about=waiting_ends.about`",
    "AS n ON DUPLICATE KEY UPDATE status=n.status,done_at=n.done_at`",
  ),
  bug(
    "report",
    "a message is delivered with its first part",
    "src/ledger/settle-reports.ts",
    "const whole = end.submits > 1 ? endOf(partsOf?.get(end.messageId) ?? []) : end;",
    "const whole = end.submits > 1 ? endOf([end]) : end;",
  ),
  bug(
    "report",
    "an express message proven after its promise counts as in time",
    "src/ledger/settle-reports.ts",
    'takenAtMs: status === "unknown" ? provenAtMs(record, whole.doneAtMs, end.receivedAtMs) : null,',
    "takenAtMs: null,",
  ),
  bug(
    "report",
    "a done date that lies ahead of its report is believed",
    "src/dlr/find.ts",
    "Math.min(doneByMs, raw.receivedAtMs)",
    "doneByMs",
  ),
  bug(
    "report",
    "a done date from before its message is believed",
    "src/ledger/settle-reports.ts",
    "doneAtMs === null || doneAtMs < wantedAtMs(record)",
    "doneAtMs === null",
  ),
  bug(
    "report",
    "the operator's id of a submit is not kept",
    "src/ledger/submissions.ts",
    'idKey === ""\n        ? []',
    'idKey !== ""\n        ? []',
  ),
  bug(
    "report",
    "what was taken of a message before an answer was lost is forgotten",
    "src/sender/outcome.ts",
    'if (outcome.kind !== "accepted" && outcome.kind !== "unknown") return outcome;',
    'if (outcome.kind !== "accepted") return outcome;',
  ),
];
