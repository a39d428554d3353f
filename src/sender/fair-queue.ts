// Items of many customers that wait for the same thing, taken in fair order: deficit round robin by parts
// (Shreedhar and Varghese, "Efficient Fair Queuing Using Deficit Round Robin", 1995). Customers take turns;
// in a turn one gets QUANTUM_PARTS parts, and keeps what is too little for its next item. Its own items stay
// in order. Pure except for its own state; where a rate is given, its clock is passed in.
// Invariants: while others wait too, no customer gets more than QUANTUM_PARTS parts and one item ahead of any
// of them; a turn gives at least one item. Bound: customerMax items of one customer, totalMax in all. As the
// queue fills, whoever has much in it may add less, so that however many do, there is room for others
// (Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998).

import { TEXT_PARTS_MAX } from "../core/limits.ts";
import type { CustomerRates } from "./customer-rates.ts";

export type FairQueueOptions<T> = {
  customerOf: (item: T) => number;
  /** Message parts; more than QUANTUM_PARTS count as that many. */
  partsOf: (item: T) => number;
  customerMax: number;
  totalMax: number;
  /** What a customer gets at most in a second; absent: all that its turns give. */
  rates?: CustomerRates;
};
export type FairQueue<T> = {
  /**
   * False: this customer's share or the whole queue is full, and the item was not added. `room`: how many
   * more it may take now, if that is less than its own bound.
   */
  add(item: T, room?: number): boolean;
  /**
   * The next items in fair order; fewer than `max` if there are no more, or none that its rate allows, or if
   * they have `partsMax` parts. The last one may go beyond these.
   */
  take(max: number, partsMax?: number): T[];
  /** Undoes the latest take(1). */
  giveBack(item: T): void;
  /** Takes out all items for which `isOut` holds. */
  remove(isOut: (item: T) => boolean): T[];
  /** The first item of each customer. */
  heads(): T[];
  size(): number;
  /** How many more items it takes in all. */
  room(): number;
};

/** The longest message has this many, so that every turn gives something. */
export const QUANTUM_PARTS = TEXT_PARTS_MAX;

/** A customer may have this many times as many items as the queue has room for, */
const ROOM_FACTOR = 4;
/** or this many: most never have more, and to hold single records would cost more than it gives. */
const FEW = 5 * QUANTUM_PARTS;

type Taken<T> = { items: T[]; parts: number };
type Share<T> = { customerId: number; items: T[]; deficit: number; isOn: boolean };

export function createFairQueue<T>(options: FairQueueOptions<T>): FairQueue<T> {
  const { customerOf, partsOf, customerMax, totalMax, rates } = options;
  const shares = new Map<number, Share<T>>();
  /** Everyone with items, in the order of their turns; the first one's may have begun. */
  let turns: Share<T>[] = [];
  let size = 0;
  const weightOf = (item: T) => Math.min(QUANTUM_PARTS, partsOf(item));

  const open = (customerId: number, first: boolean): Share<T> => {
    const share: Share<T> = { customerId, items: [], deficit: 0, isOn: false };
    shares.set(customerId, share);
    if (first) turns.unshift(share);
    else turns.push(share);
    return share;
  };
  /** What is left of its turn. */
  const takeTurn = (
    share: Share<T>,
    out: Taken<T>,
    isFull: () => boolean,
  ): "ended" | "throttled" | "stopped" => {
    if (!share.isOn) share.deficit += QUANTUM_PARTS;
    share.isOn = true;
    for (;;) {
      const item = share.items[0];
      if (item === undefined || weightOf(item) > share.deficit) return "ended";
      if (isFull()) return "stopped";
      if (rates !== undefined && rates.waitMs(share.customerId) > 0) return "throttled";
      share.items.shift();
      share.deficit -= weightOf(item);
      rates?.take(share.customerId, partsOf(item));
      size--;
      out.items.push(item);
      out.parts += partsOf(item);
    }
  };

  return {
    add(item, room = totalMax - size) {
      const customerId = customerOf(item);
      const share = shares.get(customerId);
      const most = Math.min(customerMax, Math.max(FEW, ROOM_FACTOR * room));
      if (room <= 0 || (share?.items.length ?? 0) >= most) return false;
      (share ?? open(customerId, false)).items.push(item);
      size++;
      return true;
    },
    take(max, partsMax = Number.POSITIVE_INFINITY) {
      const out: Taken<T> = { items: [], parts: 0 };
      const isFull = () => out.items.length >= max || out.parts >= partsMax;
      // Ends when everyone in turn is over its rate.
      for (let throttled = 0; !isFull() && throttled < turns.length; ) {
        const share = turns[0] as Share<T>;
        const how = takeTurn(share, out, isFull);
        if (how === "stopped") break;
        throttled = how === "throttled" ? throttled + 1 : 0;
        turns.shift();
        share.isOn = false;
        if (how === "throttled") share.deficit = 0;
        if (share.items.length > 0) turns.push(share);
        else shares.delete(share.customerId);
      }
      return out.items;
    },
    giveBack(item) {
      const customerId = customerOf(item);
      const share = shares.get(customerId) ?? open(customerId, true);
      if (turns[0] !== share) {
        turns = turns.filter((one) => one !== share);
        turns.unshift(share);
      }
      share.items.unshift(item);
      share.deficit += weightOf(item);
      share.isOn = true;
      size++;
    },
    remove(isOut) {
      const removed: T[] = [];
      for (const share of turns) {
        const out = share.items.filter(isOut);
        if (out.length === 0) continue;
        share.items = share.items.filter((item) => !out.includes(item));
        removed.push(...out);
        if (share.items.length === 0) shares.delete(share.customerId);
      }
      if (removed.length > 0) turns = turns.filter(({ items }) => items.length > 0);
      size -= removed.length;
      return removed;
    },
    heads: () => turns.map(({ items }) => items[0] as T),
    size: () => size,
    room: () => totalMax - size,
  };
}
