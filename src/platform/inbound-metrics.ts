// The rows of inbound messages and opt-outs in the table of metrics (metrics-table.ts).

import { counter, gauge } from "./metric-rows.ts";

/** What became of an inbound message. */
export const INBOUND_RESULTS = ["told", "untold", "part", "repeated", "unknown_number"] as const;

export const INBOUND_METRICS = {
  sluice_inbound_messages_total: counter(
    "dlr",
    "inbound messages and parts of them by what became of them: told to their customer, untold (it has no " +
      "URL), part (waits for the others), repeated, unknown_number (nobody has it)",
    { result: INBOUND_RESULTS },
  ),
  sluice_inbound_parts_waiting: gauge("dlr", "parts of long inbound messages that wait for the others"),
  sluice_relay_opt_out_canceled_total: counter(
    "relay",
    "scheduled messages that were canceled because their phone opted out",
  ),
};
