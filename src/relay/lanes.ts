// The one table of outbox lanes, from which the relay runs: how often each is looked at, how much of it is
// under way at once, and what its rows hold. Another kind of row (reports, callbacks) is one more entry
// here and a value of the column `lane`.

import assert from "node:assert/strict";
import { RELAY_TRANSACTIONS_MAX } from "../core/limits.ts";
import { type Decoded, decodeEvents, decodeMessages, type Topics } from "./decode.ts";

export type LaneSpec = {
  /** The pause after rows were taken that were fewer than a full taking: a linger, for more to come. */
  afterMs: number;
  /** The longest pause while nothing is due. */
  idleMs: number;
  /** Transactions at once: one produces while the other reads or commits. */
  inFlightMax: number;
  /** Whether a row that can never be produced holds messages, which are then failed and refunded. */
  holdsMessages: boolean;
  /** From a row to its records. Never throws. */
  decode: (payload: Buffer, topics: Topics) => Decoded;
};

export const OUTBOX_LANES = {
  // Each taking is a transaction, a produce request and a fetch of every consumer: express pays for its
  // latency with them, normal messages have time.
  express: {
    afterMs: 20,
    idleMs: 20,
    inFlightMax: 2,
    holdsMessages: true,
    decode: decodeMessages("express"),
  },
  normal: { afterMs: 50, idleMs: 50, inFlightMax: 2, holdsMessages: true, decode: decodeMessages("normal") },
  // Read in seconds, so they linger.
  events: { afterMs: 200, idleMs: 200, inFlightMax: 2, holdsMessages: false, decode: decodeEvents },
} as const satisfies Record<string, LaneSpec>;

export type OutboxLane = keyof typeof OUTBOX_LANES;
export const OUTBOX_LANE_NAMES = Object.keys(OUTBOX_LANES) as readonly OutboxLane[];

const inFlight = Object.values(OUTBOX_LANES).reduce((sum, { inFlightMax }) => sum + inFlightMax, 0);
assert(inFlight <= RELAY_TRANSACTIONS_MAX, "connections and the producer's queue have room for every lane");
