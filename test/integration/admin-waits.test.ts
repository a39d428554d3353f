// The admin process and its connections to MySQL: a change over the API that waits, for a wallet or for
// credit, keeps nobody waiting who only reads, and no connection ends without a login.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { makeToken } from "../../src/control/admin-tokens.ts";
import { createIdFactory } from "../../src/core/id.ts";
import { createCustomer } from "../../src/customers/customers.ts";
import { sleep } from "../../src/platform/retry.ts";
import { projectRoot } from "../../src/stack/tools.ts";
import { createTestEngines, type TestEngines } from "../support/engines.ts";
import { adjustmentsHeldUp } from "../support/held-up.ts";
import { envOf } from "../support/ingest-process.ts";
import { freePorts } from "../support/ports.ts";
import { until } from "../support/roles.ts";

/** As many as an admin process has connections for changes. */
const WAITING = 4;

let engines: TestEngines;
let child: ChildProcess;
let url = "";
let healthUrl = "";
let token = "";
beforeAll(async () => {
  engines = await createTestEngines();
  const adminPort = await freePorts(2);
  url = `http://127.0.0.1:${adminPort}`;
  healthUrl = `http://127.0.0.1:${adminPort + 1}`;
  const settings = { ...engines.config, adminPort, healthPort: adminPort + 1 };
  child = spawn("bun", [join(projectRoot, "src/main/admin.ts")], {
    env: { ...process.env, ...envOf(settings) },
    stdio: "ignore",
  });
  const actor = { via: "cli", who: "tester", origin: "here" } as const;
  const by = { pool: engines.pool, actor, id: createIdFactory({ now: Date.now }) };
  ({ token } = await makeToken(by, { name: "sara", scope: "write" }));
  const isUp = () =>
    fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  await until(isUp, "the admin API answers", 60_000);
}, 120_000);
afterAll(async () => {
  child.kill("SIGTERM");
  await new Promise((resolve) => child.once("exit", resolve));
  await engines.drop();
});

test("no connection of its ends without a login: for a hundred in a row MySQL blocks its host", async () => {
  const aborted = async () => {
    const rows = await engines.pool.query<{ Value: string }[]>("SHOW GLOBAL STATUS LIKE 'Aborted_connects'");
    return rows[0]?.Value;
  };
  const before = await aborted();
  await sleep(5_000);
  expect(await aborted()).toBe(before);
  const ready = await fetch(`${healthUrl}/ready`);
  expect(await ready.json()).toMatchObject({ checks: { mysql: "ok" } });
});

const authorization = () => `Bearer ${token}`;

test("adjustments that wait for a wallet, with all connections that changes have, keep no reader waiting", async () => {
  const { pool } = engines;
  const customerId = await createCustomer(pool, {
    name: "busy",
    priceNormal: 500,
    priceExpress: 800,
    rateLimit: null,
  });
  const of = `${url}/admin/v1/customers/${customerId}`;
  const adjust = (n: number): Promise<Response> =>
    fetch(`${of}/adjustments`, {
      method: "POST",
      headers: {
        authorization: authorization(),
        "content-type": "application/json",
        "idempotency-key": `b-${n}`,
      },
      body: JSON.stringify({ amount: 100, reason: "goodwill" }),
    });
  const { waiting, read } = await pool.transaction(async (conn) => {
    await conn.query("SELECT 1 FROM wallet_accounts WHERE customer_id=? FOR UPDATE", [customerId]);
    const waiting = Array.from({ length: WAITING }, (_, n) => adjust(n));
    await until(async () => (await adjustmentsHeldUp(pool)) === WAITING, "all adjustments wait");
    const read = await Promise.race([
      fetch(of, { headers: { authorization: authorization() } }).then(({ status }) => status),
      sleep(3_000).then(() => "waits behind them"),
    ]);
    return { waiting, read };
  });
  const made = await Promise.all(waiting);
  expect([read, ...made.map(({ status }) => status)]).toEqual([200, ...made.map(() => 201)]);
});
