// What a kind of fault works with, and how one is written: it does its work, heals it, and says in a few
// words what happened.

import type { Fault } from "../plan.ts";
import type { FaultStack } from "../stack.ts";

export type Context = {
  stack: FaultStack;
  /** For what a person should know at once. */
  report: (line: string) => void;
  /** Messages under a claim now, which the fault's record keeps the most of; null: MySQL doesn't say. */
  inFlight: () => Promise<number | null>;
};
/** Resolves when it is over; what it did, for the log of faults. @throws Error when it could not be done */
export type DoFault = (context: Context, fault: Fault) => Promise<string>;
