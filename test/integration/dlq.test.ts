// `./sluice dlq` and what it does on MySQL: which letters go back, which messages they may send, and what the
// operator of Sluice is told.

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DeadLetter, LetterSource } from "../../src/core/dead-letter.ts";
import { packEvents } from "../../src/core/event-record.ts";
import { packLaneRecord, packLaneRow, unpackLaneRow } from "../../src/core/lane-record.ts";
import { DEAD_LETTER_TTL_MS } from "../../src/core/limits.ts";
import { packReports } from "../../src/core/raw-report.ts";
import { countLetters, keepLetters, listLetters, purgeLetters } from "../../src/ledger/dead-letters.ts";
import { requeueLetter } from "../../src/ledger/requeue-letter.ts";
import { requeue } from "../../src/ledger/requeue.ts";
import { failQueued } from "../../src/ledger/settle.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { testEnv } from "../../src/stack/test-env.ts";
import { projectRoot } from "../../src/stack/tools.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";

let db: TestDatabase;
let pool: Pool;
let customerId: number;
// Registered before testEnv's own hook, which may stop the engines.
afterAll(async () => {
  await reconcileBooks(pool);
  await pool.end();
  await db.drop();
  rmSync(folder, { recursive: true, force: true });
});
const { config, env } = await testEnv();
const folder = mkdtempSync(join(tmpdir(), "sluice-test-dlq-"));
beforeAll(async () => {
  db = await createTestDatabase(config);
  pool = createPool(db.config, { connections: 4, multipleStatements: true });
  customerId = await insertCustomer(pool, 1_000_000);
});
beforeEach(async () => {
  for (const table of ["dead_letters", "outbox", "inbox"]) await pool.query(`DELETE FROM ${table}`);
});

/** A queued message whose record is lost: it is in no outbox row. */
async function queued(fields: Parameters<typeof laneRecord>[1] = {}) {
  const record = laneRecord(customerId, fields);
  await acceptMessages(pool, [record]);
  await pool.query("DELETE FROM outbox");
  return record;
}
async function keep(source: LetterSource, payload: Buffer, more: Partial<DeadLetter> = {}): Promise<number> {
  await keepLetters(pool, [{ source, place: "here", reason: "of another version", payload, ...more }]);
  return (await listLetters(pool, { source: null, limit: 1_000 })).at(-1)?.id as number;
}
const outbox = () => pool.query<{ lane: string; payload: Buffer }[]>("SELECT lane, payload FROM outbox");
const fail = (id: string) =>
  pool.transaction((conn) => failQueued(conn, [id], "can't be produced", Date.now()));
const sluice = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(join(projectRoot, "sluice"), ["dlq", ...args], {
    env: { ...env, SLUICE_MYSQL_DATABASE: db.config.mysqlDatabase, SLUICE_STATE: folder },
    encoding: "utf8",
  });
  return { code: status, stdout, stderr };
};

test("a letter's messages go back to the outbox as they were, in the transaction that ends the letter", async () => {
  const records = [await queued(), await queued({ text: "سلام", encoding: "ucs2" })];
  const id = await keep("messages", packLaneRow(records));
  expect(await requeueLetter(pool, id)).toEqual({
    kind: "requeued",
    into: "outbox",
    messages: records.map((record) => record.id),
    over: [],
  });
  const [row, ...more] = await outbox();
  expect([row?.lane, more]).toEqual(["normal", []]);
  expect(unpackLaneRow(row?.payload as Buffer)).toEqual(records);
  expect(await requeueLetter(pool, id)).toBeNull();
  expect(await outbox()).toHaveLength(1);
});

test("a message that was refunded, requeued or never accepted is not sent by its letter", async () => {
  const [refunded, waiting, moved, express] = [
    await queued(),
    await queued(),
    await queued(),
    await queued({ lane: "express" }),
  ];
  await fail(refunded.id);
  await requeue(pool, [{ id: moved.id, attempt: 0 }], Date.now());
  await pool.query("DELETE FROM outbox");
  const never = laneRecord(customerId);
  const id = await keep("messages", packLaneRow([refunded, waiting, moved, never, express]));
  const result = await requeueLetter(pool, id);
  if (result?.kind !== "requeued") throw new Error(JSON.stringify(result));
  expect(result.messages).toEqual([waiting.id, express.id]);
  expect(result.over).toEqual([
    { id: refunded.id, why: "failed and refunded: it must be accepted anew to be sent" },
    { id: moved.id, why: "queued: it was requeued under a later attempt" },
    { id: never.id, why: "no message of this database" },
  ]);
  const rows = await outbox();
  expect(rows.map(({ lane, payload }) => [lane, unpackLaneRow(payload).map((r) => r.id)])).toEqual([
    ["normal", [waiting.id]],
    ["express", [express.id]],
  ]);
});

test("a letter of which nothing could come stays, and the command says why and exits 1", async () => {
  const record = await queued();
  await fail(record.id);
  await pool.query("DELETE FROM outbox");
  const over = await keep("record", packLaneRecord(record));
  const unreadable = await keep("record", Buffer.from("not a record"));
  const { code, stdout } = sluice("requeue", String(over), String(unreadable), "999999");
  expect(code).toBe(1);
  expect(stdout.split("\n")).toEqual([
    `${over}: not possible: no message of it may be sent by this letter (${record.id} is failed and ` +
      "refunded: it must be accepted anew to be sent); " +
      `to forget it: ./sluice dlq drop ${over} --confirm ${over}`,
    `${unreadable}: not possible: it still can't be read (not msgpack)`,
    "999999: no dead letter 999999; see: ./sluice dlq list",
    "",
  ]);
  expect(await outbox()).toEqual([]);
  expect(await listLetters(pool, { source: null, limit: 10 })).toHaveLength(2);
});

test("events go back for the report, reports to the inbox, all of a source by one command", async () => {
  const events = packEvents(
    [],
    [{ entryId: laneRecord(1).id, leg: "open", op: "topup", customerId, amount: 5, createdAtMs: 1 }],
  );
  await keep("events", events);
  const reports = [1, 2].map((n) =>
    packReports([{ operator: "A", receivedAtMs: n, via: "smpp", pdu: Buffer.from([n]) }]),
  );
  for (const report of reports) await keep("report", report);
  expect(sluice("requeue", "--source", "events", "--json")).toMatchObject({ code: 0, stderr: "" });
  const { code, stdout } = sluice("requeue", "--source", "report");
  expect(code).toBe(0);
  expect(stdout.trim().split("\n")).toHaveLength(2);
  expect(await outbox()).toEqual([{ lane: "events", payload: events }]);
  const inbox = await pool.query<{ payload: Buffer }[]>("SELECT payload FROM inbox ORDER BY id");
  expect(inbox.map(({ payload }) => payload)).toEqual(reports);
  expect(await countLetters(pool)).toEqual({ record: 0, messages: 0, events: 0, report: 0, webhook: 0 });
  expect(sluice("requeue", "--source", "report").stdout).toBe("no dead letters of source report\n");
});

test("the same bytes from the same place are one letter; letters go when their time is over", async () => {
  for (let n = 0; n < 3; n++) await keep("record", Buffer.from("a"), { reason: `found ${n} times` });
  await keep("record", Buffer.from("b"));
  const kept = await listLetters(pool, { source: "record", limit: 10 });
  expect(kept.map(({ reason, bytes }) => [reason, bytes])).toEqual([
    ["found 0 times", 1],
    ["of another version", 1],
  ]);
  expect(await purgeLetters(pool)).toBe(0);
  const ageS = DEAD_LETTER_TTL_MS / 1_000 + 1;
  await pool.query(`UPDATE dead_letters SET created_at=NOW(3) - INTERVAL ${ageS} SECOND WHERE id=?`, [
    kept[0]?.id,
  ]);
  expect(await purgeLetters(pool)).toBe(1);
  expect((await listLetters(pool, { source: null, limit: 10 })).map(({ id }) => id)).toEqual([
    kept[1]?.id as number,
  ]);
});

test("hundreds of letters, and letters of megabytes, are stored together; what is there already stays", async () => {
  const [large, small] = [Buffer.alloc(3_000_000, "x"), Buffer.from("x")];
  const letters = Array.from({ length: 450 }, (_, n): DeadLetter => {
    const payload = n % 200 === 0 ? large : small;
    return { source: "report", place: `here/${n}`, reason: "", payload };
  });
  await keepLetters(pool, letters.slice(0, 10));
  await keepLetters(pool, letters);
  const kept = await listLetters(pool, { source: "report", limit: 1_000 });
  expect(kept.map(({ place }) => place)).toEqual(letters.map(({ place }) => place));
  expect(kept.filter(({ bytes }) => bytes === large.length)).toHaveLength(3);
});

test("a letter is listed, shown with its original bytes, and dropped only with its id given twice", async () => {
  const bytes = Buffer.from([0, 255, ...Buffer.from("poison")]);
  const id = await keep("record", bytes, { place: "sms.normal/3/17", reason: "not msgpack" });
  expect(sluice("list").stdout).toContain("sms.normal/3/17");
  const listed = JSON.parse(sluice("list", "--source", "record", "--json").stdout) as { letters: object[] };
  expect(listed.letters).toMatchObject([{ id, source: "record", place: "sms.normal/3/17", bytes: 8 }]);
  expect(sluice("list", "--source", "report").stdout).toBe("no dead letters\n");
  const out = join(folder, "bytes");
  const shown = sluice("show", String(id), "--out", out);
  expect(shown.code).toBe(0);
  expect(shown.stdout).toContain("requeue: not possible: it still can't be read (not msgpack)");
  expect(shown.stdout).toContain("00000000  00 ff 70 6f 69 73 6f 6e");
  expect(readFileSync(out)).toEqual(bytes);
  const json = JSON.parse(sluice("show", String(id), "--json").stdout) as { base64: string };
  expect(Buffer.from(json.base64, "base64")).toEqual(bytes);
  for (const confirm of [[], ["--confirm", String(id + 1)]]) {
    const refused = sluice("drop", String(id), ...confirm);
    expect([refused.code, refused.stdout]).toEqual([1, ""]);
    expect(refused.stderr).toContain(`--confirm ${id}`);
  }
  expect(sluice("drop", String(id), "--confirm", String(id))).toMatchObject({ code: 0, stderr: "" });
  for (const args of [["show"], ["drop"]]) {
    const gone = sluice(...args, String(id));
    expect(gone).toMatchObject({ code: 1, stdout: "" });
    expect(gone.stderr).toContain(`no dead letter ${id}; see: ./sluice dlq list`);
  }
});

test("what is no id, no source, or not one of both, is refused by name", () => {
  for (const [args, said] of [
    [["show", "seven"], "whole number from 1"],
    [["requeue", "1", "0"], "whole number from 1"],
    [["requeue"], "by their ids, or all of a source"],
    [["requeue", "1", "--source", "record"], "by their ids, or all of a source"],
    [["list", "--source", "relay"], "record, messages, events, report, webhook"],
    [["list", "--limit", "1001"], "whole number from 1 to 1000"],
  ] as const) {
    const refused = sluice(...args);
    expect({ args, ...refused }).toMatchObject({ args, code: 1, stdout: "" });
    expect(refused.stderr).toContain(said);
  }
});
