// Shares a pool of MySQL connections among customers, so that none of them can take it from the others: a few
// connections of it serve a customer at once, and what else it asks for waits in a line of its own. Leaves
// connections and statements to mysql.ts.
// Invariant: a request is refused before anything of it has run, never in the middle; so a shared pool must
// have no bound of its own on who waits for a connection (`queueMax: 0`).
// Bounds, for what requests run first: `runningMax` turns of each customer and `turnsMax` of all, each with a
// connection or waiting for one, and `waitingMax` requests of each customer that wait for a turn.

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

/** `detail`: what a request is told that is refused because of `waitingMax`. */
export type ShareBounds = { runningMax: number; waitingMax: number; turnsMax: number; detail?: string };

export function sharePool(pool: Pool, bounds: ShareBounds): PoolOf {
  const { runningMax, waitingMax, turnsMax, detail = OF_CUSTOMER } = bounds;
  const shares = new Map<number, Share>();
  let turns = 0;

  const inTurn = async <T>(customerId: number, mayRefuse: boolean, run: () => Promise<T>): Promise<T> => {
    const share = shares.get(customerId) ?? { running: 0, waiting: [] };
    if (share.running < runningMax) {
      if (mayRefuse && turns >= turnsMax) throw overloaded(OF_ALL);
      turns++;
      share.running++;
      shares.set(customerId, share);
    } else if (mayRefuse && share.waiting.length >= waitingMax) throw overloaded(detail);
    else await new Promise<void>((resolve) => share.waiting.push(resolve)); // whoever ends hands its turn on
    try {
      return await run();
    } finally {
      const next = share.waiting.shift();
      if (next !== undefined) next();
      else {
        turns--;
        if (--share.running === 0) shares.delete(customerId);
      }
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

const OF_ALL = "Too many requests wait for the database.";
const OF_CUSTOMER = "Too many requests of this customer wait for the database.";
const overloaded = (detail: string): SluiceError => new SluiceError("overloaded", { detail, retryAfterS: 1 });
