// `--stack compose`: the same engines as containers of docker-compose.yml, for machines with a Docker engine.
// Ports and database settings come from the same tables as the local stack's.

import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Config } from "../platform/config.ts";
import { sleep } from "../platform/retry.ts";
import { clickhouseAnswers, kafkaAnswers, mysqlAnswers } from "./probe.ts";
import { projectRoot } from "./tools.ts";

const readyMaxMs = 180_000; // the first start creates the data folders
const sayWaitingMs = 15_000;

/** Where the engines are: processes of the local stack, or containers of docker-compose.yml. */
export type StackKind = "local" | "compose";

/** What a migration must know: ClickHouse's container reaches the broker through the containers' network. */
export const migrateEnv = (stack: StackKind): Record<string, string> =>
  stack === "compose" ? { SLUICE_CLICKHOUSE_KAFKA: "kafka:9094" } : {};

export async function composeEngines(
  config: Config,
  report: (line: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  await compose(config, ["up", "--detach"], report);
  const startedAtMs = performance.now();
  let sayAtMs = sayWaitingMs;
  const answers = () =>
    Promise.all([
      mysqlAnswers(config.mysqlPort),
      kafkaAnswers(config.kafkaPort),
      clickhouseAnswers(config.clickhousePort),
    ]);
  while (!(await answers()).every(Boolean)) {
    signal?.throwIfAborted();
    const waitedMs = performance.now() - startedAtMs;
    if (waitedMs > readyMaxMs) throw new Error("the containers do not answer; see: docker compose logs");
    if (waitedMs > sayAtMs) {
      report(`the containers do not all answer after ${sayAtMs / 1000} s; still waiting`);
      sayAtMs += sayWaitingMs;
    }
    await sleep(500);
  }
  report("the containers of MySQL, Kafka and ClickHouse are ready");
}

export const composeStop = (config: Config, report: (line: string) => void): Promise<void> =>
  compose(config, ["stop"], report);

function compose(config: Config, args: string[], report: (line: string) => void): Promise<void> {
  const env = {
    ...process.env,
    SLUICE_MYSQL_PORT: String(config.mysqlPort),
    SLUICE_KAFKA_PORT: String(config.kafkaPort),
    SLUICE_CLICKHOUSE_PORT: String(config.clickhousePort),
  };
  report(`docker compose ${args.join(" ")}`);
  return new Promise((done, failed) => {
    spawn(
      "docker",
      ["compose", "--project-name", "sluice", "-f", join(projectRoot, "docker-compose.yml"), ...args],
      {
        env,
        stdio: ["ignore", "inherit", "inherit"],
      },
    )
      .on("error", (error) =>
        failed(
          new Error(`docker cannot be run (${error.message}). Without it use: ./sluice up --stack local`),
        ),
      )
      .on("close", (code) =>
        code === 0 ? done() : failed(new Error(`docker compose ${args.join(" ")} failed (exit ${code})`)),
      );
  });
}
