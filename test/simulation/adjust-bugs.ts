// Planted bugs in adjustments of wallets; bugs.ts has the list of all. One seed of 21 has adjustments.

import { type Bug, bug } from "./bug.ts";

const ADJUST = "src/ledger/adjust.ts";
const AUDIT = "src/control/audit.ts";

export const ADJUST_BUGS: readonly Bug[] = [
  bug(
    "adjust",
    "an adjustment leaves no row in the audit log",
    AUDIT,
    "if (change !== null) await append(conn,",
    "if (change === null) await append(conn,",
  ),
  bug(
    "adjust",
    "an adjustment's row of the audit log is written by itself",
    AUDIT,
    "if (change !== null) await append(conn,",
    "await conn.query('COMMIT');\n    if (change !== null) await append(conn,",
  ),
  bug(
    "adjust",
    "an adjustment upwards is entered as one downwards",
    ADJUST,
    'amount > 0 ? "adjust_up"',
    'amount < 0 ? "adjust_up"',
  ),
  bug(
    "adjust",
    "the audit log has the opposite of what an adjustment did",
    "src/control/wallets.ts",
    "        reason,\n        entry: { entryId, amount },",
    "        reason,\n        entry: { entryId, amount: -amount },",
  ),
  bug(
    "adjust",
    "two requests with one key run side by side",
    AUDIT,
    "JSON.stringify([via, who, key])",
    "JSON.stringify([via, who, key, performance.now()])",
  ),
  bug(
    "adjust",
    "an adjustment whose key was used before is made again",
    AUDIT,
    "if (answer !== null) return { answer, isRepeat: true };\n        return",
    "return",
  ),
  bug("adjust", "the key of an adjustment is not kept", AUDIT, "kept?.key ?? null,", "null,"),
];
