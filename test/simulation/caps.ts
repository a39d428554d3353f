// Spend caps in a simulated run: in three seeds of twenty, customers whose days or months end while they
// send, and whose caps are often too low for what they want. Drawn from a generator of its own, so that
// the other seeds run as they would without caps. Invariants checked here: what was spent in a period,
// with what leases could still spend, is never above its cap; a row counts what was spent, as reconcile
// recomputes it; a cap refuses only what it has no room for, and not because of what was spent on the day
// before. A period is as long as the database says so: it begins with the first grant of a new day, and
// counts what messages of that day had cost by then, and what leases could still spend, be it for a message
// of the day before.

import { ulidBound } from "../../src/core/id.ts";
import type { KeyOwner } from "../../src/customers/api-keys.ts";
import type { RowChange, Server } from "../simulated-mysql/server.ts";
import type { Values } from "../simulated-mysql/tables.ts";
import type { Clients } from "./clients.ts";
import { hold } from "./hold.ts";
import type { Kernel } from "./kernel.ts";
import type { Model } from "./model.ts";
import { createRandom } from "./random.ts";

/** `carried`: of the day before, but it may have been unspent when this period's base was read. */
type Period = {
  limit: number | null;
  fromMs: number;
  base: number;
  spent: number;
  carried: number;
  begunAtMs: number;
};
/** `locked`: how many entries there were when the wallet was last locked before now. */
/** `taken` and `base` are the row's. */
type Capped = {
  daily: Period;
  monthly: Period;
  taken: number;
  entries: { id: string; amount: number }[];
  locked: number;
};
export type Caps = {
  /** Takes the time to shortly before the end of a day or a month. Call it before any process starts. */
  arrange(): void;
  /** Gives some customers caps; `end` removes them, so that whole wallets can be spent. */
  start(server: Server, owners: readonly KeyOwner[]): void;
  /** Some of them spend around midnight what leases hold, and then all that their caps allow. */
  spend(clients: Clients, owners: readonly KeyOwner[]): void;
  end(server: Server): void;
  /** Call it after the model's. `nowMs`: by the database's clock. */
  onCommit(changes: readonly RowChange[], model: Model, nowMs: number): void;
  /** A message of this cost was rejected for a cap by the last commit. */
  onRejected(customerId: number, cost: number, detail: () => string): void;
  /** `askedAtMs`: when the request was made. */
  onRefused(customerId: number, fields: Record<string, unknown>, askedAtMs: number): void;
  counts: Record<string, number>;
};

/** The second kind of seeds has batches too. */
const hasCaps = (seed: number): boolean => seed % 10 === 6 || seed % 20 === 14;
const LARGE_PARTS = 140;
const DAY_MS = 86_400_000;
const JANUARY_DAYS = 31;
/** By how much the database's clock may be set back. */
const SET_BACK_MS = 2_000;
const PERIODS = [
  ["daily", "day_from", "day_base"],
  ["monthly", "month_from", "month_base"],
] as const;

const NOTHING = { taken: 0, locked: 0 };

const sum = (entries: readonly { amount: number }[]): number =>
  entries.reduce((all, { amount }) => all + amount, 0);

const run = (server: Server, sql: string): void =>
  server.connect(null)?.query(sql, [], (error) => {
    if (error !== null) throw error;
  });

export function createCaps(kernel: Kernel, seed: number): Caps {
  const random = createRandom(seed + 0xca95);
  const has = hasCaps(seed);
  const capped = new Map<number, Capped>();
  const midnightMs = 300 + random.int(1_900);
  const counts = { "caps reached": 0, "cap periods begun": 0 };

  const postCap = (after: Values | null, customerId: number): void => {
    if (after === null) return void capped.delete(customerId);
    const begin = (): Period => ({ limit: null, fromMs: 0, base: 0, spent: 0, carried: 0, begunAtMs: 0 });
    const known = capped.get(customerId) ?? { daily: begin(), monthly: begin(), entries: [], ...NOTHING };
    capped.set(customerId, known);
    known.taken = Number(after.taken);
    for (const [cap, column, base] of PERIODS) {
      const of = known[cap];
      of.limit = after[cap] === null ? null : Number(after[cap]);
      of.base = Number(after[base]);
      const fromMs = Number(after[column]);
      if (fromMs === of.fromMs) continue;
      const begunAtMs = of.fromMs > 0 ? kernel.nowMs() : 0;
      if (of.fromMs > 0) counts["cap periods begun"]++;
      const since = ulidBound(fromMs);
      const spent = sum(known.entries.filter(({ id }) => id >= since));
      const carried = sum(known.entries.slice(known.locked).filter(({ id }) => id < since));
      Object.assign(of, { fromMs, spent, carried, begunAtMs });
    }
  };
  const postEntry = (after: Values): void => {
    const known = capped.get(Number(after.customer_id));
    if (known === undefined || after.op !== "reserve") return;
    const amount = Number(after.amount);
    known.entries.push({ id: String(after.entry_id), amount });
    for (const [cap] of PERIODS) known[cap].spent += amount;
  };
  /** The days that have begun by the database's clock, whatever it is set back to, and since when. */
  const days = new Map<number, number>();
  const noteDay = (nowMs: number): void => {
    const fromMs = Math.floor((nowMs - SET_BACK_MS) / DAY_MS) * DAY_MS;
    if (!days.has(fromMs)) days.set(fromMs, kernel.nowMs());
  };

  return {
    counts,
    arrange() {
      if (has) kernel.leap(random.pick([1, JANUARY_DAYS]) * DAY_MS - midnightMs);
    },
    start(server, owners) {
      if (!has) return;
      for (const { customerId, priceNormal } of owners) {
        // With the larger ones, leases hold credit at midnight.
        const parts = random.pick([1, 1, LARGE_PARTS]);
        const limit = () => (random.chance(0.7) ? priceNormal * (parts + random.int(60)) : null);
        const [daily, monthly] = [limit(), limit()];
        if (daily === null && monthly === null) continue;
        run(
          server,
          `INSERT INTO spend_caps (customer_id,daily,monthly) VALUES (${customerId},${daily},${monthly})`,
        );
      }
    },
    spend(clients, owners) {
      if (!has) return;
      for (const owner of owners) {
        if (random.chance(0.5)) continue;
        clients.topUp(owner, owner.priceNormal * 4 * LARGE_PARTS, false);
        const send = (atMs: number, parts: number) =>
          kernel.after(atMs, null, () =>
            clients.send(owner, { keyed: false, express: false, isBrief: false, parts }),
          );
        for (let n = 0; n < 12; n++) send(midnightMs - 250 + 40 * n, 1);
        for (let n = 0; n < 16; n++) send(midnightMs + 260 + 20 * n, 9);
        for (let n = 0; n < 30; n++) send(midnightMs + 600 + 15 * n, 1);
      }
    },
    end(server) {
      if (has) run(server, "DELETE FROM spend_caps WHERE customer_id>0");
    },
    onCommit(changes, model, nowMs) {
      if (!has) return;
      noteDay(nowMs);
      for (const { table, before, after } of changes) {
        const customerId = Number((after ?? before)?.customer_id);
        if (table === "spend_caps") postCap(after, customerId);
        if (table === "wallet_ledger" && after !== null) postEntry(after);
      }
      for (const { table, before } of changes) {
        const known = table === "wallet_accounts" ? capped.get(Number(before?.customer_id)) : undefined;
        if (known !== undefined) known.locked = known.entries.length;
      }
      for (const [customerId, known] of capped) {
        const unspent = model.books.get(customerId)?.unspent ?? 0;
        for (const [cap] of PERIODS) {
          const { limit, spent, fromMs, base, carried } = known[cap];
          const counted = known.taken - unspent - base;
          hold(
            fromMs === 0 || (spent <= counted && counted <= spent + carried),
            "a cap counts what was spent in its period",
            () =>
              `customer ${customerId}: ${counted} ${cap}, ${spent} were spent and ${carried} carried over`,
          );
          hold(
            limit === null || spent + unspent <= limit,
            "no spend cap is exceeded",
            () => `customer ${customerId}: ${spent} spent and ${unspent} in leases, of ${cap} ${limit}`,
          );
        }
      }
    },
    onRejected(customerId, cost, detail) {
      if (!has) return;
      const known = capped.get(customerId);
      const isFull = PERIODS.some(([cap]) => {
        const { limit = null, spent = 0, carried = 0 } = known?.[cap] ?? {};
        return limit !== null && limit - spent - carried < cost;
      });
      hold(isFull, "a cap rejects only what it has no room for", detail);
    },
    onRefused(customerId, fields, askedAtMs) {
      counts["caps reached"]++;
      const known = capped.get(customerId);
      const of = known?.[fields.cap as "daily" | "monthly"];
      hold(known !== undefined && of !== undefined, "only a cap refuses", () => JSON.stringify(fields));
      for (const [fromMs, sinceMs] of days)
        hold(
          sinceMs > askedAtMs || known.daily.fromMs >= fromMs,
          "a cap refuses by what was spent in the present period",
          () => `${JSON.stringify(fields)}, in the day from ${known.daily.fromMs}, not ${fromMs}`,
        );
      // It may have been refused under the period before.
      if (of.begunAtMs >= askedAtMs) return;
      hold(
        fields.limit === of.limit && Number(of.limit) - of.spent - of.carried < Number(fields.required),
        "a cap refuses only what it has no room for",
        () => `${JSON.stringify(fields)}, ${of.spent} were spent, and at most ${of.carried} carried over`,
      );
    },
  };
}
