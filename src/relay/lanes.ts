// The table of outbox lanes, from which the relay runs: how often each lane is polled, how many transactions
// it may have under way, and what its rows hold. To add another kind of row (reports, callbacks), add an
// entry here and a value of the column `lane`.

import assert from "node:assert/strict";
import { RELAY_TRANSACTIONS_MAX } from "../core/limits.ts";
import { type Decoded, decodeEvents, decodeMessages, type Topics } from "./decode.ts";

export type LaneSpec = {
  /** The linger after a take that wasn't full, so that more rows can arrive. */
  afterMs: number;
  /** The longest pause while nothing is due. */
  idleMs: number;
  /** Concurrent transactions: one produces while the other reads or commits. */
  inFlightMax: number;
  /** Whether its rows hold messages: those that can never be produced are then failed and refunded. */
  holdsMessages: boolean;
  /** Turns a row into its records. Never throws. */
  decode: (payload: Buffer, topics: Topics) => Decoded;
};

export const OUTBOX_LANES = {
  // Each take costs a transaction, a produce request and a fetch by every consumer. Express pays that for its
  // latency; normal messages have time.
  express: {
    afterMs: 50,
    idleMs: 25,
    inFlightMax: 2,
    holdsMessages: true,
    decode: decodeMessages("express"),
  },
  normal: {
    afterMs: 100,
    idleMs: 100,
    inFlightMax: 2,
    holdsMessages: true,
    decode: decodeMessages("normal"),
  },
  // Reports show them within seconds, so they linger longest.
  events: { afterMs: 200, idleMs: 200, inFlightMax: 2, holdsMessages: false, decode: decodeEvents },
} as const satisfies Record<string, LaneSpec>;

export type OutboxLane = keyof typeof OUTBOX_LANES;
export const OUTBOX_LANE_NAMES = Object.keys(OUTBOX_LANES) as readonly OutboxLane[];

const inFlight = Object.values(OUTBOX_LANES).reduce((sum, { inFlightMax }) => sum + inFlightMax, 0);
assert(inFlight <= RELAY_TRANSACTIONS_MAX, "connections and the producer's queue have room for every lane");
