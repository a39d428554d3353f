// An SMPP operator with the usual settings, and a message for it, for tests.

import { operatorTerms } from "./operator-terms.ts";
import { countParts } from "../../src/core/parts.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { CLAIM_TTL_MS, SUBMIT_TIMEOUT_MS } from "../../src/core/limits.ts";
import type { SmppOperator } from "../../src/operators/connectors/smpp.ts";

/** The time of a message at the start of its claim. */
export const LEFT_MS = CLAIM_TTL_MS - 2 * SUBMIT_TIMEOUT_MS;

export const smppOperator = (settings: Partial<SmppOperator> & { port: number }): SmppOperator => ({
  ...operatorTerms(),
  kind: "smpp",
  host: "127.0.0.1",
  tls: false,
  system_id: "us",
  password: "secret",
  mode: "transceiver",
  binds: 1,
  bind_window: 10,
  enquire_s: 30,
  alphabet: "gsm",
  split: "udh",
  receipt_parts: "each",
  registered_delivery: 1,
  validity: "absolute",
  query_sm: true,
  ...settings,
});

export const laneRecord = (text: string, more: Partial<LaneRecord> = {}): LaneRecord => ({
  id: "01KDA0000000000000000000AA",
  customerId: 1,
  phone: "+989121234567",
  text,
  from: "Shop",
  reference: null,
  lane: "normal",
  encoding: countParts(text).encoding,
  parts: countParts(text).parts,
  cost: 1,
  createdAtMs: Date.UTC(2026, 10, 4, 8, 10, 0),
  attempt: 0,
  guaranteedByMs: null,
  validUntilMs: null,
  traceparent: "",
  ...more,
});
