// The three engines of the local stack: how each is prepared, started and found to be ready. MySQL and Kafka
// are the real servers; ClickHouse is chDB behind its HTTP interface (src/main/clickhouse-server.ts). All
// listen on loopback only and keep their data below the state folder. docker-compose.yml has the same
// settings; a test compares the two.

import { execFile } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Config } from "../platform/config.ts";
import type { ProcessSpec } from "./process.ts";
import { clickhouseAnswers, kafkaAnswers, mysqlAnswers } from "./probe.ts";
import { projectRoot, type Tools } from "./tools.ts";

export type Engine = ProcessSpec & {
  /** Creates what the first start needs; a crash in the middle leaves nothing half done. */
  prepare(signal?: AbortSignal): Promise<void>;
  /** Whether it answers a request in its own protocol. */
  ready(): Promise<boolean>;
  readyMaxMs: number;
};

const readyMaxMs = 5 * 60_000; // a crash recovery may have a full redo log to read, on a busy machine

/**
 * MySQL's settings, also used in docker-compose.yml. Durability first: a 202 means that it is on disk. All
 * but the binlog's six hours are for any machine, so deploy/systemd/README.md has them; a test compares.
 */
export const mysqlSettings: Readonly<Record<string, string>> = {
  "innodb-flush-log-at-trx-commit": "1",
  "sync-binlog": "1",
  "binlog-row-image": "MINIMAL", // keys and changed columns only, so less to write
  // Only here, where nobody reads it and no backup needs it; at full rate it grows by gigabytes an hour.
  "binlog-expire-logs-seconds": "21600",
  "transaction-isolation": "READ-COMMITTED",
  "default-time-zone": "+00:00",
  "max-connections": "300", // an ingest process opens 34 at most, the other roles fewer; tests beside them
  "innodb-buffer-pool-size": "1G",
  "innodb-redo-log-capacity": "2G", // minutes at full rate before a forced flush
  "innodb-flush-method": "O_DIRECT",
  "innodb-io-capacity": "2000",
  // OFF saves some 15 µs a message, but stops all commits for exactly 100 ms every few seconds.
  "innodb-log-writer-threads": "ON",
  "binlog-cache-size": "1M", // a group commit's rows; the default 32 KiB spills each to a temporary file
  "max-allowed-packet": "64M",
  "skip-name-resolve": "ON",
  "performance-schema": "OFF", // 5-10 % of the CPU of small statements
  "local-infile": "OFF",
  mysqlx: "OFF",
};

/** The broker's settings. Retention is longer than any rebuild of ClickHouse needs. */
export const kafkaSettings: Readonly<Record<string, string>> = {
  "auto.create.topics.enable": "false",
  "offsets.topic.replication.factor": "1",
  "offsets.topic.num.partitions": "4",
  "transaction.state.log.replication.factor": "1",
  "transaction.state.log.min.isr": "1",
  "transaction.state.log.num.partitions": "1",
  "share.coordinator.state.topic.replication.factor": "1",
  "share.coordinator.state.topic.min.isr": "1",
  "group.initial.rebalance.delay.ms": "0",
  "log.retention.hours": "168",
  "log.segment.bytes": "134217728",
  "num.network.threads": "2",
  "num.io.threads": "4",
  "message.max.bytes": "1048588",
};

const kafkaHeapFlags = [
  "-Xms128m",
  "-Xmx512m",
  "-XX:+UseSerialGC",
  // The optimizing compiler took 8 % of two busy cores for minutes after a start; this broker does little.
  "-XX:TieredStopAtLevel=1",
  "-Djava.awt.headless=true",
];

export function createEngines(config: Config, tools: Tools, stateFolder: string): Engine[] {
  return [
    mysqlEngine(config, tools, stateFolder),
    kafkaEngine(config, tools, stateFolder),
    clickhouseEngine(config, tools, stateFolder),
  ];
}

function mysqlEngine(config: Config, tools: Tools, stateFolder: string): Engine {
  const folder = join(stateFolder, "mysql");
  const data = join(folder, "data");
  const initFile = join(folder, "users.sql");
  const user = process.getuid?.() === 0 ? ["--user=root"] : [];
  const { command, flags } = tools.mysqld();
  const base = [...command, "--no-defaults", ...flags, "--secure-file-priv=", ...user];
  return {
    ...common("mysql", config.mysqlPort, stateFolder),
    nice: -5, // every accept waits for it
    stopMaxMs: 15_000,
    command: [
      ...base,
      `--datadir=${data}`,
      `--port=${config.mysqlPort}`,
      "--bind-address=127.0.0.1",
      "--socket=mysqld.sock", // in the data folder: a long path would not fit a socket's name
      "--pid-file=mysqld.pid",
      `--init-file=${initFile}`,
      ...Object.entries(mysqlSettings).map(([name, value]) => `--${name}=${value}`),
    ],
    async prepare(signal) {
      if (!existsSync(data)) {
        const fresh = join(folder, "data.new");
        rmSync(fresh, { recursive: true, force: true });
        mkdirSync(fresh, { recursive: true });
        await runOnce(
          "mysql",
          [...base, "--initialize-insecure", "--skip-log-bin", `--datadir=${fresh}`],
          folder,
          signal,
        );
        renameSync(fresh, data);
      }
      // `localhost` means the socket; since names aren't resolved, loopback counts as a host of its own.
      writeFileSync(
        initFile,
        [
          "SET sql_log_bin=0;",
          "CREATE USER IF NOT EXISTS 'root'@'127.0.0.1';",
          "GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n",
        ].join("\n"),
      );
    },
    ready: () => mysqlAnswers(config.mysqlPort),
    readyMaxMs,
  };
}

function kafkaEngine(config: Config, tools: Tools, stateFolder: string): Engine {
  const folder = join(stateFolder, "kafka");
  const data = join(folder, "data");
  const properties = join(folder, "server.properties");
  const java = [
    "java",
    ...kafkaHeapFlags,
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-cp",
    tools.kafkaJars(),
  ];
  return {
    ...common("kafka", config.kafkaPort, stateFolder),
    nice: 0,
    stopMaxMs: 10_000,
    command: [...java, "kafka.Kafka", properties],
    async prepare(signal) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(properties, kafkaProperties(config, data));
      if (existsSync(join(data, "meta.properties"))) return;
      rmSync(data, { recursive: true, force: true });
      await runOnce(
        "kafka",
        [...java, "kafka.tools.StorageTool", "format", "-t", kafkaClusterId, "-c", properties],
        folder,
        signal,
      );
    },
    ready: () => kafkaAnswers(config.kafkaPort),
    readyMaxMs,
  };
}

// Any 16 bytes in base64url. One state folder is one cluster, so all machines may use the same id.
const kafkaClusterId = "c2x1aWNlLWxvY2FsLTAwMQ";

function kafkaProperties(config: Config, data: string): string {
  const clients = `PLAINTEXT://127.0.0.1:${config.kafkaPort}`;
  const settings = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.quorum.voters": `1@127.0.0.1:${config.kafkaControllerPort}`,
    listeners: `${clients},CONTROLLER://127.0.0.1:${config.kafkaControllerPort}`,
    "advertised.listeners": clients,
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "log.dirs": data,
    ...kafkaSettings,
  };
  return Object.entries(settings).reduce((text, [name, value]) => `${text}${name}=${value}\n`, "");
}

function clickhouseEngine(config: Config, tools: Tools, stateFolder: string): Engine {
  return {
    ...common("clickhouse", config.clickhousePort, stateFolder),
    // Reports may lag by seconds, accepting messages may not. Any nicer, and two busy processes beside it
    // would leave it next to nothing: creating a table took seconds.
    nice: 10,
    stopMaxMs: 10_000,
    command: [tools.bun, join(projectRoot, "src/main/clickhouse-server.ts")],
    env: {
      ...process.env,
      SLUICE_STATE: stateFolder,
      SLUICE_CLICKHOUSE_HOST: "127.0.0.1",
      SLUICE_CLICKHOUSE_PORT: String(config.clickhousePort),
    },
    prepare: () => Promise.resolve(),
    ready: () => clickhouseAnswers(config.clickhousePort),
    readyMaxMs,
  };
}

function common(name: string, port: number, stateFolder: string) {
  return {
    role: name,
    name,
    port,
    cwd: projectRoot,
    env: process.env as Record<string, string | undefined>,
    logFile: join(stateFolder, "logs", `${name}.log`),
  };
}

async function runOnce(
  name: string,
  [file = "", ...args]: readonly string[],
  folder: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  await promisify(execFile)(file, args, { timeout: 120_000, ...(signal && { signal }) }).catch(
    (error: unknown) => {
      const said = (error as { stderr?: string }).stderr?.trim();
      throw new Error(`${name}: could not create its data folder: ${said || String(error)}`, {
        cause: error,
      });
    },
  );
}
