// Delivery reports during a bench: makes the simulated operators report on nothing, all or some messages,
// waits until what they reported is settled, and says what a report costs: the CPU of a run with reports less
// that of the same run without. Needs the operators of `./sluice up`.
// Bound: SETTLED_MAX_MS of waiting.

import type { Config } from "../src/platform/config.ts";
import type { Pool } from "../src/platform/mysql.ts";
import { sleep } from "../src/platform/retry.ts";
import { round } from "./harness.ts";

/** The simulated operators, by their place behind the first one's port. */
export const OPERATORS = ["A", "B", "C"] as const;
/** What they are told. Reports come after the answer to their submit, as nearly all do; `usual`: at start. */
const SETTINGS = {
  off: "reports=off",
  on: "reports=on report-after=500ms-1500ms",
  /** Every end that a report can bring, some of them twice, followed by an older one, or never. */
  mixed: "reports=undelivered:0.2+lost:0.4+duplicate:0.2+reordered:0.2 report-after=0ms-2s",
  usual: "reports=usual report-after=1s",
} as const;
export type Reports = keyof typeof SETTINGS;

const SETTLED_MAX_MS = 60_000;
const LOOK_MS = 200;

type Where = Pick<Config, "apiHost" | "operatorPort">;
const originOf = ({ apiHost, operatorPort }: Where, at: number): string =>
  `http://${apiHost}:${operatorPort + at}`;

/** @throws Error if an operator doesn't take it */
export async function setReports(where: Where, reports: Reports): Promise<void> {
  for (const [at, name] of OPERATORS.entries()) {
    const body = SETTINGS[reports];
    const answer = await fetch(`${originOf(where, at)}/behaviour`, { method: "POST", body });
    if (!answer.ok) throw new Error(`operator ${name} answered ${answer.status} to ${body}`);
  }
}

/** Waits until every report was sent and is settled. @throws Error after SETTLED_MAX_MS */
export async function untilSettled(where: Where, pool: Pick<Pool, "query">): Promise<void> {
  for (const endMs = performance.now() + SETTLED_MAX_MS; ; ) {
    const waiting = await reportsWaiting(where, pool);
    if (waiting === 0) return;
    if (performance.now() > endMs) throw new Error(`${waiting} delivery reports are still on their way`);
    await sleep(LOOK_MS);
  }
}

/** Reports that an operator has not sent yet, or that are not settled. */
export async function reportsWaiting(where: Where, pool: Pick<Pool, "query">): Promise<number> {
  let waiting = await inInbox(pool);
  for (const at of OPERATORS.keys()) {
    const answer = await fetch(`${originOf(where, at)}/reports/waiting`);
    waiting += ((await answer.json()) as { waiting: number }).waiting;
  }
  return waiting;
}

/** Without those of earlier days that match nothing: they are tried ever less often. */
async function inInbox(pool: Pick<Pool, "query">): Promise<number> {
  const [row] = await pool.query<{ n: number }[]>(
    "SELECT COUNT(*) AS n FROM inbox WHERE run_at < NOW(3) + INTERVAL 6 SECOND",
  );
  return Number(row?.n);
}

/** By process, in µs: what each used for a message that was reported on, less one that wasn't. */
export function costOfReport(
  without: Readonly<Record<string, number>>,
  reported: Readonly<Record<string, number>>,
): Record<string, number> {
  const costs: Record<string, number> = {};
  for (const [name, us] of Object.entries(reported)) {
    const before = without[name];
    if (before !== undefined) costs[name] = round(us - before, 1);
  }
  return costs;
}
