import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { maskOf } from "../../src/core/callback.ts";
import { SluiceError } from "../../src/core/errors.ts";
import { unpackEvents } from "../../src/core/event-record.ts";
import { createIdFactory } from "../../src/core/id.ts";
import { withCall } from "../../src/core/webhook-calls.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import type { LateReport } from "../../src/ledger/late-reports.ts";
import { settleClaim } from "../../src/ledger/settle.ts";
import { takeEvents } from "../../src/ledger/webhook-deliveries.ts";
import { createClickhouse } from "../../src/platform/clickhouse.ts";
import { createPool } from "../../src/platform/mysql.ts";
import { oneMessage } from "../../src/reports/messages-list.ts";
import { messagesReport } from "../../src/reports/messages-report.ts";
import { changesOf, type PresentState, timelineOf } from "../../src/reports/timeline.ts";
import { changeOf } from "../../src/sender/outcome.ts";
import {
  createTestClickhouse,
  insertStatusEvents,
  type StatusEvent,
  type TestClickhouse,
} from "../support/clickhouse.ts";
import { createTestDatabase } from "../support/database.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";

const HOUR_MS = 3_600_000;
const NOW_MS = Date.UTC(2026, 4, 20, 12);
const customer = { customerId: 1, region: "IR" };
let db: TestClickhouse;
beforeAll(async () => {
  db = await createTestClickhouse();
});
afterAll(() => db.drop());

const idAt = (timeMs: number) => createIdFactory({ now: () => timeMs })();
const report = (query: string | Record<string, string> = {}, customerId = 1, nowMs = NOW_MS) =>
  messagesReport(
    { clickhouse: db.clickhouse, now: () => nowMs },
    { ...customer, customerId },
    new Map(new URLSearchParams(query)),
  );
const fieldsRefused = async (query: string) => {
  const error = await report(query).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(SluiceError);
  expect((error as SluiceError).code).toBe("validation_failed");
  return (error as SluiceError).errors.map(({ field }) => field).sort();
};

describe("GET /v1/reports/messages", () => {
  test("is empty and has no as_of before the first event", async () => {
    expect(await report()).toEqual({ messages: [], next_cursor: null, as_of: null });
  });

  test("shows a message once, at its latest status, however often and in whatever order events came", async () => {
    const createdMs = NOW_MS - HOUR_MS;
    const id = idAt(createdMs);
    const queued = {
      id,
      sequence: 1,
      status: "queued",
      created_at_ms: createdMs,
      customer_id: 2,
      reference: "a\tb'\\é",
    };
    const sent = {
      ...queued,
      sequence: 4,
      status: "sent",
      operator: "A",
      operator_message_id: "x1",
      updated_at_ms: createdMs + 90,
    };
    await insertStatusEvents(db.clickhouse, [sent]);
    await insertStatusEvents(db.clickhouse, [queued, sent]);
    await insertStatusEvents(db.clickhouse, [queued]);
    const { messages, next_cursor, as_of } = await report({}, 2);
    expect(messages).toEqual([
      {
        id,
        phone: "+989120000001",
        type: "normal",
        status: "sent",
        parts: 1,
        cost: 500,
        reference: "a\tb'\\é",
        operator: "A",
        operator_message_id: "x1",
        created_at: new Date(createdMs).toISOString(),
        updated_at: new Date(createdMs + 90).toISOString(),
      },
    ]);
    expect(next_cursor).toBeNull();
    expect(as_of).toBe(new Date(createdMs + 90).toISOString());
    expect((await report({ status: "sent" }, 2)).messages).toHaveLength(1);
    expect((await report({ status: "queued" }, 2)).messages).toHaveLength(0);
  });

  test("selects from ≤ created_at < to, by default the last 24 hours", async () => {
    const at = [NOW_MS - 24 * HOUR_MS - 1, NOW_MS - 24 * HOUR_MS + 1, NOW_MS - 5_000, NOW_MS - 4_000, NOW_MS];
    const ids = at.map(idAt);
    await insertStatusEvents(
      db.clickhouse,
      at.map((created_at_ms, i) => ({
        id: ids[i] as string,
        sequence: 1,
        status: "queued",
        created_at_ms,
        customer_id: 3,
      })),
    );
    const found = async (query: Record<string, string>) =>
      (await report(query, 3)).messages.map(({ id }) => ids.indexOf(id));
    const iso = (ms: number) => new Date(ms).toISOString();
    expect(await found({})).toEqual([4, 3, 2, 1]);
    expect(await found({ from: iso(at[0] as number), to: iso(at[2] as number) })).toEqual([1, 0]);
    expect(await found({ from: iso(at[2] as number), to: iso(at[3] as number) })).toEqual([2]);
    expect(await found({ from: "2026-05-20T15:29:55+03:30", to: "2026-05-20T15:29:56+03:30" })).toEqual([2]);
    expect(await found({ from: "2026-05-20T11:59:55.0000001Z" })).toEqual([4, 3]);
    expect(await found({ id: ids[0] as string })).toEqual([0]);
    expect(await found({ id: ids[3] as string, limit: "1" })).toEqual([3]);
  });

  test("pages without a gap or a repeat, even while time passes and messages come in", async () => {
    const ids = Array.from({ length: 25 }, (_, i) => idAt(NOW_MS - 23.9 * HOUR_MS + i));
    const event = (id: string, i: number) => [
      { id, sequence: 1, status: "queued", created_at_ms: NOW_MS - 23.9 * HOUR_MS + i, customer_id: 4 },
      {
        id,
        sequence: i % 2 === 0 ? 4 : 5,
        status: i % 2 === 0 ? "sent" : "failed",
        created_at_ms: NOW_MS - 23.9 * HOUR_MS + i,
        customer_id: 4,
      },
    ];
    await insertStatusEvents(db.clickhouse, ids.flatMap(event));
    const filters: Record<string, string>[] = [
      {},
      { status: "sent" },
      { phone: "0912 000 0001" },
      { type: "normal" },
    ];
    for (const filter of filters) {
      const seen: string[] = [];
      let cursor: string | null = null;
      let nowMs = NOW_MS;
      do {
        const query: Record<string, string> = {
          ...filter,
          limit: "7",
          ...(cursor === null ? {} : { cursor }),
        };
        const page = await report(query, 4, nowMs);
        expect(page.messages.length).toBeLessThanOrEqual(7);
        seen.push(...page.messages.map(({ id }) => id));
        cursor = page.next_cursor;
        nowMs += HOUR_MS;
      } while (cursor !== null);
      const wanted = ids.filter((_, i) => !("status" in filter) || i % 2 === 0).reverse();
      expect(seen).toEqual(wanted);
    }
  });

  test("never shows another customer's message, not even by id", async () => {
    const id = idAt(NOW_MS - 1_000);
    await insertStatusEvents(db.clickhouse, [
      { id, sequence: 1, status: "queued", created_at_ms: NOW_MS - 1_000, customer_id: 5 },
    ]);
    expect((await report({ id }, 5)).messages).toHaveLength(1);
    expect((await report({ id }, 6)).messages).toHaveLength(0);
  });

  test("names every parameter it refuses", async () => {
    expect(
      await fieldsRefused("from=yesterday&to=x&status=SENT&type=x&phone=12&id=abc&limit=0&cursor=zzz"),
    ).toEqual(["cursor", "from", "id", "limit", "phone", "status", "to", "type"]);
    for (const bad of ["limit=1001", "limit=-1", "limit=1.5", "limit=1e2", "limit=%20"])
      expect(await fieldsRefused(bad)).toEqual(["limit"]);
    for (const bad of [
      "2026-02-30T00:00:00Z",
      "2026-01-01",
      "2026-01-01T00:00:00",
      "1767225600",
      "2026-01-01T24:00:00Z",
    ])
      expect(await fieldsRefused(`from=${bad}`)).toEqual(["from"]);
    expect(await fieldsRefused("from=2026-05-20T12:00:00Z&to=2026-05-20T12:00:00Z")).toEqual(["from"]);
    expect(await fieldsRefused("from=2026-05-20T12:00:01Z")).toEqual(["from"]);
    expect(await fieldsRefused("to=1970-01-01T00:00:00Z")).toEqual(["to"]);
    expect(await fieldsRefused("id=01KS0000000000000000000000' OR 1=1")).toEqual(["id"]);
  });

  test("refuses a cursor made with other filters, or made by hand", async () => {
    const { next_cursor } = await report({ limit: "2" }, 4);
    expect(next_cursor).not.toBeNull();
    const other = await report({ limit: "2", status: "sent", cursor: next_cursor as string }, 4).catch(
      (e: SluiceError) => e,
    );
    expect(other).toBeInstanceOf(SluiceError);
    for (const forged of [[1], [1, "x", 0, 1, "a"], "x", null, { a: 1 }]) {
      const cursor = Buffer.from(JSON.stringify(forged)).toString("base64url");
      expect(await fieldsRefused(`cursor=${cursor}`)).toEqual(["cursor"]);
    }
  });

  test("is a 503 with Retry-After while ClickHouse can't be reached", async () => {
    const nowhere = createClickhouse({ ...db.config, clickhousePort: 1 });
    const error = await messagesReport(
      { clickhouse: nowhere, now: () => NOW_MS },
      customer,
      new Map(new URLSearchParams()),
    ).catch((thrown: unknown) => thrown);
    await nowhere.close();
    expect(error).toMatchObject({ code: "reports_unavailable", status: 503, retryAfterS: 5 });
  });
});

const timeline = async (present: PresentState, late: readonly LateReport[] = []) =>
  timelineOf(await changesOf(db.clickhouse, present), present, late);

test("a timeline has each event once, and the present status if the log is behind", async () => {
  const createdMs = NOW_MS - 2_000;
  const id = idAt(createdMs);
  const event = { id, customer_id: 7, created_at_ms: createdMs };
  await insertStatusEvents(db.clickhouse, [{ ...event, sequence: 1, status: "queued" }]);
  await insertStatusEvents(db.clickhouse, [{ ...event, sequence: 1, status: "queued" }]);
  const present = {
    id,
    customerId: 7,
    attempt: 0,
    operator: null,
    lastError: null,
    updatedAtMs: createdMs + 50,
  };
  const now = await timeline({ ...present, status: "sending", sequence: 2 });
  expect(now.map(({ status }) => status)).toEqual(["queued", "sending"]);
  await insertStatusEvents(db.clickhouse, [{ ...event, sequence: 4, status: "sent", operator: "B" }]);
  const later = await timeline({ ...present, status: "sent", sequence: 4 });
  const plain = { attempt: 1, error: null, refused: [], late: false };
  expect(later).toEqual([
    { ...plain, status: "queued", operator: null, at: new Date(createdMs + 1).toISOString() },
    { ...plain, status: "sent", operator: "B", at: new Date(createdMs + 4).toISOString() },
  ]);
});

test("a timeline names who refused the message and why, and what was reported too late to change it", async () => {
  const createdMs = NOW_MS - 2_000;
  const id = idAt(createdMs);
  const at = (ms: number) => new Date(createdMs + ms).toISOString();
  const refused = (by: string[]) => ({
    refused_by: by,
    refused_why: by.map((name) => `${name} is busy`),
    refused_at_ms: by.map((_, i) => createdMs + i),
  });
  const event = { id, customer_id: 7, created_at_ms: createdMs };
  await insertStatusEvents(db.clickhouse, [
    { ...event, sequence: 1, status: "queued" },
    { ...event, sequence: 7, status: "queued", attempt: 1, last_error: "B: busy", ...refused(["A", "B"]) },
    { ...event, sequence: 10, status: "sent", attempt: 1, operator: "B", ...refused(["A"]) },
    { ...event, sequence: 11, status: "undelivered", attempt: 1, operator: "B", last_error: "barred (8)" },
  ]);
  const present = {
    id,
    customerId: 7,
    status: "undelivered",
    sequence: 11,
    attempt: 1,
    operator: "B",
    lastError: "barred (8)",
    updatedAtMs: createdMs + 11,
  } as const;
  const late = { messageId: id, part: 0, operator: "B", error: null, receivedAtMs: createdMs + 900 };
  const shown = await timeline(present, [{ ...late, status: "delivered" }]);
  const by = (name: string, ms: number) => ({ operator: name, error: `${name} is busy`, at: at(ms) });
  const none = { error: null, refused: [], late: false };
  expect(shown).toEqual([
    { ...none, status: "queued", attempt: 1, operator: null, at: at(1) },
    {
      ...none,
      status: "queued",
      attempt: 2,
      operator: null,
      at: at(7),
      error: "B: busy",
      refused: [by("A", 0), by("B", 1)],
    },
    { ...none, status: "sent", attempt: 2, operator: "B", at: at(10), refused: [by("A", 0)] },
    { ...none, status: "undelivered", attempt: 2, operator: "B", at: at(11), error: "barred (8)" },
    { ...none, status: "delivered", attempt: 2, operator: "B", at: at(900), late: true },
  ]);
});

test("steps tell all that happened to a message, and how long each took", async () => {
  const mysql = await createTestDatabase();
  const pool = createPool(mysql.config, { connections: 2, multipleStatements: true });
  try {
    const id = createIdFactory({ now: Date.now });
    const customerId = await insertCustomer(pool, 10_000);
    const told = { url: "https://a.example/dlr", statuses: maskOf(["sent"]), form: "jasmin 1 POST" };
    const record = laneRecord(customerId, { callback: told });
    await acceptMessages(pool, [record]);
    const [claimId, claimedAtMs] = [id(), record.createdAtMs + 40];
    record.relayedAtMs = record.createdAtMs + 30;
    const claim = { claimId, lane: record.lane, records: [record], nowMs: claimedAtMs };
    await claimMessages(pool, claim);
    const refusals = [{ operator: "A", error: "busy", atMs: record.createdAtMs + 50 }];
    const takenAtMs = record.createdAtMs + 70;
    const taken = { kind: "accepted", operator: "B", operatorMessageIds: ["b"], atMs: takenAtMs } as const;
    const nowMs = record.createdAtMs + 80;
    const changes = [changeOf(record, { ...taken, refusals }, { nowMs, jitter: 0, claimedAtMs })];
    await settleClaim({ pool, id }, { claimId, lane: record.lane, changes, idsLeft: [], nowMs });
    const rows = await pool.query<{ payload: Buffer }[]>("SELECT payload FROM outbox WHERE lane='events'");
    for (const { payload } of rows)
      for (const line of unpackEvents(payload)
        .status.split("\n")
        .filter((text) => text !== ""))
        await insertStatusEvents(db.clickhouse, [JSON.parse(line) as StatusEvent]);
    await takeEvents(pool, 10);
    const calls = withCall(withCall(null, { atMs: nowMs + 100, code: null, tookMs: 5_000 }), {
      atMs: nowMs + 6_000,
      code: 200,
      tookMs: 12,
    });
    await pool.query("UPDATE webhook_deliveries SET calls=?", [calls]);
    const owner = { customerId, region: "IR", currency: "IRR" };
    const { steps } = await oneMessage({ pool, clickhouse: db.clickhouse }, owner, record.id);
    const seen = steps?.map((one) =>
      [one.step, one.operator, one.answer, one.error, one.status, one.endpoint, one.code, one.took_ms]
        .filter((value) => value !== null)
        .join(" "),
    );
    expect(seen?.filter((text) => text !== "reserved")).toEqual([
      "accepted",
      "queued",
      "relayed",
      "claimed",
      "attempt A refused busy",
      "attempt B accepted",
      "captured",
      "webhook sent https://a.example 5000",
      "webhook sent https://a.example 200 12",
    ]);
    expect(seen).toContain("reserved");
    const atMs = (steps ?? []).map(({ at }) => Date.parse(at));
    const offsets = (name: string) =>
      (steps ?? []).flatMap(({ step }, n) => (step === name ? [(atMs[n] ?? 0) - record.createdAtMs] : []));
    expect(["relayed", "claimed", "attempt", "captured", "webhook"].map(offsets)).toEqual([
      [30],
      [40],
      [50, 70],
      [80],
      [180, 6_080],
    ]);
    const between = atMs.map((at, n) => at - (atMs[n - 1] ?? at));
    expect(steps?.map(({ after_ms }) => after_ms)).toEqual(between);
  } finally {
    await pool.end();
    await mysql.drop();
  }
});
