// Planted bugs in batches; bugs.ts has the list of all. One seed in five has batches.

import { type Bug, bug } from "./bug.ts";

const STORE = "await commits.store(first, reservation, claim, isGone, others);";

export const BATCH_BUGS: readonly Bug[] = [
  bug(
    "batch",
    "a batch is split over two commits",
    "src/ingest/accept-batch.ts",
    STORE,
    "const [second, ...more] = others;\n" +
      "      const rest = { ...reservation, cost: reservation.cost - first.cost };\n" +
      "      await commits.store(first, { ...reservation, cost: first.cost }, claim, isGone);\n" +
      "      if (second !== undefined) await commits.store(second, rest, null, isGone, more);",
  ),
  bug(
    "batch",
    "a partial batch is charged for a message that it doesn't store",
    "src/ingest/accept-batch.ts",
    STORE,
    "await commits.store(first, reservation, claim, isGone, partial ? others.slice(0, -1) : others);",
  ),
  bug(
    "batch",
    "the answer to a partial batch names messages that the wallet did not pay for",
    "src/ingest/accept-batch.ts",
    "messages: paid,",
    "messages: records,",
  ),
  bug(
    "batch",
    "a batch that is repeated with its key is charged again",
    "src/api/routes/batches.ts",
    "kept: key === null ? null : { key, status: 202, answerOf },",
    "kept: null,",
  ),
  bug(
    "batch",
    "a wallet that can't pay for all of a batch pays for a part, although that was not asked for",
    "src/ingest/accept-batch.ts",
    "const left = partial ? leftIn(error) : null;",
    "const left = leftIn(error);",
  ),
];
