// The queue in front of the database, and the loops that empty it. When a commit connection is free and the
// pace (commit-pace.ts) allows it, the connection takes what is queued, up to COMMIT_ROWS_MAX messages, by
// customers in turn if there are more (fair-queue.ts). With nothing else queued, a message commits alone. The
// messages of one request are one item and share a transaction. Items of more than APART_ROWS messages share
// larger transactions with each other only; these leave a connection to the others, or, if there is only one,
// take turns with them (decision 0016).
// Leaves a transaction, its repeats and its answers to commit-items.ts. Invariant: no item is ever split.
// Bound: the places that admission.ts gives, QUEUE_ROWS_MAX at most.

import { BATCH_MESSAGES_MAX } from "../core/batch-limits.ts";
import type { IsGone } from "../core/caller.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { COMMIT_ROWS_MAX } from "../core/limits.ts";
import type { KeyClaim } from "../ledger/idempotency.ts";
import type { NewOtp } from "../ledger/otps.ts";
import { type Admission, createAdmission, type Room } from "./admission.ts";
import { type CommitDeps, type CommitOptions, createCommit, type Item, rowsOf } from "./commit-items.ts";
import { createCommitPace } from "./commit-pace.ts";
import { createFairQueue } from "./fair-queue.ts";
import type { Reservation } from "./lease-table.ts";

/** Places are taken first; those of messages that won't be stored are given back. */
export type GroupCommit = Pick<Admission, "admit" | "leave" | "admitted"> &
  Room & {
    /**
     * Resolves after the commit that stores the message, and its idempotency key and one-time code if it has
     * them. `others` of the same customer are stored by the same commit; the reservation is for all of them,
     * null if nothing is reserved for them yet.
     * @throws SluiceError unavailable, outcome_unknown; KeyTakenError; CallerGoneError
     */
    store(
      record: LaneRecord,
      reservation: Reservation | null,
      key: KeyClaim | null,
      isGone: IsGone,
      others?: readonly LaneRecord[],
      otp?: NewOtp,
    ): Promise<void>;
    /** Gives back the place of a message that was stored with its grant (lease-riders.ts). */
    stored(customerId: number): void;
    /** Resolves when everything admitted has been answered. */
    drained(): Promise<void>;
  };

export type GroupCommitOptions = Pick<CommitOptions, "nodeId" | "now"> & { connections: number };

/** Of items of more messages too few fit into a commit. An item has BATCH_MESSAGES_MAX at most. */
const APART_ROWS = COMMIT_ROWS_MAX / 4;

const NO_OTHERS: readonly LaneRecord[] = [];

export function createGroupCommit(
  deps: CommitDeps,
  { connections, nodeId, now }: GroupCommitOptions,
): GroupCommit {
  const { timers } = deps;
  const queue = createFairQueue<Item>(COMMIT_ROWS_MAX);
  /** Items of more than APART_ROWS messages. */
  const large = createFairQueue<Item>(BATCH_MESSAGES_MAX);
  const largeMax = Math.max(1, connections - 1);
  let running = 0;
  let runningLarge = 0;
  let isLargeSoon = false;
  // A batch begins soon, in the next turns of the event loop, or after a linger; otherwise none is planned.
  let isSoon = false;
  let linger: object | null = null;
  const pace = createCommitPace(() => timers.monotonicMs());
  const { answered, ...places } = createAdmission(() => timers.monotonicMs());
  const { leave, admitted } = places;
  const commit = createCommit(deps, { nodeId, now, leave });

  const wake = () => {
    if (running >= connections || isSoon) return;
    if (linger !== null && pace.waitMs(queue.rows()) > 0) return;
    linger = null;
    isSoon = true;
    // Requests parsed in this turn of the event loop join the same batch. The following turn shows which of
    // those connections have ended: Bun reports a connection's bytes first and its end after them.
    timers.soon(() => timers.soon(take));
  };

  // wake() found a message and a free connection, and plans only one take at a time, so the message is still
  // there. If a large item has the connection by now, its end wakes the queue again.
  const take = () => {
    isSoon = false;
    if (running >= connections) {
      linger = null;
      return;
    }
    const waitMs = pace.waitMs(queue.rows());
    if (waitMs > 0) {
      const mine = (linger = {});
      timers.after(waitMs, () => {
        if (linger === mine) take();
      });
      return;
    }
    linger = null;
    void run();
    if (queue.rows() > 0) wake();
  };

  const run = async () => {
    running++;
    const items = queue.take();
    const rows = rowsOf(items);
    const ended = pace.begin(rows);
    await commit(items);
    ended();
    const sinceMs = items.reduce((oldest, item) => Math.min(oldest, item.sinceMs), Number.POSITIVE_INFINITY);
    answered(rows, timers.monotonicMs() - sinceMs);
    running--;
    wakeLarge();
    if (queue.rows() > 0) wake();
  };

  const wakeLarge = () => {
    if (large.rows() === 0 || isLargeSoon || runningLarge >= largeMax || running >= connections) return;
    isLargeSoon = true;
    timers.soon(() => timers.soon(takeLarge));
  };
  const takeLarge = () => {
    isLargeSoon = false;
    if (running >= connections) return; // the end of a commit wakes them again
    void runLarge();
    wakeLarge();
  };
  // The pace and the admission don't see these: they say nothing about how long the others wait.
  const runLarge = async () => {
    running++;
    runningLarge++;
    await commit(large.take());
    runningLarge--;
    running--;
    if (queue.rows() > 0) wake();
    wakeLarge();
  };

  return {
    ...places,
    store: (record, reservation, key, isGone, others = NO_OTHERS, otp) =>
      new Promise((resolve, reject) => {
        const sinceMs = timers.monotonicMs();
        const item = { record, others, reservation, key, otp, isGone, sinceMs, resolve, reject };
        if (others.length >= APART_ROWS) {
          large.push(item);
          wakeLarge();
        } else {
          queue.push(item);
          wake();
        }
      }),
    stored(customerId) {
      deps.counts.accepted_total++;
      deps.counts.stored_with_grant_total++;
      leave(customerId);
    },
    async drained() {
      while (admitted() > 0) await timers.sleep(5);
    },
  };
}
