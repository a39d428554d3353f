// Planted bugs in fairness and in the express promise; bugs.ts has the list of all. What only loses held
// records is not among them: the sweep finds their messages, so nothing is broken in the end.

import { type Bug, bug } from "./bug.ts";

export const LANE_BUGS: readonly Bug[] = [
  bug(
    "lane",
    "what has no room in the fair queue is dropped",
    "src/sender/reading.ts",
    "    return holdRecords(\n",
    "    return Promise.resolve() ?? holdRecords(\n",
  ),
  bug(
    "lane",
    "a held row is deleted before its messages are claimed, in a transaction of its own",
    "src/ledger/held.ts",
    "const claimed = taken.length === 0 ? NONE : await claimWithin(conn, request, taken);",
    'await conn.query("COMMIT;BEGIN");\n' +
      "    const claimed = taken.length === 0 ? NONE : await claimWithin(conn, request, taken);",
  ),
  bug(
    "lane",
    "a claim of held rows doesn't check whether its messages are queued",
    "src/ledger/held.ts",
    "const claimed = taken.length === 0 ? NONE : await claimWithin(conn, request, taken);",
    "const claimed = { records: taken, unpaid: [] };\n" +
      "    if (taken.length > 0) await claimWithin(conn, request, taken);",
  ),
  bug(
    "lane",
    "messages of a customer with held rows are stored without a row",
    "src/ledger/accept.ts",
    '`${held.size === 0 ? "" : `;${heldSql(held)}`}${batch.spends',
    "`${batch.spends",
  ),
  bug(
    "lane",
    "express is submitted although it may be taken after its promise",
    "src/sender/dispatch.ts",
    "guaranteedByMs !== null && deps.wallMs() + spanMs > guaranteedByMs - SUBMIT_TIMEOUT_MS;",
    "guaranteedByMs !== null && deps.wallMs() + spanMs > guaranteedByMs;",
  ),
];
