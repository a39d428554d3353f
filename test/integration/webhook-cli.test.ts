// `./sluice webhook list|replay|resume` on deliveries that have failed, what a person delivers again for a
// customer; and what `remove` leaves. Settings and secrets by the command: cli.test.ts; replays by the API:
// webhook.test.ts.

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ALL_STATUSES } from "../../src/core/callback.ts";
import { createIdFactory, ulidTimeMs } from "../../src/core/id.ts";
import { takeEvents } from "../../src/ledger/webhook-deliveries.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { testEnv } from "../../src/stack/test-env.ts";
import { projectRoot } from "../../src/stack/tools.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";

const newId = createIdFactory({ now: Date.now });
let db: TestDatabase;
let pool: Pool;
let customerId: number;
/** The events of three messages, a minute apart. */
let events: [first: string, second: string, third: string];
// Registered before testEnv's own hook, which may stop the engines.
afterAll(async () => {
  await pool.end();
  await db.drop();
  rmSync(folder, { recursive: true, force: true });
});
const { config, env } = await testEnv();
const folder = mkdtempSync(join(tmpdir(), "sluice-test-webhook-cli-"));
beforeAll(async () => {
  db = await createTestDatabase(config);
  pool = createPool(db.config, { connections: 2, multipleStatements: true });
});
beforeEach(async () => {
  customerId = await insertCustomer(pool, 1_000_000);
  for (const minutes of [3, 2, 1]) {
    const callback = { url: null, statuses: ALL_STATUSES };
    const createdAtMs = Date.now() - minutes * 60_000;
    await acceptMessages(pool, [laneRecord(customerId, { id: newId(), createdAtMs, callback })]);
  }
  await takeEvents(pool, 10);
  await pool.write(
    "UPDATE webhook_deliveries SET state='failed', run_at=NULL, attempts=3, code=500, error='answered 500' " +
      "WHERE customer_id=?",
    [customerId],
  );
  await pool.write(
    "UPDATE webhook_endpoints SET state='paused', run_at=NULL, failures=12 WHERE customer_id=?",
    [customerId],
  );
  events = (await rows()).map(({ event_id }) => event_id) as typeof events;
});

const rows = () =>
  pool.query<{ event_id: string; state: string }[]>(
    "SELECT event_id, state FROM webhook_deliveries WHERE customer_id=? ORDER BY event_id",
    [customerId],
  );
const states = async () => (await rows()).map(({ state }) => state);
const endpoint = async () =>
  (
    await pool.query<{ state: string; failures: number; isDue: number | null }[]>(
      "SELECT state, failures, run_at <= NOW(3) AS isDue FROM webhook_endpoints WHERE customer_id=?",
      [customerId],
    )
  )[0];
const webhook = (command: string, ...args: string[]) => {
  const all = ["webhook", command, "--customer", String(customerId), ...args];
  const { status, stdout, stderr } = spawnSync(join(projectRoot, "sluice"), all, {
    env: { ...env, SLUICE_MYSQL_DATABASE: db.config.mysqlDatabase, SLUICE_STATE: folder },
    encoding: "utf8",
  });
  return { code: status, stdout, stderr };
};
const replayed = (...args: string[]): unknown => JSON.parse(webhook("replay", ...args, "--json").stdout);
const timeOf = (event: string): string => new Date(ulidTimeMs(event)).toISOString();

test("what failed is listed with the reason, newest first", () => {
  const [first, second, third] = events;
  const { deliveries } = JSON.parse(webhook("list", "--state", "failed", "--json").stdout) as {
    deliveries: { id: string }[];
  };
  expect(deliveries.map(({ id }) => id)).toEqual([third, second, first]);
  expect(deliveries[0]).toMatchObject({ last_code: 500, last_error: "answered 500", attempts: 3 });
  expect(webhook("list", "--state", "pending").stdout).toBe("no deliveries\n");
});

test("one, a span of time and all that failed are delivered again, and their endpoint is called again", async () => {
  const [first, second, third] = events;
  expect(replayed("--id", first)).toEqual({ replayed: 1 });
  expect(await states()).toEqual(["pending", "failed", "failed"]);
  expect(await endpoint()).toEqual({ state: "active", failures: 0, isDue: 1 });
  expect(replayed("--from", timeOf(second), "--to", timeOf(third))).toEqual({ replayed: 1 });
  expect(await states()).toEqual(["pending", "pending", "failed"]);
  expect(replayed("--failed")).toEqual({ replayed: 1 });
  expect(await states()).toEqual(["pending", "pending", "pending"]);
  expect(replayed("--failed")).toEqual({ replayed: 0 });
});

test("a paused endpoint is resumed without a replay, once; another customer's events are nobody's", async () => {
  expect(webhook("resume").stdout).toBe(`customer_id: ${customerId}\nresumed: 1\n`);
  expect(await endpoint()).toMatchObject({ state: "active", failures: 0 });
  expect(await states()).toEqual(["failed", "failed", "failed"]);
  expect(webhook("resume").stdout).toContain("resumed: 0");
  const [event] = events;
  customerId = await insertCustomer(pool, 1);
  const refused = webhook("replay", "--id", event);
  expect([refused.code, refused.stdout]).toEqual([1, ""]);
  expect(refused.stderr).toContain("no delivery");
});

test("a webhook that is removed ends all that is pending at once, also what an endpoint that fails put off", async () => {
  const [first] = events;
  expect(webhook("set", "--url", "https://example.com/sms").code).toBe(0);
  const putOff = async () => {
    await pool.write(
      "UPDATE webhook_deliveries SET state='pending', error=NULL, code=NULL, " +
        "run_at=NOW(3) + INTERVAL 3 HOUR WHERE customer_id=? AND event_id<>?",
      [customerId, first],
    );
    await pool.write(
      "UPDATE webhook_endpoints SET failures=12, run_at=NOW(3) + INTERVAL 3 HOUR WHERE customer_id=?",
      [customerId],
    );
  };
  await putOff();
  const removed = (): unknown => JSON.parse(webhook("remove", "--json").stdout);
  const of = { customer_id: String(customerId) };
  expect(removed()).toEqual({ ...of, removed: true, ended: 2 });
  expect(await states()).toEqual(["failed", "failed", "failed"]);
  const { deliveries } = JSON.parse(webhook("list", "--json").stdout) as {
    deliveries: { id: string; last_error: string; next_attempt_at: string | null }[];
  };
  expect(deliveries.map(({ last_error, next_attempt_at }) => [last_error, next_attempt_at])).toEqual([
    ["the customer has no webhook URL any more", null],
    ["the customer has no webhook URL any more", null],
    ["answered 500", null],
  ]);
  expect(await endpoint()).toEqual({ state: "active", failures: 0, isDue: 1 });

  // As if it had been killed half-way.
  await putOff();
  expect(removed()).toEqual({ ...of, removed: false, ended: 2 });
  expect(removed()).toEqual({ ...of, removed: false, ended: 0 });
});
