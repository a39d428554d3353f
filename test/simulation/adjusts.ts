// Adjustments in a simulated run: an admin corrects wallets in both directions while their customers send, by
// a process that dies now and then, and repeats with the same key whatever wasn't answered. Drawn from a
// generator of its own, and only in one seed of 21, so that the other seeds run as they would without.
// Invariants checked here: an adjustment's entry and its row of the audit log are written together and say
// the same; a key is booked once, however often it is repeated; what is answered is booked, with the entry
// that the answer names; what is refused is not; of the requests with one key one at a time runs, so that
// what is refused is not booked by another one that was under way.

import { createHash } from "node:crypto";
import { type Once, once } from "../../src/control/audit.ts";
import { type Adjusted, adjustWallet } from "../../src/control/wallets.ts";
import { ADJUSTED } from "../../src/core/audit.ts";
import { SluiceError } from "../../src/core/errors.ts";
import { createIdFactory } from "../../src/core/id.ts";
import type { KeyOwner } from "../../src/customers/api-keys.ts";
import { isConnectionLost, isRetryable } from "../../src/platform/mysql-errors.ts";
import type { Network } from "../simulated-mysql/client.ts";
import type { RowChange } from "../simulated-mysql/server.ts";
import type { Values } from "../simulated-mysql/tables.ts";
import { hold, Violation } from "./hold.ts";
import type { Kernel, Process } from "./kernel.ts";
import type { Model } from "./model.ts";
import { createRandom } from "./random.ts";

export type Adjusts = {
  /** Adjusts some for so long. */
  start(owners: readonly KeyOwner[], forMs: number): void;
  onCommit(changes: readonly RowChange[]): void;
  /** Nothing is asked for that may still be booked. */
  isIdle(): boolean;
  counts: Record<string, number>;
};
type Wish = { key: string; customerId: number; amount: number; hash: Buffer; triesLeft: number };

const SEEDS = 21;
const WITH_ADJUSTS = 11;
const TRIES_MAX = 8;
const DEATH = 0.12;
/** Longer than any statement and the wait for credit: by then a try has ended, or its process is dead. */
const PATIENCE_MS = 40_000;
/** The last tries are given all the time they need. */
const IN_PEACE = 3;
const CONNECTIONS = 3;

type Deps = { network: () => Network; model: Model };

export function createAdjusts(kernel: Kernel, seed: number, { network, model }: Deps): Adjusts {
  const random = createRandom(seed + 0xad7);
  const has = seed % SEEDS === WITH_ADJUSTS;
  const counts = { adjusted: 0, "adjusted again": 0, "not adjusted": 0, "adjust tries": 0 };
  /** Rows of the audit log by the key of their request. */
  const booked = new Map<string, Values>();
  /** Processes that run a request, by its key. */
  const running = new Map<string, Process>();
  let admin: Process | null = null;
  let starts = 0;
  let waiting = 0;

  const living = (): Process => {
    if (admin === null || !admin.alive) admin = kernel.spawn(`admin.${++starts}`);
    return admin;
  };

  const ask = (wish: Wish): void => {
    const of = living();
    let isOver = false;
    const over = (end: () => void) => {
      if (isOver) return;
      isOver = true;
      kernel.after(random.between(0.1, 2), null, end);
    };
    const again = () => {
      if (wish.triesLeft <= 0) return void waiting--;
      kernel.after(random.between(1, 300), null, () => ask({ ...wish, triesLeft: wish.triesLeft - 1 }));
    };
    counts["adjust tries"]++;
    kernel.after(random.between(0.1, 2), of, () => {
      const pool = network().pool(of, CONNECTIONS);
      const actor = { via: "api", who: "sara", origin: "127.0.0.1" } as const;
      const kept = { key: wish.key, hash: wish.hash };
      const by = { pool, actor, kept, id: createIdFactory({ now: Date.now }), now: Date.now };
      const { customerId, amount } = wish;
      once(by, (who) =>
        runAlone(wish, of, () => adjustWallet(who, { customerId, amount, reason: wish.key })),
      ).then(
        (answer) => over(() => answered(wish, answer)),
        (error: unknown) => over(() => (isRefusal(wish, error) ? void waiting-- : again())),
      );
    });
    if (wish.triesLeft > IN_PEACE && random.chance(DEATH))
      kernel.after(random.between(0, 15), null, () => {
        kernel.kill(of);
        network().processDied(of);
      });
    kernel.after(PATIENCE_MS, null, () => over(again));
    watchDeath(of, () => over(again));
  };

  const runAlone = async <T>(wish: Wish, of: Process, run: () => Promise<T>): Promise<T> => {
    const rival = running.get(wish.key);
    hold(rival?.alive !== true, "requests with one key run one at a time", () => wish.key);
    running.set(wish.key, of);
    try {
      return await run();
    } catch (error) {
      // Later another request with the key may be booked: a refusal leaves the key free.
      const isRefused = error instanceof SluiceError && error.code === "insufficient_balance";
      hold(
        !isRefused || !booked.has(wish.key),
        "an adjustment that is refused is not booked",
        () => wish.key,
      );
      throw error;
    } finally {
      running.delete(wish.key);
    }
  };

  const watchDeath = (of: Process, died: () => void): void => {
    const look = () => {
      if (!of.alive) died();
      else if (waiting > 0) kernel.after(100, null, look);
    };
    kernel.after(100, null, look);
  };

  const answered = (wish: Wish, { answer, isRepeat }: Once): void => {
    waiting--;
    counts[isRepeat ? "adjusted again" : "adjusted"]++;
    const { entry_id } = JSON.parse(answer) as Adjusted;
    const row = booked.get(wish.key);
    const detail = () => `${wish.key}: ${answer}, booked ${JSON.stringify(row)}`;
    kernel.note("answer", `adjust ${wish.key} ${wish.amount}`);
    hold(row?.entry_id === entry_id, "an adjustment that is answered is booked, as it says", detail);
  };

  /** Whether it was refused for good; otherwise it is tried again. */
  const isRefusal = (wish: Wish, error: unknown): boolean => {
    if (error instanceof Violation) throw error;
    const code = error instanceof SluiceError ? error.code : null;
    kernel.note("answer", `adjust ${wish.key} ${code ?? String(error)}`);
    if (code === "insufficient_balance") {
      counts["not adjusted"]++;
      return true;
    }
    const isExpected =
      code === "credit_elsewhere" ||
      code === "outcome_unknown" ||
      code === "unavailable" ||
      code === "idempotency_in_progress" ||
      code === "overloaded";
    hold(
      isExpected || isConnectionLost(error) || isRetryable(error),
      "an adjustment is booked or refused",
      () => `${wish.key}: ${String(error)}`,
    );
    return false;
  };

  return {
    start(owners, forMs) {
      if (!has) return;
      for (const owner of owners) {
        const everyMs = random.pick([60, 200]);
        let n = 0;
        const next = () => {
          if (kernel.nowMs() > forMs) return;
          const size = owner.priceNormal * random.pick([1, 5, 60]) + random.int(3);
          // Most of it may be in leases.
          const all = Math.max(1, model.spendable(owner.customerId) - random.int(3));
          const amount = random.chance(0.6) ? -size : random.chance(0.3) ? -all : size;
          const key = `adjust-${owner.customerId}-${++n}`;
          const hash = createHash("sha256").update(`${key} ${amount}`).digest();
          waiting++;
          const wish = { key, customerId: owner.customerId, amount, hash, triesLeft: TRIES_MAX };
          ask(wish);
          if (random.chance(0.2)) {
            waiting++;
            kernel.after(random.between(0, 50), null, () => ask(wish)); // an impatient client
          }
          kernel.after(random.between(0, 2 * everyMs), null, next);
        };
        kernel.after(random.between(5, 300), null, next);
      }
    },
    onCommit(changes) {
      const rows = new Map<string, Values>();
      for (const { table, before, after } of changes) {
        if (table !== "audit_log") continue;
        hold(before === null && after !== null, "the audit log only grows", () => JSON.stringify(before));
        if (after.action === ADJUSTED) rows.set(String(after.entry_id), after);
      }
      const entries = changes.flatMap(({ table, after }) =>
        table === "wallet_ledger" && String(after?.op).startsWith("adjust_") ? [after as Values] : [],
      );
      for (const entry of entries) {
        const row = rows.get(String(entry.entry_id));
        const amount = Number(entry.amount) * (entry.op === "adjust_down" ? -1 : 1);
        const isSame = row?.customer_id === entry.customer_id && Number(row?.amount) === amount;
        hold(isSame, "an adjustment and its row of the audit log say the same", () =>
          JSON.stringify([entry, row]),
        );
      }
      hold(
        rows.size === entries.length,
        "an adjustment and its row of the audit log are written together",
        () => JSON.stringify([...rows.values()]),
      );
      for (const row of rows.values()) {
        const key = String(row.reason);
        hold(!booked.has(key), "a key is booked once", () => key);
        booked.set(key, row);
      }
    },
    isIdle: () => waiting === 0,
    counts,
  };
}
