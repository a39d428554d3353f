import { describe, expect, test } from "bun:test";
import { loadConfig } from "../config.ts";
import { topicSpecs } from "./topics.ts";

describe("every topic is created", () => {
  for (const [given, replicas, synced] of [
    [undefined, 1, "1"],
    ["2", 2, "1"],
    ["3", 3, "2"],
    ["5", 5, "2"],
  ] as const)
    test(`with ${replicas} copies, of which ${synced} must have a record before it is acknowledged`, () => {
      const specs = topicSpecs(loadConfig({ SLUICE_KAFKA_REPLICAS: given }));
      expect(specs.map(({ topic }) => topic)).toEqual([
        "sms.normal",
        "sms.express",
        "sms.status",
        "wallet.ledger",
      ]);
      for (const { replication_factor, config } of specs)
        expect([replication_factor, config["min.insync.replicas"]]).toEqual([replicas, synced]);
    });
});
