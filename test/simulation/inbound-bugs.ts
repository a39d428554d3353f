// Planted bugs in inbound messages and opt-outs; bugs.ts has the list of all. Two seeds of 21 have these.

import { type Bug, bug } from "./bug.ts";

const INBOUND = "src/ledger/inbound.ts";
const OPT_OUTS = "src/ledger/opt-outs.ts";

export const INBOUND_BUGS: readonly Bug[] = [
  bug(
    "inbound",
    "an inbound message that comes again is told again",
    INBOUND,
    "return rows.length > 0;",
    "return rows.length > 9;",
  ),
  bug(
    "inbound",
    "an inbound message is stored and not told",
    INBOUND,
    "webhookEventsSql(owner.hasUrl ? [event] : [])",
    "webhookEventsSql(owner.hasUrl && event.command !== null ? [event] : [])",
  ),
  bug(
    "inbound",
    "an inbound message is told and not stored",
    INBOUND,
    "await conn.write(insertSql(event, inbound.to, owner.hasUrl));",
    "if (event.command !== null) await conn.write(insertSql(event, inbound.to, owner.hasUrl));",
  ),
  bug(
    "inbound",
    "a STOP is told and not kept",
    INBOUND,
    'if (command === "stop") await conn.write(',
    'if (command === "help") await conn.write(',
  ),
  bug(
    "inbound",
    "a STOP to a shared number is kept for the one who has everything else",
    "src/ledger/number-owners.ts",
    'rest.length > 0 && !commands.some((command) => command === "stop" || command === "start")',
    "rest.length > 0",
  ),
  bug(
    "inbound",
    "a phone that opted out gets messages all the same",
    "src/ingest/accept-message.ts",
    "(await optOuts.refused(payer.customerId, [wanted])).size > 0)",
    "(await optOuts.refused(payer.customerId, [wanted])).size > 1)",
  ),
  bug(
    "inbound",
    "a process never learns of new opt-outs",
    "src/ingest/opt-outs.ts",
    "for (const { customerId, phone } of rows) keep(customerId, phone);",
    "for (const { customerId, phone } of Number.isFinite(polledAtMs) ? [] : rows) keep(customerId, phone);",
  ),
  bug(
    "inbound",
    "what is scheduled is sent to a phone that opted out",
    OPT_OUTS,
    "const some = about.slice(0, OPT_OUT_CANCELS_MAX);",
    "const some = about.slice(0, 0);",
  ),
  bug(
    "inbound",
    "what is scheduled is looked for once, and not again when a message was stored just after",
    OPT_OUTS,
    "looked >= LOOKS ?",
    "looked >= 1 ?",
  ),
  bug(
    "inbound",
    "what is canceled for an opt-out stays in the schedule",
    "src/ledger/schedule.ts",
    "await dropScheduled(\n    conn,\n    waiting.map(({ id }) => id),\n  );",
    "",
  ),
  bug(
    "inbound",
    "an inbound message is taken for a report, and dropped",
    "src/dlr/take.ts",
    "inbound.push(...received);",
    "if (received.length > 1) inbound.push(...received);",
  ),
];
