// The interface of every kind of connector: it submits a message to one operator and says how that ended.
// Leaves to others: the choice of operator and failover (dispatch.ts), what an answer means for the message
// (outcome.ts). To add a kind, add a file beside this one and a case in kinds.ts.

import type { LaneRecord } from "../../core/lane-record.ts";

/** "not-connected" is only used if no byte of the submit can have left; anything lost later is "lost". */
export type Answer =
  /**
   * `operatorMessageIds`: the operator's id for each submit that the message took, in order of its parts; ""
   * where it gave none. Most operators take a whole message in one.
   */
  | { kind: "accepted"; operatorMessageIds: readonly string[] }
  /** `mayReport`: the operator may send a report on it all the same, by an id that nobody knows. */
  | { kind: "refused"; permanent: boolean; reason: string; mayReport?: true }
  | { kind: "not-connected"; reason: string }
  /** `operatorMessageIds`: as above, if the operator named any submit, though not all are certainly taken. */
  | { kind: "lost"; reason: string; operatorMessageIds?: readonly string[] };

/** An answer that decides what became of the message. */
export type CertainAnswer = Extract<Answer, { kind: "accepted" | "refused" }>;

/** Called with what an operator says about a message whose submit was given up as lost. */
export type OnReport = (message: LaneRecord, answer: CertainAnswer) => void;

/** What a connector gets from its process, and what one with connections of its own tells it. */
export type OperatorLink = {
  /** The time of day, by which promises are kept. */
  now(): number;
  /** A report or an inbound message, raw. True once it is stored: only then the operator is told so. */
  onDeliver(pdu: Uint8Array): Promise<boolean>;
  /** A connection was opened (1), or ended (-1). */
  onBinds(change: 1 | -1): void;
  /** An answer came after its request's time-out (late), or fits no outstanding request (stray). */
  onUnexpected(answer: "late" | "stray"): void;
  /** For the log: a connection comes or goes; an "error" needs someone to act. */
  onNote(note: { level: "info" | "warn" | "error"; text: string }): void;
};

/** A message without an answer, of which its operator has named some submit all the same. */
export type Asked = { operatorMessageIds: readonly string[]; phone: string; from: string | null };

export type Connector = {
  /**
   * Calls `done` once, within SUBMIT_TIMEOUT_MS to connect and as much again to answer; if the first of
   * several submits was taken, the others have `leftMs` more. What an operator says after a "lost" is a
   * report.
   */
  submit(message: LaneRecord, done: (answer: Answer) => void, leftMs: number): void;
  /** How long a message of so many parts takes at the operator's rate, from its first submit to its last. */
  spanMs?(parts: number): number;
  /** Asks what became of a message. What the operator says comes by `onDeliver`, as if it had reported it. */
  lookUp?(asked: Asked): void;
  /**
   * No more messages come. What it holds of the operator, and a connector made after this needs for itself,
   * it gives up once its submits are answered.
   */
  retire?(): void;
  /** At once: whatever has no answer yet gets none. */
  close(): Promise<void>;
};
