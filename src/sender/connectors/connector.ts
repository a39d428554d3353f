// What every kind of connector is to the rest of the sender: it submits a message to one operator and says
// how that ended. Leaves to others: the choice of operator and failover (dispatch.ts), what an answer makes
// of the message (outcome.ts). A new kind is a file beside this one and a case in kinds.ts.

import type { LaneRecord } from "../../core/lane-record.ts";

/** What an operator is, of whatever kind. */
export type OperatorTerms = {
  name: string;
  /** What a part costs us; the cheapest is preferred. */
  price: number;
  /** Share among operators of one price. */
  weight: number;
  /** Submits under way at once, in one sender. */
  window: number;
  /** Beginnings of the E.164 numbers it takes; "+" is all of them. */
  prefixes: readonly string[];
};

/** "not-connected" is only said when no byte of the submit can have left; what is lost later is "lost". */
export type Answer =
  | { kind: "accepted"; operatorMessageId: string }
  | { kind: "refused"; permanent: boolean; reason: string }
  | { kind: "not-connected"; reason: string }
  | { kind: "lost"; reason: string };

/** An answer that says what became of the message. */
export type Certain = Extract<Answer, { kind: "accepted" | "refused" }>;

/** Called for what an operator says of a message whose submit was given up as lost. */
export type OnReport = (message: LaneRecord, answer: Certain) => void;

export type Connector = {
  /**
   * `done` is called once, within SUBMIT_TIMEOUT_MS to connect and as much again to answer. What an operator
   * says after a "lost" is a report.
   */
  submit(message: LaneRecord, done: (answer: Answer) => void): void;
  close(): Promise<void>;
};
