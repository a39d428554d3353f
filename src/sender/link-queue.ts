// What waits in a sender, in one fair queue for each link (src/operators/route.ts). Owns how much of it each
// link may have; leaves the order within a link to fair-queue.ts, whose turn it is to sender.ts, and which
// links are slow to batches.ts. Pure except for its own state.
// Invariant: a link gets no item while it has as many as are still free, so full ones leave room for others;
// nor a slow one while it has SLOW_MAX. Bound: totalMax items if they are of one link, less than twice as
// many in all.

import { CLAIM_ROWS_MAX } from "../core/limits.ts";
import { createFairQueue, type FairQueue, type FairQueueOptions } from "./fair-queue.ts";

export type LinkQueueOptions<T> = FairQueueOptions<T> & { linkOf: (item: T) => string };
export type LinkQueue<T> = {
  /** False: its customer's or its link's share is full, and it was not added. `slow`: the slow links. */
  add(item: T, slow: ReadonlySet<string>): boolean;
  /** How many more there is room for, of whatever link that isn't slow. */
  room(slow: ReadonlySet<string>): number;
  /** The links of what waits. */
  links(): string[];
  /** The next items of this link, as those of a fair queue. */
  take(link: string, max: number, partsMax?: number): T[];
  /** The first item of each customer and link. */
  heads(): T[];
  size(): number;
};

/** A batch's worth: records that wait keep their partitions' offsets back, and a slow link's wait long. */
const SLOW_MAX = CLAIM_ROWS_MAX;

export function createLinkQueue<T>(options: LinkQueueOptions<T>): LinkQueue<T> {
  const { linkOf, totalMax } = options;
  const queues = new Map<string, FairQueue<T>>();
  let size = 0;
  /** For a link that has this many. */
  const roomFor = (own: number): number => Math.floor((2 * totalMax - size - own) / 2);

  return {
    add(item, slow) {
      const link = linkOf(item);
      const queue = queues.get(link) ?? createFairQueue<T>(options);
      const own = queue.size();
      const room = slow.has(link) ? Math.min(roomFor(own), SLOW_MAX - own) : roomFor(own);
      if (!queue.add(item, room)) return false;
      queues.set(link, queue);
      size++;
      return true;
    },
    room(slow) {
      let most = 0;
      for (const [link, queue] of queues) if (!slow.has(link)) most = Math.max(most, queue.size());
      return Math.max(0, roomFor(most));
    },
    links: () => [...queues.keys()],
    take(link, max, partsMax) {
      const queue = queues.get(link);
      if (queue === undefined) return [];
      const items = queue.take(max, partsMax);
      size -= items.length;
      if (queue.size() === 0) queues.delete(link);
      return items;
    },
    heads: () => [...queues.values()].flatMap((queue) => queue.heads()),
    size: () => size,
  };
}
