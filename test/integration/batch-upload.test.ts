// POST /v1/sms/batches with a body of NDJSON, on real ingest processes and MySQL, from polite clients and
// from those that are not: every line has one result and is charged once, whatever is cut, killed or
// repeated, and no client makes a process hold more than a little of its upload.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { BATCH_MESSAGES_MAX, UPLOAD_LINE_BYTES_MAX } from "../../src/core/batch-limits.ts";
import { LEASE_TTL_MIN_MS } from "../../src/core/limits.ts";
import { STREAMS_CUSTOMER_MAX } from "../../src/core/stream-limits.ts";
import { sleep } from "../../src/platform/retry.ts";
import * as support from "../support/batches.ts";
import { phone } from "../support/batches.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { startEdge } from "../support/edge.ts";
import {
  type IngestProcess,
  makeCustomer,
  post,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";
import { rawUpload, untilOver, untilTrue } from "../support/raw-upload.ts";
import { until } from "../support/roles.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

const PRICE = 500;
const NDJSON = "application/x-ndjson";
type Result = {
  index: number;
  id?: string;
  code?: string;
  detail?: string;
  errors?: { field: string }[];
  send_at?: string;
};
let db: TestDatabase;
let proxy: TcpProxy;
let ingest: IngestProcess;
let other: IngestProcess;

beforeAll(async () => {
  db = await createTestDatabase();
  proxy = await startTcpProxy(db.config.mysqlPort);
  [ingest, other] = await Promise.all([
    startIngest(db.config, { mysqlPort: proxy.port }),
    startIngest(db.config),
  ]);
}, 60_000);
afterAll(async () => {
  await Promise.all([ingest.end(), other.end()]);
  proxy.close();
  await db.drop();
});
afterEach(() => reconcileBooks(db.pool));

const line = (n: number, fields: object = {}) =>
  `${JSON.stringify({ phone: phone(n), text: `hello ${n}`, reference: `r-${n}`, ...fields })}\n`;
const body = (count: number, first = 0) => Array.from({ length: count }, (_, n) => line(first + n)).join("");
const stored = (customer: TestCustomer) => support.storedOf(db.pool, customer);
const countOf = async (customer: TestCustomer) => (await stored(customer)).length;
const walletOf = (customer: TestCustomer) => support.walletOf(db.pool, customer);

type Asked = { key?: string; at?: IngestProcess; type?: string };
const upload = (customer: TestCustomer, text: string, { key, at = ingest, type = NDJSON }: Asked = {}) =>
  post(`${at.url}/v1/sms/batches`, customer.apiKey, text, {
    "content-type": type,
    ...(key === undefined ? {} : { "idempotency-key": key }),
  });
const results = async (answer: Response): Promise<Result[]> =>
  (await answer.text())
    .split("\n")
    .slice(0, -1)
    .map((text) => JSON.parse(text) as Result);
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);
/** Each of the first lines is stored and charged once. */
async function holdsOnce(customer: TestCustomer, count: number, opening: number): Promise<void> {
  const references = (await stored(customer)).map(({ reference }) => String(reference));
  expect(references.toSorted()).toEqual(
    upTo(count)
      .map((n) => `r-${n}`)
      .toSorted(),
  );
  expect(await walletOf(customer)).toEqual({ left: opening - count * PRICE, reserved: count * PRICE });
}

describe("an upload", () => {
  test("has a result for each line, in order, and may be longer than a batch", async () => {
    const customer = await makeCustomer(db.config, 10_000_000);
    const answer = await upload(customer, body(2_500));
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, NDJSON]);
    const lines = await results(answer);
    expect(lines.map(({ index }) => index)).toEqual(upTo(2_500));
    expect((await stored(customer)).map(({ id }) => id)).toEqual(lines.map(({ id }) => String(id)));
    await holdsOnce(customer, 2_500, 10_000_000);
  }, 30_000);

  test("may have a byte order mark, CRLF, blank lines and no end of its last line", async () => {
    const customer = await makeCustomer(db.config, 10_000_000);
    const text = `\ufeff${line(0).trim()}\r\n\r\n  \n${line(1)}\n${line(2).trim()}`;
    expect((await results(await upload(customer, text))).map(({ index }) => index)).toEqual([0, 1, 2]);
    await holdsOnce(customer, 3, 10_000_000);
  });

  test("goes on after lines that can't be accepted, each with its reason", async () => {
    const customer = await makeCustomer(db.config, 10_000_000);
    const bad = [
      "not json\n",
      '{"phone":"1","text":""}\n',
      '{"phone":"+989121234567"}\n',
      line(0, { foo: 1 }),
      line(0, { type: "express" }),
      line(0, { callback_url: "https://a.example" }),
      line(0, { send_at: "2030-01-01T00:00:00Z" }),
      '{"phone":"1","phone":"2","text":"x"}\n',
      "[1]\n",
    ];
    const lines = await results(await upload(customer, line(0) + bad.join("") + line(1)));
    expect(lines.map(({ code }) => code)).toEqual([
      undefined,
      "malformed_json",
      ...Array.from({ length: 5 }, () => "validation_failed"),
      "validation_failed",
      "validation_failed",
      "validation_failed",
      undefined,
    ]);
    const fields = lines.map(({ errors = [] }) => errors.map(({ field }) => field));
    expect(fields.slice(2, 9)).toEqual([
      ["phone", "text"],
      ["text"],
      ["foo"],
      ["type"],
      ["callback_url"],
      ["send_at"],
      ["phone"],
    ]);
    await holdsOnce(customer, 2, 10_000_000);
  });

  test("may have lines for later, each at its own time", async () => {
    const customer = await makeCustomer(db.config, 10_000_000);
    const [soon, later] = [3_600_000, 7_200_000].map((ms) => new Date(Date.now() + ms).toISOString());
    const text = `${line(0, { send_at: later })}${line(1)}${line(2, { send_at: soon })}`;
    const lines = await results(await upload(customer, text));
    expect(lines.map(({ send_at }) => send_at)).toEqual([later, undefined, soon]);
    const rows = await db.pool.query<{ status: string }[]>(
      "SELECT status FROM messages WHERE customer_id=? ORDER BY id",
      [customer.customerId],
    );
    expect(rows.map(({ status }) => status)).toEqual(["scheduled", "queued", "scheduled"]);
    await holdsOnce(customer, 3, 10_000_000);
  });

  test("is answered while it comes, window by window", async () => {
    const customer = await makeCustomer(db.config, 10_000_000);
    const one = rawUpload(ingest.url, customer);
    one.write(body(BATCH_MESSAGES_MAX + 1));
    await untilTrue(() => one.lines().length === BATCH_MESSAGES_MAX, "the first results");
    expect([one.status(), one.state()]).toEqual([200, { ended: false, closed: false }]);
    one.write(body(1, BATCH_MESSAGES_MAX + 1));
    one.end();
    await untilOver(one);
    expect(one.lines().map(({ index }) => index)).toEqual(upTo(BATCH_MESSAGES_MAX + 2));
    one.leave();
  }, 30_000);

  test("ends with a problem when the wallet is empty; a repeat goes on there", async () => {
    const customer = await makeCustomer(db.config, 1_234 * PRICE);
    const lines = await results(await upload(customer, body(2_000), { key: "poor" }));
    expect(lines).toHaveLength(1_235);
    const problem = { code: "insufficient_balance", required: PRICE, balance: 0 };
    expect(lines.at(-1)).toMatchObject(problem as never);
    await holdsOnce(customer, 1_234, 1_234 * PRICE);
    const topup = { amount: 1_000_000, request_id: "more" };
    expect((await post(`${ingest.url}/v1/wallet/topup`, customer.apiKey, topup)).status).toBe(200);
    const again = await results(await upload(customer, body(2_000), { key: "poor" }));
    expect(again.slice(0, 1_234)).toEqual(lines.slice(0, 1_234));
    expect(again).toHaveLength(2_000);
    await holdsOnce(customer, 2_000, 1_234 * PRICE + 1_000_000);
  }, 60_000);

  test("that can't begin is refused like any other request", async () => {
    const customer = await makeCustomer(db.config, PRICE - 1);
    const codeOf = async (answer: Response) => [
      answer.status,
      ((await answer.json()) as { code: string }).code,
    ];
    expect(await codeOf(await upload(customer, body(1)))).toEqual([402, "insufficient_balance"]);
    expect(await codeOf(await upload(customer, " \n"))).toEqual([422, "validation_failed"]);
    expect(await codeOf(await upload(customer, body(1), { key: "a,b" }))).toEqual([400, "malformed_request"]);
    const latin = `${NDJSON}; charset=latin1`;
    expect(await codeOf(await upload(customer, body(1), { type: latin }))).toEqual([
      415,
      "unsupported_media_type",
    ]);
    const long = await upload(customer, "x".repeat(UPLOAD_LINE_BYTES_MAX + 1));
    expect(await codeOf(long)).toEqual([413, "payload_too_large"]);
    expect(await stored(customer)).toEqual([]);
  });
});

describe("a repeat with the same Idempotency-Key", () => {
  test("gets the same results from any process, charges nothing, and goes on behind what was taken", async () => {
    const customer = await makeCustomer(db.config, 10_000_000);
    const first = await results(await upload(customer, body(1_300), { key: "k" }));
    const whole = await results(await upload(customer, body(2_100), { key: "k", at: other }));
    expect(whole.slice(0, 1_300)).toEqual(first);
    expect(await results(await upload(customer, body(2_100), { key: "k" }))).toEqual(whole);
    await holdsOnce(customer, 2_100, 10_000_000);
  }, 30_000);

  test("with other lines is refused where they begin to differ", async () => {
    const customer = await makeCustomer(db.config, 10_000_000);
    await upload(customer, body(1_300), { key: "k" });
    const atOnce = await upload(customer, body(900, 1), { key: "k" });
    expect([atOnce.status, ((await atOnce.json()) as Result).code]).toEqual([422, "idempotency_key_reused"]);
    const later = await results(await upload(customer, body(1_200) + body(100), { key: "k" }));
    expect([later.length, later.at(-1)?.code]).toEqual([1_001, "idempotency_key_reused"]);
    await holdsOnce(customer, 1_300, 10_000_000);
  }, 30_000);

  test("at the same time on two processes takes each line once, and both get the same results", async () => {
    const customer = await makeCustomer(db.config, 10_000_000);
    const answers = await Promise.all(
      [ingest, other, ingest, other].map((at) => upload(customer, body(2_300), { key: "race", at })),
    );
    const all = await Promise.all(answers.map(results));
    for (const lines of all) expect(lines).toEqual(all[0] as Result[]);
    await holdsOnce(customer, 2_300, 10_000_000);
  }, 60_000);

  test("completes one whose client left, whose chunk was broken, or whose process was killed", async () => {
    const customer = await makeCustomer(db.config, 10_000_000);
    const mortal = await startIngest(db.config, { leaseTtlMs: LEASE_TTL_MIN_MS });
    const ends: ((one: ReturnType<typeof rawUpload>) => unknown)[] = [
      (one) => one.leave(),
      (one) => one.raw("ZZ\r\nnonsense"),
      () => mortal.end("SIGKILL"),
    ];
    for (const [n, end] of ends.entries()) {
      const one = rawUpload(mortal.url, customer, { "idempotency-key": "long" });
      one.write(body(1_500 + 1_000 * n));
      await untilTrue(() => one.lines().length >= 1_000 * (n + 1), "results");
      await end(one);
      await untilTrue(() => n === 0 || one.state().closed, "the end of the connection");
      one.leave();
      await sleep(300);
      // A process that is killed may have stored a chunk that it didn't answer.
      const count = (await stored(customer)).length;
      expect(count % 1_000).toBe(0);
    }
    const lines = await results(await upload(customer, body(4_100), { key: "long" }));
    expect(lines.map(({ index }) => index)).toEqual(upTo(4_100));
    const references = (await stored(customer)).map(({ reference }) => String(reference));
    expect(references.toSorted()).toEqual(
      upTo(4_100)
        .map((n) => `r-${n}`)
        .toSorted(),
    );
  }, 90_000);

  for (const when of ["before", "after"] as const)
    test(`a connection lost ${when} a COMMIT takes no line twice`, async () => {
      const customer = await makeCustomer(db.config, 10_000_000);
      const happened = proxy.cutAtCommit("INSERT INTO messages", when);
      const lines = await results(await upload(customer, body(1_500), { key: "cut" }));
      await happened;
      expect(lines.map(({ index }) => index)).toEqual(upTo(1_500));
      expect(await results(await upload(customer, body(1_500), { key: "cut" }))).toEqual(lines);
      await holdsOnce(customer, 1_500, 10_000_000);
    }, 30_000);
});

describe("a client that is not polite", () => {
  const residentMb = ({ pid }: IngestProcess): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1_024;

  test("that never reads its results is not read from either", async () => {
    const customer = await makeCustomer(db.config, 1_000_000_000);
    const before = residentMb(ingest);
    const one = rawUpload(ingest.url, customer);
    one.pause();
    const some = body(5_000);
    let sent = 0;
    // Its results fill the connection, and then nothing more of it is taken.
    let [taken, restedMs] = [-1, performance.now()];
    for (const endMs = performance.now() + 50_000; performance.now() < restedMs + 1_500; ) {
      if (performance.now() > endMs) throw new Error(`it still reads, after ${taken} messages`);
      if (one.waiting() > 1_000_000) await sleep(20);
      else {
        one.write(some);
        sent += some.length;
      }
      const now = await countOf(customer);
      const isFull = one.waiting() > 1_000_000;
      if (now !== taken || now === 0 || !isFull) [taken, restedMs] = [now, performance.now()];
    }
    expect(residentMb(ingest) - before).toBeLessThan(150);
    expect([one.waiting() > 0, sent > some.length]).toEqual([true, true]);
    one.leave();
    await sleep(300);
  }, 60_000);

  test("with a line that never ends is told so, and nothing of it is kept", async () => {
    const customer = await makeCustomer(db.config, 10_000_000);
    const one = rawUpload(ingest.url, customer);
    one.write(line(0));
    for (let n = 0; n < 300 && !one.state().ended && !one.state().closed; n++) {
      one.write("x".repeat(1_000));
      await sleep(1);
    }
    await untilOver(one);
    expect(one.lines().map(({ code }) => code)).toEqual([undefined, "payload_too_large"]);
    one.leave();
    await holdsOnce(customer, 1, 10_000_000);
  }, 30_000);

  test("that sends byte by byte is served like any other", async () => {
    const customer = await makeCustomer(db.config, 10_000_000);
    const one = rawUpload(ingest.url, customer);
    for (const byte of line(0) + line(1)) {
      one.write(byte);
      await sleep(0);
    }
    one.end();
    await untilOver(one);
    expect(one.status()).toBe(200);
    expect(one.lines().map(({ index }) => index)).toEqual([0, 1]);
    one.leave();
    await holdsOnce(customer, 2, 10_000_000);
  }, 30_000);

  test("leaves nothing of the lines whose window has not ended, and gives its place back", async () => {
    const customer = await makeCustomer(db.config, 10_000_000);
    for (let n = 0; n < 2 * STREAMS_CUSTOMER_MAX; n++) {
      const one = rawUpload(ingest.url, customer);
      one.write(body(20));
      await sleep(30);
      one.leave();
      await sleep(30);
    }
    await sleep(300);
    expect(await stored(customer)).toEqual([]);
    await until(async () => (await upload(customer, body(5))).status === 200, "its places are free");
    await holdsOnce(customer, 5, 10_000_000);
  }, 120_000);

  test("has at most so many uploads at once; others are told to wait", async () => {
    const customer = await makeCustomer(db.config, 10_000_000);
    const open = Array.from({ length: STREAMS_CUSTOMER_MAX }, () => rawUpload(ingest.url, customer));
    for (const one of open) one.write(body(BATCH_MESSAGES_MAX + 1));
    await untilTrue(() => open.every((one) => one.lines().length > 0), "the first results of each");
    const refused = await upload(customer, body(1));
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "5"]);
    for (const one of open) one.leave();
    await until(async () => (await upload(customer, body(1))).status === 200, "their places are free");
  }, 120_000);
});

test("an upload through the edge may be larger than a batch, and is answered while it comes", async () => {
  const edge = await startEdge(Number(new URL(ingest.url).port));
  try {
    const customer = await makeCustomer(db.config, 100_000_000);
    const one = rawUpload(edge.url, customer);
    one.write(body(15_000));
    await untilTrue(() => one.lines().length >= 14_000, "results");
    expect(one.state()).toEqual({ ended: false, closed: false });
    one.end();
    await untilOver(one);
    expect(one.lines().map(({ index }) => index)).toEqual(upTo(15_000));
    one.leave();
    const hidden = await fetch(`${edge.url}/_lines/v1/sms/batches`, { method: "POST", body: "{}" });
    expect(hidden.status).toBe(404);
  } finally {
    await edge.end();
  }
}, 90_000);

test("single messages beside uploads are answered without waiting for them", async () => {
  const [busy, quiet] = [
    await makeCustomer(db.config, 100_000_000),
    await makeCustomer(db.config, 1_000_000),
  ];
  const send = { phone: phone(1), text: "x", type: "normal" };
  const url = `${ingest.url}/v1/sms/send`;
  expect((await post(url, quiet.apiKey, send)).status).toBe(202);
  let under = 2;
  const uploads = Array.from({ length: under }, () => upload(busy, body(5_000)).finally(() => under--));
  let beside = 0;
  while (under > 0) {
    expect((await post(url, quiet.apiKey, send)).status).toBe(202);
    beside++;
  }
  for (const answer of await Promise.all(uploads)) expect(answer.status).toBe(200);
  expect(beside).toBeGreaterThan(5);
}, 60_000);
