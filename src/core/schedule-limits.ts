// The bounds of scheduled messages that can't be configured, with their reasons; all others are in limits.ts.
// Invariant: the relations asserted at the end hold, or no process starts.

import assert from "node:assert/strict";
import { SUBMISSION_TTL_MS, VALID_FOR_MIN_MS } from "./limits.ts";

/** How long after its acceptance a message may be sent at the latest. */
export const SCHEDULE_AHEAD_MS = 30 * 86_400_000;
/**
 * A `send_at` that is over by no more than this is sent at once: the way to us took some time, and the
 * customer's clock may be behind.
 */
export const SCHEDULE_PAST_MS = 60_000;
/**
 * How long a message waits for the end of quiet hours at most: a day on which the clocks are set back, and
 * another one if they are set forward over the end.
 */
export const QUIET_MAX_MS = 49 * 3_600_000;
/** Rules of a customer: one for each of the countries that it sends to. */
export const QUIET_RULES_MAX = 40;
/**
 * How long what operators say is kept by the day of a message's acceptance: it may have been sent only
 * SCHEDULE_AHEAD_MS and QUIET_MAX_MS later.
 */
export const SUBMISSION_KEPT_MS = SCHEDULE_AHEAD_MS + QUIET_MAX_MS + SUBMISSION_TTL_MS;

assert(SCHEDULE_PAST_MS <= VALID_FOR_MIN_MS, "what is sent at once is still valid");
