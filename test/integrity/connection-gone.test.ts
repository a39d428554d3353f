// A request whose connection is gone before its message enters a commit leaves nothing behind: not stored,
// not charged, key free; the same holds for a top-up. What was already in a commit goes through, although its
// client never hears of it. Which case it was is read from MySQL's own log of statements and their times.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { commitsHeldUp } from "../support/held-up.ts";
import {
  type IngestProcess,
  makeCustomer,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";
import { ENDINGS, head, type OpenRequest, openRequest, rawHttp } from "../support/raw-http.ts";
import { until } from "../support/roles.ts";
import { printedSeed, randomFrom } from "../support/seed.ts";

const PRICE = 500;
const OPENING = 10_000_000;
/**
 * The longest time from a client's `close()` until Bun has told the process, on a machine where a dozen
 * processes want two cores. What waits for a commit for longer than this is shown by the tests above.
 */
const NOTICED_MS = 500;

let db: TestDatabase;
let pool: Pool;
let ingest: IngestProcess;
let customer: TestCustomer;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 6, multipleStatements: true });
  ingest = await startIngest(db.config);
  customer = await makeCustomer(db.config, OPENING);
}, 120_000);
afterAll(async () => {
  await ingest.end("SIGKILL");
  await pool.end();
  await db.drop();
});

type Route = "send" | "topup";
const PATHS = { send: "/v1/sms/send", topup: "/v1/wallet/topup" };
/** `name`: the message's reference, or the top-up's request_id. */
const bodyOf = (route: Route, name: string): string =>
  route === "send"
    ? JSON.stringify({ phone: "+989121234567", text: "hello", type: "normal", reference: name })
    : JSON.stringify({ amount: 7, request_id: name });
const headersOf = (key: string | null): Record<string, string> => ({
  "x-api-key": customer.apiKey,
  "content-type": "application/json",
  ...(key === null ? {} : { "idempotency-key": key }),
});
function requestOf(route: Route, name: string, key: string | null): string {
  const body = bodyOf(route, name);
  return head("POST", PATHS[route], { ...headersOf(key), "content-length": String(body.length) }) + body;
}
const again = (route: Route, name: string, key: string | null) =>
  rawHttp(ingest.url, [requestOf(route, name, key)]);

/** Sends the same request again, once its key is no longer in use for the client that left. */
async function againWhenFree(route: Route, name: string, key: string | null) {
  for (let tries = 0; ; tries++) {
    const answer = await again(route, name, key);
    if (answer.status !== 409 || tries === 1_000) return answer;
    await Bun.sleep(10);
  }
}

async function storedNames(route: Route): Promise<string[]> {
  const rows = await pool.query<{ name: string }[]>(
    route === "send"
      ? `SELECT reference AS name FROM messages WHERE customer_id=${customer.customerId}`
      : `SELECT request_id AS name FROM topups WHERE customer_id=${customer.customerId}`,
  );
  return rows.map((row) => row.name);
}
const count = async (name: string, labels = ""): Promise<number> => {
  const text = await fetch(`${ingest.healthUrl}/metrics`).then((answer) => answer.text());
  return Number(new RegExp(`^${name}(?:\\{[^}]*(?:${labels})[^}]*\\})? (.*)$`, "m").exec(text)?.[1] ?? 0);
};
/** The number of a route's requests that ended because their client had left. */
const gone = (route: Route): Promise<number> =>
  count(
    "sluice_http_requests_total",
    `code="499"[^}]*route="${PATHS[route]}"|route="${PATHS[route]}"[^}]*code="499"`,
  );
const settled = () =>
  until(async () => (await count("sluice_ingest_queue_messages")) === 0, "nothing waits for a commit");

/** Locks the wallet and its leases, as a slow transaction would, until the returned function is called. */
async function holdWallet(): Promise<() => Promise<void>> {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const { customerId } = customer;
  let ended: Promise<unknown> = Promise.resolve();
  await new Promise<void>((held, failed) => {
    ended = pool
      .transaction(async (conn) => {
        await conn.query(`SELECT * FROM wallet_accounts WHERE customer_id=${customerId} FOR UPDATE`);
        await conn.query(`SELECT * FROM credit_leases WHERE customer_id=${customerId} FOR UPDATE`);
        held();
        await released;
      })
      .catch(failed);
  });
  return async () => {
    release();
    await ended;
  };
}

describe("requests that the direct port can't answer", () => {
  const chunked = (route: Route, name: string, key: string | null, end: string) => {
    const body = bodyOf(route, name);
    const headers = { ...headersOf(key), "transfer-encoding": "chunked" };
    return `${head("POST", PATHS[route], headers)}${body.length.toString(16)}\r\n${body}\r\n0\r\n${end}`;
  };
  const cases: Record<string, (route: Route, name: string, key: string | null) => string> = {
    "a trailer section": (route, name, key) => chunked(route, name, key, "x-checksum: 1\r\n\r\n"),
    "a second request in the same packet": (route, name, key) =>
      requestOf(route, name, key) + requestOf(route, `${name} second`, null),
    "an empty line after the body": (route, name, key) => `${requestOf(route, name, key)}\r\n`,
  };
  for (const [what, bytes] of Object.entries(cases))
    for (const route of ["send", "topup"] as const)
      for (const keyed of [false, true])
        test(`${what}: a ${route} ${keyed ? "with" : "without"} a key leaves nothing, and can be made again`, async () => {
          const name = `${what} ${keyed}`;
          const key = keyed ? `${route} ${name}` : null;
          const { answer } = openRequest(ingest.url, bytes(route, name, key));
          expect(await answer).toBeNull();
          await settled();
          expect((await storedNames(route)).filter((one) => one.startsWith(name))).toEqual([]);
          const { status, headers } = await againWhenFree(route, name, key);
          expect([status, headers.get("idempotent-replayed")]).toEqual([
            route === "send" ? 202 : 200,
            undefined,
          ]);
          expect((await storedNames(route)).filter((one) => one.startsWith(name))).toEqual([name]);
        });

  test("a chunked body without trailers, and sequential requests, are answered", async () => {
    const first = await rawHttp(ingest.url, [chunked("send", "chunked", null, "\r\n")]);
    expect(first.status).toBe(202);
  });
});

test("a request whose client leaves while all commits are held up is not stored; those in a commit are, once", async () => {
  await again("send", "warm", null); // for a lease, so that no request waits for credit
  const [goneBefore, acceptedBefore] = [await gone("send"), await count("sluice_ingest_accepted_total")];
  const release = await holdWallet();
  const inCommit: OpenRequest[] = [];
  for (let n = 0; n < db.config.commitConnections; n++) {
    inCommit.push(openRequest(ingest.url, requestOf("send", `committing ${n}`, `committing ${n}`)));
    const isTaken = async () => (await commitsHeldUp(pool)) === inCommit.length;
    await until(isTaken, "each has a connection of its own");
  }
  const queued = Array.from({ length: 40 }, (_, n) => {
    const key = n % 2 === 0 ? null : `queued ${n}`;
    return openRequest(ingest.url, requestOf("send", `queued ${n}`, key));
  });
  await until(
    async () => (await count("sluice_ingest_queue_messages")) === inCommit.length + queued.length,
    "all are admitted",
  );
  for (const [n, one] of [...inCommit, ...queued].entries())
    one.leave(ENDINGS[n % ENDINGS.length] as (typeof ENDINGS)[number]);
  await Bun.sleep(NOTICED_MS);
  await release();
  await settled();
  const stored = (await storedNames("send")).filter((name) => /^(committing|queued)/.test(name)).toSorted();
  expect(stored).toEqual(inCommit.map((_, n) => `committing ${n}`));
  expect((await gone("send")) - goneBefore).toBe(queued.length);
  expect((await count("sluice_ingest_accepted_total")) - acceptedBefore).toBe(inCommit.length);
  // The keys of those in a commit are replayed, the others are free.
  const replay = await again("send", "committing 1", "committing 1");
  expect([replay.status, replay.headers.get("idempotent-replayed")]).toEqual([202, "true"]);
  const free = await again("send", "queued 1", "queued 1");
  expect([free.status, free.headers.get("idempotent-replayed")]).toEqual([202, undefined]);
}, 120_000);

test("a request whose client leaves while the wallet is locked gets no credit, and its top-up doesn't count", async () => {
  const poor = await makeCustomer(db.config, PRICE);
  const rich = customer;
  customer = poor;
  try {
    const release = await holdWallet();
    const sends = Array.from({ length: 5 }, (_, n) =>
      openRequest(ingest.url, requestOf("send", `s${n}`, `s${n}`)),
    );
    const topups = Array.from({ length: 10 }, (_, n) =>
      openRequest(ingest.url, requestOf("topup", `t${n}`, null)),
    );
    await until(
      async () => (await count("sluice_ingest_queue_messages")) === sends.length,
      "all wait for credit",
    );
    await Bun.sleep(NOTICED_MS);
    for (const one of [...sends, ...topups]) one.leave("reset");
    await Bun.sleep(NOTICED_MS);
    await release();
    await settled();
    await until(async () => (await again("topup", "t0", null)).status === 200, "the wallet answers again");
    expect(await storedNames("send")).toEqual([]);
    expect((await storedNames("topup")).toSorted()).toEqual(["opening", "t0"]);
    // The credit for the only message is still there, and so is the key.
    expect((await again("send", "s0", "s0")).status).toBe(202);
    expect((await again("send", "s1", "s1")).status).toBe(402);
  } finally {
    customer = rich;
  }
}, 120_000);

/** When MySQL was told to store each of these, in Unix milliseconds; the last time if there were several. */
async function toldAtMs(statement: RegExp): Promise<Map<string, number>> {
  const rows = await pool.query<{ at: string; argument: Buffer }[]>(
    "SELECT UNIX_TIMESTAMP(event_time) AS at, argument FROM mysql.general_log WHERE command_type='Query'",
  );
  const told = new Map<string, number>();
  for (const { at, argument } of rows) {
    const text = argument.toString("utf8");
    if (!statement.test(text)) continue;
    for (const [, name] of text.matchAll(/'(r\d+-\d+)'/g)) told.set(name as string, Number(at) * 1_000);
  }
  return told;
}

test("connections that end at random moments under load: stored without an answer is only what was in a commit by then", async () => {
  const random = randomFrom(printedSeed("connection-gone"));
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  type Tried = { name: string; route: Route; key: string | null; leftAtMs: number | null; status: number };
  const tried: Tried[] = [];
  const one = async (name: string, withinMs: number): Promise<void> => {
    await Bun.sleep(random() * 150);
    const route: Route = random() < 0.2 ? "topup" : "send";
    const key = random() < 0.5 ? `key ${name}` : null;
    const attempt: Tried = { name, route, key, leftAtMs: null, status: 0 };
    tried.push(attempt);
    const { answer, leave } = openRequest(ingest.url, requestOf(route, name, key));
    const isPatient = random() < 0.3;
    if (!isPatient) {
      const how = pick(ENDINGS);
      const leaves = Bun.sleep(random() * withinMs).then(() => {
        attempt.leftAtMs = Date.now();
        leave(how);
      });
      await Promise.race([leaves, answer]);
      // Some connections end without the server closing its side.
      attempt.status = (await Promise.race([answer, Bun.sleep(3_000).then(() => null)]))?.status ?? 0;
      leave("reset");
    } else attempt.status = (await answer)?.status ?? 0;
  };
  const goneBefore = (await gone("send")) + (await gone("topup"));
  await pool.query("SET GLOBAL log_output='TABLE'; TRUNCATE mysql.general_log; SET GLOBAL general_log=ON");
  try {
    for (let round = 0; round < 10; round++) {
      // Every other round, all commits and top-ups are held up for half a second, so that most requests wait
      // then.
      const release = round % 2 === 0 ? await holdWallet() : null;
      const requests = Array.from({ length: 60 }, (_, n) =>
        one(`r${round}-${n}`, release === null ? 40 : 600),
      );
      if (release !== null) await Bun.sleep(500).then(release);
      await Promise.all(requests);
    }
    await settled();
    await Bun.sleep(NOTICED_MS);
  } finally {
    await pool.query("SET GLOBAL general_log=OFF");
  }

  for (const route of ["send", "topup"] as const) {
    const told = await toldAtMs(route === "send" ? /^INSERT INTO messages / : /^INSERT INTO topups /);
    const stored = new Set((await storedNames(route)).filter((name) => /^r\d/.test(name)));
    const of = tried.filter((each) => each.route === route);
    const unheard = of.filter(({ name, status }) => stored.has(name) && status === 0);
    for (const { name, status } of of)
      if (status !== 0)
        expect([name, status, stored.has(name)]).toEqual([name, route === "send" ? 202 : 200, true]);
    for (const { name, leftAtMs } of unheard) {
      expect(leftAtMs).not.toBeNull();
      const lateMs = (told.get(name) ?? Number.POSITIVE_INFINITY) - (leftAtMs as number);
      if (lateMs > NOTICED_MS) throw new Error(`${name} was stored ${lateMs} ms after its client left`);
    }
    const nothing = of.filter(({ name }) => !stored.has(name));
    console.log(
      `${route}: ${of.length} tried, ${unheard.length} stored and unheard, ${nothing.length} left nothing`,
    );
    expect(nothing.length).toBeGreaterThan(of.length / 10);
    // Whatever became of it: after a repeat with its key, or its request_id, it exists exactly once.
    const repeatable = of.filter(({ key }) => route === "topup" || key !== null);
    for (const { name, key } of repeatable.filter(({ status }) => status === 0))
      expect([name, (await againWhenFree(route, name, key)).status]).toEqual([
        name,
        route === "send" ? 202 : 200,
      ]);
    const names = (await storedNames(route)).toSorted();
    expect(names).toEqual([...new Set(names)].toSorted());
    expect(repeatable.filter(({ name }) => !names.includes(name))).toEqual([]);
  }
  expect((await gone("send")) + (await gone("topup"))).toBeGreaterThan(goneBefore);
}, 120_000);

test("and the books are right to the unit: only stored messages are reserved", async () => {
  expect(await ingest.end()).toBe(0);
  await reconcileBooks(pool);
  const [row] = await pool.query<{ balance: number; reserved: number; paid: number; messages: number }[]>(
    `SELECT balance, reserved,
       (SELECT SUM(amount) FROM topups WHERE customer_id=${customer.customerId}) AS paid,
       (SELECT COUNT(*) FROM messages WHERE customer_id=${customer.customerId}) AS messages
     FROM wallet_accounts WHERE customer_id=${customer.customerId}`,
  );
  const { balance = 0, reserved = 0, paid = 0, messages = 0 } = row ?? {};
  expect(reserved).toBe(PRICE * messages);
  expect(balance + reserved).toBe(Number(paid));
});
