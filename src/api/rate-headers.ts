// Tells callers their rate limit in headers, as defined by draft-ietf-httpapi-ratelimit-headers-10.

import type { RateState } from "../ingest/rate-limits.ts";

export const rateHeaders = ({ size, fillS, left, fullInS }: RateState): Record<string, string> => ({
  "ratelimit-policy": `"parts";q=${size};w=${fillS}`,
  ratelimit: `"parts";r=${left};t=${fullInS}`,
});
