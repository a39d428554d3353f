// Planted bugs in spend caps; bugs.ts has the list of all. Three seeds in twenty have caps.

import { type Bug, bug } from "./bug.ts";

const CAPS = "src/ledger/spend-caps.ts";

export const CAP_BUGS: readonly Bug[] = [
  bug(
    "cap",
    "credit is granted as far as the wallet goes, whatever the caps say",
    "src/ledger/grant.ts",
    "grantSize(roomIn(balance, wallet.caps), ",
    "grantSize(balance, ",
  ),
  bug(
    "cap",
    "a grant is not counted under the caps",
    CAPS,
    "if (amount > 0) sets.unshift(`taken=taken+${amount}`);",
    "if (amount < 0) sets.unshift(`taken=taken+${amount}`);",
  ),
  bug(
    "cap",
    "a grant is counted twice under the caps",
    CAPS,
    "if (amount > 0) sets.unshift(`taken=taken+${amount}`);",
    "if (amount > 0) sets.unshift(`taken=taken+2*${amount}`);",
  ),
  bug(
    "cap",
    "what a lease releases stays counted under the caps",
    CAPS,
    '`UPDATE spend_caps SET taken=taken-${byKey("customer_id", [...amounts], 0)} ` +',
    '`UPDATE spend_caps SET taken=taken-0*${byKey("customer_id", [...amounts], 0)} ` +',
  ),
  bug(
    "cap",
    "a new day forgets what leases could still spend",
    CAPS,
    "s.taken - COALESCE(l.unspent, 0) - COALESCE(e.spent, 0) AS base",
    "s.taken - COALESCE(e.spent, 0) AS base",
  ),
  bug(
    "cap",
    "a new day forgets what was spent in it before its first grant",
    CAPS,
    "s.taken - COALESCE(l.unspent, 0) - COALESCE(e.spent, 0) AS base",
    "s.taken - COALESCE(l.unspent, 0) AS base",
  ),
  bug(
    "cap",
    "a new day begins with what was spent in the one before",
    CAPS,
    "isNew: beganMs !== fromMs };",
    "isNew: fromMs === 0 };",
  ),
  bug(
    "cap",
    "only the daily cap counts",
    CAPS,
    "return limit === null ? [] :",
    'return limit === null || cap === "monthly" ? [] :',
  ),
  bug(
    "cap",
    "a cap refuses while leases could still pay",
    "src/ledger/grant.ts",
    "left: cap.room + held,",
    "left: cap.room,",
  ),
];
