import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { kafkaSettings, mysqlSettings } from "./engines.ts";
import { projectRoot } from "./tools.ts";

type Service = {
  image: string;
  command?: string[];
  environment?: Record<string, string>;
  ports: string[];
  volumes: string[];
};
const file = join(projectRoot, "docker-compose.yml");
const compose = Bun.YAML.parse(await Bun.file(file).text()) as {
  services: Record<string, Service>;
  volumes: Record<string, null>;
};
const service = (name: string): Service => {
  const found = compose.services[name];
  if (found === undefined) throw new Error(`no service ${name}`);
  return found;
};

test("the containers are the three official images, each pinned to a version", () => {
  const images = Object.entries(compose.services).map(([name, { image }]) => [name, ...image.split(":")]);
  expect(images.map(([name, image]) => [name, image])).toEqual([
    ["mysql", "mysql"],
    ["kafka", "apache/kafka"],
    ["clickhouse", "clickhouse/clickhouse-server"],
  ]);
  for (const [, , version] of images) expect(version).toMatch(/^\d+\.\d+/);
});

test("every port is published on loopback only, with the local stack's default", () => {
  expect(Object.values(compose.services).flatMap(({ ports }) => ports)).toEqual([
    "127.0.0.1:${SLUICE_MYSQL_PORT:-13306}:3306",
    "127.0.0.1:${SLUICE_KAFKA_PORT:-19092}:9092",
    "127.0.0.1:${SLUICE_CLICKHOUSE_PORT:-18123}:8123",
  ]);
});

test("MySQL in a container has exactly the local stack's settings", () => {
  const given = (service("mysql").command ?? []).map((flag) => flag.replace(/^--/, "").split("="));
  expect(Object.fromEntries(given)).toEqual(mysqlSettings);
});

test("deploy/systemd has MySQL's settings for any machine: all but how long the local binlog is kept", async () => {
  const page = await Bun.file(join(projectRoot, "deploy/systemd/README.md")).text();
  const block = /```ini\n(.*?)```/s.exec(page)?.[1] ?? "";
  const given = [...block.matchAll(/^([\w-]+) = (.*)$/gm)].map(([, name = "", value = ""]) => [name, value]);
  const without = (rows: string[][], ...names: string[]) =>
    Object.fromEntries(rows.filter(([name = ""]) => !names.includes(name)));
  expect(without(given, "bind-address", "innodb-buffer-pool-size")).toEqual({
    ...without(Object.entries(mysqlSettings), "binlog-expire-logs-seconds", "innodb-buffer-pool-size"),
    "log-bin-trust-function-creators": "ON", // here the user is root, who has SUPER
  });
});

test("Kafka in a container has all of the local stack's settings", () => {
  const wanted = Object.entries(kafkaSettings).map(([name, value]) => [
    `KAFKA_${name.toUpperCase().replaceAll(".", "_")}`,
    value,
  ]);
  expect(service("kafka").environment).toMatchObject(Object.fromEntries(wanted));
});

test("every volume that a container uses is declared, and every file that it mounts exists", () => {
  const sources = Object.values(compose.services).flatMap(({ volumes }) =>
    volumes.map((each) => each.split(":")[0] ?? ""),
  );
  const files = sources.filter((source) => source.startsWith("./"));
  for (const each of files) expect(existsSync(join(projectRoot, each))).toBe(true);
  const named = sources.filter((source) => !files.includes(source));
  expect(new Set(named)).toEqual(new Set(Object.keys(compose.volumes)));
});

// Debian's docker-compose checks the syntax without a Docker engine; where it isn't installed, the tests
// above must suffice.
test.if(Bun.which("docker-compose") !== null)("docker-compose itself accepts the file", () => {
  const { status, stderr } = spawnSync("docker-compose", ["-f", file, "config", "-q"], { encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
});
