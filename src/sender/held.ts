// Sends what is held in MySQL (ledger/held.ts), beside the batches from the queue and with room of its own
// (batches.ts), so that neither keeps the other waiting: customers with more than their share take turns here
// for what operators and database have left. Links take turns, too: the rows of a slow one wait for their
// operators, while those of the others are sent. Leaves whose turn it is within a link to held-turns.ts.
// Bound: that of batches.ts; one look at the table each LOOK_MS.

import { CLAIM_ROWS_MAX, TEXT_PARTS_MAX } from "../core/limits.ts";
import type { Lane } from "../core/message.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { claimHeld, HELD_CUSTOMERS_MAX, type HeldCustomer, heldCustomers } from "../ledger/held.ts";
import type { Log } from "../platform/log.ts";
import type { Pool } from "../platform/mysql.ts";
import { sleep } from "../platform/retry.ts";
import { type BatchRequest, NO_TALLIES } from "./batch.ts";
import type { Batches, BatchSize } from "./batches.ts";
import type { Counts } from "./counts.ts";
import type { CustomerRates } from "./customer-rates.ts";
import type { Allowance } from "./dispatch.ts";
import { allowedBy, type Fleet } from "./fleet.ts";
import { createHeldTurns, type HeldTurns } from "./held-turns.ts";
import { monotonicMs } from "./monotonic.ts";

export type HeldDeps = {
  pool: Pool;
  fleet: Pick<Fleet, "allow" | "report">;
  batches: Pick<Batches, "room" | "start" | "changed">;
  rates: CustomerRates | undefined;
  counts: Counts;
  log: Log;
  isStopping: () => boolean;
};

// How long held rows may go unnoticed; a look costs 0.1 ms when there are none.
const LOOK_MS = 500;
const IDLE_MS = 100;
// After a batch that was not half full: a small one costs as many statements as a large one.
const SHORT_WAIT_MS = 100;
// Rows read of a customer for a batch. A commit's row has up to 160 records; of a customer that is only
// just over its share there are rows of a few.
const ROWS_MIN = 2;
const ROWS_MAX = 64;
// Customers whose few records fill up a batch; each costs a read.
const CUSTOMERS_MAX = 16;

/** The held rows of a link. */
type HeldLink = {
  link: string;
  turns: HeldTurns;
  /** Of one customer and claim. */
  rowsMax: number;
  /** Until then no batch of it begins. */
  restUntilMs: number;
};

/** Starts batches until the sender stops. */
export async function sendHeld(deps: HeldDeps, lane: Lane): Promise<void> {
  const { pool, batches, rates, log, isStopping } = deps;
  const links = new Map<string, HeldLink>();
  let lookedMs = Number.NEGATIVE_INFINITY;
  // Where the next look begins: if there are more customers than one look finds, each has its turn too.
  let after = 0;
  const found = (customers: readonly HeldCustomer[]) => {
    const isAll = after === 0 && customers.length < HELD_CUSTOMERS_MAX;
    const byLink = Map.groupBy(customers, (one) => one.link);
    for (const link of byLink.keys()) if (!links.has(link)) links.set(link, heldLink(link, rates));
    for (const [link, { turns }] of links)
      turns.found(
        (byLink.get(link) ?? []).map(({ customerId }) => customerId),
        isAll,
      );
    // The last one may have more links.
    after = customers.length < HELD_CUSTOMERS_MAX ? 0 : (customers.at(-1) as HeldCustomer).customerId - 1;
  };
  while (!isStopping()) {
    if (monotonicMs() - lookedMs >= LOOK_MS) {
      lookedMs = monotonicMs();
      await heldCustomers(pool, lane, after).then(found, (err: unknown) =>
        log.debug({ err }, "can't look for held rows: the database failed"),
      );
    }
    for (const [link, { turns }] of links) if (turns.isEmpty()) links.delete(link);
    if (links.size === 0) {
      await sleep(IDLE_MS);
      continue;
    }
    const started = [...links.values()].filter((held) => startOf(deps, lane, held));
    if (started.length === 0) await batches.changed();
  }
}

const heldLink = (link: string, rates: CustomerRates | undefined): HeldLink => ({
  link,
  turns: createHeldTurns(rates),
  rowsMax: ROWS_MIN,
  restUntilMs: Number.NEGATIVE_INFINITY,
});

/** Starts a batch of this link if one may be started; false: none was. */
function startOf(deps: HeldDeps, lane: Lane, held: HeldLink): boolean {
  const { fleet, batches } = deps;
  const { link, turns } = held;
  const room = monotonicMs() < held.restUntilMs ? null : batches.room("held", link);
  if (room === null) return false;
  const allowance = fleet.allow(link);
  const allowed = allowedBy(allowance);
  if (allowed === 0) return false;
  const next = turns.next();
  if (next === null) {
    fleet.report(link, NO_TALLIES);
    return false;
  }
  const messages = Math.min(room.messages, allowed);
  const most = { messages, parts: Math.min(room.parts, messages * TEXT_PARTS_MAX) };
  const customers = [...new Set([next, ...turns.after(CUSTOMERS_MAX)])];
  batches.start("held", most, batchOf(deps, { lane, held, customers, most, allowance }), nothing);
  return true;
}

/** The end of a batch leaves nothing to do here: its rows ended with its claim. */
const nothing = () => undefined;

type HeldBatch = {
  lane: Lane;
  held: HeldLink;
  customers: readonly number[];
  most: BatchSize;
  allowance: Allowance;
};

function batchOf(
  { pool, counts }: HeldDeps,
  { lane, held, customers, most, allowance }: HeldBatch,
): BatchRequest {
  const { link, turns } = held;
  const seen = new Map<string, LaneRecord>();
  return {
    lane,
    link,
    allowance,
    async claim({ claimId, nowMs, again }) {
      const bounds = { recordsMax: most.messages, partsMax: most.parts, rowsMax: held.rowsMax };
      const request = { claimId, lane, link, customers, nowMs, ...bounds };
      const claimed = await claimHeld(pool, request, seen, again);
      counts.unheld_total += claimed.read;
      if (claimed.read < most.messages / 2) held.restUntilMs = monotonicMs() + SHORT_WAIT_MS;
      if (claimed.rows > 0) held.rowsMax = rowsFor(claimed.read / claimed.rows);
      claimed.empty.forEach(turns.ended);
      for (const [customerId, of] of Map.groupBy(claimed.records, (record) => record.customerId))
        turns.took(customerId, partsOf(of));
      return claimed;
    },
    // What they waited says nothing about the lane: others of it don't wait for what is held.
    took: () => undefined,
  };
}

const partsOf = (records: readonly LaneRecord[]): number =>
  records.reduce((sum, { parts }) => sum + parts, 0);

/** How many rows make up a full batch, if they have this many records each. */
const rowsFor = (records: number): number =>
  Math.max(ROWS_MIN, Math.min(ROWS_MAX, Math.ceil(CLAIM_ROWS_MAX / Math.max(1, records))));
