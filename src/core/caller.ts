// The caller of an operation, as seen by the code that does the work: only whether the answer can still reach
// it. Each door knows that in its own way: the API by its connection; the command line always waits.
// Invariant: what is not yet in a transaction's commit when its caller is gone leaves nothing behind.

/** Whether the caller's connection has ended. Once true, it stays true. */
export type IsGone = () => boolean;

/** For a caller that waits in any case. */
export const neverGone: IsGone = () => false;

/** Nothing was stored or charged, because the caller would not have learned of it. Needs no answer either. */
export class CallerGoneError extends Error {
  override readonly name = "CallerGoneError";
  constructor() {
    super("the caller left before the commit; nothing was stored");
  }
}
