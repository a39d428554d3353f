import { afterAll, beforeAll, expect, test } from "bun:test";
import { SluiceError } from "../../src/core/errors.ts";
import { createIdFactory } from "../../src/core/id.ts";
import type { Clickhouse } from "../../src/platform/clickhouse.ts";
import { exportMessages, messagesReport } from "../../src/reports/messages-report.ts";
import { changesOf } from "../../src/reports/timeline.ts";
import { createTestClickhouse, insertStatusEvents, type TestClickhouse } from "../support/clickhouse.ts";

const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2026, 4, 20, 12);
const DAYS = 40;
const RANGE = { from: "2026-04-01T00:00:00Z", status: "unknown" };
const owner = { customerId: 2, region: "IR" };
let db: TestClickhouse;
/** Of each day, newest first: the message that nobody knows the end of. */
let unknown: string[];
beforeAll(async () => {
  db = await createTestClickhouse();
  const days = Array.from({ length: DAYS }, (_, day) => NOW_MS - (day + 0.5) * DAY_MS);
  const messages = days.flatMap((created_at_ms) => {
    const id = createIdFactory({ now: () => created_at_ms });
    const of = (customer_id: number, status: string) => {
      return { customer_id, id: id(), sequence: 4, status, created_at_ms };
    };
    // What others send is before and behind it in the same granules.
    return [of(1, "sent"), of(2, "sent"), of(2, "unknown"), of(3, "sent")];
  });
  await insertStatusEvents(db.clickhouse, messages);
  unknown = messages.filter(({ status }) => status === "unknown").map(({ id }) => id);
});
afterAll(() => db.drop());

/** A ClickHouse that hands each statement to `before` first. */
const watched = (before: (sql: string, params: Record<string, unknown>) => void): Clickhouse => ({
  ...db.clickhouse,
  query: (sql, params) => {
    before(sql, params ?? {});
    return db.clickhouse.query(sql, params);
  },
});
const deps = (clickhouse: Clickhouse) => ({ clickhouse, now: () => NOW_MS });
const asked = (query: Record<string, string>) => new Map(Object.entries(query));

test("a search for a status goes back through the days, page by page, and as an export", async () => {
  const seen: string[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const query = asked({ ...RANGE, limit: "7", ...(cursor === "" ? {} : { cursor }) });
    const page = await messagesReport(deps(db.clickhouse), owner, query);
    seen.push(...page.messages.map(({ id }) => id));
    cursor = page.next_cursor;
  }
  expect(seen).toEqual(unknown);
  const { rows, next } = await exportMessages(deps(db.clickhouse), owner, asked(RANGE));
  expect([rows.map(({ row }) => row.id), next]).toEqual([unknown, null]);
});

test("a search that can't go on ends its page, and the next one goes on where it ended", async () => {
  let searches = 0;
  const clickhouse = watched((sql) => {
    if (!sql.includes("argMax")) return;
    searches++;
    // Every third window is too large for its time.
    if (searches % 6 === 5) throw new SluiceError("reports_unavailable");
  });
  const seen: string[] = [];
  let pages = 0;
  for (let cursor: string | null = ""; cursor !== null; pages++) {
    const query = asked({ ...RANGE, limit: "100", ...(cursor === "" ? {} : { cursor }) });
    const page = await messagesReport(deps(clickhouse), owner, query);
    seen.push(...page.messages.map(({ id }) => id));
    cursor = page.next_cursor;
  }
  expect(seen).toEqual(unknown);
  expect(pages).toBeGreaterThan(1);
  const failing = watched((sql) => {
    if (sql.includes("argMax")) throw new SluiceError("reports_unavailable");
  });
  const refused = await messagesReport(deps(failing), owner, asked(RANGE)).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: "reports_unavailable" });
});

test("one message is read from the days about its own, not from all that are kept", async () => {
  const id = unknown[20] as string;
  const statements: [sql: string, params: Record<string, unknown>][] = [];
  const clickhouse = watched((sql, params) => void statements.push([sql, params]));
  const { messages } = await messagesReport(deps(clickhouse), owner, asked({ id }));
  expect(messages.map((message) => message.id)).toEqual([id]);
  const present = { customerId: 2, id, status: "unknown", sequence: 4, attempt: 0, updatedAtMs: 0 } as const;
  expect(await changesOf(clickhouse, { ...present, operator: null, lastError: null })).toHaveLength(1);
  for (const [sql, params] of statements.filter(([sql]) => sql.includes("FROM messages_log"))) {
    type Estimate = { table: string; parts: string | number };
    const read = await db.clickhouse.query<Estimate>(`EXPLAIN ESTIMATE ${sql}`, params as never);
    const parts = read.filter(({ table }) => table === "messages_log").map((row) => Number(row.parts));
    expect(parts.length).toBeGreaterThan(0);
    for (const count of parts) expect(count).toBeLessThanOrEqual(3);
  }
});
