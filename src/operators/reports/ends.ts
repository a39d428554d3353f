// The end of a message from the ends of its parts. An operator reports each part; the message is delivered
// when every part is, and has failed as soon as one part has failed for good.
// Invariant: the first end of a part stays, whatever is reported later; so does the message's.

import type { Reading } from "./report.ts";

export type End = Pick<Reading, "status" | "error" | "doneAtMs">;

/**
 * What a part's end becomes with another report: an end that is known stays; `none` and `unknown` end
 * nothing, and are kept only while nothing better was said.
 */
export function endOfPart(before: End | null, reading: End): End {
  if (before === null) return reading;
  if (isEnd(before)) return before;
  return isEnd(reading) || before.status === "none" ? reading : before;
}

/**
 * The end of a message whose parts, in order, have ended like this (null: no report yet); null while it has
 * none. Delivered: at the last part's time. Failed: as the first part that failed, by its time. A message of
 * one part may also be `unknown`.
 */
export function endOfParts(parts: readonly (End | null)[]): End | null {
  const ended = parts.filter((part) => part !== null && isEnd(part)) as End[];
  const failed = ended.filter(({ status }) => status !== "delivered");
  // Parts without a time come after those with one, in order.
  if (failed.length > 0) return failed.reduce((first, part) => (timeOf(part) < timeOf(first) ? part : first));
  if (parts.length > 0 && ended.length === parts.length)
    return ended.reduce((last, part) => ((part.doneAtMs ?? 0) > (last.doneAtMs ?? 0) ? part : last));
  const [only = null] = parts;
  return parts.length === 1 && only?.status === "unknown" ? only : null;
}

const timeOf = ({ doneAtMs }: End): number => doneAtMs ?? Number.POSITIVE_INFINITY;

function isEnd({ status }: End): boolean {
  return status !== "none" && status !== "unknown";
}
