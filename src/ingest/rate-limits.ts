// A customer's token buckets: one for message parts, one for requests, each filling by its limit a minute. A
// bucket holds a minute's worth, and at least one message of the longest text. A batch of more parts than
// that needs a full bucket and leaves it in debt, so that waiting as long as Retry-After says always helps,
// and the rate holds on average. Nothing here waits for anything: each process takes from a bucket of its
// own, and rate-sharing.ts tells it a few times a second what all processes together have taken. Leaves to
// the doors: how a caller is told.
// Invariant: what any process takes counts for all of them. What two take before they know of each other may
// be more than was left; then that is a debt, too. Under another limit nobody waits longer than for a full
// bucket, and no bucket is fuller than it was. Bound: KEY_CACHE_MAX buckets of each kind.

import { TokenBucket } from "limiter";
import { SluiceError } from "../core/errors.ts";
import { KEY_CACHE_MAX, TEXT_PARTS_MAX } from "../core/limits.ts";
import type { Customer } from "../customers/customers.ts";
import type { RateShare, RateUnit, RateUsed } from "../customers/rate-shares.ts";

/** The state of a bucket, in its unit and whole seconds. */
export type RateState = { unit: RateUnit; size: number; fillS: number; left: number; fullInS: number };
/** Of all buckets that a customer has: one or two. */
export type Rates = readonly RateState[];
export type RateLimits = {
  /** Takes `parts` from their bucket; returns null if the customer has no limit. @throws RateLimitedError */
  take(customer: Limited, parts: number): Rates | null;
  /** Puts back what was taken for messages that are not stored. */
  giveBack(customer: Limited, parts: number): void;
  /** Takes a request. @throws RateLimitedError */
  takeRequest(customer: Limited): void;
  /** What was taken or asked for since the last call: to be told to all. */
  collect(): RateShare[];
  /** What all processes have taken, with what `collect` returned. */
  learn(used: readonly RateUsed[]): void;
};
type Limited = Pick<Customer, "customerId" | "rateLimit" | "requestLimit">;

/** Not enough is left in a bucket now; there will be after `retryAfterS` seconds. */
export class RateLimitedError extends SluiceError {
  readonly rates: Rates;
  constructor(rates: Rates, retryAfterS: number) {
    super("rate_limited", { retryAfterS });
    this.rates = rates;
  }
}

const MINUTE_S = 60;
// The bucket fills in floating point: after exactly the computed time it may hold very slightly less.
const DRIP_ERROR = 1e-6;

type Bucket = {
  customerId: number;
  unit: RateUnit;
  /** a minute */
  limit: number;
  tokens: TokenBucket;
  /** What was taken since the last `collect`, less what was put back. */
  untold: number;
};

export function createRateLimits(): RateLimits {
  const buckets = { parts: new Map<number, Bucket>(), requests: new Map<number, Bucket>() };
  const asked = new Set<Bucket>();

  const bucketOf = (unit: RateUnit, customerId: number, limit: number): Bucket => {
    const all = buckets[unit];
    const known = all.get(customerId);
    if (known?.limit === limit) return known;
    const size = unit === "parts" ? Math.max(limit, TEXT_PARTS_MAX) : limit;
    const tokens = new TokenBucket({ bucketSize: size, tokensPerInterval: limit, interval: "minute" });
    tokens.content = size; // buckets start empty otherwise
    const bucket = { customerId, unit, limit, tokens, untold: 0 };
    if (known !== undefined) replace(known, bucket);
    else if (all.size >= KEY_CACHE_MAX) all.delete(all.keys().next().value as number);
    all.set(customerId, bucket);
    return bucket;
  };
  // What is missing stays the same share of the bucket, as in MySQL (rate-shares.ts).
  const replace = (old: Bucket, bucket: Bucket): void => {
    const { tokens } = bucket;
    const scale = tokens.bucketSize / old.tokens.bucketSize;
    old.tokens.drip();
    const missing = (old.tokens.bucketSize - old.tokens.content) * scale;
    tokens.content -= Math.min(missing, tokens.bucketSize);
    bucket.untold = old.untold * scale;
    if (asked.delete(old)) asked.add(bucket);
  };
  const bucketsOf = ({ customerId, rateLimit, requestLimit }: Limited): Bucket[] => {
    const own = rateLimit === null ? [] : [bucketOf("parts", customerId, rateLimit)];
    if (requestLimit !== undefined) own.push(bucketOf("requests", customerId, requestLimit));
    return own;
  };
  const spend = (bucket: Bucket, amount: number, customer: Limited): void => {
    const { tokens } = bucket;
    const needed = Math.min(amount, tokens.bucketSize);
    asked.add(bucket);
    if (!tokens.tryRemoveTokens(needed)) {
      const waitS = secondsFor(needed - tokens.content + DRIP_ERROR, bucket);
      throw new RateLimitedError(bucketsOf(customer).map(stateOf), waitS);
    }
    tokens.content -= amount - needed;
    bucket.untold += amount;
  };

  return {
    take(customer, parts) {
      const { customerId, rateLimit, requestLimit } = customer;
      if (rateLimit === null && requestLimit === undefined) return null;
      if (rateLimit !== null) spend(bucketOf("parts", customerId, rateLimit), parts, customer);
      return bucketsOf(customer).map(stateOf);
    },
    giveBack({ customerId }, parts) {
      const bucket = buckets.parts.get(customerId);
      if (bucket === undefined) return;
      const { tokens } = bucket;
      tokens.content = Math.min(tokens.bucketSize, tokens.content + parts);
      bucket.untold -= parts;
      asked.add(bucket);
    },
    takeRequest(customer) {
      const { customerId, requestLimit } = customer;
      if (requestLimit !== undefined) spend(bucketOf("requests", customerId, requestLimit), 1, customer);
    },
    collect() {
      const shares = [...asked].map((bucket) => {
        const { customerId, unit, limit, untold } = bucket;
        bucket.untold = 0;
        return { customerId, unit, perMinute: limit, taken: untold };
      });
      asked.clear();
      return shares;
    },
    learn(used) {
      for (const { customerId, unit, perMinute, used: all } of used) {
        const bucket = buckets[unit].get(customerId);
        // Under another limit since it was told: what is missing of a bucket of that size says nothing here.
        if (bucket?.limit !== perMinute) continue;
        bucket.tokens.drip(); // what comes back begins to count now
        bucket.tokens.content = bucket.tokens.bucketSize - all - bucket.untold;
      }
    },
  };
}

const secondsFor = (amount: number, { limit }: Bucket): number => Math.ceil((amount / limit) * MINUTE_S);

function stateOf(bucket: Bucket): RateState {
  const { unit, tokens } = bucket;
  tokens.drip();
  const { bucketSize: size, content } = tokens;
  return {
    unit,
    size,
    fillS: secondsFor(size, bucket),
    left: Math.max(0, Math.floor(content)),
    fullInS: secondsFor(size - content, bucket),
  };
}
