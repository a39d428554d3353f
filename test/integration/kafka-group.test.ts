// What Kafka answers about consumer groups, asked in its own protocol on the real broker.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type AddressInfo, createServer } from "node:net";
import { brokersOf } from "../../src/platform/kafka/brokers.ts";
import { describeGroup, storedOffsets } from "../../src/platform/kafka/group.ts";
import { senderGroup, topicOf } from "../../src/platform/kafka/topics.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { startIngest } from "../support/ingest-process.ts";
import { createDownstream, type Downstream, until } from "../support/roles.ts";

let down: Downstream;
beforeAll(async () => void (down = await createDownstream()), 60_000);
afterAll(() => down.end());

/** Nobody listens there. */
const DEAD = "127.0.0.1:9";
const brokers = () => brokersOf(down.config);

test("a group that never was has no members and no offsets", async () => {
  // A broker that has just been set up has no coordinators yet, and says so.
  const asked = () =>
    describeGroup(brokers(), "nobody").catch((error: Error) => {
      if (/Kafka's error 1[456]$/.test(error.message)) return null;
      throw error;
    });
  await until(async () => (await asked()) !== null, "the group has a coordinator");
  expect(await asked()).toEqual({ state: "Dead", members: [] });
  expect([...(await storedOffsets(brokers(), "nobody", "nothing"))]).toEqual([]);
});

test("a group's offsets are those that its reader has stored, of the topic asked for", async () => {
  const group = senderGroup(down.config, "normal");
  const topic = topicOf(down.config, "normal");
  await Promise.all(["A", "B", "C"].map((name) => down.startOperator(name as "A")));
  // One broker of the list is enough, wherever it stands.
  const kafkaHost = `${DEAD},${down.config.kafkaHost}`;
  await Promise.all([down.start("relay", { kafkaHost }), down.start("sender-normal", { kafkaHost })]);
  const customerId = await insertCustomer(down.pool, 10_000);
  await acceptMessages(down.pool, [laneRecord(customerId)]);
  const sum = async (of: string) => {
    const stored = await storedOffsets(brokers(), group, of);
    return [...stored.values()].reduce((total, offset) => total + Math.max(0, offset), 0);
  };
  await until(async () => (await sum(topic)) === 1, "the message's offset is stored");
  expect(await sum(topicOf(down.config, "express"))).toBe(0);
});

test("when no broker answers, the question fails", async () => {
  const asked = storedOffsets(brokersOf({ kafkaHost: `${DEAD},${DEAD}`, kafkaPort: 9 }), "nobody", "nothing");
  expect(await asked.catch((error: Error) => error.message)).toContain("ECONNREFUSED");
});

test("an address that refuses, and one that is silent, leave the question to the next", async () => {
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as AddressInfo;
  try {
    const { kafkaHost, kafkaPort } = down.config;
    const listed = brokersOf({ kafkaHost: `${DEAD},127.0.0.1:${port},${kafkaHost}`, kafkaPort });
    const group = senderGroup(down.config, "normal");
    const normal = topicOf(down.config, "normal");
    expect(await storedOffsets(listed, group, normal)).toEqual(await storedOffsets(brokers(), group, normal));
    expect((await describeGroup(listed, group)).members).toHaveLength(1);
  } finally {
    silent.close();
  }
});

test("an ingest process misses Kafka only when no address takes connections", async () => {
  const { kafkaHost } = down.config;
  const stateOf = async (listed: string) => {
    const ingest = await startIngest(down.config, { kafkaHost: listed });
    try {
      const answers = async () =>
        (await (await fetch(`${ingest.healthUrl}/ready`)).text()).includes('"kafka":"ok"');
      const isOk = listed.includes(",");
      await until(
        async () => (await answers()) === isOk,
        `of ${listed} kafka is ${isOk ? "ok" : "degraded"}`,
      );
      return isOk;
    } finally {
      await ingest.end("SIGKILL");
    }
  };
  expect(await stateOf(`${DEAD},${kafkaHost}`)).toBe(true);
  expect(await stateOf(DEAD)).toBe(false);
}, 60_000);
