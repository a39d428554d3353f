// A real ingest process on a test's own database and free ports. The test starts and ends it; its log is
// kept.

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createIdFactory } from "../../src/core/id.ts";
import { createKey, type Scope, SCOPES_DEFAULT } from "../../src/customers/api-keys.ts";
import { createCustomer, type NewCustomer } from "../../src/customers/customers.ts";
import { topUp } from "../../src/ledger/topup.ts";
import { type Config, settings } from "../../src/platform/config.ts";
import { createPool } from "../../src/platform/mysql.ts";
import { holdDeclared } from "./declared.ts";
import { freePorts } from "./ports.ts";
import { sleep } from "../../src/platform/retry.ts";

export type IngestProcess = {
  url: string;
  healthUrl: string;
  pid: number;
  /** Everything it has logged so far. */
  log(): string;
  /**
   * Sends a signal and waits for the exit; returns the exit code, or the name of the signal that ended it.
   */
  end(signal?: NodeJS.Signals): Promise<number | string>;
};

const main = fileURLToPath(new URL("../../src/main/ingest.ts", import.meta.url));
const id = createIdFactory({ now: Date.now });

/** The environment that gives a process this config. */
export const envOf = (config: Config): Record<string, string> =>
  Object.fromEntries(
    Object.entries(settings).map(([key, { env }]) => [env, String(config[key as keyof Config])]),
  );

/** `aheadMs`: by how much its wall clock is ahead, as on a machine of its own; then it need not be ready. */
export async function startIngest(
  base: Config,
  overrides: Partial<Config> = {},
  { aheadMs = 0 } = {},
): Promise<IngestProcess> {
  const free = await freePorts(2);
  const [apiPort, healthPort] = [overrides.apiPort ?? free, free + 1];
  const config: Config = { ...base, ...overrides, apiPort, healthPort };
  const clock = fileURLToPath(new URL("clock-ahead.ts", import.meta.url));
  const child = spawn("bun", aheadMs === 0 ? [main] : ["--preload", clock, main], {
    env: { ...process.env, ...envOf(config), SLUICE_TEST_AHEAD_MS: String(aheadMs) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stdout.on("data", (chunk: Buffer) => (log += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()));
  const ended = new Promise<number | string>((resolve) =>
    child.once("exit", (code, signal) => resolve(code ?? signal ?? -1)),
  );
  const healthUrl = `http://127.0.0.1:${healthPort}`;
  await untilOk(child, `${healthUrl}${aheadMs === 0 ? "/ready" : "/health"}`, () => log);
  return {
    url: `http://127.0.0.1:${apiPort}`,
    healthUrl,
    pid: child.pid as number,
    log: () => log,
    end(signal = "SIGTERM") {
      child.kill(signal);
      return ended;
    },
  };
}

async function untilOk(child: ChildProcess, url: string, log: () => string): Promise<void> {
  for (let i = 0; i < 600; i++) {
    if (child.exitCode !== null) throw new Error(`ingest ended with ${child.exitCode}:\n${log()}`);
    if (
      await fetch(url).then(
        (r) => r.ok,
        () => false,
      )
    )
      return;
    await sleep(50);
  }
  child.kill("SIGKILL");
  throw new Error(`ingest did not answer within 30 s:\n${log()}`);
}

export type TestCustomer = { customerId: number; apiKey: string; keyId: string };

/** Creates a customer with a key and a balance. */
export async function makeCustomer(
  config: Config,
  balance: number,
  options: Partial<NewCustomer> & { scopes?: readonly Scope[] } = {},
): Promise<TestCustomer> {
  const { scopes = SCOPES_DEFAULT, ...given } = options;
  const pool = createPool(config, { connections: 1, multipleStatements: true });
  try {
    const customer = { name: "test", priceNormal: 500, priceExpress: 700, rateLimit: null, ...given };
    const customerId = await createCustomer(pool, customer);
    const { apiKey, keyId } = await createKey({ pool, id }, customerId, scopes);
    if (balance > 0) await topUp({ pool, id, now: Date.now }, customerId, balance, "opening");
    return { customerId, apiKey, keyId };
  } finally {
    await pool.end();
  }
}

/** Sends a POST and compares its answer with the table of routes. */
export async function post(
  url: string,
  apiKey: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": apiKey, ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const type = answer.headers.get("content-type");
  const text = await answer.clone().text();
  holdDeclared("POST", new URL(url).pathname, { status: answer.status, type, text });
  return answer;
}
