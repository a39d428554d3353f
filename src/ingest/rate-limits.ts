// A token bucket per customer, in message parts a minute. Each ingest process has its own, so with N
// processes a customer's rate is up to N times its limit until the buckets are shared. Source of the headers:
// draft-ietf-httpapi-ratelimit-headers-10.

import { TokenBucket } from "limiter";
import { SluiceError } from "../core/errors.ts";
import { KEY_CACHE_MAX } from "../core/limits.ts";
import type { KeyOwner } from "../customers/api-keys.ts";

export type RateLimits = {
  /**
   * Takes `parts` from the bucket; the RateLimit headers, or null without a limit. @throws SluiceError
   * rate_limited
   */
  take(owner: KeyOwner, parts: number): Record<string, string> | null;
};

const WINDOW_S = 60;

export function createRateLimits(): RateLimits {
  const buckets = new Map<number, { bucket: TokenBucket; limit: number }>();
  return {
    take(owner, parts) {
      const limit = owner.rateLimit;
      if (limit === null) return null;
      let known = buckets.get(owner.customerId);
      if (known?.limit !== limit) {
        const bucket = new TokenBucket({ bucketSize: limit, tokensPerInterval: limit, interval: "minute" });
        bucket.content = limit; // buckets start empty otherwise
        known = { bucket, limit };
        if (buckets.size >= KEY_CACHE_MAX) buckets.delete(buckets.keys().next().value as number);
        buckets.set(owner.customerId, known);
      }
      const taken = known.bucket.tryRemoveTokens(parts);
      const left = Math.max(0, Math.floor(known.bucket.content));
      const refillS = Math.ceil(((limit - left) / limit) * WINDOW_S);
      const headers = {
        "ratelimit-policy": `"parts";q=${limit};w=${WINDOW_S}`,
        ratelimit: `"parts";r=${left};t=${refillS}`,
      };
      if (taken) return headers;
      const retryAfterS = Math.max(1, Math.ceil(((parts - known.bucket.content) / limit) * WINDOW_S));
      throw new SluiceError("rate_limited", { retryAfterS, headers });
    },
  };
}
