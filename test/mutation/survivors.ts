// Mutants that no test can or should kill, each with the reason. `make mutate` prints them beside the score
// and fails for a survivor that isn't listed here.

export type Explained = {
  file: string;
  /** Part of the line that is changed. */
  code: string;
  /** The code that is replaced, on one line; left out where `code` and `to` are enough. */
  from?: string;
  to: string;
  why: string;
};

const LOGGED = "only the log: what a line says and carries is no promise";
const ASSERTED =
  "equal while it holds: a relation that is asserted as the module loads, for who changes a number";
const LEASE_BOOK = "src/ingest/lease-book.ts";
const LEASE_RIDERS = "src/ingest/lease-riders.ts";
const COMMIT_ITEMS = "src/ingest/commit-items.ts";
const NOTHING_TRIED =
  "equal: nothing is in doubt before there is a batch, and the other condition says so too";
const NOTHING_PUSHED = "equal: only a short cut; a message without others adds none of them";

const riders = (code: string, to: string): Explained => ({ file: LEASE_RIDERS, code, to, why: LOGGED });

export const EXPLAINED: readonly Explained[] = [
  {
    file: "src/core/money.ts",
    code: "const amount = typeof value",
    from: 'typeof value === "string"',
    to: "true",
    why: "equal: a number that passes the pattern as text is given back by Number(); the rest fails",
  },
  riders("log.warn({ err, attempt }", "{}"),
  riders("log.warn({ err, attempt }", '""'),
  riders("log.error({ err: cause, rows: aboard.length }", '""'),
  riders("log.debug({ err }", "{}"),
  riders("log.debug({ err }", '""'),
  riders("log.error({ err: cause, rows: aboard.length }", "{}"),
  riders('new SluiceError("outcome_unknown", { cause })', "{}"),
  {
    file: LEASE_RIDERS,
    code: "if (lease !== left) refill(lease);",
    to: "true",
    why: "equal but for a grant that asks for nothing",
  },
  {
    file: LEASE_RIDERS,
    code: "if (!isNext || rider === null || waiter.isGone())",
    from: "rider === null",
    to: "false",
    why: "equal: it is not next then, unless it is gone; the types need it",
  },
  {
    file: LEASE_RIDERS,
    code: "waiter.resolve({ isStored: true, balanceAfter })",
    to: "false",
    why: "equal: only that the field is there tells the two apart",
  },
  {
    file: LEASE_RIDERS,
    code: "leave(false);",
    to: "true",
    why: "equal: a lease whose grant is in doubt takes no riders",
  },
  {
    file: LEASE_RIDERS,
    code: "if (timers.monotonicMs() >= untilMs) return refuse(err);",
    to: "timers.monotonicMs() > untilMs",
    why: "equal: no two tries of a second end at the same millisecond",
  },
  {
    file: "src/core/parts.ts",
    code: "if (units === text.length)",
    from: "units === text.length",
    to: "false",
    why: "equal: only a short cut; filling part after part counts the same for characters of one septet each",
  },
  {
    file: "src/core/message.ts",
    code: "assert(sequenceOf(MESSAGE_ATTEMPTS_MAX",
    from: 'sequenceOf(MESSAGE_ATTEMPTS_MAX, "failed") <= SEQUENCE_MAX',
    to: "true",
    why: ASSERTED,
  },
  {
    file: "src/core/message.ts",
    code: "assert(sequenceOf(MESSAGE_ATTEMPTS_MAX",
    from: 'sequenceOf(MESSAGE_ATTEMPTS_MAX, "failed") <= SEQUENCE_MAX',
    to: 'sequenceOf(MESSAGE_ATTEMPTS_MAX, "failed") < SEQUENCE_MAX',
    why: ASSERTED,
  },
  {
    file: "src/core/message.ts",
    code: "assert(sequenceOf(MESSAGE_ATTEMPTS_MAX",
    from: '"the sequences of all attempts fit"',
    to: '""',
    why: ASSERTED,
  },
  {
    file: "src/core/message.ts",
    code: "to.every((status) => MACHINE[status].rank > rank)",
    from: "MACHINE[status].rank > rank",
    to: "true",
    why: ASSERTED,
  },
  {
    file: "src/core/message.ts",
    code: "to.every((status) => MACHINE[status].rank > rank)",
    from: "MACHINE[status].rank > rank",
    to: "MACHINE[status].rank >= rank",
    why: ASSERTED,
  },
  {
    file: "src/core/message.ts",
    code: '"a move goes to a higher rank"',
    to: '""',
    why: ASSERTED,
  },
  {
    file: "src/core/message.ts",
    code: "assert(row !== undefined && row.charge",
    from: 'row !== undefined && row.charge !== "reserve"',
    to: "true",
    why: ASSERTED,
  },
  {
    file: "src/core/message.ts",
    code: "assert(row !== undefined && row.charge",
    from: 'row !== undefined && row.charge !== "reserve"',
    to: 'row !== undefined || row.charge !== "reserve"',
    why: ASSERTED,
  },
  {
    file: "src/core/message.ts",
    code: "assert(row !== undefined && row.charge",
    from: "row !== undefined",
    to: "true",
    why: ASSERTED,
  },
  {
    file: "src/core/message.ts",
    code: "assert(row !== undefined && row.charge",
    from: 'row.charge !== "reserve"',
    to: "true",
    why: ASSERTED,
  },
  {
    file: "src/core/message.ts",
    code: "assert(row !== undefined && row.charge",
    from: '"reserve"',
    to: '""',
    why: ASSERTED,
  },
  {
    file: "src/core/message.ts",
    code: "assert(row !== undefined && row.charge",
    from: "`${status} has a row in the table of charges`",
    to: "``",
    why: ASSERTED,
  },
  {
    file: "src/core/message.ts",
    code: "takenAtMs !== null && takenAtMs >",
    from: "takenAtMs !== null",
    to: "true",
    why: "equal: null compares as 0, which is above no time that was promised",
  },
  {
    file: "src/ledger/posting.ts",
    code: "a.entryId < b.entryId",
    from: "a.entryId < b.entryId",
    to: "a.entryId <= b.entryId",
    why: "equal: no transaction posts two entries of one id; opening and closing a message never meet in one",
  },
  {
    file: "src/ledger/settle-plan.ts",
    code: "wallets: [],",
    from: "[]",
    to: '["Stryker was here"]',
    why: "equal: the list is replaced by the sorted moves before the plan is returned",
  },
  {
    file: "src/ledger/sql-text.ts",
    code: "let lastSecond = -1;",
    to: "+1",
    why: "equal for every time but those of the second 1970-01-01 00:00:01",
  },
  {
    file: "src/ledger/sql-text.ts",
    code: 'let lastPrefix = "";',
    to: '"Stryker was here!"',
    why: "equal: never read before the first call has replaced it",
  },
  {
    file: "src/ledger/sql-text.ts",
    code: "if (second !== lastSecond) {",
    from: "second !== lastSecond",
    to: "true",
    why: "equal: the same prefix is only made again; the condition saves time",
  },
  {
    file: "src/ledger/sql-text.ts",
    code: "value !== otherwise).sort(([a], [b]) => (a < b ? -1 : 1));",
    from: "a < b",
    to: "a <= b",
    why: "equal: no key is given twice",
  },
  {
    file: "src/ledger/sql-text.ts",
    code: "return `IF(${column}<${others[half]?.[0]},${among(from, half)},${among(half, to)})`;",
    from: "others[half]?.[0]",
    to: "others[half][0]",
    why: "equal: half is below the number of keys; the types ask for the question mark",
  },
  {
    file: "src/relay/proof.ts",
    code: "committed !== null && committed >= target",
    from: "committed !== null",
    to: "true",
    why: "equal: null >= target holds for a target of 0 only, and then begin >= target holds before it",
  },
  {
    file: "src/ingest/admission.ts",
    code: "if (!isTight()) return false;",
    from: "!isTight()",
    to: "false",
    why: "equal: only a short cut; below half of the places nobody has as much as is free",
  },
  {
    file: COMMIT_ITEMS,
    code: "let inDoubt = false;",
    to: "true",
    why: NOTHING_TRIED,
  },
  {
    file: COMMIT_ITEMS,
    code: "if (inDoubt && batch !== null && (await store.isStored(batch))) break;",
    from: "batch !== null",
    to: "true",
    why: NOTHING_TRIED,
  },
  {
    file: COMMIT_ITEMS,
    code: "if (out.size === 0) return items;",
    from: "out.size === 0",
    to: "false",
    why: "equal: only a short cut; nobody is told, and the same messages stay",
  },
  {
    file: COMMIT_ITEMS,
    code: "if (others.length > 0) records.push(...others);",
    to: "true",
    why: NOTHING_PUSHED,
  },
  {
    file: COMMIT_ITEMS,
    code: "if (others.length > 0) records.push(...others);",
    to: "others.length >= 0",
    why: NOTHING_PUSHED,
  },
  {
    file: COMMIT_ITEMS,
    code: "if (!canRetry || timers.monotonicMs() >= untilMs)",
    from: "timers.monotonicMs() >= untilMs",
    to: "timers.monotonicMs() > untilMs",
    why: "equal but for one instant of a clock that is never exact",
  },
  {
    file: COMMIT_ITEMS,
    code: "log.warn({ err, attempt, in_doubt",
    from: "{ err, attempt, in_doubt: inDoubt, rows: rowsOf(items) }",
    to: "{}",
    why: LOGGED,
  },
  {
    file: COMMIT_ITEMS,
    code: "log.warn({ err, attempt, in_doubt",
    from: '"commit failed; trying again"',
    to: '""',
    why: LOGGED,
  },
  {
    file: COMMIT_ITEMS,
    code: 'log.error({ err: cause, rows: rowsOf(items) }, "commit given up',
    from: "{ err: cause, rows: rowsOf(items) }",
    to: "{}",
    why: LOGGED,
  },
  {
    file: COMMIT_ITEMS,
    code: 'log.error({ err: cause, rows: rowsOf(items) }, "commit given up',
    from: '"commit given up; nothing was stored"',
    to: '""',
    why: LOGGED,
  },
  {
    file: COMMIT_ITEMS,
    code: "{ err: cause, rows: rowsOf(items) },",
    from: "{ err: cause, rows: rowsOf(items) }",
    to: "{}",
    why: LOGGED,
  },
  {
    file: COMMIT_ITEMS,
    code: '"outcome of a commit is unknown;',
    to: '""',
    why: LOGGED,
  },
  {
    file: COMMIT_ITEMS,
    code: "{ leases: error.lost.length, rows: rowsOf(out) },",
    to: "{}",
    why: LOGGED,
  },
  {
    file: COMMIT_ITEMS,
    code: '"leases were taken back;',
    to: '""',
    why: LOGGED,
  },
  {
    file: LEASE_BOOK,
    code: "if (dropped > 0)",
    from: "dropped > 0",
    to: "true",
    why: LOGGED,
  },
  {
    file: LEASE_BOOK,
    code: "if (dropped > 0)",
    from: "dropped > 0",
    to: "false",
    why: LOGGED,
  },
  {
    file: LEASE_BOOK,
    code: "if (dropped > 0)",
    from: "dropped > 0",
    to: "dropped >= 0",
    why: LOGGED,
  },
  {
    file: LEASE_BOOK,
    code: "if (dropped > 0)",
    from: "dropped > 0",
    to: "dropped <= 0",
    why: LOGGED,
  },
  {
    file: LEASE_BOOK,
    code: "dropped++;",
    from: "dropped++",
    to: "dropped--",
    why: LOGGED,
  },
  {
    file: LEASE_BOOK,
    code: 'log.warn({ leases: dropped }, "this',
    from: "{ leases: dropped }",
    to: "{}",
    why: LOGGED,
  },
  {
    file: LEASE_BOOK,
    code: "log.warn({ leases: dropped }",
    from: '"this process\'s node expired; dropping its leases and registering again"',
    to: '""',
    why: LOGGED,
  },
  {
    file: "src/sender/outcome.ts",
    code: 'if (outcome.kind !== "accepted" && outcome.kind !== "unknown") return outcome;',
    from: 'outcome.kind !== "accepted" && outcome.kind !== "unknown"',
    to: "false",
    why: "equal: the other kinds have no ids, so the next condition returns them; the types ask for it",
  },
];
