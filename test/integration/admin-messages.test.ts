// One message as whoever runs Sluice looks at it, by the admin API and by `./sluice message`: what it went
// through, whosever it is, by its id or its operator's, and never its text.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { Compile } from "typebox/compile";
import { declaredAdminRoutes } from "../../src/api/admin/table.ts";
import { makeToken } from "../../src/control/admin-tokens.ts";
import { ALL_STATUSES } from "../../src/core/callback.ts";
import { createIdFactory } from "../../src/core/id.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import { settleClaim } from "../../src/ledger/settle.ts";
import { takeEvents } from "../../src/ledger/webhook-deliveries.ts";
import { submitIdKey } from "../../src/operators/reports/matching.ts";
import type { Pool } from "../../src/platform/mysql.ts";
import { projectRoot } from "../../src/stack/tools.ts";
import { changeOf, type Outcome } from "../../src/sender/outcome.ts";
import { launcher } from "../support/cli.ts";
import { insertStatusEvents } from "../support/clickhouse.ts";
import { createTestEngines, type TestEngines } from "../support/engines.ts";
import { envOf } from "../support/ingest-process.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { freePorts } from "../support/ports.ts";
import { until } from "../support/roles.ts";

const CODE = "482915";
const id = createIdFactory({ now: Date.now });
let engines: TestEngines;
let pool: Pool;
let env: Record<string, string>;
let child: ChildProcess;
let url = "";
let token = "";
let customerId = 0;
/** Taken by A under hexadecimal ids, in two parts; told to its callback_url. */
let sent: LaneRecord;
/** Only the report knows under which id Echo took it. */
let echoed: LaneRecord;

beforeAll(async () => {
  engines = await createTestEngines();
  ({ pool } = engines);
  const adminPort = await freePorts(2);
  url = `http://127.0.0.1:${adminPort}`;
  env = envOf({ ...engines.config, adminPort, healthPort: adminPort + 1 });
  child = spawn("bun", [join(projectRoot, "src/main/admin.ts")], {
    env: { ...process.env, ...env },
    stdio: "ignore",
  });
  const actor = { via: "cli", who: "tester", origin: "here" } as const;
  ({ token } = await makeToken({ pool, actor, id }, { name: "reza", scope: "read" }));
  await makeMessages();
  await until(async () => (await fetch(`${url}/health`).catch(() => null))?.ok === true, "it answers");
});
afterAll(async () => {
  child.kill("SIGTERM");
  await new Promise((resolve) => child.once("exit", resolve));
  await engines.drop();
});

async function makeMessages(): Promise<void> {
  customerId = await insertCustomer(pool, 100_000);
  await pool.query(`UPDATE customers SET suspended_at=NOW(3) WHERE customer_id=${customerId}`);
  const callback = { url: "https://hooks.example.com/sms?token=hush", statuses: ALL_STATUSES };
  sent = laneRecord(customerId, { text: `Your code is ${CODE}`, parts: 2, cost: 1_000, callback });
  echoed = laneRecord(customerId);
  await acceptMessages(pool, [sent, echoed]);
  const hexadecimal = ["7F3A", "7F3B"].map((operatorMessageId) => ({
    idKey: submitIdKey(operatorMessageId, "hex_in_response"),
    operatorMessageId,
  }));
  await take(sent, { ...taken("A", ["7F3A", "7F3B"]), reported: hexadecimal });
  await take(echoed, taken("Echo", ["e-1"]));
  await takeEvents(pool, 100);
  await pool.query(
    "UPDATE webhook_deliveries SET state='failed', attempts=1, code=500, error='answered 500', " +
      `calls='${Date.now()}:500:31' WHERE status='sent' AND message_id='${sent.id}'`,
  );
  const { createdAtMs } = sent;
  const [row] = await pool.query<{ at: Date }[]>(
    `SELECT updated_at AS at FROM messages WHERE id='${sent.id}'`,
  );
  const event = { customer_id: customerId, created_at_ms: createdAtMs };
  const refused = { refused_by: ["B"], refused_why: ["B: 503 busy"], refused_at_ms: [createdAtMs + 1] };
  const asSent = { ...event, sequence: 4, status: "sent", updated_at_ms: row?.at.getTime() ?? 0 };
  await insertStatusEvents(engines.clickhouse, [
    { ...event, id: sent.id, sequence: 1, status: "queued", updated_at_ms: createdAtMs },
    { ...asSent, ...refused, id: sent.id, operator: "A", operator_message_id: "7F3A" },
    { ...asSent, id: echoed.id, operator: "Echo", operator_message_id: "e-1" },
  ]);
}

const taken = (operator: string, operatorMessageIds: string[]) =>
  ({ kind: "accepted", operator, operatorMessageIds, atMs: Date.now() }) as const;
async function take(record: LaneRecord, outcome: Outcome): Promise<void> {
  const [claimId, nowMs] = [id(), Date.now()];
  await claimMessages(pool, { claimId, lane: "normal", records: [record], nowMs });
  const changes = [changeOf(record, outcome, { nowMs, jitter: 1 })];
  await settleClaim({ pool, id }, { claimId, lane: "normal", changes, idsLeft: [], nowMs });
}

type Seen = Record<string, unknown> & {
  steps: Record<string, unknown>[];
  messages: { id: string }[];
  reported: object | null;
};
async function get(path: string, bearer = token): Promise<{ status: number; body: Seen; text: string }> {
  const answer = await fetch(`${url}/admin/v1/messages${path}`, {
    headers: { authorization: `Bearer ${bearer}` },
  });
  const text = await answer.text();
  const body = JSON.parse(text) as Seen;
  const declared = path.startsWith("/") ? "/admin/v1/messages/:id" : "/admin/v1/messages";
  const route = declaredAdminRoutes().find((each) => each.path === declared);
  if (answer.ok) expect([...Compile(route?.answers[200] ?? {}).Errors(body)].slice(0, 3)).toEqual([]);
  return { status: answer.status, body, text };
}
const run = (...args: string[]) => {
  const given = { ...process.env, ...env };
  const { status, stdout, stderr } = spawnSync(launcher, ["message", ...args], {
    env: given,
    encoding: "utf8",
  });
  return { code: status, stdout, stderr };
};
const find = (operator: string, quoted: string, more = "") =>
  get(`?operator=${operator}&operator_message_id=${quoted}${more}`);
const findByCommand = (operator: string, quoted: string, ...more: string[]) =>
  run("find", "--operator", operator, "--operator-message-id", quoted, ...more);

test("a message of a suspended customer is shown with its attempts, money and webhooks, and without its text", async () => {
  const { status, body, text } = await get(`/${sent.id.toLowerCase()}`);
  expect(status).toBe(200);
  expect(body).toMatchObject({
    id: sent.id,
    customer_id: String(customerId),
    status: "sent",
    operator: "A",
    operator_message_id: "7F3A",
    cost: 1_000,
    entries: [
      { op: "reserve", amount: 1_000 },
      { op: "capture", amount: 1_000 },
    ],
    webhooks: [
      { status: "queued", state: "pending", attempts: 0, endpoint: "https://hooks.example.com" },
      { status: "sent", state: "failed", attempts: 1, last_code: 500, last_error: "answered 500" },
    ],
  });
  expect(body.steps.map(({ step, answer }) => [step, answer])).toContainEqual(["attempt", "accepted"]);
  expect(body.steps.at(-1)).toMatchObject({ step: "webhook", status: "sent", code: 500, took_ms: 31 });

  const json = run("show", sent.id, "--json");
  expect(JSON.parse(json.stdout)).toEqual(body);
  const plain = run("show", sent.id);
  expect(plain.code).toBe(0);
  for (const line of [
    /^status: sent$/m,
    new RegExp(`^customer_id: ${customerId}$`, "m"),
    /^\S+Z +\d+ ms +attempt +1 +B +refused +B: 503 busy$/m,
    /^\S+Z +\d+ ms +attempt +1 +A +accepted$/m,
    /webhook .* sent to https:\/\/hooks.example.com: 500 after 31 ms$/m,
    /^\S+Z +capture +1000$/m,
    /^\S+Z +sent +failed +1 +500 +https:\/\/hooks.example.com$/m,
  ])
    expect(plain.stdout).toMatch(line);
  for (const shown of [text, json.stdout, plain.stdout]) {
    expect(shown).not.toContain(CODE);
    expect(shown).not.toContain("hush");
  }
});

test("a message is found by its operator's id, of any part, however the id is written", async () => {
  const decimal = String(Number.parseInt("7F3B", 16));
  for (const quoted of ["7F3A", "7f3b", "007F3A", decimal]) {
    const { body } = await find("A", quoted);
    expect([quoted, body.messages.map((each) => each.id), body.reported]).toEqual([quoted, [sent.id], null]);
  }
  expect((await find("B", "7F3A")).body.messages).toEqual([]);
  const before = await find("A", "7F3A", `&to=${new Date(sent.createdAtMs - 1_000).toISOString()}`);
  expect(before.body.messages).toEqual([]);
  const row = new RegExp(`^${sent.id} +${customerId} +\\${sent.phone} +sent +7F3A +\\S+Z$`, "m");
  expect(findByCommand("A", decimal).stdout).toMatch(row);
});

test("where an operator's reports name our ids the report finds the message, within a period that is told", async () => {
  const { body } = await find("Echo", "e-1");
  expect(body.messages.map((each) => each.id)).toEqual([echoed.id]);
  expect(body.reported).not.toBeNull();
  const { messages } = JSON.parse(findByCommand("Echo", "e-1", "--json").stdout) as Seen;
  expect(messages.map((each) => each.id)).toEqual([echoed.id]);
  const period = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z"];
  const none = findByCommand("Echo", "e-1", ...period);
  expect([none.code, none.stdout]).toEqual([1, ""]);
  expect(none.stderr).toContain("from 2026-01-01T00:00:00.000Z to 2026-01-02T00:00:00.000Z");
});

test("why an operator refuses is counted, with a message to look at", () => {
  const { stdout } = run("refusals", "--operator", "B");
  expect(stdout).toMatch(new RegExp(`^ *1  ${sent.id}  B: 503 busy$`, "m"));
  expect(run("refusals", "--operator", "A").stdout).toStartWith("none of the messages of ");
});

test("what is no message, no operator or no token is refused", async () => {
  expect((await get(`/${sent.id}`, "")).body).toMatchObject({ code: "admin_token_invalid" });
  for (const unknown of [id(), "x"]) {
    expect((await get(`/${unknown}`)).body).toMatchObject({ status: 404, code: "not_found" });
    expect(run("show", unknown)).toMatchObject({ code: 1, stdout: "", stderr: "sluice: No such message.\n" });
  }
  const future = await find("A", "7F3A", "&from=2999-01-01T00:00:00Z");
  expect(future.body.errors).toEqual([{ field: "from", reason: "must be before `to`" }]);
  expect((await get("?operator=1")).body.errors).toEqual([
    { field: "operator", reason: "must be an operator's name" },
    { field: "operator_message_id", reason: "is required" },
  ]);
});
