// The admin API as one walk: from a token to a customer that is created, priced, paid for, corrected,
// suspended and looked at, with every step in the audit log.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Compile } from "typebox/compile";
import { declaredAdminRoutes } from "../../src/api/admin/table.ts";
import { errorsOf } from "../../src/api/route.ts";
import { makeToken, revokeToken } from "../../src/control/admin-tokens.ts";
import { adjustWallet } from "../../src/control/wallets.ts";
import type { Actor } from "../../src/core/audit.ts";
import type { ErrorCode } from "../../src/core/errors.ts";
import { createIdFactory } from "../../src/core/id.ts";
import { FIELD_ERRORS_MAX } from "../../src/core/limits.ts";
import { createLeaseStore } from "../../src/ledger/lease.ts";
import type { Pool } from "../../src/platform/mysql.ts";
import { sleep } from "../../src/platform/retry.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestEngines, type TestEngines } from "../support/engines.ts";
import { envOf } from "../support/ingest-process.ts";
import { freePorts } from "../support/ports.ts";
import { rawHttp } from "../support/raw-http.ts";

const id = createIdFactory({ now: Date.now });
const actor: Actor = { via: "cli", who: "tester", origin: "here" };
let engines: TestEngines;
let pool: Pool;
let child: ChildProcess;
let url = "";
let writer = "";
let reader = "";

beforeAll(async () => {
  engines = await createTestEngines();
  ({ pool } = engines);
  const adminPort = await freePorts(2);
  url = `http://127.0.0.1:${adminPort}`;
  const env = { ...process.env, ...envOf({ ...engines.config, adminPort, healthPort: adminPort + 1 }) };
  child = spawn("bun", [fileURLToPath(new URL("../../src/main/admin.ts", import.meta.url))], {
    env,
    stdio: "ignore",
  });
  const by = { pool, actor, id };
  writer = (await makeToken(by, { name: "sara", scope: "write" })).token;
  reader = (await makeToken(by, { name: "reza", scope: "read" })).token;
  for (let n = 0; n < 2_400 && !(await fetch(`${url}/health`).catch(() => null))?.ok; n++) await sleep(25);
});
afterAll(async () => {
  child.kill("SIGTERM");
  await new Promise((resolve) => child.once("exit", resolve));
  await engines.drop();
});

type Sent = { token?: string; body?: unknown; headers?: Record<string, string> };
type Answer = { status: number; body: Record<string, unknown>; text: string; headers: Headers };
const routes = declaredAdminRoutes().map((route) => ({
  route,
  pattern: new RegExp(`^${route.path.replace(/:\w+/g, "[^/]+")}$`),
}));

/** Sends a request and compares its answer with what its route declares. */
async function call(
  method: string,
  path: string,
  { token = writer, body, headers }: Sent = {},
): Promise<Answer> {
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  const parsed = JSON.parse(text) as Record<string, unknown>;
  const bare = path.split("?", 1)[0] as string;
  const route = routes.find((each) => each.route.method === method && each.pattern.test(bare))?.route;
  if (route !== undefined && answer.status >= 400)
    expect(errorsOf(route)).toContain(parsed.code as ErrorCode);
  else if (route !== undefined) {
    const check = Compile(route.answers[answer.status] ?? {});
    expect([path, ...check.Errors(parsed).slice(0, 3)]).toEqual([path]);
  }
  return { status: answer.status, body: parsed, text, headers: answer.headers };
}
/** As a client does that is told that its other request is under way. */
const callUntilDone = async (path: string, sent: Sent): Promise<Answer> => {
  const answer = await call("POST", path, sent);
  return answer.body.code === "idempotency_in_progress" ? callUntilDone(path, sent) : answer;
};
const keyed = (key: string) => ({ "idempotency-key": key });
const codeOf = ({ status, body }: Answer) => [status, body.code];
type Entry = Record<string, unknown> & { action: string; old: object | null; new: object | null };
const audit = async (query = ""): Promise<Entry[]> =>
  (await call("GET", `/admin/v1/audit${query}`, { token: reader })).body.entries as Entry[];

test("only live tokens come in, readers change nothing, and a revoked token is refused at once", async () => {
  const path = "/admin/v1/customers";
  expect(codeOf(await call("GET", path, { token: "" }))).toEqual([401, "admin_token_invalid"]);
  expect((await call("GET", path, { token: "x" })).headers.get("www-authenticate")).toStartWith("Bearer");
  const forged = `${reader.slice(0, -1)}${reader.endsWith("A") ? "B" : "A"}`;
  expect(codeOf(await call("GET", path, { token: forged }))).toEqual([401, "admin_token_invalid"]);
  expect((await call("GET", path, { token: reader })).status).toBe(200);
  expect(codeOf(await call("POST", path, { token: reader, body: { name: "x" } }))).toEqual([
    403,
    "scope_missing",
  ]);
  const gone = await makeToken({ pool, actor, id }, { name: "gone", scope: "read" });
  expect((await call("GET", path, { token: gone.token })).status).toBe(200);
  await revokeToken({ pool, actor }, gone.token_id);
  expect(codeOf(await call("GET", path, { token: gone.token }))).toEqual([401, "admin_token_invalid"]);
  expect((await audit("?action=token.revoke")).map(({ subject, who }) => [subject, who])).toEqual([
    [gone.token_id, "tester"],
  ]);
  const stored = await pool.query("SELECT * FROM audit_log JOIN admin_tokens");
  for (const token of [writer, reader, gone.token]) {
    expect(JSON.stringify(stored)).not.toContain(token);
    expect(JSON.stringify(stored)).not.toContain(token.slice(-43));
  }
});

test("a customer is created, changed by version, suspended and resumed; the log has what was and what is", async () => {
  const bad = await call("POST", "/admin/v1/customers", { body: { name: "a\u0007b" } });
  expect(bad.body).toMatchObject({
    errors: [{ field: "name", reason: "must not contain control characters" }],
  });
  const wanted = { body: { name: `شرکت \u202e ${"😀".repeat(193)}` }, headers: keyed("make-1") };
  const made = await call("POST", "/admin/v1/customers", wanted);
  expect(made.status).toBe(201);
  const again = await call("POST", "/admin/v1/customers", wanted);
  expect([again.text, again.headers.get("idempotent-replayed")]).toEqual([made.text, "true"]);
  const other = await call("POST", "/admin/v1/customers", { ...wanted, body: { name: "Other" } });
  expect(codeOf(other)).toEqual([422, "idempotency_key_reused"]);

  const path = `/admin/v1/customers/${String(made.body.customer_id)}`;
  const version = String(made.body.version);
  const cheaper = await call("PATCH", path, {
    body: { price_normal: 450, rate_limit: 600, mode: "async", addresses: ["192.0.2.0/24"] },
    headers: { "if-match": `"${version}"` },
  });
  expect(cheaper.body).toMatchObject({ price_normal: 450, mode: "async", addresses: ["192.0.2.0/24"] });
  const late = { body: { price_normal: 400 }, headers: { "if-match": `"${version}"` } };
  expect(codeOf(await call("PATCH", path, late))).toEqual([412, "version_conflict"]);
  const freed = await call("PATCH", path, { body: { rate_limit: "none", suspended: true } });
  expect(freed.body).toMatchObject({ rate_limit: null, suspended_at: expect.stringMatching(/Z$/) });
  expect((await call("PATCH", path, { body: { suspended: false } })).body.suspended_at).toBeNull();
  expect((await call("PATCH", path, { body: {} })).status).toBe(200);
  expect((await call("GET", path, { token: reader })).body).toMatchObject({ price_normal: 450 });
  expect(codeOf(await call("GET", "/admin/v1/customers/999999"))).toEqual([404, "not_found"]);

  const changes = await audit(`?customer=${String(made.body.customer_id)}&action=customer.change`);
  expect(changes.map((entry) => [entry.who, entry.origin, entry.old, entry.new])).toEqual([
    ["sara", "127.0.0.1", { suspended_at: freed.body.suspended_at }, { suspended_at: null }],
    [
      "sara",
      "127.0.0.1",
      { rate_limit: 600, suspended_at: null },
      { rate_limit: null, suspended_at: freed.body.suspended_at },
    ],
    [
      "sara",
      "127.0.0.1",
      { price_normal: 500, rate_limit: null, mode: "lease", addresses: null },
      { price_normal: 450, rate_limit: 600, mode: "async", addresses: ["192.0.2.0/24"] },
    ],
  ]);
});

test("two admins who change the same price with one version: one wins, the other is told", async () => {
  const made = await call("POST", "/admin/v1/customers", { body: { name: "race" } });
  const headers = { "if-match": String(made.body.version) };
  const path = `/admin/v1/customers/${String(made.body.customer_id)}`;
  const both = await Promise.all(
    [1, 2].map((price) => call("PATCH", path, { body: { price_normal: price }, headers })),
  );
  expect(new Set(both.map(({ status }) => status))).toEqual(new Set([200, 412]));
});

test("keys are made, limited, rotated and revoked; no secret is in the log", async () => {
  const made = await call("POST", "/admin/v1/customers", { body: { name: "keys" } });
  const keys = `/admin/v1/customers/${String(made.body.customer_id)}/keys`;
  const key = await call("POST", keys, { body: { scopes: ["send"], signed: true } });
  expect(key.status).toBe(201);
  const path = `/admin/v1/keys/${String(key.body.key_id)}`;
  for (const expires_at of ["2020-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00"])
    expect(codeOf(await call("PATCH", path, { body: { expires_at } }))).toEqual([422, "validation_failed"]);
  const limited = await call("PATCH", path, {
    body: { expires_at: "2099-01-01T00:00:00Z", addresses: ["::1"] },
  });
  expect(limited.body).toMatchObject({ expires_at: "2099-01-01T00:00:00.000Z", addresses: ["::1"] });
  const rotated = await call("POST", `${path}/rotate`, { body: { overlap_s: 0 } });
  expect(rotated.body).toMatchObject({ replaces: key.body.key_id });
  expect(codeOf(await call("DELETE", path))).toEqual([404, "not_found"]);
  expect((await call("DELETE", `/admin/v1/keys/${String(rotated.body.key_id)}`)).body.live).toBe(false);
  // A key that is over stays as it is; what names no key is not looked for.
  for (const body of [{}, { addresses: ["192.0.2.1"] }, { expires_at: "never" }])
    expect(codeOf(await call("PATCH", path, { body }))).toEqual([404, "not_found"]);
  for (const [method, at] of [
    ["DELETE", "é"],
    ["PATCH", "%F0%9F%98%80"],
    ["DELETE", "x".repeat(300)],
  ] as const)
    expect(
      codeOf(await call(method, `/admin/v1/keys/${at}`, method === "PATCH" ? { body: {} } : {})),
    ).toEqual([404, "not_found"]);
  const listed = (await call("GET", keys)).body.keys as { live: boolean }[];
  expect(listed.map(({ live }) => live)).toEqual([false, false]);
  const entries = await audit(`?customer=${String(made.body.customer_id)}`);
  expect(entries.map(({ action }) => action)).toEqual([
    "key.revoke",
    "key.rotate",
    "key.change",
    "key.create",
    "customer.create",
  ]);
  const told = JSON.stringify(await pool.query("SELECT * FROM audit_log"));
  for (const secret of [
    key.body.api_key,
    key.body.signing_secret,
    rotated.body.api_key,
    rotated.body.signing_secret,
  ])
    expect(told).not.toContain(String(secret));
});

test("money: a retried top-up and adjustment are booked once, and nothing goes below zero", async () => {
  const made = await call("POST", "/admin/v1/customers", { body: { name: "money" } });
  const customerId = String(made.body.customer_id);
  const of = `/admin/v1/customers/${customerId}`;
  const topUp = { body: { amount: 10_000, request_id: "😀".repeat(128) }, headers: keyed("t-1") };
  expect(codeOf(await call("POST", `${of}/topups`, { body: topUp.body }))).toEqual([
    422,
    "validation_failed",
  ]);
  const paid = await Promise.all([1, 2, 3].map(() => callUntilDone(`${of}/topups`, topUp)));
  expect(paid.map(({ status, body }) => [status, body.balance])).toEqual([1, 2, 3].map(() => [200, 10_000]));
  const elsewise = { body: topUp.body, headers: keyed("t-2") };
  expect((await call("POST", `${of}/topups`, elsewise)).body).toMatchObject({
    idempotent: true,
    balance: 10_000,
  });

  const taken = { body: { amount: -4_000, reason: "paid twice" }, headers: keyed("a-1") };
  const both = await Promise.all([1, 2].map(() => callUntilDone(`${of}/adjustments`, taken)));
  expect(both.map(({ status, body }) => [status, body.balance])).toEqual([1, 2].map(() => [201, 6_000]));
  const again = await call("POST", `${of}/adjustments`, taken);
  expect([again.text, again.headers.get("idempotent-replayed")]).toEqual([both[0]?.text ?? "", "true"]);
  const otherAmount = { body: { amount: -1, reason: "paid twice" }, headers: keyed("a-1") };
  const reused = await call("POST", `${of}/adjustments`, otherAmount);
  expect(codeOf(reused)).toEqual([422, "idempotency_key_reused"]);
  const tooMuch = { body: { amount: -6_001, reason: "too much" }, headers: keyed("a-2") };
  const refused = await call("POST", `${of}/adjustments`, tooMuch);
  expect(refused.body).toMatchObject({ code: "insufficient_balance", required: 6_001, balance: 6_000 });
  for (const body of [{ amount: 0, reason: "none" }, { amount: 1, reason: " " }, { amount: 1 }])
    expect((await call("POST", `${of}/adjustments`, { body, headers: keyed("a-3") })).status).toBe(422);
  const given = { body: { amount: 500, reason: "goodwill" }, headers: keyed("a-2") };
  expect((await call("POST", `${of}/adjustments`, given)).body.balance).toBe(6_500);

  expect((await call("GET", `${of}/wallet`)).body).toMatchObject({ balance: 6_500, caps: { daily: null } });
  const { entries } = (await call("GET", `${of}/statement`)).body as { entries: object[] };
  expect(entries).toMatchObject([
    { op: "adjust_up", amount: 500 },
    { op: "adjust_down", amount: 4_000 },
    { op: "topup", amount: 10_000, request_id: topUp.body.request_id },
  ]);
  const caps = await call("PATCH", `${of}/caps`, { body: { daily: 1_000 } });
  expect(caps.body).toMatchObject({ daily: { limit: 1_000, left: 1_000 }, monthly: null });
  const logged = await audit(`?customer=${customerId}`);
  expect(logged.map(({ action, amount, reason }) => [action, amount, reason])).toEqual([
    ["caps.change", null, null],
    ["wallet.adjust", 500, "goodwill"],
    ["wallet.adjust", -4_000, "paid twice"],
    ["wallet.topup", 10_000, null],
    ["customer.create", null, null],
  ]);
  expect(logged[3]?.subject).toBe(topUp.body.request_id);
  expect(logged[2]).toMatchObject({ old: { balance: 10_000 }, new: { balance: 6_000 } });
  await reconcileBooks(pool);
});

test("an adjustment takes back what a lease holds, and waits in vain for a process that doesn't answer", async () => {
  const made = await call("POST", "/admin/v1/customers", { body: { name: "leased" } });
  const customerId = Number(made.body.customer_id);
  const of = `/admin/v1/customers/${customerId}`;
  await call("POST", `${of}/topups`, { body: { amount: 1_000, request_id: "l" }, headers: keyed("l-1") });
  const leases = createLeaseStore({ pool, id, now: Date.now }, { nodeId: id(), ttlMs: 60_000 });
  await leases.register();
  const want = { customerId, epoch: 1, held: false, costs: [800], target: 0, unit: 0 };
  expect((await leases.grant([want], { skipLocked: false }))[0]?.granted).toBe(800);
  const taken = { body: { amount: -900, reason: "closing" }, headers: keyed("l-2") };
  const [silent, small] = await Promise.all([
    call("POST", `${of}/adjustments`, taken),
    call("POST", `${of}/adjustments`, { body: { amount: -100, reason: "fee" }, headers: keyed("l-3") }),
  ]);
  expect([codeOf(silent), small.body.balance]).toEqual([[503, "credit_elsewhere"], 900]);
  const answered = adjustWallet(
    { pool, actor, id, now: Date.now },
    { customerId, amount: -900, reason: "closing" },
  );
  for (let keys = await leases.recalled(); ; keys = await leases.recalled()) {
    if (keys.length > 0) {
      await leases.end(keys);
      break;
    }
    await sleep(5);
  }
  expect((await answered).balance).toBe(0);
  await leases.retire();
  await reconcileBooks(pool);
});

test("plans are made, changed by version, used and removed", async () => {
  const rates = [{ prefix: "+98912", valid_from: "2026-01-01T00:00:00Z", normal: 450, express: 600 }];
  const plan = "/admin/v1/plans/re%20tail";
  const versionless = { body: { rates }, headers: { "if-match": "" } };
  expect((await call("POST", `${plan}/rates`, versionless)).body).toMatchObject({
    errors: [{ field: "If-Match", reason: "must not be empty" }],
  });
  const made = await call("POST", `${plan}/rates`, { body: { rates } });
  expect(made.body).toMatchObject({ plan: "re tail", rates: 1 });
  const refused = [{ prefix: "+882", normal: "refused", express: 1 }];
  expect((await call("POST", `${plan}/rates`, { body: { rates: refused } })).body).toMatchObject({
    errors: [{ field: "rates.0.express", reason: "must be refused together with normal" }],
  });
  const dearer = {
    body: { rates: [{ ...rates[0], normal: 500 }] },
    headers: { "if-match": `"${String(made.body.version)}"` },
  };
  expect((await call("POST", `${plan}/rates`, dearer)).status).toBe(200);
  expect(codeOf(await call("POST", `${plan}/rates`, dearer))).toEqual([412, "version_conflict"]);
  const customer = await call("POST", "/admin/v1/customers", { body: { name: "planned" } });
  const of = `/admin/v1/customers/${String(customer.body.customer_id)}`;
  expect((await call("PATCH", of, { body: { price_plan: "re tail" } })).body.price_plan).toBe("re tail");
  expect((await call("DELETE", plan)).status).toBe(422);
  expect((await call("PATCH", of, { body: { price_plan: "none" } })).body.price_plan).toBeNull();
  const many = Array.from({ length: FIELD_ERRORS_MAX + 1 }, () => refused[0]);
  const tooMany = (await call("POST", `${plan}/rates`, { body: { rates: many } })).body;
  expect(tooMany.errors).toHaveLength(FIELD_ERRORS_MAX);
  // A time that can't be read is neither now nor all times.
  const unread = { prefix: "+98912", valid_from: "1969-12-31T23:59:59Z" };
  const reason = "must be a time that exists, from 1970 on, by RFC 3339";
  const unreadRates = { rates: [{ ...unread, normal: 1, express: 1 }] };
  expect((await call("POST", `${plan}/rates`, { body: unreadRates })).body).toMatchObject({
    errors: [{ field: "rates.0.valid_from", reason }],
  });
  expect((await call("POST", `${plan}/rates/remove`, { body: unread })).body).toMatchObject({
    errors: [{ field: "valid_from", reason }],
  });
  const removal = { body: { prefix: "+98912" } };
  expect((await call("POST", `${plan}/rates/remove`, removal)).body).toMatchObject({ removed: 1, rates: 0 });
  expect(codeOf(await call("POST", `${plan}/rates/remove`, removal))).toEqual([404, "not_found"]);
  expect((await call("GET", "/admin/v1/plans")).body.plans).toHaveLength(1);
  expect((await call("GET", `${plan}/rates`)).body.rates).toEqual([]);
  expect((await call("DELETE", plan)).body).toEqual({ plan: "re tail", removed: true });
  const entries = await audit("?action=plan.change");
  expect(entries[1]).toMatchObject({ old: { rates: [{ normal: 450 }] }, new: { rates: [{ normal: 500 }] } });
});

test("the log is read page by page with a filter, and neither changes nor shrinks", async () => {
  const first = (await call("GET", "/admin/v1/audit?who=sara&limit=2")).body as { next_cursor: string };
  const next = await call("GET", `/admin/v1/audit?who=sara&limit=2&cursor=${first.next_cursor}`);
  const seen = [first, next.body].flatMap((page) => (page as { entries: Entry[] }).entries);
  expect(new Set(seen.map(({ audit_id }) => audit_id)).size).toBe(4);
  expect(seen.every(({ who }) => who === "sara")).toBe(true);
  expect((await call("GET", "/admin/v1/audit?who=reza&limit=3&action=nothing")).status).toBe(422);
  for (const statement of [
    "UPDATE audit_log SET who='nobody'",
    "DELETE FROM audit_log",
    "REPLACE INTO audit_log (audit_id, via, who, origin, action) VALUES (1, 'cli', 'x', 'x', 'x')",
    "INSERT INTO audit_log (audit_id, via, who, origin, action) VALUES (1, 'cli', 'x', 'x', 'x') " +
      "ON DUPLICATE KEY UPDATE who='x'",
  ])
    expect(await pool.query(statement).then(String, (error: Error) => error.message)).toBe(
      "the audit log is append-only",
    );
});

test("routes, who sent the most, and the API's own description are there to be read", async () => {
  const shown = (await call("GET", "/admin/v1/routes", { token: reader })).body;
  expect(shown).toMatchObject({ faults: [] });
  expect((shown.operators as { name: string }[]).map(({ name }) => name)).toContain("A");
  const top = await call("GET", "/admin/v1/reports/top-customers?order=parts&limit=5", { token: reader });
  expect([top.status, top.body.customers]).toEqual([200, []]);
  const document = (await call("GET", "/openapi.json")).body as { paths: object; info: object };
  expect(document.info).toMatchObject({ title: "Sluice admin" });
  expect(Object.keys(document.paths)).toContain("/admin/v1/customers/{id}/adjustments");
  expect((await call("GET", "/v1/wallet")).status).toBe(404);
});

test("a change without a Host is made once for its key", async () => {
  const body = JSON.stringify({ name: "no host" });
  const start =
    "POST /admin/v1/customers HTTP/1.0\r\nIdempotency-Key: no-host\r\nContent-Type: application/json";
  const head = `${start}\r\nAuthorization: Bearer ${writer}\r\nContent-Length: ${body.length}\r\n\r\n`;
  const [one, again] = [await rawHttp(url, [head, body]), await rawHttp(url, [head, body])];
  expect([one.status, again.status, again.body]).toEqual([201, 201, one.body]);
});
