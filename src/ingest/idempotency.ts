// Idempotency keys of what moves money: the first request with a key runs, its repeats are told what it
// answered. Owns the requests under way in this process, and looking keys up, many in one read; the rows are
// written by the transactions they belong to (src/ledger/idempotency.ts). Leaves to the doors: how a key
// comes.
// States of a key: free → under way (409, or 422 for another body) → stored (replayed for 24 h) | free again,
// when the request was refused. Invariant: a request runs only while its key is free; two processes that run
// the same key at once meet in the database, where one of them stores it and the other replays that.
// Bound: requests under way, by the group commit's queue; LOOKUP_KEYS_MAX keys a read.

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

/** What these keys answered, null for a key that is free. */
export type FindKeys = (refs: readonly KeyRef[]) => Promise<(StoredAnswer | null)[]>;
export type Once<T> = { kind: "ran"; result: T } | { kind: "replayed"; stored: StoredAnswer };
export type KeyCounts = { replayed_total: number };
export type Idempotency = {
  /**
   * What `run` returns, or the stored answer of the request that used the key before. `run` gets the key it
   * has to store along with its effect. @throws SluiceError idempotency_in_progress, idempotency_key_reused,
   * or what `run` throws; CallerGoneError, when the caller left while its key was looked up
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
  ): Promise<Once<T>>;
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

  const replay = (key: RequestKey, stored: StoredAnswer): Once<never> => {
    if (!stored.hash.equals(key.hash)) throw new SluiceError("idempotency_key_reused");
    counts.replayed_total++;
    return { kind: "replayed", stored };
  };

  return {
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
          // Gone between the two reads: it was 24 h old.
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

// One read at a time for all who ask; what arrives meanwhile shares the next one.
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
