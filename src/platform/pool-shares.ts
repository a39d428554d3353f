// Shares a pool of MySQL connections among customers, so that none of them can take it from the others: a few
// connections of it serve a customer at once, and what else it asks for waits in a line of its own. Leaves
// connections and statements to mysql.ts.
// Invariant: a request is refused before anything of it has run, never in the middle.
// Bounds: `runningMax` connections of each customer, and `waitingMax` requests that wait for a first one.

import { SluiceError } from "../core/errors.ts";
import type { Pool } from "./mysql.ts";

/** What serves one request of a customer: asked for once by each. */
export type OfCustomer<T> = (customerId: number) => T;
/**
 * The pool as a request has it: what it runs first also throws SluiceError overloaded. A body that has a
 * connection must not ask for another one, which may never come.
 */
export type PoolOf = OfCustomer<Pool>;

type Share = { running: number; waiting: (() => void)[] };

/** `detail`: what a request is told that is refused. */
export type ShareBounds = { runningMax: number; waitingMax: number; detail?: string };

export function sharePool(pool: Pool, { runningMax, waitingMax, detail = OF_CUSTOMER }: ShareBounds): PoolOf {
  const shares = new Map<number, Share>();

  const inTurn = async <T>(customerId: number, mayRefuse: boolean, run: () => Promise<T>): Promise<T> => {
    const share = shares.get(customerId) ?? { running: 0, waiting: [] };
    shares.set(customerId, share);
    if (share.running < runningMax) share.running++;
    else if (mayRefuse && share.waiting.length >= waitingMax) throw overloaded(detail);
    else await new Promise<void>((resolve) => share.waiting.push(resolve)); // whoever ends hands its turn on
    try {
      return await run();
    } finally {
      const next = share.waiting.shift();
      if (next !== undefined) next();
      else if (--share.running === 0) shares.delete(customerId);
    }
  };
  return (customerId) => {
    let hasRun = false;
    const turn = <T>(run: () => Promise<T>) =>
      inTurn(customerId, !hasRun, () => {
        hasRun = true;
        return run();
      });
    return {
      query: (sql, values) => turn(() => pool.query(sql, values)),
      write: (sql, values) => turn(() => pool.write(sql, values)),
      use: (body) => turn(() => pool.use(body)),
      transaction: (body, options) => turn(() => pool.transaction(body, options)),
      end: () => pool.end(),
    };
  };
}

const OF_CUSTOMER = "Too many requests of this customer wait for the database.";
const overloaded = (detail: string): SluiceError => new SluiceError("overloaded", { detail, retryAfterS: 1 });
