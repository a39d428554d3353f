// A dead letter: bytes that can't be read or sent, kept with the reason and where they came from until
// someone requeues or drops them, or their time is over. Leaves storing and requeuing to the ledger.
// Invariant: the same bytes from the same place are one letter, however often they are found.

import { createHash } from "node:crypto";

/**
 * Where letters come from: a sender's Kafka record, an outbox row of a lane, one of events, an operator's
 * report, a row of what customers are to be told. To add a source, add its name here and what requeues it in
 * src/ledger/requeue-letter.ts.
 */
export const LETTER_SOURCES = ["record", "messages", "events", "report", "webhook"] as const;
export type LetterSource = (typeof LETTER_SOURCES)[number];

export type DeadLetter = {
  source: LetterSource;
  /** topic/partition/offset, outbox/row, inbox/row, webhook_events/row, or a report's operator and way. */
  place: string;
  reason: string;
  payload: Buffer;
};

/** 32 bytes that only the same letter has. The payload counts, because offsets return with a new topic. */
export const fingerprintOf = ({ source, place, payload }: Omit<DeadLetter, "reason">): Buffer =>
  createHash("sha256").update(`${source} ${place}\n`).update(payload).digest();
