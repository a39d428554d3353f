// A token bucket per customer, counted in message parts per minute. It holds a minute's worth, and at least
// one message of the longest text. A batch of more parts than that needs a full bucket and leaves it in debt,
// so that waiting as long as Retry-After says always helps, and the rate holds on average. Each ingest
// process has its own buckets, so with N processes a customer can send up to N times its limit, until the
// buckets are shared. Leaves to the doors: how a caller is told.

import { TokenBucket } from "limiter";
import { SluiceError } from "../core/errors.ts";
import { KEY_CACHE_MAX, TEXT_PARTS_MAX } from "../core/limits.ts";
import type { Customer } from "../customers/customers.ts";

/** The state of a customer's bucket, in parts and whole seconds. */
export type RateState = { size: number; fillS: number; left: number; fullInS: number };
export type RateLimits = {
  /** Takes `parts` from the bucket; returns null if the customer has no limit. @throws RateLimitedError */
  take(customer: Limited, parts: number): RateState | null;
  /** Puts back what was taken for messages that are not stored: their caller left, or could not pay. */
  giveBack(customer: Limited, parts: number): void;
};
type Limited = Pick<Customer, "customerId" | "rateLimit">;

/** Not enough is left in the bucket now; there will be after `retryAfterS` seconds. */
export class RateLimitedError extends SluiceError {
  readonly rate: RateState;
  constructor(rate: RateState, retryAfterS: number) {
    super("rate_limited", { retryAfterS });
    this.rate = rate;
  }
}

const MINUTE_S = 60;
// The bucket fills in floating point: after exactly the computed time it may hold very slightly less.
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
      const needed = Math.min(parts, size);
      const taken = known.bucket.tryRemoveTokens(needed);
      if (taken) known.bucket.content -= parts - needed;
      const { content } = known.bucket;
      const secondsFor = (tokens: number) => Math.ceil((tokens / limit) * MINUTE_S);
      const rate: RateState = {
        size,
        fillS: secondsFor(size),
        left: Math.max(0, Math.floor(content)),
        fullInS: secondsFor(size - content),
      };
      if (taken) return rate;
      throw new RateLimitedError(rate, secondsFor(needed - content + DRIP_ERROR));
    },
    giveBack({ customerId }, parts) {
      const bucket = buckets.get(customerId)?.bucket;
      if (bucket !== undefined) bucket.content = Math.min(bucket.bucketSize, bucket.content + parts);
    },
  };
}
