// The rows of the table of metrics (metrics-table.ts) about fairness and about what express is promised. No
// label names a customer: the log does.

import { LANES } from "../core/message.ts";
import { counter, gauge } from "./metric-rows.ts";

export const LANE_METRICS = {
  sluice_ingest_held_customers: gauge(
    "ingest",
    "customers whose normal messages go into held rows, because they or their operators have more waiting " +
      "than their share",
  ),
  sluice_ingest_express_promise_seconds: gauge(
    "ingest",
    "what an express message needs at present, from acceptance to guaranteed_by; more than the largest " +
      "promise is not promised",
  ),
  sluice_ingest_express_saturated_total: counter(
    "ingest",
    "express messages to which nothing could be promised: refused with lane_saturated, or accepted as normal",
    { result: ["refused", "fallback"] },
  ),
  sluice_outbox_held_rows: gauge("relay", "held rows, counted up to 10,000", { lane: LANES }),
  sluice_outbox_held_oldest_seconds: gauge("relay", "how long the oldest held row has been waiting", {
    lane: LANES,
  }),
  sluice_sender_queued: gauge("sender", "records read that wait for a batch"),
  sluice_sender_held_total: counter(
    "sender",
    "records put into held rows, because their customer, or their slow operators, had more than their share",
  ),
  sluice_sender_unheld_total: counter("sender", "records taken from held rows"),
  sluice_sender_lane_wait_seconds: gauge(
    "sender",
    "how long messages of the lane wait at present, from acceptance to an operator's answer; 300 while " +
      "operators take too few",
  ),
} as const;
