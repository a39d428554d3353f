// Exports on real engines: whole lists as CSV and NDJSON, as of one moment, in pieces that follow each other
// without a gap or a repeat, and no faster than their client reads them. Also who sent the most.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, createServer, type Server } from "node:net";
import { createIdFactory } from "../../src/core/id.ts";
import { EXPORT_PAGE_ROWS, STATEMENT_SETTLED_MS } from "../../src/core/stream-limits.ts";
import { sleep } from "../../src/platform/retry.ts";
import type { ExportPage } from "../../src/reports/exports.ts";
import { exportMessages, messagesReport } from "../../src/reports/messages-report.ts";
import { topCustomers } from "../../src/reports/top-customers.ts";
import { exportUsage, usageReport } from "../../src/reports/usage-report.ts";
import { exportLedger, readLedger } from "../../src/reports/wallet.ts";
import {
  createTestClickhouse,
  insertLedgerEvents,
  insertStatusEvents,
  type StatusEvent,
  type TestClickhouse,
} from "../support/clickhouse.ts";
import { parseCsv } from "../support/csv.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { holdDeclared } from "../support/declared.ts";
import { type IngestProcess, makeCustomer, post, startIngest } from "../support/ingest-process.ts";
import { freePort } from "../support/ports.ts";
import { head } from "../support/raw-http.ts";
import { until } from "../support/roles.ts";

const HOUR_MS = 3_600_000;
const DAY = { from: "2026-05-20T00:00:00Z", to: "2026-05-21T00:00:00Z" };
const START_MS = Date.parse(DAY.from);
const ROWS = EXPORT_PAGE_ROWS + 300;
let clickhouse: TestClickhouse;
let db: TestDatabase;
let ingest: IngestProcess;
let counter: Server;
/** Bytes that ClickHouse has sent to the ingest process. */
let readBytes = 0;

beforeAll(async () => {
  clickhouse = await createTestClickhouse();
  db = await createTestDatabase(clickhouse.config);
  const port = await freePort();
  counter = createServer((client) => {
    const upstream = connect(clickhouse.config.clickhousePort, clickhouse.config.clickhouseHost);
    upstream.on("data", (chunk) => (readBytes += chunk.length));
    for (const socket of [client, upstream]) socket.on("error", () => socket.destroy());
    client.pipe(upstream).pipe(client);
  }).listen(port, "127.0.0.1");
  ingest = await startIngest(db.config, { clickhouseHost: "127.0.0.1", clickhousePort: port });
}, 60_000);
afterAll(async () => {
  await ingest.end();
  counter.close();
  await Promise.all([db.drop(), clickhouse.drop()]);
}, 30_000);

const idAt = createIdFactory({ now: () => START_MS + HOUR_MS });
const event = (customer_id: number, n: number, fields: Partial<StatusEvent> = {}): StatusEvent => {
  const created_at_ms = START_MS + HOUR_MS + n;
  const updated_at_ms = created_at_ms + 10;
  const { id = idAt(), ...others } = fields;
  return { id, sequence: 1, status: "queued", customer_id, created_at_ms, updated_at_ms, ...others };
};
type Answer = { status: number; type: string | null; asOf: string | null; text: string };
async function get(apiKey: string, path: string, query: Record<string, string>): Promise<Answer> {
  const asked = `${path}?${new URLSearchParams(query).toString()}`;
  const answer = await fetch(`${ingest.url}${asked}`, { headers: { "x-api-key": apiKey } });
  const { status, headers } = answer;
  const [type, text] = [headers.get("content-type"), await answer.text()];
  holdDeclared("GET", asked, { status, type, text });
  return { status, type, asOf: headers.get("x-as-of"), text };
}
const rowsOf = ({ text }: Answer) =>
  text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, string>);

describe("messages", () => {
  test("are exported whole, newest first, and from any row on", async () => {
    const customer = await makeCustomer(db.config, 0);
    const odd = ["=1+1", 'a"b,c', "ی\nx", "'=2", "+5 x"];
    const events = Array.from({ length: ROWS }, (_, n) =>
      event(customer.customerId, n, { reference: n < odd.length ? (odd[n] as string) : `r${n}` }),
    );
    await insertStatusEvents(clickhouse.clickhouse, events);
    await insertStatusEvents(clickhouse.clickhouse, [event(customer.customerId + 1_000, 0)]);
    const all = await get(customer.apiKey, "/v1/reports/messages", { ...DAY, format: "ndjson" });
    expect([all.status, all.type]).toEqual([200, "application/x-ndjson"]);
    const rows = rowsOf(all);
    expect(rows.map(({ id }) => String(id))).toEqual(events.map(({ id }) => id).toReversed());
    for (const at of [0, EXPORT_PAGE_ROWS - 2, EXPORT_PAGE_ROWS, ROWS - 1]) {
      const cursor = rows[at]?.cursor as string;
      const rest = await get(customer.apiKey, "/v1/reports/messages", { ...DAY, format: "ndjson", cursor });
      expect(rowsOf(rest)).toEqual(rows.slice(at + 1));
      expect(rest.asOf).toBe(all.asOf);
    }
    const csv = await get(customer.apiKey, "/v1/reports/messages", { ...DAY, format: "csv" });
    expect(csv.type).toBe("text/csv; charset=utf-8");
    const [names = [], ...records] = parseCsv(csv.text);
    expect(names).toEqual(Object.keys(rows[0] ?? {}));
    expect(records.map(([id]) => id)).toEqual(rows.map(({ id }) => id));
    const at = names.indexOf("reference");
    expect(records.map((record) => record[at]).slice(-odd.length)).toEqual(
      odd.map((text) => (text.startsWith("a") || text.startsWith("ی") ? text : `'${text}`)).toReversed(),
    );
    const cut = records[1_500]?.at(-1) as string;
    const rest = await get(customer.apiKey, "/v1/reports/messages", { ...DAY, format: "csv", cursor: cut });
    expect(parseCsv(rest.text)).toEqual(records.slice(1_501));
  }, 60_000);

  test("are those of one moment, whatever happens while they are read", async () => {
    const ids = Array.from({ length: EXPORT_PAGE_ROWS + 500 }, () => idAt());
    const events = ids.map((id, n) => event(77, n, { id }));
    await insertStatusEvents(clickhouse.clickhouse, events);
    const deps = { clickhouse: clickhouse.clickhouse, now: () => START_MS + 5 * HOUR_MS };
    const owner = { customerId: 77, region: "IR" };
    const query = new Map(Object.entries({ ...DAY, format: "ndjson" }));
    const first = await exportMessages(deps, owner, query);
    const later = ids.map((id, n) =>
      event(77, n, { id, sequence: 4, status: "sent", updated_at_ms: START_MS + 4 * HOUR_MS }),
    );
    const fresh = event(77, 90_000, { updated_at_ms: START_MS + 4 * HOUR_MS });
    await insertStatusEvents(clickhouse.clickhouse, [...later, fresh]);
    const second = await exportMessages(deps, owner, new Map([...query, ["cursor", String(first.next)]]));
    const both = [...first.rows, ...second.rows].map(({ row }) => row);
    expect(both.map(({ id }) => id)).toEqual(ids.toReversed());
    expect(new Set(both.map(({ status }) => status))).toEqual(new Set(["queued"]));
    expect([second.next, second.as_of]).toEqual([null, first.as_of]);
    const now = await messagesReport(deps, owner, new Map(Object.entries({ ...DAY, status: "sent" })));
    expect(now.messages).not.toEqual([]);
  }, 60_000);

  test("are read from ClickHouse no faster than their client takes them", async () => {
    const customer = await makeCustomer(db.config, 0);
    for (let block = 0; block < 4; block++) {
      const events = Array.from({ length: 25_000 }, (_, n) =>
        event(customer.customerId, block * 25_000 + n, { reference: "x".repeat(120) }),
      );
      await insertStatusEvents(clickhouse.clickhouse, events);
    }
    const { hostname, port } = new URL(ingest.url);
    const socket = connect(Number(port), hostname);
    const path = `/v1/reports/messages?${new URLSearchParams({ ...DAY, format: "ndjson" }).toString()}`;
    socket.pause();
    socket.write(head("GET", path, { "x-api-key": customer.apiKey }));
    let before = 0;
    const rests = async () => {
      before = readBytes;
      await sleep(1_500);
      return before > 0 && readBytes - before < 2_000_000;
    };
    await until(rests, "it reads no more");
    let ended = "";
    let bytes = 0;
    socket.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      ended = chunk.subarray(-5).toString("latin1");
    });
    socket.resume();
    for (let n = 0; n < 4_000 && !ended.endsWith("0\r\n\r\n"); n++) await sleep(10);
    expect(ended.endsWith("0\r\n\r\n")).toBe(true);
    expect(bytes).toBeGreaterThan(100_000 * 300);
    expect(readBytes).toBeGreaterThan(1.5 * before); // it had not read all of them before
    socket.destroy();
  }, 120_000);

  test("have no limit and one format; a cursor is only for the request that it came from", async () => {
    const { apiKey } = await makeCustomer(db.config, 0);
    const codeOf = async (query: Record<string, string>) => {
      const { status, text } = await get(apiKey, "/v1/reports/messages", query);
      const { errors = [] } = JSON.parse(text) as { errors?: { field: string }[] };
      return [status, ...errors.map(({ field }) => field)];
    };
    expect(await codeOf({ format: "xml" })).toEqual([422, "format"]);
    expect(await codeOf({ format: "csv", limit: "5" })).toEqual([422, "limit"]);
    expect(await codeOf({ format: "csv", cursor: "x" })).toEqual([422, "cursor"]);
  });
});

async function pagesOf<R>(read: (query: Map<string, string>) => Promise<ExportPage<R>>, query: object) {
  const rows: ExportPage<R>["rows"] = [];
  let cursor: string | null = null;
  do {
    const given = { format: "csv", ...query, ...(cursor === null ? {} : { cursor }) };
    const page: ExportPage<R> = await read(new Map(Object.entries(given)));
    rows.push(...page.rows);
    cursor = page.next;
  } while (cursor !== null);
  return rows;
}

describe("a statement", () => {
  test("has every entry that is a minute old, the same however often it is made", async () => {
    const customer = await makeCustomer(db.config, 10_000_000);
    const messages = Array.from({ length: 700 }, (_, n) => ({ phone: `+98912${1_000_000 + n}`, text: "x" }));
    for (let n = 0; n < 8; n++)
      expect((await post(`${ingest.url}/v1/sms/batches`, customer.apiKey, { messages })).status).toBe(202);
    const later = { pool: db.pool, now: () => Date.now() + STATEMENT_SETTLED_MS + 5_000 };
    const read = (query: Map<string, string>) => exportLedger(later, customer.customerId, query);
    const rows = await pagesOf(read, {});
    const amounts = rows.map(({ row }) => `${row.op} ${row.amount}`);
    expect(amounts).toEqual([...Array.from({ length: 5_600 }, () => "reserve 500"), "topup 10000000"]);
    expect(rows.at(-1)?.row.request_id).toBe("opening");
    for (const at of [0, EXPORT_PAGE_ROWS - 1, 5_599]) {
      const cursor = rows[at]?.cursor as string;
      const rest = await read(new Map(Object.entries({ format: "csv", cursor })));
      expect(rest.rows[0]).toEqual(rows[at + 1] as never);
    }
    const young = await get(customer.apiKey, "/v1/wallet/ledger", { format: "csv" });
    expect([young.status, parseCsv(young.text)]).toEqual([
      200,
      [["entry_id", "op", "amount", "message_id", "request_id", "created_at", "cursor"]],
    ]);
    expect(Date.parse(young.asOf as string)).toBeLessThan(Date.now() - STATEMENT_SETTLED_MS + 1_000);
  }, 60_000);

  test("may be of a period", async () => {
    const customer = await makeCustomer(db.config, 1_000_000);
    const asked = (query: object) =>
      readLedger(db, customer.customerId, new Map(Object.entries(query))).then(
        ({ entries }) => entries.length,
      );
    const [before, after] = [-HOUR_MS, HOUR_MS].map((ms) => new Date(Date.now() + ms).toISOString());
    expect(await asked({ from: before, to: after })).toBe(1);
    expect(await asked({ to: before })).toBe(0);
    expect(await asked({ from: after })).toBe(0);
    expect(await asked({ from: after, to: before }).catch((error: unknown) => String(error))).toContain(
      "from must be before",
    );
  });
});

test("usage is exported whole, from any row on, and as of one moment", async () => {
  const events = Array.from({ length: 40 }, (_, n) => {
    const created_at_ms = START_MS + HOUR_MS * (n % 8);
    const id = createIdFactory({ now: () => created_at_ms })();
    const status = n % 3 === 0 ? "sent" : "queued";
    return event(88, n, { id, created_at_ms, updated_at_ms: created_at_ms + 5, status });
  });
  await insertStatusEvents(clickhouse.clickhouse, events);
  await insertLedgerEvents(clickhouse.clickhouse, [
    {
      event_id: `${idAt()}:open`,
      customer_id: 88,
      op: "topup",
      amount: 1,
      created_at_ms: START_MS + 9 * HOUR_MS,
    },
  ]);
  const deps = { clickhouse: clickhouse.clickhouse, now: () => START_MS + 20 * HOUR_MS };
  const read = (query: Map<string, string>) => exportUsage(deps, 88, query);
  const page = await usageReport(deps, 88, new Map(Object.entries({ ...DAY, by: "status" })));
  const rows = await pagesOf(read, { ...DAY, by: "status" });
  expect(rows.map(({ row }) => row)).toEqual(page.usage);
  expect(rows.length).toBeGreaterThan(10);
  const late = event(88, 1, { sequence: 1, updated_at_ms: START_MS + 10 * HOUR_MS });
  await insertStatusEvents(clickhouse.clickhouse, [late]);
  for (const [at, { cursor }] of rows.entries()) {
    const query = { ...DAY, by: "status", format: "csv", cursor };
    const rest = await read(new Map(Object.entries(query)));
    expect(rest.rows).toEqual(rows.slice(at + 1));
  }
}, 60_000);

test("customers who sent the most are those of the period, by cost, parts or messages, without what was refunded", async () => {
  // Recent: ClickHouse forgets entries of the ledger after 30 days.
  const atMs = Math.floor(Date.now() / 1_000) * 1_000 - 2 * HOUR_MS;
  const make = (customer_id: number, statuses: string[]) =>
    statuses.map((status) => {
      const id = createIdFactory({ now: () => atMs })();
      return { id, sequence: 4, status, customer_id, created_at_ms: atMs, updated_at_ms: atMs + 1 };
    });
  const late = make(501, ["sent"]);
  const all = [
    ...make(501, ["sent", "delivered"]),
    ...late,
    ...make(502, ["failed", "failed", "failed", "sent"]),
    ...make(503, ["queued"]),
  ];
  await insertStatusEvents(clickhouse.clickhouse, [...all, ...all]);
  const refund = { customer_id: 501, op: "refund", amount: 500, created_at_ms: atMs + 5 };
  await insertLedgerEvents(clickhouse.clickhouse, [{ event_id: `${late[0]?.id}:close`, ...refund }]);
  const asked = { fromMs: atMs - 1, toMs: atMs + 1, count: 2 };
  expect(await topCustomers(clickhouse.clickhouse, { ...asked, by: "cost" })).toEqual([
    { customer_id: "501", messages: 3, parts: 3, cost: 1_000, refunded: 500 },
    { customer_id: "502", messages: 4, parts: 4, cost: 500, refunded: 1_500 },
  ]);
  const byParts = await topCustomers(clickhouse.clickhouse, { ...asked, by: "parts", count: 9 });
  expect(byParts.map(({ customer_id }) => customer_id)).toEqual(["502", "501", "503"]);
  expect(await topCustomers(clickhouse.clickhouse, { ...asked, toMs: atMs, by: "messages" })).toEqual([]);
});
