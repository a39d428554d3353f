// What benches share: a fixed seed, customers with credit, CPU time of the processes, and a result as JSON
// with its ratio first.

import { readFileSync } from "node:fs";
import { createIdFactory } from "../src/core/id.ts";
import { hashKey } from "../src/customers/api-keys.ts";
import { topUp } from "../src/ledger/topup.ts";
import type { Pool } from "../src/platform/mysql.ts";
import { sleep } from "../src/platform/retry.ts";

export const BENCH_SEED = 20_260_101;
const BALANCE = 1_000_000_000_000;
/** Of a part, on both lanes. */
export const PRICE = 500;
const CUSTOMERS_AT_ONCE = 8;

export type BenchCustomer = { customerId: number; apiKey: string };

/** Numbers in [0, 1) from a seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** New customers with a key and, unless said otherwise, more credit than a bench can spend. */
export async function createBenchCustomers(
  pool: Pool,
  count: number,
  balance = BALANCE,
): Promise<BenchCustomer[]> {
  const id = createIdFactory({ now: Date.now });
  const run = id();
  const customers = await pool.transaction(async (conn) => {
    const made: BenchCustomer[] = [];
    for (let i = 0; i < count; i++) {
      const { insertId } = await conn.write(
        "INSERT INTO customers (name, price_normal, price_express) VALUES ('bench', ?, ?)",
        [PRICE, PRICE],
      );
      const customerId = Number(insertId);
      const apiKey = `sk_bench_${run}_${i}`;
      await conn.write("INSERT INTO wallet_accounts (customer_id) VALUES (?)", [customerId]);
      await conn.write(
        "INSERT INTO api_keys (key_id, key_hash, customer_id, scopes) VALUES (?, ?, ?, 'send,read')",
        [id(), hashKey(apiKey), customerId],
      );
      made.push({ customerId, apiKey });
    }
    return made;
  });
  const queue = [...customers];
  const worker = async () => {
    for (let next = queue.pop(); next !== undefined; next = queue.pop())
      await topUp({ pool, id, now: Date.now }, next.customerId, balance, run);
  };
  await Promise.all(Array.from({ length: CUSTOMERS_AT_ONCE }, worker));
  return customers;
}

// USER_HZ of every Linux this runs on.
const TICK_MS = 10;

/** CPU milliseconds that processes have used so far, by name; those that are gone are left out. */
export function cpuMs(processes: readonly { name: string; pid: number | null }[]): Map<string, number> {
  const used = new Map<string, number>();
  for (const { name, pid } of processes) {
    if (pid === null) continue;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      used.set(name, (Number(fields[11]) + Number(fields[12])) * TICK_MS);
    } catch {
      // it ended between the list and the look
    }
  }
  return used;
}

export function percentile(sorted: Float64Array, share: number): number {
  return sorted.length === 0
    ? 0
    : (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number);
}

const DRAIN_MAX_MS = 10 * 60_000;
const DRAIN_LOOK_MS = 2_000;

/** Waits until nothing of an earlier run is on its way to an operator. @throws Error after DRAIN_MAX_MS */
export async function untilDrained(pool: Pool, say: (line: string) => void): Promise<void> {
  for (const endMs = performance.now() + DRAIN_MAX_MS; ; ) {
    const [row] = await pool.query<{ open: number }[]>(
      "SELECT COUNT(*) AS open FROM messages WHERE status IN ('queued', 'sending')",
    );
    const open = Number(row?.open);
    if (open === 0) return;
    if (performance.now() > endMs)
      throw new Error(`${open} messages of an earlier run are still on their way`);
    say(`  waiting for ${open} messages of an earlier run`);
    await sleep(DRAIN_LOOK_MS);
  }
}

export const round = (value: number, digits = 2): number => Number(value.toFixed(digits));
