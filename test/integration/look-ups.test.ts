// Looking up messages whose answer was lost, on MySQL and operators that can be asked over HTTP: what one
// says settles them as its report would, and what it doesn't say changes nothing.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createIdFactory, idNumber } from "../../src/core/id.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import type { RawReport } from "../../src/core/raw-report.ts";
import { takeReports } from "../../src/dlr/take.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import { createInbox } from "../../src/ledger/inbox.ts";
import { settleClaim } from "../../src/ledger/settle.ts";
import type { Asked } from "../../src/operators/connectors/connector.ts";
import type { OperatorSpec } from "../../src/operators/connectors/kinds.ts";
import { reportTermsOf } from "../../src/operators/reports/settings.ts";
import { parseRoutes } from "../../src/operators/routes-file.ts";
import type { Log } from "../../src/platform/log.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { lookUp, newRounds } from "../../src/sender/look-ups.ts";
import { changeOf, withReported } from "../../src/sender/outcome.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";

const id = createIdFactory({ now: Date.now });
/** What the operator answers, by message, or by the number of its id. */
const answers = new Map<string, () => Response>();
const asked: { id: string; path: string; authorization: string | null }[] = [];
/** What was asked by SMPP. */
const queried: string[] = [];
const warned: unknown[][] = [];
const log = { info: () => undefined, warn: (...of: unknown[]) => void warned.push(of) } as unknown as Log;

const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    const message = searchParams.get("id") ?? searchParams.get("localid") ?? "";
    const path = pathname + (searchParams.get("key") ?? "");
    asked.push({ id: message, path, authorization: request.headers.get("authorization") });
    return answers.get(message)?.() ?? new Response("no such message", { status: 404 });
  },
});

let db: TestDatabase;
let pool: Pool;
let customerId: number;
let operators: readonly OperatorSpec[];
beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 4, multipleStatements: true });
  customerId = await insertCustomer(pool, 1_000_000);
  const file = `
operators:
  A:
    kind: http
    url: http://127.0.0.1:${server.port}/submit
    price: 1
    authorization: { env: KEY }
    reports:
      shape: generic
      template: { id: id, our_id: ref, status: status }
      echoes_id: true
      open: true
      look_up: "http://127.0.0.1:${server.port}/status?id={id}"
  B:
    kind: http
    url: http://127.0.0.1:${server.port}/submit
    price: 1
  K:
    kind: kavenegar
    base_url: http://127.0.0.1:${server.port}/kave
    api_key: { env: KEY }
    price: 1
    reports: { open: true }
  N:
    kind: http
    url: http://127.0.0.1:${server.port}/submit
    price: 1
    secrets: { key: { env: KEY } }
    reports:
      shape: generic
      template: { our_id: ref, status: status }
      echoes_id: true
      open: true
      look_up: "http://127.0.0.1:${server.port}/number?key={secret.key}&id={id_number}"
  S:
    kind: smpp
    host: 127.0.0.1
    system_id: sluice
    password: { env: KEY }
    price: 1
`;
  const parsed = parseRoutes(new TextEncoder().encode(file), { env: { KEY: "Bearer k" }, folder: "/" });
  if (parsed.kind === "bad") throw new Error(JSON.stringify(parsed.faults));
  ({ operators } = parsed.file);
});
afterAll(async () => {
  await reconcileBooks(pool);
  await server.stop(true);
  await pool.end();
  await db.drop();
});

/** A message that has been unknown for a minute; `ids`: the submits that its operator named all the same. */
async function unknown(operator: string, ids: string[] = []): Promise<LaneRecord> {
  const record = laneRecord(customerId);
  const [claimId, nowMs] = [id(), Date.now() - 60_000];
  await acceptMessages(pool, [record]);
  await claimMessages(pool, { claimId, lane: "normal", records: [record], nowMs });
  const lost = { kind: "unknown", operator, reason: `${operator}: timed out` } as const;
  const spec = operators.find(({ name }) => name === operator) as OperatorSpec;
  const outcome = withReported({ ...lost, operatorMessageIds: ids }, () => reportTermsOf(spec));
  const changes = [changeOf(record, outcome, { nowMs, jitter: 0 })];
  await settleClaim({ pool, id }, { claimId, lane: "normal", changes, idsLeft: [], nowMs });
  return record;
}
const says = (record: LaneRecord, status: string) => () =>
  Response.json({ id: `a-${record.id}`, ref: record.id, status });
const rounds = newRounds();
const { askedAtMs } = rounds;
const round = async () => {
  const inbox = createInbox(pool, () => performance.now());
  const store = (report: RawReport) => inbox.store(report);
  const query = (operator: string, { operatorMessageIds }: Asked) =>
    void queried.push([operator, ...operatorMessageIds].join(" "));
  const deps = { pool, operators: () => operators, store, query, log, now: Date.now };
  const count = await lookUp(deps, rounds, AbortSignal.timeout(30_000));
  const terms = new Map(operators.map((one) => [one.name, reportTermsOf(one) ?? undefined]));
  const taken = await takeReports({ pool, termsOf: (name) => terms.get(name), now: Date.now });
  return { count, results: taken.results.map(({ result }) => result).toSorted() };
};
async function stateOf({ id: messageId }: LaneRecord): Promise<string> {
  const rows = await pool.query<{ status: string; op: string | null }[]>(
    "SELECT m.status, e.op FROM messages m LEFT JOIN wallet_ledger e " +
      `ON e.customer_id=m.customer_id AND e.entry_id=m.id AND e.leg='close' WHERE m.id='${messageId}'`,
  );
  return rows.map(({ status, op }) => `${status} ${op ?? "-"}`).join();
}

test("an unknown message is settled by what its operator answers; what it doesn't say leaves it held", async () => {
  const [delivered, failed, under, gone, broken, theirs] = [
    await unknown("A"),
    await unknown("A"),
    await unknown("A"),
    await unknown("A"),
    await unknown("A"),
    await unknown("B"),
  ];
  answers.set(delivered.id, says(delivered, "DELIVRD"));
  answers.set(failed.id, says(failed, "UNDELIV"));
  answers.set(under.id, says(under, "ENROUTE"));
  answers.set(broken.id, () => new Response("x".repeat(100_000)));
  expect(await round()).toEqual({ count: 5, results: ["notice", "settled", "settled"] });
  expect(asked.map((one) => one.authorization)).toEqual(Array(5).fill("Bearer k"));
  expect(asked.map((one) => one.id)).not.toContain(theirs.id);
  expect(await stateOf(delivered)).toBe("delivered capture");
  expect(await stateOf(failed)).toBe("undelivered capture");
  for (const held of [under, gone, broken, theirs]) expect(await stateOf(held)).toBe("unknown -");
  // Each is asked about again only after as long as it has been unknown.
  expect((await round()).count).toBe(0);
  for (const held of [under, gone, broken]) askedAtMs.set(held.id, Date.now() - 61_000);
  answers.set(under.id, says(under, "DELIVRD"));
  expect(await round()).toEqual({ count: 3, results: ["settled"] });
  expect(await stateOf(under)).toBe("delivered capture");
}, 30_000);

const entries =
  (...of: unknown[]) =>
  () =>
    new Response(JSON.stringify({ return: { status: 200 }, entries: of }).replaceAll(/"(\d+)"/g, "$1"));

test("Kavenegar is asked by the number that its submits have; only an answer with that number says anything", async () => {
  const [delivered, failed, under, noSuch, none, other] = [
    await unknown("K"),
    await unknown("K"),
    await unknown("K"),
    await unknown("K"),
    await unknown("K"),
    await unknown("K"),
  ];
  const ofStatus = ({ id: own }: LaneRecord, status: number) =>
    answers.set(idNumber(own), entries({ messageid: "8792343", localid: idNumber(own), status }));
  ofStatus(delivered, 10);
  ofStatus(failed, 11);
  ofStatus(under, 5);
  ofStatus(noSuch, 100);
  answers.set(idNumber(none.id), () => Response.json({ return: { status: 200 }, entries: null }));
  answers.set(
    idNumber(other.id),
    entries({ messageid: "8792344", localid: idNumber(delivered.id), status: 11 }),
  );
  asked.length = 0;
  expect(await round()).toEqual({ count: 6, results: ["notice", "notice", "settled", "settled"] });
  expect(new Set(asked.map(({ path }) => path))).toEqual(
    new Set(["/kave/v1/Bearer%20k/sms/statuslocalmessageid.json"]),
  );
  expect(await stateOf(delivered)).toBe("delivered capture");
  expect(await stateOf(failed)).toBe("undelivered capture");
  for (const held of [under, noSuch, none, other]) expect(await stateOf(held)).toBe("unknown -");
}, 30_000);

test("an address may have a secret and the number of our id, which then names the message in the answer", async () => {
  const [delivered, other, moved] = [await unknown("N"), await unknown("N"), await unknown("N")];
  const answer = (ref: string) => () => new Response(`{"ref":${ref},"status":"DELIVRD"}`);
  answers.set(idNumber(delivered.id), answer(idNumber(delivered.id)));
  answers.set(idNumber(other.id), answer(idNumber(delivered.id)));
  answers.set(idNumber(moved.id), () => Response.redirect(`http://127.0.0.1:${server.port}/elsewhere`));
  asked.length = 0;
  warned.length = 0;
  expect((await round()).count).toBe(3);
  expect(asked.map(({ path }) => path)).toEqual(Array(3).fill("/numberBearer k"));
  expect(await stateOf(delivered)).toBe("delivered capture");
  for (const held of [other, moved]) expect(await stateOf(held)).toBe("unknown -");
  // The address has the secret, so it is in no log.
  expect(warned).toEqual([
    [{ operator: "N", id: moved.id, reason: "UnexpectedRedirect" }, expect.anything()],
  ]);
}, 30_000);

test("over SMPP an operator is asked about the submits that it named, and about no message of which it named none", async () => {
  await unknown("S");
  await unknown("S", ["part-1", "", "part-3"]);
  await round();
  expect(queried).toEqual(["S part-1 part-3"]);
}, 30_000);

test("a message that is still being sent, or has been unknown for seconds, is not asked about", async () => {
  const record = laneRecord(customerId);
  await acceptMessages(pool, [record]);
  await claimMessages(pool, { claimId: id(), lane: "normal", records: [record], nowMs: Date.now() });
  const young = await unknown("A");
  await pool.write(`UPDATE messages SET updated_at=NOW(3) WHERE id='${young.id}'`);
  asked.length = 0;
  await round();
  expect(asked.map((one) => one.id)).not.toContain(record.id);
  expect(asked.map((one) => one.id)).not.toContain(young.id);
}, 30_000);

test("however many messages are unknown, each is asked about in its turn, the oldest first", async () => {
  await pool.query("DELETE FROM claims");
  // Of messages that have ended: 101 claims of 200, and those of 2,001 that were lost alone, which end first.
  const claims = (count: number, idsEach: number) =>
    Array.from({ length: count }, () => {
      const ids = Array.from({ length: idsEach }, () => id()).join();
      return `('${id()}','unknown','normal',NOW(3) + INTERVAL ${idsEach === 1 ? 1 : 2} HOUR,'${ids}')`;
    });
  for (const of of [claims(2_001, 1), claims(101, 200)])
    await pool.query(`INSERT INTO claims (claim_id,kind,lane,expires_at,ids) VALUES ${of.join()}`);
  const behind = await unknown("A");
  asked.length = 0;
  rounds.place = null;
  for (let n = 0; n < 4 && asked.length === 0; n++) await round();
  expect(asked.map((one) => one.id)).toEqual([behind.id]);
  expect(rounds.place).toBeNull();

  // More are due than a round asks about: the next one goes on behind them.
  await pool.query("DELETE FROM claims");
  const many: string[] = [];
  for (let n = 0; n < 45; n++) many.push((await unknown("A")).id);
  askedAtMs.clear();
  asked.length = 0;
  expect((await round()).count).toBe(40);
  expect((await round()).count).toBe(5);
  expect(asked.map((one) => one.id).toSorted()).toEqual(many.toSorted());
}, 60_000);
