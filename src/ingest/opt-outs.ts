// Which phones opted out, as an ingest process remembers them, so that sending asks the database only about
// phones that did: of each customer the phones of all opt-outs that there ever were since this process
// started. One poll each half second reads the new ones. A phone that is among them is looked up, because its
// opt-out may be over, or of another sender.
// Invariant: nothing is decided by what is older than STALE_MAX_MS: then a poll is waited for, so that an
// opt-out counts within 2 s, and for a customer without any a send pays one look into a map.
// Bounds: OPT_OUTS_KNOWN_MAX phones; customers of any more are asked about each time. PAGE_ROWS rows a query.

import { OPT_OUTS_KNOWN_MAX } from "../core/inbound-limits.ts";
import { findOptedOut, optOutsSince } from "../ledger/opt-outs.ts";
import type { Pool } from "../platform/mysql.ts";
import { type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";
import type { PoolOf } from "../platform/pool-shares.ts";

export type OptOuts = {
  /** Whether no phone opted out of this customer's messages, as far as is known and was lately. */
  hasNone(customerId: number): boolean;
  /**
   * Which of these messages are to a phone that opted out, by their places. @throws the driver's error while
   * MySQL is away, SluiceError overloaded
   */
  refused(
    customerId: number,
    messages: readonly { phone: string; from: string | null }[],
  ): Promise<ReadonlySet<number>>;
  stop(): Promise<void>;
};
/** `pool`: for the poll, which everybody waits for; `poolOf`: for looking up a customer's phones. */
type OptOutsDeps = PeriodicDeps & { pool: Pool; poolOf: PoolOf };

const POLL_MS = 500;
const POLL_MAX_MS = 60_000;
const STALE_MAX_MS = 1_800;
/**
 * Rows are stamped by MySQL's clock when they are written, and seen when their transaction commits. Each
 * poll looks back from the latest one, and from what that clock says now, as it may have been set back.
 */
const LOOK_BACK_MS = 15_000;
const PAGE_ROWS = 10_000;
const NONE: ReadonlySet<number> = new Set();

export function startOptOuts(
  { pool, poolOf, ...deps }: OptOutsDeps,
  { knownMax = OPT_OUTS_KNOWN_MAX }: { knownMax?: number } = {},
): OptOuts {
  const { monotonicMs } = deps.timers;
  /** Phones by customer, as the number that their digits are. */
  const phones = new Map<number, Set<number>>();
  /** Customers of whom not all phones are known. */
  const crowded = new Set<number>();
  let known = 0;
  let latestMs = 0;
  let polledAtMs = Number.NEGATIVE_INFINITY;
  let polling: Promise<void> | null = null;

  const keep = (customerId: number, phone: string) => {
    const of = phones.get(customerId) ?? new Set();
    phones.set(customerId, of);
    const number = numberOf(phone);
    if (of.has(number)) return;
    if (known >= knownMax) return void crowded.add(customerId);
    of.add(number);
    known++;
  };
  const read = async () => {
    const startedMs = monotonicMs();
    const fromMs = Math.max(0, latestMs - LOOK_BACK_MS);
    let rows = await optOutsSince(pool, { sinceMs: fromMs, lastMs: LOOK_BACK_MS, limit: PAGE_ROWS });
    for (let readMs = -1; ; ) {
      for (const { customerId, phone } of rows) keep(customerId, phone);
      const atMs = rows.at(-1)?.createdAtMs ?? 0;
      latestMs = Math.max(latestMs, atMs);
      if (rows.length < PAGE_ROWS || atMs === readMs) break;
      readMs = atMs;
      rows = await optOutsSince(pool, { sinceMs: readMs, limit: PAGE_ROWS });
    }
    polledAtMs = startedMs;
  };
  const poll = () =>
    (polling ??= read().finally(() => {
      polling = null;
    }));
  const isFresh = () => monotonicMs() - polledAtMs < STALE_MAX_MS;
  const job = startPeriodic(deps, { name: "opt-outs", everyMs: POLL_MS, runMaxMs: POLL_MAX_MS }, poll);

  return {
    hasNone: (customerId) => isFresh() && !phones.has(customerId),
    async refused(customerId, messages) {
      if (!isFresh()) await poll();
      const of = phones.get(customerId);
      if (of === undefined) return NONE;
      const isSuspect = crowded.has(customerId)
        ? () => true
        : ({ phone }: { phone: string }) => of.has(numberOf(phone));
      const suspects = messages.flatMap((message, at) => (isSuspect(message) ? [{ ...message, at }] : []));
      const found = await findOptedOut(poolOf(customerId), customerId, suspects);
      return new Set([...found].map((at) => suspects[at]?.at as number));
    },
    stop: () => job.stop(),
  };
}

/** Exact: E.164 has 15 digits at most. */
const numberOf = (phone: string): number => Number(phone.slice(1));
