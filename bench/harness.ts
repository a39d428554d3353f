// What benches share: a fixed seed, customers with credit, CPU times of processes, and a JSON result that
// begins with its ratio.

import { readFileSync } from "node:fs";
import { createIdFactory } from "../src/core/id.ts";
import { hashKey } from "../src/customers/api-keys.ts";
import { entryOf } from "../src/core/ledger.ts";
import { entriesSql, eventsSql } from "../src/ledger/posting.ts";
import { dateTime } from "../src/ledger/sql-text.ts";
import type { Pool } from "../src/platform/mysql.ts";
import { sleep } from "../src/platform/retry.ts";

export const BENCH_SEED = 20_260_101;
const BALANCE = 1_000_000_000_000;
/** Price of a part, in both lanes. */
export const PRICE = 500;
/** How many customers one transaction creates. */
const SOME = 1_000;

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

/** Creates customers with a key and, by default, more credit than a bench can spend. */
export async function createBenchCustomers(
  pool: Pool,
  count: number,
  balance = BALANCE,
): Promise<BenchCustomer[]> {
  const id = createIdFactory({ now: Date.now });
  const run = id();
  const customers: BenchCustomer[] = [];
  while (customers.length < count)
    customers.push(
      ...(await createSome(pool, Math.min(SOME, count - customers.length), { balance, run, id })),
    );
  return customers;
}

/** One transaction that writes what `customer create` and a top-up write, with one statement per table. */
async function createSome(
  pool: Pool,
  count: number,
  { balance, run, id }: { balance: number; run: string; id: () => string },
): Promise<BenchCustomer[]> {
  const nowMs = Date.now();
  return pool.transaction(async (conn) => {
    const each = (row: string) => Array.from({ length: count }, () => row).join(",");
    const { insertId } = await conn.write(
      `INSERT INTO customers (name,price_normal,price_express) VALUES ${each(`('bench',${PRICE},${PRICE})`)}`,
    );
    // The ids of one statement are consecutive (innodb_autoinc_lock_mode, "simple inserts").
    const customers = Array.from({ length: count }, (_, i) => {
      const customerId = Number(insertId) + i;
      return { customerId, apiKey: `sk_bench_${run}_${customerId}`, entryId: id() };
    });
    const all = (row: (c: { customerId: number; apiKey: string; entryId: string }) => string) =>
      customers.map((c) => `(${row(c)})`).join(",");
    const entries = customers.map((c) => entryOf(c.entryId, "topup", c.customerId, balance, nowMs));
    await conn.query(
      "INSERT INTO wallet_accounts (customer_id,balance) VALUES " +
        `${all((c) => `${c.customerId},${balance}`)};` +
        "INSERT INTO api_keys (key_id,key_hash,customer_id,scopes) VALUES " +
        `${all((c) => `'${id()}',x'${hashKey(c.apiKey).toString("hex")}',${c.customerId},'send,read'`)};` +
        "INSERT INTO topups (customer_id,request_id,amount,entry_id,created_at) VALUES " +
        `${all((c) => `${c.customerId},'${run}',${balance},'${c.entryId}',${dateTime(nowMs)}`)};` +
        `${entriesSql(entries)};${eventsSql([], entries)}`,
    );
    return customers.map(({ customerId, apiKey }) => ({ customerId, apiKey }));
  });
}

// USER_HZ on every Linux that this runs on.
const TICK_MS = 10;

/**
 * CPU milliseconds used so far, by process name, and of the whole machine as `machine`: the difference was
 * used by the kernel, or by other processes that disturbed the bench. Processes that are gone are left out.
 */
export function cpuMs(processes: readonly { name: string; pid: number | null }[]): Map<string, number> {
  const used = new Map<string, number>([["machine", machineMs()]]);
  for (const { name, pid } of processes) {
    if (pid === null) continue;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      used.set(name, (Number(fields[11]) + Number(fields[12])) * TICK_MS);
    } catch {
      // it has ended since it was listed
    }
  }
  return used;
}

function machineMs(): number {
  const [, ...ticks] = readFileSync("/proc/stat", "utf8").split("\n", 1)[0]?.split(/ +/).map(Number) ?? [];
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = ticks;
  return (user + nice + system + irq + softirq) * TICK_MS;
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
    say(`  waiting for ${open} messages of an earlier run to finish`);
    await sleep(DRAIN_LOOK_MS);
  }
}

const PROGRESS_MS = 2_000;

/** Says how far something is, at most every PROGRESS_MS, and not within the first. */
export function progressOf(say: (line: string) => void): (line: () => string) => void {
  let saidMs = performance.now();
  return (line) => {
    if (performance.now() - saidMs < PROGRESS_MS) return;
    saidMs = performance.now();
    say(`  ${line()}`);
  };
}

export const round = (value: number, digits = 2): number => Number(value.toFixed(digits));
