// Planted bugs: messages that are stored by the transaction that grants their credit.

import { type Bug, bug } from "./bug.ts";

const RIDERS = "src/ingest/lease-riders.ts";

export const RIDE_BUGS: readonly Bug[] = [
  bug(
    "ride",
    "a grant in doubt counts as failed for what rode with it",
    RIDERS,
    "if (await store.isStored(record.id)) return answer();",
    "",
  ),
  bug(
    "ride",
    "a grant in doubt counts as stored for what rode with it",
    RIDERS,
    "if (await store.isStored(record.id)) return answer();",
    "return answer();",
  ),
  bug(
    "ride",
    "a message that rides goes on waiting",
    RIDERS,
    "if (!isNext || rider === null || waiter.isGone()) table.wait(lease, waiter);\n        else ",
    "table.wait(lease, waiter);\n        if (isNext && rider !== null && !waiter.isGone()) ",
  ),
  bug(
    "ride",
    "a message rides whose caller has left",
    RIDERS,
    "if (!isNext || rider === null || waiter.isGone()) table",
    "if (!isNext || rider === null) table",
  ),
  bug(
    "ride",
    "a lease keeps what it paid for messages that rode",
    RIDERS,
    "        for (const { waiter } of own)\n" +
      "          table.committed(table.take(lease, waiter.cost, timers.monotonicMs(), waiter.unit));\n",
    "",
  ),
  bug(
    "ride",
    "a lease's row keeps what it paid for messages that rode",
    RIDERS,
    "spends: [...spends].map(([{ customerId, epoch }, amount]) => ({ customerId, epoch, amount })),",
    "spends: [...spends].slice(0, 0).map(() => ({ customerId: 0, epoch: 0, amount: 0 })),",
  ),
  bug("ride", "what rode with a grant that is repeated is forgotten", RIDERS, "leave(true);", "aboard = [];"),
  bug(
    "ride",
    "what the database refused to take along is answered as stored",
    RIDERS,
    "leave(false);\n          if (!isRefused) throw err;",
    "if (isRefused) answer();\n          else leave(false);\n          if (!isRefused) throw err;",
  ),
];
