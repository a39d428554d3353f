// Whoever asked for something, seen from the code that does it: only whether the answer can still be heard.
// Every door says that in its own way: the API by its connection, the command line never.
// Invariant: what is not in a transaction's commit yet when its caller is gone leaves nothing behind.

/** Whether the caller's connection has ended. Once true, it stays true. */
export type IsGone = () => boolean;

/** Of a caller that waits whatever happens. */
export const neverGone: IsGone = () => false;

/** Nothing was stored or charged, because nobody would have heard of it. Never an answer: there is nobody. */
export class CallerGoneError extends Error {
  override readonly name = "CallerGoneError";
  constructor() {
    super("the caller left before the commit; nothing was stored");
  }
}
