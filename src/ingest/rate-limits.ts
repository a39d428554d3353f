// A token bucket per customer, in message parts a minute. It holds a minute's worth, and at least one message
// of the longest text, so that waiting for Retry-After always helps. Each ingest process has its own, so with
// N processes a customer's rate is up to N times its limit until the buckets are shared. Source of the
// headers: draft-ietf-httpapi-ratelimit-headers-10.

import { TokenBucket } from "limiter";
import { SluiceError } from "../core/errors.ts";
import { KEY_CACHE_MAX, TEXT_PARTS_MAX } from "../core/limits.ts";
import type { KeyOwner } from "../customers/api-keys.ts";

export type RateLimits = {
  /**
   * Takes `parts` from the bucket; the RateLimit headers, or null without a limit. @throws SluiceError
   * rate_limited
   */
  take(owner: Pick<KeyOwner, "customerId" | "rateLimit">, parts: number): Record<string, string> | null;
  /** What was taken for a message that its caller left before it was stored. */
  giveBack(owner: Pick<KeyOwner, "customerId">, parts: number): void;
};

const MINUTE_S = 60;

export function createRateLimits(): RateLimits {
  const buckets = new Map<number, { bucket: TokenBucket; limit: number }>();
  return {
    take(owner, parts) {
      const limit = owner.rateLimit;
      if (limit === null) return null;
      const size = Math.max(limit, TEXT_PARTS_MAX);
      let known = buckets.get(owner.customerId);
      if (known?.limit !== limit) {
        const bucket = new TokenBucket({ bucketSize: size, tokensPerInterval: limit, interval: "minute" });
        bucket.content = size; // buckets start empty otherwise
        known = { bucket, limit };
        if (buckets.size >= KEY_CACHE_MAX) buckets.delete(buckets.keys().next().value as number);
        buckets.set(owner.customerId, known);
      }
      const taken = known.bucket.tryRemoveTokens(parts);
      const left = Math.max(0, Math.floor(known.bucket.content));
      const secondsFor = (tokens: number) => Math.ceil((tokens / limit) * MINUTE_S);
      const headers = {
        "ratelimit-policy": `"parts";q=${size};w=${secondsFor(size)}`,
        ratelimit: `"parts";r=${left};t=${secondsFor(size - known.bucket.content)}`,
      };
      if (taken) return headers;
      const retryAfterS = Math.max(1, secondsFor(parts - known.bucket.content));
      throw new SluiceError("rate_limited", { retryAfterS, headers });
    },
    giveBack({ customerId }, parts) {
      const known = buckets.get(customerId);
      if (known !== undefined)
        known.bucket.content = Math.min(known.bucket.bucketSize, known.bucket.content + parts);
    },
  };
}
