// What becomes of a message at a simulated operator, and which reports it sends about it: by the phone, or by
// what it was told to do. Shared by both ways of reporting; leaves sending to operator-reports.ts (HTTP) and
// operator-smpp.ts. Invariant: a message gets one final end, though it may be reported twice, late, never, or
// with something else after it.

import { type Profile, REPORT_AFTER_MS, type Reporting } from "./operator-behaviour.ts";

export type End = "DELIVRD" | "UNDELIV" | "EXPIRED";
export type Word = End | "ENROUTE";
/** `afterMs`: when the end is reported, once or twice. `next`: what follows once that is acknowledged. */
export type PlannedEnd = { end: End; afterMs: readonly number[]; next: readonly Follow[] };
export type Follow = { word: Word; afterMs: number };

/** Numbers with a fixed answer, whatever the profile. */
export const FIXED_PHONES = {
  refusedByAll: "+989129990001",
  refusedByA: "+989129990002",
  hangs: "+989129990003",
} as const;

const LATE_MS = 60_000;
const AFTER_MS = 1_000;
const CONTRADICTION_MS = 10_000;
/** Numbers with a fixed end; null: it is never reported. */
const FIXED_ENDS: Readonly<Record<string, { end: End; afterMs: number } | null>> = {
  "+989129990004": { end: "DELIVRD", afterMs: AFTER_MS },
  "+989129990005": { end: "UNDELIV", afterMs: AFTER_MS },
  "+989129990006": { end: "EXPIRED", afterMs: AFTER_MS },
  "+989129990007": null,
  "+989129990008": { end: "DELIVRD", afterMs: LATE_MS },
};
/** An operator's own code, and SMPP's message_state (5.2.28). */
export const WORDS: Readonly<Record<Word, { code: string; state: number }>> = {
  DELIVRD: { code: "000", state: 2 },
  UNDELIV: { code: "001", state: 5 },
  EXPIRED: { code: "006", state: 3 },
  ENROUTE: { code: "000", state: 1 },
};

/** Whether this operator refuses this phone for good. */
export const isRefusedFor = (name: string, phone: string): boolean =>
  phone === FIXED_PHONES.refusedByAll || (phone === FIXED_PHONES.refusedByA && name === "A");

/** What is reported on a message that was taken; null: nothing. */
export function planEnd(
  phone: string,
  { reportAfterMs = REPORT_AFTER_MS }: Profile,
  reports: Reporting | null,
  random: () => number,
): PlannedEnd | null {
  const fixed = FIXED_ENDS[phone];
  if (fixed !== undefined) return fixed && { end: fixed.end, afterMs: [fixed.afterMs], next: [] };
  if (reports === null || random() < reports.lost) return null;
  const [least, most] = reportAfterMs;
  const waitMs = least + random() * (most - least) + (random() < reports.late ? LATE_MS : 0);
  const end = random() < reports.undelivered ? "UNDELIV" : "DELIVRD";
  const next: Follow[] = [];
  if (random() < reports.reordered) next.push({ word: "ENROUTE", afterMs: random() * AFTER_MS });
  if (random() < reports.contradictory)
    next.push({ word: end === "DELIVRD" ? "UNDELIV" : "DELIVRD", afterMs: CONTRADICTION_MS });
  const again = random() < reports.duplicate ? [waitMs + 50 + random() * 2_000] : [];
  return { end, afterMs: [waitMs, ...again], next };
}

/**
 * The ends in a record of reports (`END its-id …`, `ack its-id`) that were not acknowledged when the operator
 * was ended: with the words after its id.
 */
export function unacknowledged(text: string): { end: End; id: string; more: string[] }[] {
  const open = new Map<string, { end: End; id: string; more: string[] }>();
  for (const line of text.split("\n")) {
    const [word = "", id = "", ...more] = line.split(" ");
    if (word === "ack") open.delete(id);
    else if (word === "DELIVRD" || word === "UNDELIV" || word === "EXPIRED")
      open.set(id, { end: word, id, more });
  }
  return [...open.values()];
}
