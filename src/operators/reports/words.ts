// The words and numbers by which SMPP operators, and everyone who copied them, name a message's state.
// Invariant: a word that nobody published is `unknown`, never guessed to be delivered or failed.

import type { ReportStatus } from "./report.ts";

/** SMPP 3.4, appendix B, with the spellings that are seen. */
export const WORDS: Readonly<Record<string, ReportStatus>> = {
  DELIVRD: "delivered",
  DELIVERED: "delivered",
  EXPIRED: "expired",
  UNDELIV: "undelivered",
  DELETED: "undelivered",
  FAILED: "undelivered",
  SKIPPED: "undelivered",
  REJECTD: "rejected",
  REJECTED: "rejected",
  NACK: "rejected",
  ENROUTE: "none",
  ACCEPTD: "none",
  ACKED: "none",
  BUFFRED: "none",
  BUFFERD: "none",
  SCHEDULED: "none",
  UNKNOWN: "unknown",
};

/** message_state by number: SMPP 3.4, 5.2.28; 0 and 9 came with 5.0 (4.7.15) and are seen on 3.4. */
export const STATES: readonly ReportStatus[] = [
  "none",
  "none",
  "delivered",
  "expired",
  "undelivered",
  "undelivered",
  "none",
  "unknown",
  "rejected",
  "undelivered",
];

/** The status that a word names, in any letter case; null if no table has it. */
export function knownWord(word: string, own?: Readonly<Record<string, ReportStatus>> | null) {
  const name = word.trim().toUpperCase();
  const mine = Object.entries(own ?? {}).find(([key]) => key.toUpperCase() === name);
  return mine?.[1] ?? (Object.hasOwn(WORDS, name) ? (WORDS[name] ?? null) : null);
}
