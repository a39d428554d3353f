// Idempotency keys of requests that move money: the first request with a key runs, later ones get its answer.
// Owns the requests under way in this process and the look-up of keys, many in one read. The rows are written
// by the transactions they belong to (src/ledger/idempotency.ts). Leaves to the doors: where a key comes
// from.
// States of a key: free → under way (repeats get 409, or 422 for another body) → stored (replayed for 24 h),
// or free again if the request was refused. Invariant: a request runs only while its key is free. If two
// processes run the same key at once, the database lets one of them store it and the other replays that.
// Bound: requests under way are bounded by the group commit's queue; LOOKUP_KEYS_MAX keys a read.

import { createHash } from "node:crypto";
import { CallerGoneError, type IsGone } from "../core/caller.ts";
import { SluiceError } from "../core/errors.ts";
import {
  type KeyOperation,
  type KeyRef,
  KeyTakenError,
  type RequestKey,
  type StoredAnswer,
} from "../ledger/idempotency.ts";
import type { Timers } from "../platform/timers.ts";

/** Looks up the stored answers of these keys, in order; null for a key that is free. */
export type FindKeys = (refs: readonly KeyRef[]) => Promise<(StoredAnswer | null)[]>;
export type OnceResult<T> = { kind: "ran"; result: T } | { kind: "replayed"; stored: StoredAnswer };
export type KeyCounts = { replayed_total: number };
export type Idempotency = {
  /**
   * Returns what `run` returns, or the stored answer of the request that used the key before. `run` must
   * store the key it is given together with its effect. @throws SluiceError idempotency_in_progress,
   * idempotency_key_reused; CallerGoneError, when the caller left during the look-up; what `run` throws
   */
  once<T>(
    request: {
      customerId: number;
      operation: KeyOperation;
      key: string;
      body: Uint8Array;
      isGone: IsGone;
    },
    run: (key: RequestKey) => Promise<T>,
  ): Promise<OnceResult<T>>;
  /** The stored answer of a key; null if it is free. */
  find(ref: KeyRef): Promise<StoredAnswer | null>;
};

const LOOKUP_KEYS_MAX = 500;

export function createIdempotency({
  find,
  timers,
  counts,
}: {
  find: FindKeys;
  timers: Timers;
  counts: KeyCounts;
}): Idempotency {
  const underWay = new Map<string, Buffer>();
  const lookUp = createLookUp(find, timers);

  const replay = (key: RequestKey, stored: StoredAnswer): OnceResult<never> => {
    if (!stored.hash.equals(key.hash)) throw new SluiceError("idempotency_key_reused");
    counts.replayed_total++;
    return { kind: "replayed", stored };
  };

  return {
    find: lookUp,
    async once({ customerId, operation, key: given, body, isGone }, run) {
      const key: RequestKey = { customerId, operation, key: given, hash: sha256(body) };
      const name = `${customerId} ${operation} ${key.key}`;
      const first = underWay.get(name);
      if (first !== undefined)
        throw new SluiceError(first.equals(key.hash) ? "idempotency_in_progress" : "idempotency_key_reused");
      underWay.set(name, key.hash);
      try {
        const stored = await lookUp(key);
        if (isGone()) throw new CallerGoneError();
        if (stored !== null) return replay(key, stored);
        try {
          return { kind: "ran", result: await run(key) };
        } catch (error) {
          if (!(error instanceof KeyTakenError)) throw error;
          const winner = await lookUp(key);
          // The row expired (24 h) between the two reads.
          if (winner === null) throw new SluiceError("unavailable", { cause: error });
          return replay(key, winner);
        }
      } finally {
        underWay.delete(name);
      }
    },
  };
}

const sha256 = (body: Uint8Array): Buffer => createHash("sha256").update(body).digest();

type Asked = {
  ref: KeyRef;
  resolve: (stored: StoredAnswer | null) => void;
  reject: (error: unknown) => void;
};

// One read at a time for all callers; keys that arrive meanwhile share the next one.
function createLookUp(find: FindKeys, timers: Timers): (ref: KeyRef) => Promise<StoredAnswer | null> {
  const asked: Asked[] = [];
  let running = false;
  const run = async () => {
    while (asked.length > 0) {
      const some = asked.splice(0, LOOKUP_KEYS_MAX);
      try {
        const found = await find(some.map((one) => one.ref));
        for (const [at, one] of some.entries()) one.resolve(found[at] ?? null);
      } catch (error) {
        for (const one of some) one.reject(error);
      }
    }
    running = false;
  };
  return (ref) =>
    new Promise((resolve, reject) => {
      asked.push({ ref, resolve, reject });
      if (running) return;
      running = true;
      timers.soon(() => void run());
    });
}
