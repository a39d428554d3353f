// What waits for a commit, in the order in which commits take it: as it came, while one commit takes it all;
// otherwise by customers in turn, a tenth of a commit each (deficit round robin, Shreedhar and Varghese
// 1995). So a customer's flood makes its own messages wait, and nobody else's. Leaves when to take to the
// group commit, and how many may wait to admission.ts.
// Invariants: a customer's items are taken in their order; no item is split. While nothing waits for a second
// commit, an item costs one place in an array. Bound: the caller's.

/** An item has one message and `others`, together at most as many as one commit stores. */
type Queued = { record: { customerId: number }; others: readonly unknown[] };
export type FairQueue<T extends Queued> = {
  push(item: T): void;
  /** Takes as many as one commit stores. */
  take(): T[];
  /** How many messages wait. */
  rows(): number;
};

/** Of a full commit, so many customers have a part. */
const TURNS = 10;

/** `credit`: how many messages it may still have stored in its turn. */
type Flow<T> = { items: T[]; credit: number };

/** `rowsMax`: how many messages one commit stores. */
export function createFairQueue<T extends Queued>(rowsMax: number): FairQueue<T> {
  const turnRows = rowsMax / TURNS;
  /** What came while one commit takes all that waits. */
  let first: T[] = [];
  /** What came behind it, by customer, in the order of their turns. */
  const flows = new Map<number, Flow<T>>();
  let rows = 0;

  /** Adds to the `taken` rows what the next customers have, until a commit is full. */
  const takeTurns = (into: T[], taken: number): void => {
    let all = taken;
    // A flow that is set again comes last, and is seen again.
    for (const [customerId, flow] of flows) {
      flow.credit += turnRows;
      let count = 0;
      let isFull = false;
      for (const item of flow.items) {
        const size = rowsOf(item);
        isFull = all + size > rowsMax;
        if (isFull || size > flow.credit) break;
        all += size;
        flow.credit -= size;
        count++;
        into.push(item);
      }
      flow.items.splice(0, count);
      if (isFull) {
        flow.credit -= turnRows; // its turn goes on
        return;
      }
      flows.delete(customerId);
      if (flow.items.length > 0) flows.set(customerId, flow);
    }
  };

  return {
    push(item) {
      rows += rowsOf(item);
      if (flows.size === 0 && rows <= rowsMax) {
        first.push(item);
        return;
      }
      const { customerId } = item.record;
      const flow = flows.get(customerId);
      if (flow === undefined) flows.set(customerId, { items: [item], credit: 0 });
      else flow.items.push(item);
    },
    take() {
      const items = first;
      first = [];
      if (flows.size > 0)
        takeTurns(
          items,
          items.reduce((sum, item) => sum + rowsOf(item), 0),
        );
      for (const item of items) rows -= rowsOf(item);
      return items;
    },
    rows: () => rows,
  };
}

const rowsOf = ({ others }: Queued): number => 1 + others.length;
