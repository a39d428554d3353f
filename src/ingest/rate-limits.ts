// A token bucket per customer, in message parts a minute. It holds a minute's worth, and at least one message
// of the longest text, so that waiting as long as it says always helps. Each ingest process has its own, so
// with N processes a customer's rate is up to N times its limit until the buckets are shared. Leaves to the
// doors: how a caller is told.

import { TokenBucket } from "limiter";
import { SluiceError } from "../core/errors.ts";
import { KEY_CACHE_MAX, TEXT_PARTS_MAX } from "../core/limits.ts";
import type { Customer } from "../customers/customers.ts";

/** How full a customer's bucket is, in parts and whole seconds. */
export type RateState = { size: number; fillS: number; left: number; fullInS: number };
export type RateLimits = {
  /** Takes `parts` from the bucket; null: the customer has no limit. @throws RateLimitedError */
  take(customer: Limited, parts: number): RateState | null;
  /** What was taken for a message that its caller left before it was stored. */
  giveBack(customer: Limited, parts: number): void;
};
type Limited = Pick<Customer, "customerId" | "rateLimit">;

/** Not enough is left at the moment; `retryAfterS` is when there will be. */
export class RateLimitedError extends SluiceError {
  readonly rate: RateState;
  constructor(rate: RateState, retryAfterS: number) {
    super("rate_limited", { retryAfterS });
    this.rate = rate;
  }
}

const MINUTE_S = 60;
// The bucket drips in floating point: after exactly the time it takes, it may hold a hair less.
const DRIP_ERROR = 1e-6;

export function createRateLimits(): RateLimits {
  const buckets = new Map<number, { bucket: TokenBucket; limit: number }>();
  return {
    take({ customerId, rateLimit: limit }, parts) {
      if (limit === null) return null;
      const size = Math.max(limit, TEXT_PARTS_MAX);
      let known = buckets.get(customerId);
      if (known?.limit !== limit) {
        const bucket = new TokenBucket({ bucketSize: size, tokensPerInterval: limit, interval: "minute" });
        bucket.content = size; // buckets start empty otherwise
        known = { bucket, limit };
        if (buckets.size >= KEY_CACHE_MAX) buckets.delete(buckets.keys().next().value as number);
        buckets.set(customerId, known);
      }
      const taken = known.bucket.tryRemoveTokens(parts);
      const { content } = known.bucket;
      const secondsFor = (tokens: number) => Math.ceil((tokens / limit) * MINUTE_S);
      const rate: RateState = {
        size,
        fillS: secondsFor(size),
        left: Math.max(0, Math.floor(content)),
        fullInS: secondsFor(size - content),
      };
      if (taken) return rate;
      throw new RateLimitedError(rate, secondsFor(parts - content + DRIP_ERROR));
    },
    giveBack({ customerId }, parts) {
      const bucket = buckets.get(customerId)?.bucket;
      if (bucket !== undefined) bucket.content = Math.min(bucket.bucketSize, bucket.content + parts);
    },
  };
}
