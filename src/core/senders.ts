// Sender ids that a customer may use as `from`: names of up to 11 characters of the GSM 7-bit alphabet, and
// numbers. A customer without a list may use any (parts.ts). Pure. Leaves how an operator gets one to its
// connector.
// Invariant: a number is the same with and without a plus; a name is the same only letter by letter, because
// phones show it so. Bound: SENDERS_MAX of a customer.

import { senderProblem } from "./parts.ts";

/** Of a customer: with 16 characters each they fit their column. */
export const SENDERS_MAX = 100;

const NUMBER = /^\+?[0-9]+$/;

/** A sender as lists have it: a number without its plus. */
export const senderKey = (from: string): string => (NUMBER.test(from) ? from.replace("+", "") : from);

/** Why this can't be the `from` of a message, or null. `senders`: those that are allowed; absent: any. */
export function fromProblem(from: string, senders: ReadonlySet<string> | undefined): string | null {
  const problem = senderProblem(from);
  if (problem !== null || senders === undefined || senders.has(senderKey(from))) return problem;
  return NOT_ALLOWED;
}

const NOT_ALLOWED = "is none of the sender ids that the customer may use";

/** A list as it is stored: no sender has a line end. */
export const sendersText = (senders: readonly string[]): string => senders.join("\n");

export const listedSenders = (text: string): string[] => (text === "" ? [] : text.split("\n"));
