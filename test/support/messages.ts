// Messages as ingest stores them, for tests of later stages: a customer with a balance, a lease, and the
// group commit's own transaction. Leaves HTTP to the tests of ingest.

import { createIdFactory } from "../../src/core/id.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { acceptBatch, type HeldLinkOf } from "../../src/ledger/accept.ts";
import { createLeaseStore } from "../../src/ledger/lease.ts";
import { topUp } from "../../src/ledger/topup.ts";
import type { Pool } from "../../src/platform/mysql.ts";
import { newTraceparent } from "../../src/platform/trace.ts";

const id = createIdFactory({ now: Date.now });

/** Creates a customer with this much credit. `pool` must allow several statements. */
export async function insertCustomer(pool: Pool, balance: number): Promise<number> {
  const { insertId } = await pool.write(
    "INSERT INTO customers (name,price_normal,price_express) VALUES ('test',500,700)",
  );
  const customerId = Number(insertId);
  await pool.write(`INSERT INTO wallet_accounts (customer_id) VALUES (${customerId})`);
  await topUp({ pool, id, now: Date.now }, customerId, balance, id());
  return customerId;
}

export function laneRecord(customerId: number, fields: Partial<LaneRecord> = {}): LaneRecord {
  return {
    id: id(),
    customerId,
    phone: "+989121234567",
    text: "hello",
    from: null,
    reference: null,
    lane: "normal",
    encoding: "gsm7",
    parts: 1,
    cost: 500,
    createdAtMs: Date.now(),
    attempt: 0,
    guaranteedByMs: null,
    validUntilMs: null,
    traceparent: newTraceparent(),
    ...fields,
  };
}

/**
 * Stores the messages as one group commit does: messages, entries, outbox rows, and their cost reserved
 * through a lease that is returned afterwards; that of unreserved ones is not.
 */
export async function acceptMessages(
  pool: Pool,
  records: LaneRecord[],
  heldLinkOf: HeldLinkOf = () => null,
): Promise<void> {
  const nodeId = id();
  const leases = createLeaseStore({ pool, id, now: Date.now }, { nodeId, ttlMs: 60_000 });
  await leases.register();
  const costs = new Map<number, number>();
  for (const r of records)
    if (r.unreserved !== true) costs.set(r.customerId, (costs.get(r.customerId) ?? 0) + r.cost);
  const spends = [...costs].map(([customerId, amount]) => ({ customerId, epoch: 1, amount }));
  const wants = spends.map(({ customerId, amount }) => ({
    customerId,
    epoch: 1,
    costs: [amount],
    target: 0,
    unit: 0,
    held: false,
  }));
  const grants = wants.length === 0 ? [] : await leases.grant(wants, { skipLocked: false });
  if (grants.some((g) => g.granted !== costs.get(g.customerId)))
    throw new Error("the wallets don't hold that much");
  const batch = { nodeId, records, spends, keys: [], nowMs: Date.now() };
  await pool.use((conn) => acceptBatch(conn, batch, heldLinkOf));
  await leases.retire();
}
