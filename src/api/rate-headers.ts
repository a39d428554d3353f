// Tells callers their rate limits in headers, as draft-ietf-httpapi-ratelimit-headers-11 defines them: two
// Structured Field lists with an item for each limit. Without `qu` a quota would be one of requests.

import type { Rates, RateState } from "../ingest/rate-limits.ts";

const UNIT = { parts: ';qu="message-parts"', requests: "" } as const;

const policyOf = ({ unit, size, fillS }: RateState): string => `"${unit}";q=${size};w=${fillS}${UNIT[unit]}`;
const leftOf = ({ unit, left, fullInS }: RateState): string => `"${unit}";r=${left};t=${fullInS}`;

export const rateHeaders = (rates: Rates): Record<string, string> => ({
  "ratelimit-policy": rates.map(policyOf).join(", "),
  ratelimit: rates.map(leftOf).join(", "),
});
