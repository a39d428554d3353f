// What every kind of fault is given, and the type of its function: it causes the fault, heals it, and says in
// a few words what happened.

import type { Fault } from "../plan.ts";
import type { FaultStack } from "../stack.ts";

export type Context = {
  stack: FaultStack;
  /** Prints something that a person should know at once. */
  report: (line: string) => void;
  /**
   * Counts the messages under a claim now, for the fault's record, which keeps the maximum; null: unknown.
   */
  inFlight: () => Promise<number | null>;
};
/**
 * Resolves when it is over, with what it did, for the log of faults. @throws Error if it could not be carried
 * out
 */
export type Injector = (context: Context, fault: Fault) => Promise<string>;
