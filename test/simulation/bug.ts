// What a planted bug is: edits of the real source, by text that must occur exactly once. The lists are in
// bugs.ts and the files it names; patched.ts makes the copies.

export type Edit = { file: string; find: string; replace: string };
export type Bug = {
  name: string;
  area:
    | "lease"
    | "ledger"
    | "message"
    | "idempotency"
    | "commit"
    | "report"
    | "retry"
    | "webhook"
    | "lane"
    | "batch"
    | "cap"
    | "schedule"
    | "adjust"
    | "inbound"
    | "otp"
    | "quiet"
    | "async"
    | "ride";
  edits: readonly Edit[];
};

export const bug = (
  area: Bug["area"],
  name: string,
  file: string,
  find: string,
  replace: string,
  ...more: Edit[]
): Bug => ({ area, name, edits: [{ file, find, replace }, ...more] });

// For bugs that the code's own assertions would stop before the model sees them, the assertion is removed
// too.
export const unasserted: Edit = {
  file: "src/ledger/move.ts",
  find: "assert(canMove(move.from, move.to), `${move.from} never becomes ${move.to}`);",
  replace: "canMove(move.from, move.to);",
};
