// The webhook role's rows of the table of metrics (metrics-table.ts). No label names a customer or a URL: the
// log and the API do.

import { counter, gauge, histogram } from "./metric-rows.ts";

/** What came of a call to a customer's URL. */
export const WEBHOOK_RESULTS = [
  "acknowledged",
  "refused",
  "gone",
  "timed_out",
  "not_connected",
  "not_allowed",
] as const;

export const WEBHOOK_METRICS = {
  sluice_webhook_events_total: counter(
    "webhook",
    "status changes, and pauses of endpoints, taken up to be told to their customers",
  ),
  sluice_webhook_unread_total: counter("webhook", "rows of webhook_events that could not be read"),
  sluice_webhook_calls_total: counter(
    "webhook",
    "calls to customers by what came of them: acknowledged (2xx), refused (any other status), gone (410), " +
      "timed_out, not_connected, not_allowed (an address that isn't public)",
    { result: WEBHOOK_RESULTS },
  ),
  sluice_webhook_call_duration_seconds: histogram(
    "webhook",
    "from the look-up of a name to the end of its answer",
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
  ),
  sluice_webhook_delay_seconds: histogram(
    "webhook",
    "from a status change to its acknowledgement, of those acknowledged at the first call",
    [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600],
  ),
  sluice_webhook_calls_in_flight: gauge("webhook", "calls that wait for their answer"),
  sluice_webhook_paused_total: counter("webhook", "endpoints that take no calls any more: paused or gone"),
  sluice_webhook_endpoints: gauge(
    "webhook",
    "endpoints by state, of all processes together; failing ones get one call at a time",
    { state: ["active", "failing", "paused", "gone"] },
  ),
  sluice_webhook_waiting_rows: gauge("webhook", "rows of webhook_events not taken up, up to 10,000"),
  sluice_webhook_waiting_seconds: gauge("webhook", "how long the oldest of them has been waiting"),
} as const;
