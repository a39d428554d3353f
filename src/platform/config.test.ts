import { expect, test } from "bun:test";
import { describeSettings, loadConfig, loadRoleConfig, settings } from "./config.ts";
import { brokerList, brokersOf } from "./kafka/brokers.ts";

test("a process's health port follows from its role and number, unless it is set", () => {
  expect(loadRoleConfig({}, 20).healthPort).toBe(19_320);
  expect(loadRoleConfig({ SLUICE_PROCESS_NUMBER: "3" }, 20).healthPort).toBe(19_322);
  expect(loadRoleConfig({ SLUICE_HEALTH_PORT: "" }, 20).healthPort).toBe(19_320);
  const given = { SLUICE_HEALTH_PORT: "9000", SLUICE_PROCESS_NUMBER: "3" };
  expect(loadRoleConfig(given, 20).healthPort).toBe(9_000);
  expect(() => loadRoleConfig({ SLUICE_PROCESS_NUMBER: "11" }, 20)).toThrow(
    "SLUICE_PROCESS_NUMBER=11: must be a whole number from 1 to 10",
  );
});

test("health ports have an address of their own, loopback unless set", () => {
  expect(loadConfig({ SLUICE_API_HOST: "0.0.0.0" })).toMatchObject({
    apiHost: "0.0.0.0",
    healthHost: "127.0.0.1",
  });
  expect(loadConfig({ SLUICE_HEALTH_HOST: "192.0.2.10" })).toMatchObject({
    apiHost: "127.0.0.1",
    healthHost: "192.0.2.10",
  });
});

test("--help shows a role's own default", () => {
  const line = (text: string): string => text.split("\n").find((each) => each.includes("HEALTH_PORT")) ?? "";
  expect(line(describeSettings())).toEndWith(`default ${settings.healthPort.fallback}`);
  expect(line(describeSettings({ healthPort: 19_320 }))).toEndWith("default 19320");
});

test("Kafka's addresses are a list of hosts, and whatever else is given is refused by its name", () => {
  const listed = "k1.internal,10.0.0.2:9093";
  const config = loadConfig({ SLUICE_KAFKA_HOST: listed, SLUICE_KAFKA_PORT: "9092" });
  expect(brokersOf(config)).toEqual([
    { host: "k1.internal", port: 9_092 },
    { host: "10.0.0.2", port: 9_093 },
  ]);
  expect(brokerList(config)).toBe("k1.internal:9092,10.0.0.2:9093");
  expect(loadConfig({ SLUICE_CLICKHOUSE_KAFKA: "" }).clickhouseKafka).toBe("");
  for (const bad of ["", "k1,", "k1, k2", "k1:port", "[::1]:9092", "k1;k2"])
    expect(() => loadConfig({ SLUICE_KAFKA_HOST: bad })).toThrow(`SLUICE_KAFKA_HOST=${bad}: must be hosts`);
  expect(() => loadConfig({ SLUICE_CLICKHOUSE_KAFKA: "k'1" })).toThrow("SLUICE_CLICKHOUSE_KAFKA");
});
