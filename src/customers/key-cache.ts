// API keys in memory, with their customers and price plans, so that the hot path makes no query. One poll
// each half second asks MySQL whether any of them changed and drops those, once for each change. Its cost
// doesn't grow with the number of keys, and no request waits while thousands of customers are imported.
// Invariant: an entry is not used once KEY_STALE_MAX_MS have passed without a good poll, so a revoked key
// stops working within 2 s; nor once its key has expired by MySQL's clock, which each poll reads. Bound:
// KEY_CACHE_MAX entries and UNKNOWN_MAX keys without an owner, the oldest dropped first; each poll looks back
// by LOOK_BACK_MS to twice that, and reads at most CHANGED_MAX rows.

import { CLOCK_SKEW_MAX_MS, KEY_CACHE_MAX } from "../core/limits.ts";
import type { Pool } from "../platform/mysql.ts";
import { changeDigest, type Changed, changedSince, findKey, hashKey, type KeyOwner } from "./api-keys.ts";
import { createPlanCache } from "./price-plans.ts";

const POLL_MS = 500;
const KEY_STALE_MAX_MS = 1_800;
/**
 * Rows are stamped when a transaction writes them but become visible when it commits, so each poll looks back
 * further than a transaction may last.
 */
const LOOK_BACK_MS = 15_000;
/** If more changed, such as all prices at once, the whole cache is dropped: cheaper than reading the rows. */
const CHANGED_MAX = 2_000;

/** Keys without an owner that are remembered: enough for clients that repeat one. */
const UNKNOWN_MAX = 1_000;

type CachedKey = { owner: KeyOwner; hash: string };

export type KeyCache = {
  /** The key's owner, null if it has none; undefined when not cached, or stale: then call `load`. */
  get(apiKey: string): KeyOwner | null | undefined;
  load(apiKey: string): Promise<KeyOwner | null>;
  /** MySQL's clock, as far as the last poll knows. */
  nowMs(): number;
  /** Milliseconds since the last good poll began. */
  state(): { polledAgoMs: number };
  stop(): void;
};

/** `polls`: for the poll, which must never wait; `loads`: asked once by each load of a key. */
type Pools = { polls: Pool; loads: () => Pool };

export function createKeyCache(
  { polls, loads }: Pools,
  options: {
    monotonicMs: () => number;
    now: () => number;
    /**
     * Called with MySQL's clock − this machine's, in ms, give or take half of what the poll took: at the
     * first, and at each that took at most CLOCK_SKEW_MAX_MS.
     */
    onSkew?: (skewMs: number, tookMs: number) => void;
  },
): KeyCache {
  const entries = new Map<string, CachedKey>();
  // The hashes of keys that have no owner. They have a room of their own, so that a flood of guessed keys
  // doesn't push out the keys of customers.
  const unknown = new Map<string, string>();
  let polledAtMs = Number.NEGATIVE_INFINITY;
  // Polls look at what changed since `fromMs`, by MySQL's clock, and read rows only if their digest isn't the
  // `known` one.
  let fromMs: number | null = null;
  // What that clock said last: if it is set back, later changes are stamped with earlier times.
  let clockMs = 0;
  let known = "";
  // The rows read last. Polls look back, so they see the same rows again; a change that was seen already was
  // dropped then, and whatever was read since is at least as new.
  let seen = new Map<string, string>();
  // MySQL's clock − the monotonic one, so that a jump of this machine's clock revives no key and no request.
  let aheadMs = options.now() - options.monotonicMs();
  let stopped = false;
  let timer: ReturnType<typeof setTimeout>;
  // One look-up per key, however many requests wait for it: a thousand misses at once would take the places
  // of other keys.
  const loading = new Map<string, Promise<KeyOwner | null>>();
  const plans = createPlanCache();
  let epoch = 0; // grows with every drop, so that a load that began before it isn't cached

  const poll = async () => {
    const startedMs = options.monotonicMs();
    try {
      const sentMs = options.now();
      const { nowMs, digest } = await changeDigest(polls, fromMs);
      const answeredMs = options.monotonicMs();
      const atMs = options.now();
      const tookMs = Math.max(answeredMs - startedMs, atMs - sentMs);
      // A process that was stopped meanwhile, or a busy pool, says nothing about the clock.
      if (fromMs === null || tookMs <= CLOCK_SKEW_MAX_MS) {
        options.onSkew?.(nowMs - (sentMs + atMs) / 2, tookMs);
        aheadMs = nowMs - (startedMs + answeredMs) / 2;
      }
      const isSetBack = nowMs < clockMs;
      clockMs = nowMs;
      if (fromMs === null || isSetBack) dropAll();
      else if (digest !== known) drop(await changedSince(polls, fromMs, CHANGED_MAX));
      known = digest;
      if (fromMs === null || isSetBack || nowMs - fromMs >= 2 * LOOK_BACK_MS) fromMs = nowMs - LOOK_BACK_MS;
      polledAtMs = startedMs;
    } catch {
      // MySQL is away: entries become stale on their own, and `state` tells /ready
    }
    if (!stopped) timer = setTimeout(() => void poll(), POLL_MS);
  };
  const dropAll = () => {
    epoch++;
    loading.clear(); // later requests must not get what was read before the change
    entries.clear();
    unknown.clear();
    seen.clear();
    plans.dropAll();
  };
  const drop = (changed: readonly Changed[] | null) => {
    if (changed === null) return dropAll();
    const nameOf = ({ keyHash, customerId, planId }: Changed) => keyHash ?? `${customerId} ${planId}`;
    const fresh = changed.filter((one) => seen.get(nameOf(one)) !== one.changedAt);
    seen = new Map(changed.map((one) => [nameOf(one), one.changedAt]));
    if (fresh.length === 0) return;
    epoch++;
    loading.clear();
    const hashes = new Set(fresh.map((one) => one.keyHash));
    const customers = new Set(fresh.map((one) => one.customerId));
    const changedPlans = new Set(fresh.flatMap(({ planId }) => planId ?? []));
    plans.drop(changedPlans);
    const isOf = ({ customerId, planId }: KeyOwner) =>
      customers.has(customerId) || (planId !== undefined && changedPlans.has(planId));
    for (const [key, { owner, hash }] of entries) if (hashes.has(hash) || isOf(owner)) entries.delete(key);
    for (const [key, hash] of unknown) if (hashes.has(hash)) unknown.delete(key);
  };
  const find = async (apiKey: string) => {
    const before = epoch;
    const pool = loads();
    const owner = await findKey(pool, apiKey);
    if (owner?.planId !== undefined) {
      // Without polls nothing says whether a plan that is kept has changed.
      if (!fresh() && Number.isFinite(polledAtMs)) plans.dropAll();
      owner.plan = await plans.of(owner.planId, pool);
    }
    if (before !== epoch) return owner;
    const hash = hashKey(apiKey).toString("base64");
    if (owner === null) keep(unknown, UNKNOWN_MAX, apiKey, hash);
    else keep(entries, KEY_CACHE_MAX, apiKey, { owner, hash });
    return owner;
  };
  const nowMs = () => options.monotonicMs() + aheadMs;
  const get = (apiKey: string) => {
    const owner = entries.get(apiKey)?.owner;
    if (owner === undefined) return unknown.has(apiKey) ? null : undefined;
    return owner.expiresAtMs !== undefined && owner.expiresAtMs <= nowMs() ? null : owner;
  };
  const fresh = () => options.monotonicMs() - polledAtMs < KEY_STALE_MAX_MS;
  void poll();

  return {
    get: (apiKey) => (fresh() ? get(apiKey) : undefined),
    load(apiKey) {
      const known = loading.get(apiKey);
      if (known !== undefined) return known;
      const load = find(apiKey).finally(() => {
        if (loading.get(apiKey) === load) loading.delete(apiKey);
      });
      loading.set(apiKey, load);
      return load;
    },
    nowMs,
    state: () => ({ polledAgoMs: options.monotonicMs() - polledAtMs }),
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

/** Adds an entry; drops the oldest if there are `max` already. */
function keep<V>(entries: Map<string, V>, max: number, key: string, value: V): void {
  if (entries.size >= max) entries.delete(entries.keys().next().value as string);
  entries.set(key, value);
}
