// The usage report on real engines: its sums are the ledger's, whatever Kafka repeats, reorders and delays;
// its periods and pages are whole, and only the caller's messages are in it.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Events, unpackEvents } from "../../src/core/event-record.ts";
import { createIdFactory } from "../../src/core/id.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { sequenceOf, type Status } from "../../src/core/message.ts";
import { SluiceError } from "../../src/core/errors.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import { settleClaim } from "../../src/ledger/settle.ts";
import { usageReport, type UsageRow } from "../../src/reports/usage-report.ts";
import { readWallet } from "../../src/reports/wallet.ts";
import { changeOf, type Outcome } from "../../src/sender/outcome.ts";
import {
  createTestClickhouse,
  insertLedgerEvents,
  insertStatusEvents,
  type StatusEvent,
  type TestClickhouse,
} from "../support/clickhouse.ts";
import { holdDeclared } from "../support/declared.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { createDownstream, type Downstream, until } from "../support/roles.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOW_MS = Date.UTC(2026, 4, 20, 12, 30);
const OPENING = 1_000_000;
const id = createIdFactory({ now: Date.now });
const idAt = (timeMs: number) => createIdFactory({ now: () => timeMs })();
let downstream: Downstream;
let db: TestClickhouse;
beforeAll(async () => {
  downstream = await createDownstream();
  db = await createTestClickhouse(downstream.config, { kafka: true });
}, 120_000);
afterAll(() => Promise.all([db.drop(), downstream.end()]), 60_000);

const report = (customerId: number, query: string | Record<string, string> = {}, nowMs = NOW_MS) =>
  usageReport(
    { clickhouse: db.clickhouse, now: () => nowMs },
    customerId,
    new Map(new URLSearchParams(query)),
  );
const count = async (sql: string) => Number((await db.clickhouse.query<{ n: string }>(sql))[0]?.n);
const untilCount = (sql: string, wanted: number) =>
  until(async () => (await count(sql)) === wanted, `${wanted}: ${sql}`);

describe("the sums of the report are those of the ledger", () => {
  const createdAtMs = Date.now();
  const promised = createdAtMs + 60_000;
  const taken: Outcome = { kind: "accepted", operator: "A", operatorMessageIds: ["a"], atMs: createdAtMs };
  const takenLate: Outcome = { ...taken, atMs: promised + 1 };
  const refused: Outcome = { kind: "refused", permanent: true, reason: "A: barred" };
  const busy: Outcome = { kind: "refused", permanent: false, reason: "A: busy" };
  const expired: Outcome = { kind: "expired", reason: "too late" };
  const lost: Outcome = { kind: "unknown", operator: "A", reason: "A: timed out" };
  let customerId: number;
  let otherId: number;
  let events: Events[];

  /** One message for each outcome, to few phones, with costs that tell sums apart. */
  const records = (of: number, lane: "normal" | "express", outcomes: readonly unknown[]): LaneRecord[] =>
    outcomes.map((_, i) =>
      laneRecord(of, {
        phone: `+98912123456${i % 4}`,
        lane,
        parts: 1 + (i % 3),
        cost: (lane === "normal" ? 500 : 700) * (1 + (i % 3)) + i,
        createdAtMs,
        guaranteedByMs: lane === "express" ? promised : null,
      }),
    );
  /** What a sender does with messages whose submits end like this; those without an outcome stay queued. */
  async function end(sent: readonly LaneRecord[], outcomes: readonly (Outcome | null)[]): Promise<void> {
    const { pool } = downstream;
    const lane = (sent[0] as LaneRecord).lane;
    const claimId = id();
    const claimed = sent.filter((_, i) => outcomes[i] !== null);
    await claimMessages(pool, { claimId, lane, records: claimed, nowMs: Date.now() });
    const moment = { nowMs: Date.now(), jitter: 1 };
    const changes = sent.flatMap((record, i) => {
      const outcome = outcomes[i] ?? null;
      return outcome === null ? [] : [changeOf(record, outcome, moment)];
    });
    await settleClaim({ pool, id }, { claimId, lane, changes, idsLeft: [], nowMs: Date.now() });
  }

  async function produce(status: string, ledger: string): Promise<void> {
    if (status !== "") await downstream.produce("sms.status", "", Buffer.from(status));
    if (ledger !== "") await downstream.produce("wallet.ledger", "", Buffer.from(ledger));
  }
  const linesOf = (text: string) => text.split("\n").filter((line) => line !== "").length;
  const linesIn = (of: readonly Events[], topic: keyof Events) =>
    of.reduce((sum, each) => sum + linesOf(each[topic]), 0);
  async function haveCome(of: readonly Events[]): Promise<void> {
    await untilCount("SELECT count() AS n FROM messages_log FINAL", linesIn(of, "status"));
    await untilCount("SELECT count() AS n FROM wallet_ledger FINAL", linesIn(of, "ledger"));
  }

  type Sums = Omit<UsageRow, "start" | "prefix">;
  const byName = (rows: Sums[]) =>
    rows.toSorted((a, b) => (`${a.lane} ${a.status}` < `${b.lane} ${b.status}` ? -1 : 1));
  async function ledgerSums(): Promise<Sums[]> {
    const rows = await downstream.pool.query<Record<string, string>[]>(
      `SELECT m.lane, m.status, COUNT(DISTINCT m.id) AS messages, COUNT(DISTINCT m.phone) AS unique_phones,
         SUM(IF(l.op = 'reserve', m.parts, 0)) AS parts,
         SUM(CASE l.op WHEN 'reserve' THEN l.amount WHEN 'refund' THEN -l.amount ELSE 0 END) AS cost,
         SUM(IF(l.op = 'refund', l.amount, 0)) AS refunded
       FROM messages m JOIN wallet_ledger l ON l.customer_id = m.customer_id AND l.entry_id = m.id
       WHERE m.customer_id = ${customerId} GROUP BY m.lane, m.status`,
    );
    return byName(
      rows.map((row) => ({
        lane: row.lane as string,
        status: row.status as string,
        messages: Number(row.messages),
        parts: Number(row.parts),
        cost: Number(row.cost),
        refunded: Number(row.refunded),
        unique_phones: Number(row.unique_phones),
      })),
    );
  }
  const reportSums = async (): Promise<Sums[]> => {
    const { usage } = await report(customerId, "interval=day&by=lane,status", Date.now());
    return byName(
      usage.map(({ lane, status, messages, parts, cost, refunded, unique_phones }) => ({
        lane: lane as string,
        status: status as string,
        messages,
        parts,
        cost,
        refunded,
        unique_phones,
      })),
    );
  };

  beforeAll(async () => {
    const { pool } = downstream;
    customerId = await insertCustomer(pool, OPENING);
    otherId = await insertCustomer(pool, OPENING);
    const normal = [taken, taken, refused, busy, lost, taken, expired, null, refused, busy, null, taken];
    const express = [taken, takenLate, refused, taken, takenLate, expired, null, lost, takenLate];
    const [first, second] = [records(customerId, "normal", normal), records(customerId, "express", express)];
    const others = records(otherId, "normal", [taken, refused]);
    await acceptMessages(pool, [...first, ...others]);
    await acceptMessages(pool, second);
    await end(first, normal);
    await end(others, [taken, refused]);
    // Its refunds can be seen in the ledger only: they are what is delayed below.
    await end(second, express);
    const rows = await pool.query<{ payload: Buffer }[]>(
      "SELECT payload FROM outbox WHERE lane='events' ORDER BY id",
    );
    events = rows.map(({ payload }) => unpackEvents(payload));
  }, 120_000);

  test("to the unit, however records are repeated, reordered and delayed", async () => {
    const late = events.at(-1) as Events;
    expect(late.ledger.split('"op":"refund"')).toHaveLength(1 + 5);
    const early = events.slice(0, -1);
    for (const { status, ledger } of early.toReversed()) await produce(status, ledger);
    await haveCome(early);
    const express = (await reportSums()).filter(({ lane }) => lane === "express");
    expect(express).toMatchObject([{ status: "queued", messages: 9, refunded: 0 }]);

    // Refunds known before the statuses that they belong to, and the other way round, are counted once.
    await produce("", late.ledger);
    await untilCount("SELECT count() AS n FROM wallet_ledger FINAL", linesIn(events, "ledger"));
    const all = async () => (await reportSums()).reduce((sum, { cost }) => sum + cost, 0);
    const spent = OPENING - (await readWallet({ pool: downstream.pool }, customerId)).available;
    expect(await all()).toBe(spent);
    await produce(late.status, "");
    await haveCome(events);
    const sums = await ledgerSums();
    expect(sums.map(({ lane, status }) => `${lane} ${status}`)).toEqual([
      "express expired",
      "express failed",
      "express queued",
      "express sent",
      "express unknown",
      "normal expired",
      "normal failed",
      "normal queued",
      "normal sent",
      "normal unknown",
    ]);
    expect(await reportSums()).toEqual(sums);

    const again = (topic: keyof Events) => events.map((each) => each[topic]).join("");
    await produce(again("status"), again("ledger"));
    await produce(events[0]?.status ?? "", events[0]?.ledger ?? "");
    // Once another customer's event has come, which was produced last, so has everything before it.
    const last = id();
    const marker = { id: last, customer_id: 0, created_at_ms: createdAtMs, updated_at_ms: createdAtMs };
    const entry = { event_id: `${last}:open`, customer_id: 0, op: "topup", amount: 1 };
    await produce(
      JSON.stringify({ ...marker, sequence: 1, status: "queued", type: "normal", phone: "+989120000001" }),
      JSON.stringify({ ...entry, created_at_ms: createdAtMs }),
    );
    await untilCount("SELECT count() AS n FROM messages_log WHERE customer_id = 0", 1);
    await untilCount("SELECT count() AS n FROM wallet_ledger WHERE customer_id = 0", 1);
    expect(await reportSums()).toEqual(sums);
    expect(await all()).toBe(spent);
  }, 120_000);

  test("an express message that was taken too late is sent and costs nothing", async () => {
    const { usage } = await report(customerId, "interval=day&by=status,lane", Date.now());
    const sent = usage.find(({ status, lane }) => status === "sent" && lane === "express");
    expect(sent).toMatchObject({ messages: 5, cost: 700 + 700 + 3 });
    expect(sent?.refunded).toBe(1_400 + 1 + 1_400 + 4 + 2_100 + 8);
  });
});

/** The events of a message that was accepted at `createdMs` and came to these statuses, in this order. */
function message(
  customer_id: number,
  createdMs: number,
  statuses: readonly Status[] = ["queued"],
  more: Partial<StatusEvent> = {},
): StatusEvent[] {
  const of = { id: idAt(createdMs), customer_id, created_at_ms: createdMs, ...more };
  return statuses.map((status) => ({ ...of, status, sequence: sequenceOf(0, status) }));
}
const only = { messages: 1, parts: 1, cost: 500, refunded: 0, unique_phones: 1 };
const iso = (ms: number) => new Date(ms).toISOString();

describe("GET /v1/reports/usage", () => {
  test("a message counts once, in the period of its acceptance, at its latest status", async () => {
    const acceptedMs = NOW_MS - 2 * DAY_MS - 1;
    const steps = message(1_001, acceptedMs, ["queued", "sent", "delivered"]);
    for (const event of steps.toReversed())
      await insertStatusEvents(db.clickhouse, [{ ...event, updated_at_ms: NOW_MS }]);
    await insertStatusEvents(db.clickhouse, steps);
    await insertStatusEvents(db.clickhouse, message(1_001, NOW_MS - 1, ["queued", "failed"]));
    const days = await report(1_001, { interval: "day" });
    expect(days.usage).toEqual([
      { start: "2026-05-20T00:00:00.000Z", status: "failed", ...only, cost: 0, refunded: 500 },
      { start: "2026-05-18T00:00:00.000Z", status: "delivered", ...only },
    ]);
    expect(days.next_cursor).toBeNull();
    const from = iso(acceptedMs - 1);
    const hours = await report(1_001, { interval: "hour", from, by: "none" });
    expect(hours.usage).toEqual([
      { start: "2026-05-20T12:00:00.000Z", ...only, cost: 0, refunded: 500 },
      { start: "2026-05-18T12:00:00.000Z", ...only },
    ]);
    const minutes = await report(1_001, { interval: "minute", from, to: iso(acceptedMs + 1), by: "lane" });
    expect(minutes.usage).toEqual([{ start: "2026-05-18T12:29:00.000Z", lane: "normal", ...only }]);
    expect((await report(1_001, { from, to: iso(acceptedMs) })).usage).toEqual([]);
  });

  test("tells apart what it is asked to: status, lane and calling code, and counts phones once", async () => {
    const to = (phone: string, type = "normal") =>
      message(1_002, NOW_MS - HOUR_MS, ["queued"], { phone, type });
    await insertStatusEvents(
      db.clickhouse,
      [
        to("+989121234567"),
        to("+989121234567"),
        to("+989121234568", "express"),
        to("+14155550100"),
        to("+79161234567"),
        to("+447911123456"),
        to("+351912345678"),
        to("+9647901234567"),
      ].flat(),
    );
    const at = { start: "2026-05-20T11:00:00.000Z" };
    const sums = (messages: number, unique_phones: number) => ({
      ...only,
      messages,
      parts: messages,
      cost: 500 * messages,
      unique_phones,
    });
    expect((await report(1_002, { by: "none" })).usage).toEqual([{ ...at, ...sums(8, 7) }]);
    expect((await report(1_002, { by: "lane" })).usage).toEqual([
      { ...at, lane: "express", ...sums(1, 1) },
      { ...at, lane: "normal", ...sums(7, 6) },
    ]);
    const all = await report(1_002, { by: "prefix,lane" });
    const answer = { status: 200, type: "application/json", text: JSON.stringify(all) };
    holdDeclared("GET", "/v1/reports/usage", answer);
    expect(all.usage).toEqual([
      { ...at, prefix: "+1", lane: "normal", ...only },
      { ...at, prefix: "+351", lane: "normal", ...only },
      { ...at, prefix: "+44", lane: "normal", ...only },
      { ...at, prefix: "+7", lane: "normal", ...only },
      { ...at, prefix: "+964", lane: "normal", ...only },
      { ...at, prefix: "+98", lane: "express", ...only },
      { ...at, prefix: "+98", lane: "normal", ...sums(2, 1) },
    ]);
  });

  test("pages have whole periods, without a gap or a repeat, even while time passes and messages come in", async () => {
    const hours = Array.from({ length: 40 }, (_, i) => NOW_MS - i * 17 * HOUR_MS);
    await insertStatusEvents(
      db.clickhouse,
      hours.flatMap((ms, i) => [
        ...message(1_003, ms, ["queued", i % 2 === 0 ? "sent" : "failed"]),
        ...message(1_003, ms, ["queued"]),
      ]),
    );
    const query = { from: iso(NOW_MS - 30 * DAY_MS), interval: "hour" };
    const whole = await report(1_003, { ...query, limit: "1000" });
    expect(whole.usage).toHaveLength(2 * 40);
    expect(whole.next_cursor).toBeNull();
    const seen: UsageRow[] = [];
    let cursor: string | null = null;
    let nowMs = NOW_MS;
    do {
      const next: Record<string, string> = cursor === null ? {} : { cursor };
      const page = await report(1_003, { ...query, limit: "7", ...next }, nowMs);
      expect(page.usage.length % 2).toBe(0);
      expect(page.usage.length).toBeLessThanOrEqual(2 * 7);
      seen.push(...page.usage);
      cursor = page.next_cursor;
      nowMs += HOUR_MS;
      await insertStatusEvents(db.clickhouse, message(1_003, nowMs));
    } while (cursor !== null);
    expect(seen).toEqual(whole.usage);
  });

  test("never counts another customer's messages or refunds", async () => {
    const nowMs = Date.now();
    const mine = message(1_004, nowMs, ["queued", "sent"]);
    await insertStatusEvents(db.clickhouse, mine);
    await insertStatusEvents(db.clickhouse, message(1_005, nowMs, ["queued"]));
    // Not even if another customer had a refund of the same id.
    const refund = { event_id: `${mine[0]?.id}:close`, op: "refund", amount: 500, created_at_ms: nowMs };
    await insertLedgerEvents(db.clickhouse, [{ ...refund, customer_id: 1_005 }]);
    const usageOf = async (customerId: number) => (await report(customerId, {}, nowMs)).usage;
    const start = iso(Math.floor(nowMs / HOUR_MS) * HOUR_MS);
    expect(await usageOf(1_004)).toEqual([{ start, status: "sent", ...only }]);
    expect(await usageOf(1_005)).toEqual([{ start, status: "queued", ...only }]);
    expect(await usageOf(1_006)).toEqual([]);
    const { next_cursor } = await report(1_003, { from: iso(NOW_MS - 30 * DAY_MS), limit: "1" });
    const cursor = next_cursor as string;
    const stranger = await report(1_006, { from: iso(NOW_MS - 30 * DAY_MS), limit: "1", cursor });
    expect(stranger.usage).toEqual([]);
  });

  test("a refund counts for longer than ClickHouse keeps entries", async () => {
    const createdMs = Date.now() - 25 * DAY_MS;
    const [queued, sent] = message(1_007, createdMs, ["queued", "sent"], { type: "express" });
    await insertStatusEvents(db.clickhouse, [queued as StatusEvent, sent as StatusEvent]);
    const event_id = `${queued?.id}:close`;
    await insertLedgerEvents(db.clickhouse, [
      { event_id, customer_id: 1_007, op: "refund", amount: 500, created_at_ms: createdMs + 5_000 },
    ]);
    const query = { interval: "day", from: iso(createdMs - DAY_MS), by: "none" };
    const usage = async () => (await report(1_007, query, Date.now())).usage;
    const refunded = [{ messages: 1, cost: 0, refunded: 500 }];
    expect(await usage()).toMatchObject(refunded);
    await db.clickhouse.command("SYSTEM REFRESH VIEW mv_refunds");
    await db.clickhouse.command("SYSTEM WAIT VIEW mv_refunds");
    await db.clickhouse.command(
      "ALTER TABLE wallet_ledger DELETE WHERE customer_id = 1007 SETTINGS mutations_sync = 1",
    );
    expect(await count("SELECT count() AS n FROM wallet_ledger WHERE customer_id = 1007")).toBe(0);
    expect(await usage()).toMatchObject(refunded);
  });

  test("as_of is the time up to which statuses and refunds are both there", async () => {
    const atOf = (topic: string) =>
      count(`SELECT toUnixTimestamp64Milli(max(newest_at)) AS n FROM freshness WHERE topic = '${topic}'`);
    const createdMs = Date.now() + HOUR_MS;
    await insertStatusEvents(db.clickhouse, message(1_008, createdMs));
    const ledgerMs = await atOf("wallet.ledger");
    expect(await atOf("sms.status")).toBeGreaterThan(ledgerMs);
    expect((await report(1_008)).as_of).toBe(iso(ledgerMs));
  });

  test("names every parameter it refuses, and why", async () => {
    const refusalOf = async (query: string) => {
      const error = await report(1, query).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(SluiceError);
      expect((error as SluiceError).code).toBe("validation_failed");
      return (error as SluiceError).errors;
    };
    const errors = await refusalOf("interval=week&by=type&from=x&to=y&limit=0&cursor=z");
    const fields = errors.map(({ field }) => field).sort();
    expect(fields).toEqual(["by", "cursor", "from", "interval", "limit", "to"]);
    expect(await refusalOf("interval=minute&from=2026-05-18T12:00:00Z")).toEqual([
      { field: "from", reason: "must be at most 1 day before `to`, or now, if the interval is minute" },
    ]);
    const { next_cursor } = await report(1_003, { from: iso(NOW_MS - 30 * DAY_MS), limit: "1" });
    const cursor = next_cursor as string;
    const others: Record<string, string>[] = [{ by: "none" }, { interval: "day" }, {}];
    for (const other of others)
      expect(await refusalOf(new URLSearchParams({ ...other, cursor }).toString())).toEqual([
        { field: "cursor", reason: "must be the next_cursor of a page with the same filters" },
      ]);
  });
});
