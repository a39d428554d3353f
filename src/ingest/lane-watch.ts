// What ingest knows about the lanes: which customers' held rows wait, and of which links, so that their next
// normal messages of these links join those; and how long express messages wait, from which it follows what
// can be promised. Every process asks MySQL twice a second; no message costs a query.
// Invariant: what it says is at most a look old, which its promises allow for. While MySQL is away it keeps
// what it knew; nothing is accepted then.

import type { LaneRecord } from "../core/lane-record.ts";
import { heldAges, type LinkOf } from "../ledger/held.ts";
import { readLaneWait } from "../ledger/lane-senders.ts";
import type { Pool } from "../platform/mysql.ts";
import { type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";
import { type Promised, type PromiseTerms, promiseOf } from "./express-promise.ts";

export type LaneWatchDeps = PeriodicDeps & { pool: Pick<Pool, "query">; linkOf: LinkOf };
export type LaneWatch = {
  /** The link under which this normal message goes into a held row; null: it doesn't. */
  heldLinkOf(record: LaneRecord): string | null;
  /** What can be promised to this customer for an express message. */
  promise(customerId: number): Promised;
  stop(): Promise<void>;
};

const EVERY_MS = 500;
const RUN_MAX_MS = 10_000;
/**
 * Rows that are sent at the senders' next look (LOOK_MS of src/sender/held.ts) are younger: their customer
 * has caught up, and its next messages go through Kafka again, with which larger batches are made.
 */
const HELD_AFTER_MS = 750;

export function startLaneWatch(
  deps: LaneWatchDeps,
  terms: PromiseTerms,
  heldAfterMs = HELD_AFTER_MS,
): LaneWatch {
  const { pool, metrics, linkOf } = deps;
  /** By customer: the links of which it has held rows. */
  let held: ReadonlyMap<number, ReadonlySet<string>> = new Map();
  let heldExpress: ReadonlyMap<number, number> = new Map();
  let waitMs = 0;
  metrics.gauge("sluice_ingest_held_customers", () => held.size);
  metrics.gauge("sluice_ingest_express_promise_seconds", () => {
    const promised = promiseOf(waitMs, terms);
    return (promised.kind === "promised" ? promised.withinMs : promised.neededMs) / 1_000;
  });
  const look = async () => {
    const links = new Map<number, Set<string>>();
    for (const { customerId, link, ageMs } of await heldAges(pool, "normal")) {
      const known = links.get(customerId) ?? new Set<string>();
      if (ageMs >= heldAfterMs) links.set(customerId, known.add(link));
    }
    held = links;
    const oldest = new Map<number, number>();
    for (const { customerId, ageMs } of await heldAges(pool, "express"))
      oldest.set(customerId, Math.max(ageMs, oldest.get(customerId) ?? 0));
    heldExpress = oldest;
    waitMs = await readLaneWait(pool, "express");
  };
  const job = startPeriodic(deps, { name: "lanes", everyMs: EVERY_MS, runMaxMs: RUN_MAX_MS }, look);
  return {
    heldLinkOf(record) {
      const links = held.get(record.customerId);
      if (links === undefined) return null;
      const link = linkOf(record);
      return links.has(link) ? link : null;
    },
    // Its own held rows are sent before the message; others don't wait for them.
    promise: (customerId) => promiseOf(Math.max(waitMs, heldExpress.get(customerId) ?? 0), terms),
    stop: job.stop,
  };
}
