// A group commit whose store is answered by the test, on a fake clock.

import { type IsGone, neverGone } from "../../src/core/caller.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { createGroupCommit } from "../../src/ingest/group-commit.ts";
import type { CommitDeps } from "../../src/ingest/commit-items.ts";
import type { Lease } from "../../src/ingest/lease-table.ts";
import { type CommitBatch, CommitInDoubtError } from "../../src/ledger/accept.ts";
import type { KeyClaim } from "../../src/ledger/idempotency.ts";
import { createLog } from "../../src/platform/log.ts";
import { createFakeClock, settle } from "./fake-clock.ts";

export const lost = () => Object.assign(new Error("lost"), { code: "PROTOCOL_CONNECTION_LOST", fatal: true });
export const deadlock = () => Object.assign(new Error("deadlock"), { errno: 1213 });
export const inDoubt = () => new CommitInDoubtError("lost at COMMIT");
export const lease = (customerId: number, epoch = 1) => ({ customerId, epoch }) as Lease;

export function createScriptedQueue(connections = 1) {
  const clock = createFakeClock();
  const open: { batch: CommitBatch; done: (error?: Error) => void }[] = [];
  const credit = { committed: [] as number[], returned: [] as number[], lost: [] as number[] };
  const asked: CommitBatch[] = [];
  let stored: boolean | Error = false;
  const book: CommitDeps["book"] = {
    committed: ({ cost }) => void credit.committed.push(cost),
    giveBack: ({ cost }) => void credit.returned.push(cost),
    lost: (of) => void credit.lost.push(of.cost),
  };
  const store = {
    accept: (batch: CommitBatch) =>
      new Promise<void>((resolve, reject) =>
        open.push({ batch, done: (error) => (error === undefined ? resolve() : reject(error)) }),
      ),
    isStored: (batch: CommitBatch) => {
      asked.push(batch);
      return stored instanceof Error ? Promise.reject(stored) : Promise.resolve(stored);
    },
  };
  const counts = { commits_total: 0, accepted_total: 0, stored_with_grant_total: 0, in_doubt_total: 0 };
  const deps = { store, book, counts, timers: clock.timers, log: createLog("test", "silent") };
  const commits = createGroupCommit(deps, { connections, nodeId: "node", now: () => 77 });
  const told: string[] = [];
  const causes: unknown[] = [];
  const send = (
    id: string,
    of: Lease = lease(7),
    cost = 5,
    key: KeyClaim | null = null,
    isGone: IsGone = neverGone,
  ) => {
    commits.admit(of.customerId);
    const record = { id, customerId: of.customerId, cost } as LaneRecord;
    void commits.store(record, { lease: of, cost, balanceAfter: 0 }, key, isGone).then(
      () => told.push(`${id} stored`),
      (error: { code?: string; name: string; cause?: unknown }) => {
        told.push(`${id} ${error.code ?? error.name}`);
        causes.push(error.cause);
      },
    );
  };
  /** A batch of so many messages of 5 each. */
  const sendBatch = (id: string, messages: number, of: Lease = lease(7), isGone: IsGone = neverGone) => {
    commits.admit(of.customerId, messages);
    const records = Array.from(
      { length: messages },
      (_, at) => ({ id: `${id}${at}`, customerId: of.customerId, cost: 5 }) as LaneRecord,
    );
    const [first, ...others] = records as [LaneRecord, ...LaneRecord[]];
    const reservation = { lease: of, cost: 5 * messages, balanceAfter: 0 };
    void commits.store(first, reservation, null, isGone, others).then(
      () => told.push(`${id} stored`),
      (error: { code?: string; name: string }) => told.push(`${id} ${error.code ?? error.name}`),
    );
  };
  const sendMany = (count: number, of?: Lease) => {
    for (let i = 0; i < count; i++) send(`m${i}`, of);
  };
  const answerAll = async (error?: Error) => {
    for (const { done } of open.splice(0)) done(error);
    await settle();
  };
  const sizes = () => open.map(({ batch }) => batch.records.length);
  return {
    ...clock,
    open,
    credit,
    asked,
    commits,
    counts,
    told,
    causes,
    send,
    sendMany,
    sendBatch,
    answerAll,
    sizes,
    storedIs: (is: boolean | Error) => void (stored = is),
  };
}
