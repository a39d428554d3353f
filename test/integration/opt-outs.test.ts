// Opt-outs on a real ingest process: an operator posts a STOP, and its phone gets nothing more; the routes
// and commands that list, add and remove them; what is scheduled is canceled and refunded.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addNumber } from "../../src/customers/numbers.ts";
import { takeReports } from "../../src/dlr/take.ts";
import { cancelOptedOut } from "../../src/ledger/opt-outs.ts";
import { DEFAULT_TERMS } from "../../src/operators/reports/report.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { holdDeclared } from "../support/declared.ts";
import {
  type IngestProcess,
  makeCustomer,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";

const ROUTES = `operators:
  open:
    kind: http
    url: http://127.0.0.1:9/submit
    price: 1
    reports: { shape: generic, open: true }
  far:
    kind: http
    url: http://127.0.0.1:9/submit
    price: 1
    reports: { shape: generic, addresses: [192.0.2.0/24] }
`;
const REASON = "has opted out of messages from this sender";

let db: TestDatabase;
let pool: Pool;
let ingest: IngestProcess;
let customer: TestCustomer;
let other: TestCustomer;
let folder: string;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 4, multipleStatements: true });
  folder = mkdtempSync(join(tmpdir(), "sluice-mo-"));
  const routesFile = join(folder, "routes.yaml");
  writeFileSync(routesFile, ROUTES);
  ingest = await startIngest(db.config, { routesFile });
  [customer, other] = await Promise.all([
    makeCustomer(db.config, 1_000_000),
    makeCustomer(db.config, 1_000_000),
  ]);
  await addNumber(pool, customer.customerId, "3000", null);
});
afterAll(async () => {
  await ingest.end();
  await reconcileBooks(pool);
  await pool.end();
  await db.drop();
  rmSync(folder, { recursive: true, force: true });
});

type Body = Record<string, unknown>;
async function call(method: string, path: string, body?: unknown, by = customer) {
  const answer = await fetch(`${ingest.url}${path}`, {
    method,
    headers: { "x-api-key": by.apiKey, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  const [type, { status }] = [answer.headers.get("content-type"), answer];
  holdDeclared(method, path, { status, type, text });
  return { status, body: JSON.parse(text) as Body };
}
const send = (phone: string, fields: object = {}, by = customer) =>
  call("POST", "/v1/sms/send", { phone, text: "hello", type: "normal", ...fields }, by);
const left = async () => (await call("GET", "/v1/wallet")).body.available as number;
async function receive(text: string, from: string, to = "3000"): Promise<void> {
  const answer = await fetch(`${ingest.url}/mo/open?from=${from}&to=${to}&text=${encodeURIComponent(text)}`, {
    method: "GET",
  });
  expect(answer.status).toBe(200);
  const termsOf = () => ({ ...DEFAULT_TERMS, shape: "generic" }) as const;
  await takeReports({ pool, termsOf, now: Date.now });
}
/** Long enough for every process to know of an opt-out: 2 s are promised. */
const known = () => new Promise((resolve) => setTimeout(resolve, 2_000));

test("an inbound message is stored before its 200, by who may report, and by nobody else", async () => {
  const body = new URLSearchParams({ from: "989121234567", to: "9999", text: "hi" });
  const answer = await fetch(`${ingest.url}/mo/open`, { method: "POST", body });
  expect([answer.status, await answer.json()]).toEqual([200, { stored: true }]);
  expect(await pool.query("SELECT id FROM inbox")).toHaveLength(1);
  for (const [operator, status] of [
    ["far", 403],
    ["nobody", 404],
  ] as const)
    expect((await fetch(`${ingest.url}/mo/${operator}`, { method: "POST", body })).status).toBe(status);
  expect(await pool.query("SELECT id FROM inbox")).toHaveLength(1);
});

test("after a STOP nothing is sent or charged: alone, in a batch, or in an upload; START ends it", async () => {
  const [out, fine] = ["+989121110001", "+989121110002"];
  await receive("STOP", out.slice(1));
  await known();
  const before = await left();
  const refused = await send(out, { from: "+3000" });
  expect([refused.status, refused.body.code, refused.body.errors]).toEqual([
    422,
    "validation_failed",
    [{ field: "phone", reason: REASON }],
  ]);
  // Nobody knows from which number an operator would send it.
  expect((await send(out)).status).toBe(422);
  expect(await left()).toBe(before);
  // From another sender, and by another customer.
  expect((await send(out, { from: "Acme" })).status).toBe(202);
  expect((await send(out, {}, other)).status).toBe(202);
  const batch = { phones: [out, fine], text: "hello", from: "3000" };
  const { status, body } = await call("POST", "/v1/sms/batches", batch);
  expect([status, body.accepted, body.rejected]).toMatchObject([
    202,
    [{ index: 1 }],
    [{ index: 0, code: "opted_out", detail: `phone ${REASON}.` }],
  ]);
  expect((await call("POST", "/v1/sms/batches", { phones: [out], text: "x" })).status).toBe(422);
  const lines = [out, fine].map((phone) => JSON.stringify({ phone, text: "hello", from: "3000" }));
  const upload = await fetch(`${ingest.url}/v1/sms/batches`, {
    method: "POST",
    headers: { "x-api-key": customer.apiKey, "content-type": "application/x-ndjson" },
    body: `${lines.join("\n")}\n`,
  });
  const results = (await upload.text())
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Body);
  expect(results).toMatchObject([
    { index: 0, code: "opted_out", errors: [{ field: "phone", reason: REASON }] },
    { index: 1, parts: 1 },
  ]);
  await receive("start", out.slice(1));
  expect((await send(out, { from: "3000" })).status).toBe(202);
}, 20_000);

test("a STOP to a number without its country or with a trunk prefix holds for a sender with it, and the other way round", async () => {
  await addNumber(pool, customer.customerId, "984000", null);
  await addNumber(pool, customer.customerId, "02191001234", null);
  const phone = "+989121140001";
  const sendAt = new Date(Date.now() + 3_600_000).toISOString();
  for (const [to, from] of [
    ["983000", "+983000"],
    ["984000", "4000"],
    ["02191001234", "+982191001234"],
    ["02191001234", "2191001234"],
  ] as const) {
    const later = await send(phone, { from, send_at: sendAt });
    expect(later.status).toBe(202);
    await receive("STOP", phone.slice(1), to);
    await known();
    expect((await send(phone, { from })).status).toBe(422);
    expect((await send(phone, { from: "5000" })).status).toBe(202);
    while ((await cancelOptedOut({ pool, now: Date.now })) !== null) continue;
    const [message] = await pool.query(`SELECT status FROM messages WHERE id='${String(later.body.id)}'`);
    expect(message).toEqual({ status: "canceled" });
    const query = `phone=${encodeURIComponent(phone)}&sender=${encodeURIComponent(from)}`;
    const listed = await call("GET", `/v1/opt-outs?${query}`);
    expect(listed.body.opt_outs).toMatchObject([{ phone }]);
    const removed = await call("DELETE", `/v1/opt-outs?${query}`);
    expect(removed.body).toEqual({ removed: 1 });
    expect((await send(phone, { from })).status).toBe(202);
  }
});

test("an opt-out counts as soon as ever after MySQL's clock was set back by an hour", async () => {
  await pool.write(
    "INSERT INTO opt_outs (customer_id, phone, sender, source, created_at, cancel_at) " +
      `VALUES (${customer.customerId}, '+989121150001', '', 'api', NOW(6) + INTERVAL 1 HOUR, NULL)`,
  );
  await known();
  const out = "+989121150002";
  await receive("STOP", out.slice(1));
  await known();
  expect((await send(out, { from: "3000" })).status).toBe(422);
}, 20_000);

test("opt-outs are added, listed by pages and removed; a repeat changes nothing", async () => {
  const phones = ["+989121120001", "+989121120002", "+989121120003"];
  for (const phone of phones) {
    const added = await call("POST", "/v1/opt-outs", { phone, sender: "Acme" });
    expect([added.status, added.body]).toMatchObject([200, { phone, sender: "acme", source: "api" }]);
    expect((await call("POST", "/v1/opt-outs", { phone, sender: "ACME" })).body).toEqual(added.body);
  }
  await call("POST", "/v1/opt-outs", { phone: phones[0] });
  const seen: unknown[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const page = cursor === "" ? "" : `&cursor=${cursor}`;
    const { body } = await call("GET", `/v1/opt-outs?limit=1&sender=acme${page}`);
    seen.push(...(body.opt_outs as { phone: string }[]).map(({ phone }) => phone));
    cursor = body.next_cursor as string | null;
  }
  expect(seen).toEqual(phones);
  const own = await call("GET", `/v1/opt-outs?phone=09121120001`);
  expect(own.body.opt_outs).toMatchObject([{ sender: null }, { sender: "acme" }]);
  expect((await call("GET", "/v1/opt-outs", undefined, other)).body.opt_outs).toEqual([]);
  expect((await call("DELETE", `/v1/opt-outs?phone=09121120001&sender=acme`)).body).toEqual({ removed: 1 });
  expect((await call("DELETE", `/v1/opt-outs?phone=09121120001`)).body).toEqual({ removed: 1 });
  expect((await call("DELETE", `/v1/opt-outs?phone=09121120001`)).body).toEqual({ removed: 0 });
  expect((await call("DELETE", `/v1/opt-outs?phone=09121120002`, undefined, other)).body).toEqual({
    removed: 0,
  });
});

test("what is wrong is named", async () => {
  const bad = await call("POST", "/v1/opt-outs", { phone: "12", sender: "a name too long" });
  expect((bad.body.errors as { field: string }[]).map(({ field }) => field)).toEqual(["phone", "sender"]);
  expect((await call("DELETE", "/v1/opt-outs")).body.errors).toEqual([
    { field: "phone", reason: "is required" },
  ]);
  expect((await call("GET", "/v1/opt-outs?sender=a+name+too+long")).status).toBe(422);
});

test("what is scheduled to a phone is canceled and refunded when it opts out, and nothing else is", async () => {
  const [out, fine] = ["+989121130001", "+989121130002"];
  const sendAt = new Date(Date.now() + 3_600_000).toISOString();
  const before = await left();
  const ids: string[] = [];
  for (const [phone, from] of [
    [out, "3000"],
    [out, undefined],
    [out, "Acme"],
    [fine, "3000"],
  ] as const) {
    const { status, body } = await send(phone, { send_at: sendAt, ...(from === undefined ? {} : { from }) });
    expect(status).toBe(202);
    ids.push(body.id as string);
  }
  await receive("لغو", out.slice(1));
  while ((await cancelOptedOut({ pool, now: Date.now })) !== null) continue;
  const rows = await pool.query<{ status: string; last_error: string | null }[]>(
    `SELECT status, last_error FROM messages WHERE id IN ('${ids.join("','")}') ORDER BY id`,
  );
  const ends = rows.map(({ status, last_error }) => [status, last_error]);
  const gone = ["canceled", "opted_out"];
  expect(ends).toEqual([gone, gone, ["scheduled", null], ["scheduled", null]]);
  expect(await left()).toBe(before - 2 * 500);
  expect(await pool.query("SELECT message_id FROM scheduled_messages WHERE moved=FALSE")).toHaveLength(2);
  // It is looked for again, because what was accepted before may be stored later; also when MySQL's clock has
  // jumped ahead meanwhile.
  const laters: (number | null)[] = [];
  for (let look = 1; look <= 6; look++) {
    const [row] = await pool.query<{ later: number | null }[]>(
      `SELECT cancel_at>NOW(3) AS later FROM opt_outs WHERE phone='${out}'`,
    );
    laters.push(row?.later ?? null);
    await pool.write(
      "UPDATE opt_outs SET created_at=created_at - INTERVAL 75 SECOND, cancel_at=NOW(3) " +
        `WHERE phone='${out}' AND cancel_at IS NOT NULL`,
    );
    while ((await cancelOptedOut({ pool, now: Date.now })) !== null) continue;
  }
  expect(laters).toEqual([1, 1, 1, 1, 1, null]);
});
