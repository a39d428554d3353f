// The stack that tests use: engines of its own, beside those that a developer may be running. Call
// `const { config, env } = await testEnv()` at the top of an integration test, outside its tests: it makes
// sure that MySQL, Kafka and ClickHouse answer and returns the settings to reach them (`env` is for roles
// that a test starts). `make test` starts the engines before all tests and stops them afterwards; for a
// single test run by hand they are started here (5 s) and stopped after its last test. State: .sluice-test/
// (SLUICE_TEST_STATE). Ports: the defaults + 10,000 (SLUICE_TEST_PORTS), below the range that the kernel uses
// for outgoing connections, so that no such connection can occupy one.

import { resolve } from "node:path";
import { type Config, loadConfig, settings } from "../platform/config.ts";
import { createEngines } from "./engines.ts";
import { identify, readRecords } from "./process.ts";
import { clearOrphans, sortRecords, startEngines, stopAll } from "./stack.ts";
import { findTools, projectRoot } from "./tools.ts";

export type TestEnv = { config: Config; env: Record<string, string>; stateFolder: string };

let started: Promise<TestEnv> | undefined;

/**
 * Returns the same stack to every caller in this process. @throws Error with the last lines of the log of an
 * engine that fails
 */
export function testEnv(): Promise<TestEnv> {
  started ??= start();
  return started;
}

/** Only the settings, as `make test` exports them. Starts nothing. */
export function testSettings(given: Record<string, string | undefined>): Record<string, string> {
  const offset = Number(given.SLUICE_TEST_PORTS ?? 10_000);
  const ports = Object.values(settings).flatMap((setting) =>
    setting.kind === "number" && setting.env.endsWith("_PORT")
      ? [[setting.env, String(setting.fallback + offset)]]
      : [],
  );
  return {
    ...(Object.fromEntries(ports) as Record<string, string>),
    SLUICE_STATE: resolve(projectRoot, given.SLUICE_TEST_STATE ?? ".sluice-test"),
    SLUICE_MYSQL_DATABASE: "sluice_test",
    SLUICE_CLICKHOUSE_DATABASE: "sluice_test",
  };
}

async function start(): Promise<TestEnv> {
  const wanted = testSettings(process.env);
  const env = { ...(process.env as Record<string, string>), ...wanted };
  const config = loadConfig(env);
  const stateFolder = config.stateFolder;
  const quiet = () => undefined;
  await clearOrphans(stateFolder, quiet);
  const { supervised, background } = sortRecords(stateFolder);
  const running = new Set([...supervised, ...background].map(({ name }) => name));
  const engines = createEngines(config, findTools(env), stateFolder);
  await startEngines(
    engines.filter(({ name }) => !running.has(name)),
    stateFolder,
    identify(process.pid),
    quiet,
  );
  const { afterAll } = await import("bun:test"); // only available in a test run
  afterAll(() => stopOwn(stateFolder), 30_000);
  return { config, env, stateFolder };
}

async function stopOwn(stateFolder: string): Promise<void> {
  started = undefined;
  const own = readRecords(stateFolder).filter(({ owner }) => owner?.pid === process.pid);
  await stopAll(own, stateFolder, () => undefined);
}
