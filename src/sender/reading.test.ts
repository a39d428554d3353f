import { expect, test } from "bun:test";
import { laneRecord } from "../../test/support/messages.ts";
import { packLaneRecord } from "../core/lane-record.ts";
import { CLAIM_ROWS_MAX } from "../core/limits.ts";
import type { LinkOf } from "../ledger/held.ts";
import type { InRecord } from "../platform/kafka/consumer.ts";
import { createMetrics } from "../platform/metrics.ts";
import { createCounts } from "./counts.ts";
import { createLinkQueue } from "./link-queue.ts";
import { createOffsets } from "./offsets.ts";
import { StoppedError } from "./persist.ts";
import { type QueuedRecord, type ReadingDeps, readLane } from "./reading.ts";

const log = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, fatal() {} } as never;

type Setting = { fails?: readonly string[]; linkOf?: LinkOf; slow?: readonly string[] };
/** A sender that reads these values from partition 0 and then stops; each customer's share is one record. */
async function reading(values: Buffer[], { fails = [], linkOf = () => "A", slow = [] }: Setting = {}) {
  const done: string[] = [];
  let stopping = false;
  const offsets = createOffsets((partition, next) => done.push(`offset ${partition}:${next}`));
  const queue = createLinkQueue<QueuedRecord>({
    linkOf: ({ record }) => linkOf(record),
    customerOf: ({ record }) => record.customerId,
    partsOf: ({ record }) => record.parts,
    customerMax: 1,
    totalMax: 1_000,
  });
  const records = values.map((value, offset): InRecord => {
    return { partition: 0, offset, key: null, value, headers: undefined };
  });
  const counts = createCounts(createMetrics("test"));
  const deps: ReadingDeps = {
    consumer: {
      read: async () => {
        const some = records.splice(0);
        stopping = some.length === 0;
        return some;
      },
    },
    offsets,
    queue,
    linkOf,
    slowLinks: () => new Set(slow),
    pool: {
      write: async (sql: string) => {
        const links = [...sql.matchAll(/'(?:normal|express)',\d+,'(\w*)'/g)].map(([, link]) => link);
        done.push(sql.includes("dead_letters") ? "dead letter" : `held ${links.join(" ")}`);
        return { affectedRows: 1, insertId: 1, info: "" };
      },
    },
    persist: {
      run: (what, body) => (fails.includes(what) ? Promise.reject(new StoppedError("stopped")) : body(false)),
      isUp: () => true,
    },
    topic: "sms.express",
    counts,
    log,
    isStopping: () => stopping,
    onRead: () => void done.push("read"),
  };
  await readLane(deps, "express");
  const takeAll = () => queue.links().flatMap((link) => queue.take(link, 1_000));
  const settleAll = () => offsets.end(takeAll().map(({ handle }) => handle));
  return { done, counts, queue, settleAll };
}
const of = (customerId: number, phone = "+989121234567") => packLaneRecord(laneRecord(customerId, { phone }));

test("what is beyond a customer's share is held, and its offset advances once its row is stored", async () => {
  const { done, counts, queue, settleAll } = await reading([of(1), of(1), of(2), of(1)]);
  expect(done).toEqual(["read", "held A"]);
  expect(queue.size()).toBe(2);
  expect(counts).toMatchObject({ read_total: 4, held_total: 2 });
  settleAll();
  expect(done).toEqual(["read", "held A", "offset 0:4"]);
});

test("of a slow link a batch's worth waits in memory; the rest is held, and nothing of the others", async () => {
  const slowOnes = Array.from({ length: CLAIM_ROWS_MAX + 50 }, (_, customerId) => of(customerId));
  const others = Array.from({ length: 30 }, (_, customerId) => of(customerId, "+4915112345678"));
  const linkOf: LinkOf = ({ phone }) => (phone.startsWith("+98") ? "A" : "B");
  const { done, counts, queue, settleAll } = await reading([...slowOnes, ...others], { linkOf, slow: ["A"] });
  expect(done).toEqual(["read", `held ${Array<string>(50).fill("A").join(" ")}`]);
  expect(counts).toMatchObject({ read_total: CLAIM_ROWS_MAX + 80, held_total: 50 });
  expect(queue.size()).toBe(CLAIM_ROWS_MAX + 30);
  expect(queue.take("B", 100)).toHaveLength(30);
  settleAll();
  expect(done.at(-1)).toBe(`offset 0:${CLAIM_ROWS_MAX + 50}`);
});

test("an offset never passes a record that could not be held", async () => {
  const { done, counts, settleAll } = await reading([of(1), of(1), of(2)], { fails: ["hold"] });
  settleAll();
  expect(done).toEqual(["read", "offset 0:1"]);
  expect(counts.held_total).toBe(0);
});

test("a record that can't be read holds up no other one, and its offset waits for its dead letter", async () => {
  const junk = Buffer.from("junk");
  const kept = await reading([junk, of(1)]);
  kept.settleAll();
  expect(kept.done).toEqual(["read", "dead letter", "offset 0:1", "offset 0:2"]);
  expect(kept.counts).toMatchObject({ dead_total: 1, held_total: 0 });
  const lost = await reading([junk, of(1)], { fails: ["store dead letters"] });
  lost.settleAll();
  expect(lost.done).toEqual(["read"]);
});
