// What Kafka answers about consumer groups, asked in its own protocol on the real broker.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { describeGroup, storedOffsets } from "../../src/platform/kafka/group.ts";
import { senderGroup, topicOf } from "../../src/platform/kafka/topics.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { createDownstream, type Downstream, until } from "../support/roles.ts";

let down: Downstream;
beforeAll(async () => void (down = await createDownstream()), 60_000);
afterAll(() => down.end());

const broker = () => ({ host: down.config.kafkaHost, port: down.config.kafkaPort });

test("a group that never was has no members and no offsets", async () => {
  // A broker that has just been set up has no coordinators yet, and says so.
  const asked = () =>
    describeGroup(broker(), "nobody").catch((error: Error) => {
      if (/Kafka's error 1[456]$/.test(error.message)) return null;
      throw error;
    });
  await until(async () => (await asked()) !== null, "the group has a coordinator");
  expect(await asked()).toEqual({ state: "Dead", members: [] });
  expect([...(await storedOffsets(broker(), "nobody", "nothing"))]).toEqual([]);
});

test("a group's offsets are those that its reader has stored, of the topic asked for", async () => {
  const group = senderGroup(down.config, "normal");
  const topic = topicOf(down.config, "normal");
  await Promise.all(["A", "B", "C"].map((name) => down.startOperator(name as "A")));
  await Promise.all([down.start("relay"), down.start("sender-normal")]);
  const customerId = await insertCustomer(down.pool, 10_000);
  await acceptMessages(down.pool, [laneRecord(customerId)]);
  const sum = async (of: string) => {
    const stored = await storedOffsets(broker(), group, of);
    return [...stored.values()].reduce((total, offset) => total + Math.max(0, offset), 0);
  };
  await until(async () => (await sum(topic)) === 1, "the message's offset is stored");
  expect(await sum(topicOf(down.config, "express"))).toBe(0);
});

test("when no broker answers, the question fails", async () => {
  const asked = storedOffsets({ ...broker(), port: 9 }, "nobody", "nothing");
  expect(await asked.catch((error: Error) => error.message)).toContain("ECONNREFUSED");
});
