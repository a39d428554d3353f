// `./sluice` for tests of what it prints, how it exits and what it stores: on the tests' engines, with a
// database of its own. Call testCli once in a test file, before anything registers hooks.

import { afterAll, beforeAll } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testEnv } from "../../src/stack/test-env.ts";
import { projectRoot } from "../../src/stack/tools.ts";
import { createTestDatabase, type TestDatabase } from "./database.ts";

export const launcher = join(projectRoot, "sluice");

export type Ran = { code: number | null; stdout: string; stderr: string };
export type RunOptions = { to?: string; cwd?: string; env?: Record<string, string> };

export async function testCli() {
  let database: TestDatabase;
  const stateFolder = mkdtempSync(join(tmpdir(), "sluice-test-cli-"));
  // Registered before testEnv's own hook, which may stop the engines.
  afterAll(async () => {
    await database.drop();
    rmSync(stateFolder, { recursive: true, force: true });
  });
  const { config, env } = await testEnv();
  const settings: Record<string, string> = { ...env, SLUICE_STATE: stateFolder };
  beforeAll(async () => {
    database = await createTestDatabase(config);
    settings.SLUICE_MYSQL_DATABASE = database.config.mysqlDatabase;
  });

  /** `to`: where its output goes instead. */
  const run = (args: string[], options: RunOptions = {}): Ran => {
    const script = options.to === undefined ? 'exec "$0" "$@"' : `exec "$0" "$@" >${options.to}`;
    const { status, stdout, stderr } = spawnSync("bash", ["-c", script, launcher, ...args], {
      env: { ...settings, ...options.env },
      encoding: "utf8",
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    return { code: status, stdout, stderr };
  };
  const json = (...args: string[]) => JSON.parse(run([...args, "--json"]).stdout) as Record<string, string>;
  const liveKeys = async (customerId: string): Promise<number> => {
    const live = "SELECT 1 FROM api_keys WHERE customer_id=? AND revoked_at IS NULL";
    return (await database.pool.query(live, [customerId])).length;
  };
  const customer = () => json("customer", "create", "--name", "Acme");
  return { run, json, liveKeys, customer, settings, stateFolder };
}
