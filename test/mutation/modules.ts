// The pure modules that decide about money and about what is sent again, each with the tests that must kill
// its mutants. The test files are kept small, because every mutant runs all of them.

export type Module = { file: string; tests: readonly string[] };

const COMMIT_TESTS = [
  "src/ingest/group-commit.test.ts",
  "src/ingest/group-commit-queue.test.ts",
  "src/ingest/group-commit-batches.test.ts",
  "src/ingest/caller-gone.test.ts",
];
const LEASE_TESTS = [
  "src/ingest/lease-book.test.ts",
  "src/ingest/lease-upkeep.test.ts",
  "src/ingest/lease-riders.test.ts",
];

export const MODULES: readonly Module[] = [
  { file: "src/core/money.ts", tests: ["src/core/money.test.ts"] },
  { file: "src/core/parts.ts", tests: ["src/core/parts.test.ts", "src/core/parts-laws.test.ts"] },
  { file: "src/core/ledger.ts", tests: ["src/core/ledger.test.ts"] },
  { file: "src/core/message.ts", tests: ["src/core/message.test.ts"] },
  { file: "src/core/retries.ts", tests: ["src/core/retries.test.ts"] },
  { file: "src/ledger/grant.ts", tests: ["src/ledger/grant.test.ts"] },
  { file: "src/ledger/claim-credit.ts", tests: ["src/ledger/claim-credit.test.ts"] },
  { file: "src/ledger/move.ts", tests: ["src/ledger/move.test.ts"] },
  { file: "src/ledger/posting.ts", tests: ["src/ledger/posting.test.ts"] },
  { file: "src/ledger/settle-plan.ts", tests: ["src/ledger/settle-plan.test.ts"] },
  { file: "src/ledger/sql-text.ts", tests: ["src/ledger/sql-text.test.ts"] },
  { file: "src/ingest/group-commit.ts", tests: COMMIT_TESTS },
  { file: "src/ingest/commit-items.ts", tests: COMMIT_TESTS },
  { file: "src/ingest/admission.ts", tests: ["src/ingest/admission.test.ts"] },
  { file: "src/ingest/lease-book.ts", tests: LEASE_TESTS },
  { file: "src/ingest/lease-riders.ts", tests: ["src/ingest/lease-riders.test.ts"] },
  { file: "src/ingest/lease-table.ts", tests: ["src/ingest/lease-table.test.ts"] },
  { file: "src/relay/proof.ts", tests: ["src/relay/proof.test.ts"] },
  { file: "src/sender/offsets.ts", tests: ["src/sender/offsets.test.ts"] },
  { file: "src/sender/outcome.ts", tests: ["src/sender/outcome.test.ts"] },
];

/** The least percentage of killed mutants, for each module and in total. */
export const KILLED_PERCENT_MIN = 85;
