// The queue's answers when the store fails: what each caller gets, and what happens to its credit. The store
// is scripted here; test/integration/commit-in-doubt.test.ts tests the real one.

import { expect, test } from "bun:test";
import { neverGone } from "../core/caller.ts";
import { COMMIT_WAIT_MAX_MS } from "../core/limits.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { type CommitBatch, CommitInDoubtError, FencedError } from "../ledger/accept.ts";
import { KeyTakenError } from "../ledger/idempotency.ts";
import { createLog } from "../platform/log.ts";
import { systemTimers, type Timers } from "../platform/timers.ts";
import { createGroupCommit } from "./group-commit.ts";
import type { CommitDeps } from "./commit-items.ts";
import type { Lease, Reservation } from "./lease-table.ts";

type Step = (batch: CommitBatch) => Error | null;
const lost = () => Object.assign(new Error("lost"), { code: "PROTOCOL_CONNECTION_LOST", fatal: true });
const refusedData = () => Object.assign(new Error("Data too long"), { errno: 1406, sqlState: "22001" });

const deadlock = () => Object.assign(new Error("Deadlock found"), { errno: 1213, sqlState: "40001" });
const lockWait = () => Object.assign(new Error("Lock wait timeout"), { errno: 1205, sqlState: "HY000" });

/** Timers whose sleeps take no time but are counted. */
function fastTimers(): Timers {
  let atMs = 0;
  return {
    ...systemTimers,
    monotonicMs: () => atMs,
    sleep(ms) {
      atMs += ms;
      return Promise.resolve();
    },
  };
}

function setUp(steps: Step[], isStored: boolean[] = [], timers = systemTimers) {
  const credit = { committed: [] as number[], returned: [] as number[], lost: [] as number[] };
  const batches: string[][] = [];
  const book: CommitDeps["book"] = {
    committed: ({ cost }) => void credit.committed.push(cost),
    giveBack: ({ cost }) => void credit.returned.push(cost),
    lost: ({ cost }) => void credit.lost.push(cost),
  };
  const store = {
    accept(batch: CommitBatch) {
      batches.push(batch.records.map((r) => r.id));
      const error = (steps.shift() ?? (() => null))(batch);
      return error === null ? Promise.resolve() : Promise.reject(error);
    },
    isStored: () => Promise.resolve(isStored.shift() ?? false),
  };
  const counts = { commits_total: 0, accepted_total: 0, stored_with_grant_total: 0, in_doubt_total: 0 };
  const deps = { store, book, counts, timers, log: createLog("test", "silent") };
  const commits = createGroupCommit(deps, { connections: 1, nodeId: "node", now: () => 1 });
  const lease = { customerId: 7, epoch: 1 } as Lease;
  const send = async (id: string, cost: number, of: Lease | null = lease): Promise<string> => {
    const customerId = of?.customerId ?? 9;
    commits.admit(customerId);
    const record = { id, customerId, cost } as LaneRecord;
    const reservation: Reservation | null = of === null ? null : { lease: of, cost, balanceAfter: 0 };
    try {
      await commits.store(record, reservation, null, neverGone);
      return "stored";
    } catch (error) {
      return (error as { code?: string }).code ?? (error as Error).name;
    }
  };
  return { send, credit, batches, commits, counts };
}

test("a message that the database refuses does not fail the others of its batch", async () => {
  const bad: Step = ({ records }) => (records.some((r) => r.id === "c") ? refusedData() : null);
  const { send, credit, batches, commits } = setUp([bad, bad, bad, bad, bad, bad]);
  const ids = ["a", "b", "c", "d", "e"];
  const told = await Promise.all(ids.map((id, at) => send(id, at + 1)));
  expect(told).toEqual(["stored", "stored", "internal", "stored", "stored"]);
  expect(credit).toEqual({ committed: [1, 2, 4, 5], returned: [3], lost: [] });
  expect(batches).toEqual([ids, ["a", "b"], ["c", "d", "e"], ["c"], ["d", "e"]]);
  expect(commits.admitted()).toBe(0);
});

test("a commit in doubt that was stored is answered as stored, and not stored again", async () => {
  const { send, credit, batches, counts } = setUp([() => new CommitInDoubtError("lost")], [true]);
  expect(await send("a", 5)).toBe("stored");
  expect(credit).toEqual({ committed: [5], returned: [], lost: [] });
  expect(batches).toEqual([["a"]]);
  expect(counts.in_doubt_total).toBe(1);
});

test("a commit in doubt that was not stored is retried, under the same ids", async () => {
  const { send, credit, batches } = setUp([() => new CommitInDoubtError("lost"), lost], [false]);
  expect(await send("a", 5)).toBe("stored");
  expect(credit).toEqual({ committed: [5], returned: [], lost: [] });
  expect(batches).toEqual([["a"], ["a"], ["a"]]);
});

test("messages of a lease that was taken back leave the batch, with their credit", async () => {
  const gone = { customerId: 8, epoch: 4 } as Lease;
  const fence: Step = (batch) => new FencedError(batch.spends.filter((s) => s.customerId === 8));
  const { send, credit, batches } = setUp([fence]);
  const told = await Promise.all([send("a", 5), send("b", 6, gone)]);
  expect(told).toEqual(["stored", "unavailable"]);
  expect(credit).toEqual({ committed: [5], returned: [], lost: [6] });
  expect(batches).toEqual([["a", "b"], ["a"]]);
});

test("a message without a reservation is stored beside others, and no lease hears of it, however it ends", async () => {
  const spends: number[][] = [];
  const note: Step = (batch) => (spends.push(batch.spends.map(({ amount }) => amount)), null);
  const fence: Step = (batch) => new FencedError(batch.spends);
  const { send, credit, batches } = setUp([note, fence, note, refusedData, () => new KeyTakenError(["e"])]);
  expect(await Promise.all([send("a", 5), send("b", 6, null)])).toEqual(["stored", "stored"]);
  expect(await Promise.all([send("c", 7), send("d", 8, null)])).toEqual(["unavailable", "stored"]);
  expect(await send("x", 1, null)).toBe("internal");
  expect(await send("e", 9, null)).toBe("KeyTakenError");
  expect(spends).toEqual([[5], []]);
  expect(credit).toEqual({ committed: [5], returned: [], lost: [7] });
  expect(batches).toEqual([["a", "b"], ["c", "d"], ["d"], ["x"], ["e"]]);
});

test("a message whose key is owned by another leaves the batch, with its credit", async () => {
  const { send, credit, batches } = setUp([() => new KeyTakenError(["b"])]);
  const told = await Promise.all([send("a", 5), send("b", 6)]);
  expect(told).toEqual(["stored", "KeyTakenError"]);
  expect(credit).toEqual({ committed: [5], returned: [6], lost: [] });
  expect(batches).toEqual([["a", "b"], ["a"]]);
});

test("a deadlock or a lock wait repeats the whole transaction, as often as necessary", async () => {
  const { send, credit, batches } = setUp([deadlock, lockWait, deadlock]);
  expect(await Promise.all([send("a", 5), send("b", 6)])).toEqual(["stored", "stored"]);
  expect(batches).toEqual(Array.from({ length: 4 }, () => ["a", "b"]));
  expect(credit).toEqual({ committed: [5, 6], returned: [], lost: [] });
});

test("but no longer than COMMIT_WAIT_MAX_MS: then 503, nothing stored, credit returned", async () => {
  const timers = fastTimers();
  const { send, credit, batches } = setUp(
    Array.from({ length: 500 }, () => deadlock),
    [],
    timers,
  );
  expect(await send("a", 5)).toBe("unavailable");
  expect(timers.monotonicMs()).toBeGreaterThanOrEqual(COMMIT_WAIT_MAX_MS);
  expect(batches.length).toBeGreaterThan(20);
  expect(batches.length).toBeLessThan(60);
  expect(credit).toEqual({ committed: [], returned: [5], lost: [] });
});

test("a permanent error is not retried", async () => {
  const full = () => Object.assign(new Error("The table is full"), { errno: 1114, sqlState: "HY000" });
  const { send, credit, batches } = setUp([full]);
  expect(await Promise.all([send("a", 5), send("b", 6)])).toEqual(["unavailable", "unavailable"]);
  expect(batches).toEqual([["a", "b"]]);
  expect(credit).toEqual({ committed: [], returned: [5, 6], lost: [] });
});

test("an outcome that stays in doubt for too long is reported as such, and its credit is given up with its lease", async () => {
  const unknown = () => new CommitInDoubtError("lost");
  const timers = fastTimers();
  const { send, credit, commits } = setUp(
    Array.from({ length: 500 }, () => unknown),
    [],
    timers,
  );
  const told = await Promise.all([send("a", 5), send("b", 6, null)]);
  expect(told).toEqual(["outcome_unknown", "outcome_unknown"]);
  expect(credit).toEqual({ committed: [], returned: [], lost: [5] });
  expect(commits.admitted()).toBe(0);
});
