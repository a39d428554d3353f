// Inbound messages on MySQL, from the inbox to the event: whose they are, what is a repeat, how parts are
// joined, and what STOP and START do. The reading of each shape has its tests beside it; what customers get:
// opt-outs.test.ts.

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import type { RawReport } from "../../src/core/raw-report.ts";
import { isInbound, unpackWebhookEvents } from "../../src/core/webhook-event.ts";
import type { InboundEvent } from "../../src/core/webhook-inbound.ts";
import { addNumber, listNumbers, removeNumber } from "../../src/customers/numbers.ts";
import { ROWS_MAX, takeReports } from "../../src/dlr/take.ts";
import { listLetters } from "../../src/ledger/dead-letters.ts";
import { tellIncomplete, purgeInbound } from "../../src/ledger/inbound.ts";
import { storeReports } from "../../src/ledger/inbox-rows.ts";
import { requeueLetter } from "../../src/ledger/requeue-letter.ts";
import { takeEvents } from "../../src/ledger/webhook-deliveries.ts";
import { encodeGsm7 } from "../../src/core/gsm7.ts";
import { DEFAULT_TERMS, type ReportTerms } from "../../src/operators/reports/report.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { deliverPdu } from "../support/deliver-pdu.ts";
import { insertCustomer } from "../support/messages.ts";

const TERMS: Record<string, ReportTerms> = {
  A: { ...DEFAULT_TERMS, shape: "generic" },
  S: { ...DEFAULT_TERMS, shape: "smpp" },
};
const PHONE = "989121234567";

let db: TestDatabase;
let pool: Pool;
let told: number;
let untold: number;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 4, multipleStatements: true });
  told = await insertCustomer(pool, 1_000);
  untold = await insertCustomer(pool, 1_000);
  await pool.query(
    "INSERT INTO webhooks (customer_id,url,statuses,secret) VALUES " +
      `(${told},'https://a.example/hook',0,'whsec_')`,
  );
  await addNumber(pool, told, "3000", null);
  await addNumber(pool, untold, "4000", null);
  await addNumber(pool, told, "5000", "Vote");
  await addNumber(pool, untold, "5000", "quiz");
});
beforeEach(() =>
  pool.query(
    "DELETE FROM inbox;DELETE FROM inbound_messages;DELETE FROM inbound_parts;DELETE FROM inbound_seen;" +
      "DELETE FROM opt_outs;DELETE FROM webhook_events;DELETE FROM webhook_deliveries;" +
      "DELETE FROM webhook_endpoints",
  ),
);
afterAll(async () => {
  await reconcileBooks(pool);
  await pool.end();
  await db.drop();
});

type Sent = { from?: string; to?: string; text?: string; id?: string | null; atMs?: number };
let ids = 0;
const mo = ({ from = PHONE, to = "3000", text = "hello", id, atMs = Date.now() }: Sent = {}): RawReport => ({
  operator: "A",
  receivedAtMs: atMs,
  via: "mo",
  contentType: "application/json",
  query: "",
  body: Buffer.from(JSON.stringify({ from, to, text, id: id === undefined ? `id-${++ids}` : id })),
});
const deps = () => ({ pool, termsOf: (name: string) => TERMS[name], now: Date.now });
/** Stores these in one row and takes what is due; what became of each. */
async function take(...raws: RawReport[]) {
  if (raws.length > 0) await storeReports(pool, raws);
  const { rows, inbound } = await takeReports(deps());
  expect(rows).toBeLessThan(ROWS_MAX);
  expect(await pool.query("SELECT id FROM inbox")).toEqual([]);
  return inbound;
}
async function events(): Promise<InboundEvent[]> {
  const rows = await pool.query<{ payload: Buffer }[]>("SELECT payload FROM webhook_events ORDER BY id");
  return rows.flatMap(({ payload }) => unpackWebhookEvents(payload)).filter(isInbound);
}
const problemOf = (done: Promise<unknown>) =>
  done.then(
    () => "done",
    (error: Error) => error.message,
  );
const stored = () =>
  pool.query<{ id: string; customer_id: number; text: string; told: 0 | 1 }[]>(
    "SELECT id, customer_id, text, told FROM inbound_messages ORDER BY id",
  );
const optOuts = async () =>
  (
    await pool.query<{ customer_id: number; phone: string; sender: string; source: string }[]>(
      "SELECT customer_id, phone, sender, source FROM opt_outs ORDER BY customer_id, sender",
    )
  ).map((row) => Object.values(row).join(" "));

test("a message to a customer's number is one row and one event, with the same id", async () => {
  expect(await take(mo({ text: "سلام 😀", id: "x-1" }))).toEqual(["told"]);
  const [event, ...more] = await events();
  expect(more).toEqual([]);
  expect(event).toMatchObject({
    customerId: told,
    from: `+${PHONE}`,
    to: "3000",
    text: "سلام 😀",
    operator: "A",
    operatorMessageId: "x-1",
    command: null,
    keyword: null,
  });
  expect(await stored()).toEqual([
    { id: event?.inboundId as string, customer_id: told, text: "سلام 😀", told: 1 },
  ]);
  await takeEvents(pool, 10);
  const deliveries = await pool.query<{ event_id: string; status: string }[]>(
    "SELECT event_id, status FROM webhook_deliveries",
  );
  expect(deliveries).toEqual([{ event_id: event?.inboundId as string, status: "message.received" }]);
});

test("a customer without a URL has its messages, and no event; a number of nobody is acknowledged", async () => {
  expect(await take(mo({ to: "4000" }), mo({ to: "9999" }))).toEqual(["untold", "unknown_number"]);
  expect(await stored()).toMatchObject([{ customer_id: untold, told: 0 }]);
  expect(await events()).toEqual([]);
});

test("a number is found with its country's code, and with a plus", async () => {
  expect(await take(mo({ to: "+983000", text: "a" }), mo({ to: "00983000", text: "b" }))).toEqual([
    "told",
    "told",
  ]);
  // Of another country.
  expect(await take(mo({ to: "13000", text: "c" }))).toEqual(["unknown_number"]);
});

test("a number is found in Persian and Arabic digits; what no number of ours can be is nobody's", async () => {
  expect(await take(mo({ to: "۳۰۰۰", text: "a" }), mo({ to: "+٩٨٣٠٠٠", text: "b" }))).toEqual([
    "told",
    "told",
  ]);
  const pdu = deliverPdu({
    sourceAddr: PHONE,
    destAddr: "caf\u00e9",
    esmClass: 0,
    shortMessage: encodeGsm7("c") as Uint8Array,
  });
  const overSmpp: RawReport = { operator: "S", receivedAtMs: Date.now(), via: "smpp", pdu };
  expect(await take(mo({ to: "Ärzte" }), mo({ to: "۳۰۰۰é" }), overSmpp, mo({ text: "d" }))).toEqual([
    "unknown_number",
    "unknown_number",
    "unknown_number",
    "told",
  ]);
});

test("a shared number's messages go by their first word; STOP there is for all of its customers", async () => {
  expect(
    await take(mo({ to: "5000", text: "VOTE 7" }), mo({ to: "5000", text: "quiz" }), mo({ to: "5000" })),
  ).toEqual(["told", "untold", "unknown_number"]);
  expect(await events()).toMatchObject([{ customerId: told, keyword: "vote", text: "VOTE 7" }]);
  expect(await take(mo({ to: "5000", text: "STOP" }))).toEqual(["told"]);
  expect(await optOuts()).toEqual([`${told} +${PHONE} 5000 inbound`, `${untold} +${PHONE} 5000 inbound`]);

  // One of them, and a third customer, have whatever begins with no keyword.
  const rest = await insertCustomer(pool, 1_000);
  const all = [told, untold, rest].map((customerId) => `${customerId} +${PHONE} 5000 inbound`);
  for (const owner of [rest, told]) {
    await pool.query("DELETE FROM opt_outs;DELETE FROM inbound_seen");
    await addNumber(pool, owner, "5000", null);
    await take(mo({ to: "5000", text: "STOP" }));
    expect(await optOuts()).toEqual(owner === rest ? all : all.slice(0, 2));
    for (const text of ["HELP", "hello"]) {
      await pool.query("DELETE FROM inbound_messages;DELETE FROM inbound_seen");
      await take(mo({ to: "5000", text }));
      expect((await stored()).map(({ customer_id }) => customer_id)).toEqual([owner]);
    }
    await take(mo({ to: "5000", text: "START" }));
    expect(await optOuts()).toEqual([]);
    await removeNumber(pool, "5000", null);
  }
});

test("what comes twice is told once: by the operator's id, or by the same words within a minute", async () => {
  const atMs = Date.now() - 200_000;
  expect(await take(mo({ id: "d-1", atMs }), mo({ id: "d-1", text: "other", atMs: atMs + 90_000 }))).toEqual([
    "told",
    "repeated",
  ]);
  expect(await take(mo({ id: null, text: "again", atMs }))).toEqual(["told"]);
  expect(await take(mo({ id: null, text: "again", atMs: atMs + 59_000 }))).toEqual(["repeated"]);
  expect(await take(mo({ id: null, text: "again", atMs: atMs + 61_000 }))).toEqual(["told"]);
  expect(await stored()).toHaveLength(3);
});

test("STOP is kept per customer and number, and START ends it, whatever came within a minute before", async () => {
  await take(mo({ text: "لغو۱۱" }), mo({ to: "4000", text: "Stop." }));
  expect(await optOuts()).toEqual([`${told} +${PHONE} 3000 inbound`, `${untold} +${PHONE} 4000 inbound`]);
  await take(mo({ text: "START" }));
  expect(await optOuts()).toEqual([`${untold} +${PHONE} 4000 inbound`]);
  expect(await take(mo({ text: "لغو۱۱", id: null }))).toEqual(["repeated"]);
  expect(await optOuts()).toHaveLength(2);
  expect((await events()).map(({ command }) => command)).toEqual(["stop", "start"]);
});

const part = (
  number: number,
  text: string,
  { reference = 7, total = 3, source = PHONE } = {},
): RawReport => ({
  operator: "S",
  receivedAtMs: Date.now(),
  via: "smpp",
  pdu: deliverPdu({
    sourceAddr: source,
    destAddr: "3000",
    esmClass: 0x40,
    shortMessage: Buffer.concat([
      Buffer.from([5, 0, 3, reference, total, number]),
      encodeGsm7(text) as Uint8Array,
    ]),
  }),
});

test("parts are joined whatever their order and however often they come, across rows of the inbox", async () => {
  expect(await take(part(3, "c"), part(1, "a"))).toEqual(["part", "part"]);
  expect(await take(part(1, "a"))).toEqual(["repeated"]);
  expect(await take(part(2, "x", { source: "989120000000" }))).toEqual(["part"]);
  expect(await take(part(2, "b"))).toEqual(["told"]);
  expect(await events()).toMatchObject([{ text: "abc", parts: 3, missingParts: 0 }]);
  // One that comes again afterwards waits for nothing.
  expect(await take(part(2, "b"))).toEqual(["repeated"]);
  expect(await pool.query("SELECT part FROM inbound_parts")).toHaveLength(1);
});

test("a reference that is used again tells what there is of the earlier message", async () => {
  await take(part(1, "old "), part(2, "one"));
  expect(await take(part(1, "new "))).toEqual(["told"]);
  expect(await events()).toMatchObject([{ text: "old one", missingParts: 1 }]);
  expect(await take(part(2, "text"), part(3, "!"))).toEqual(["part", "told"]);
  expect((await events()).map(({ text }) => text)).toEqual(["old one", "new text!"]);
});

test("what waited an hour for its other parts is told as far as it came", async () => {
  await take(part(1, "half "));
  expect(await tellIncomplete(pool)).toEqual([]);
  await pool.query("UPDATE inbound_parts SET stored_at=NOW(3) - INTERVAL 61 MINUTE");
  expect(await tellIncomplete(pool)).toEqual(["told"]);
  expect(await tellIncomplete(pool)).toEqual([]);
  expect(await events()).toMatchObject([{ text: "half ", parts: 3, missingParts: 2 }]);
});

test("what can't be read is a dead letter, and holds up nothing", async () => {
  const bad = { ...mo(), body: Buffer.from('{"from":') } as RawReport;
  expect(await take(bad, mo({ text: "behind" }))).toEqual(["told"]);
  expect((await listLetters(pool, { source: "report", limit: 10 })).length).toBeGreaterThan(0);
});

test("what fails for a reason that nobody foresaw becomes a dead letter alone, and holds up nothing", async () => {
  await pool.query("ALTER TABLE inbound_messages ADD CONSTRAINT unforeseen CHECK (text <> 'poison')");
  await storeReports(pool, [mo({ text: "a" }), mo({ text: "poison", id: "p" }), mo({ text: "b" })]);
  await storeReports(pool, [mo({ text: "poison", id: "q" })]);
  const before = await listLetters(pool, { source: "report", limit: 100 });
  try {
    expect((await takeReports(deps())).failures.map(({ place }) => place)).toEqual(["A by mo", "A by mo"]);
    expect(await take(mo({ text: "c" }))).toEqual(["told"]);
  } finally {
    await pool.query("ALTER TABLE inbound_messages DROP CONSTRAINT unforeseen");
  }
  expect((await events()).map(({ text }) => text)).toEqual(["a", "b", "c"]);
  const known = before.map(({ id }) => id);
  const letters = (await listLetters(pool, { source: "report", limit: 100 })).filter(
    ({ id }) => !known.includes(id),
  );
  expect(letters.map(({ reason }) => reason)).toEqual([
    expect.stringContaining("unforeseen"),
    expect.stringContaining("unforeseen"),
  ]);
  // Whose cause is gone is told when it is requeued.
  for (const { id } of letters) await requeueLetter(pool, id);
  expect(await take()).toEqual(["told", "repeated"]);
});

test("a database that isn't migrated makes no report a dead letter", async () => {
  await storeReports(pool, [mo()]);
  await pool.query("RENAME TABLE inbound_seen TO inbound_seen_gone");
  try {
    expect(await problemOf(takeReports(deps()))).toContain("doesn't exist");
    expect(await pool.query("SELECT id FROM inbox")).toHaveLength(1);
  } finally {
    await pool.query("RENAME TABLE inbound_seen_gone TO inbound_seen");
  }
  expect(await take()).toEqual(["told"]);
});

test("a full disk makes no report a dead letter: the next look settles it", async () => {
  await storeReports(pool, [mo(), mo({ text: "another" })]);
  const before = await listLetters(pool, { source: "report", limit: 100 });
  await pool.query(
    "CREATE TRIGGER full BEFORE INSERT ON webhook_events FOR EACH ROW " +
      "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO=1114, MESSAGE_TEXT='The table is full'",
  );
  try {
    expect(await problemOf(takeReports(deps()))).toContain("The table is full");
    expect(await pool.query("SELECT id FROM inbox")).toHaveLength(1);
  } finally {
    await pool.query("DROP TRIGGER full");
  }
  expect(await listLetters(pool, { source: "report", limit: 100 })).toEqual(before);
  expect(await take()).toEqual(["told", "told"]);
});

test("numbers have one owner a keyword, and are given back", async () => {
  expect(await problemOf(addNumber(pool, untold, "+3000", null))).toContain("has an owner already");
  expect(await problemOf(addNumber(pool, told, "5000", "vote"))).toContain("has an owner already");
  expect(await problemOf(addNumber(pool, told, "5000", "two words"))).toContain("one word");
  expect(await problemOf(addNumber(pool, told, "5000", "STOP"))).toContain("opt out");
  expect(await problemOf(addNumber(pool, told, "Ärzte", null))).toContain("in ASCII");
  expect(await problemOf(addNumber(pool, 999_999, "6000", null))).toContain("No customer");
  await addNumber(pool, told, "6000", null);
  expect((await listNumbers(pool, told)).map(({ number, keyword }) => [number, keyword])).toEqual([
    ["3000", null],
    ["5000", "vote"],
    ["6000", null],
  ]);
  await removeNumber(pool, "6000", null);
  expect(await problemOf(removeNumber(pool, "6000", null))).toContain("Nobody has");
});

test("old messages and what told repeats are deleted", async () => {
  await take(mo({ atMs: Date.now() - 8 * 86_400_000 }), mo({ text: "young" }));
  await pool.query("UPDATE inbound_seen SET expires_at=NOW(3) - INTERVAL 2 HOUR");
  await purgeInbound(pool, Date.now());
  expect((await stored()).map(({ text }) => text)).toEqual(["young"]);
  expect(await pool.query("SELECT seen_key FROM inbound_seen")).toEqual([]);
});
