// Keys and signed requests on two ingest processes: a request that one of them took is refused by both, what
// changes reaches both within 2 s, and the worked example of docs/reference/access.md works.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import type { ErrorCode } from "../../src/core/errors.ts";
import { createIdFactory } from "../../src/core/id.ts";
import { setAddresses } from "../../src/customers/addresses.ts";
import { createKey, type NewKey, revokeKey } from "../../src/customers/api-keys.ts";
import { setSuspended } from "../../src/customers/customers.ts";
import { rotateKey, setKeyExpiry } from "../../src/customers/key-admin.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { sleep } from "../../src/platform/retry.ts";
import { findTools } from "../../src/stack/tools.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { holdDeclared } from "../support/declared.ts";
import { type IngestProcess, startIngest } from "../support/ingest-process.ts";
import { insertCustomer } from "../support/messages.ts";
import { head, rawHttp } from "../support/raw-http.ts";
import { freshNonce, signedHeaders } from "../support/signing.ts";

const NOTICED_MAX_MS = 2_000;
const EDGE_SECRET = "the-edge-s-own";
const id = createIdFactory({ now: Date.now });
let db: TestDatabase;
let pool: Pool;
let one: IngestProcess;
let other: IngestProcess;
let customerId: number;
let key: NewKey;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 2, multipleStatements: true });
  one = await startIngest(db.config, { edgeSecret: EDGE_SECRET });
  other = await startIngest(db.config, { edgeSecret: EDGE_SECRET });
  customerId = await insertCustomer(pool, 1_000_000);
  key = await createKey({ pool, id }, customerId, ["send", "read"], { signed: true });
}, 60_000);
afterAll(async () => {
  await Promise.all([one.end(), other.end()]);
  await pool.end();
  await db.drop();
}, 30_000);

const BODY = JSON.stringify({ phone: "09121234567", text: "hello", type: "normal" });
type Headers = Record<string, string>;
type Seen = { status: number; code: string };

async function ask(
  { url }: IngestProcess,
  path: string,
  { apiKey = key.apiKey, headers = {} as Headers, body = undefined as string | undefined } = {},
): Promise<Seen> {
  const method = body === undefined ? "GET" : "POST";
  const sent = { "content-type": "application/json", "x-api-key": apiKey, ...headers };
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: sent,
    ...(body === undefined ? {} : { body }),
  });
  const text = await answer.text();
  const type = answer.headers.get("content-type");
  holdDeclared(method, path, { status: answer.status, type, text });
  const { code = "" } = JSON.parse(text) as { code?: string };
  return { status: answer.status, code };
}
const secretOf = ({ signingSecret }: NewKey): string => signingSecret as string;
const signedSend = (nonce: string, body = BODY): Headers =>
  signedHeaders(secretOf(key), { method: "POST", url: `${one.url}/v1/sms/send`, body }, { nonce });
const messages = async (): Promise<number> => {
  const [row] = await pool.query<{ n: number }[]>("SELECT COUNT(*) AS n FROM messages WHERE customer_id=?", [
    customerId,
  ]);
  return row?.n ?? 0;
};

describe("a signed request", () => {
  test("is served once, whichever process gets it again", async () => {
    const before = await messages();
    const headers = signedSend(freshNonce());
    expect(await ask(one, "/v1/sms/send", { headers, body: BODY })).toEqual({ status: 202, code: "" });
    for (const process of [other, one, other])
      expect(await ask(process, "/v1/sms/send", { headers, body: BODY })).toEqual({
        status: 401,
        code: "signature_replayed",
      });
    expect(await messages()).toBe(before + 1);
  });

  test("that comes to both processes many times at once is served once", async () => {
    const before = await messages();
    const headers = signedSend(freshNonce());
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        ask(n % 2 === 0 ? one : other, "/v1/sms/send", { headers, body: BODY }),
      ),
    );
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(1);
    expect(answers.filter(({ code }) => code === "signature_replayed")).toHaveLength(39);
    expect(await messages()).toBe(before + 1);
  });

  test("that was changed, is old, or is not signed is refused, and leaves nothing", async () => {
    const before = await messages();
    const nonce = freshNonce();
    const url = `${one.url}/v1/sms/send`;
    const old = String(Math.floor(Date.now() / 1_000) - 302);
    const refusals: [Headers, string, ErrorCode][] = [
      [{}, BODY, "signature_missing"],
      [signedSend(nonce), BODY.replace("hello", "hallo"), "signature_invalid"],
      [signedHeaders("ss_guessed", { method: "POST", url, body: BODY }), BODY, "signature_invalid"],
      [
        signedHeaders(secretOf(key), { method: "POST", url, body: BODY }, { timestamp: old }),
        BODY,
        "signature_expired",
      ],
    ];
    for (const [headers, body, code] of refusals)
      expect(await ask(one, "/v1/sms/send", { headers, body })).toEqual({ status: 401, code });
    expect(await messages()).toBe(before);
    // Its nonce was not taken by the one that was changed.
    expect((await ask(other, "/v1/sms/send", { headers: signedSend(nonce), body: BODY })).status).toBe(202);
  });

  test("keeps its Idempotency-Key: a repeat that is signed anew gets the first answer", async () => {
    const before = await messages();
    for (const process of [one, other]) {
      const headers = { ...signedSend(freshNonce()), "idempotency-key": "order-1234" };
      expect((await ask(process, "/v1/sms/send", { headers, body: BODY })).status).toBe(202);
    }
    expect(await messages()).toBe(before + 1);
  });

  test("is signed over path and query as they are on the wire", async () => {
    const get = async (target: string, signed = target): Promise<Seen> => {
      const signature = signedHeaders(secretOf(key), { method: "GET", url: `${one.url}${signed}` });
      const headers = { "x-api-key": key.apiKey, ...signature };
      const { status, body } = await rawHttp(one.url, [head("GET", target, headers)]);
      return { status, code: (JSON.parse(body) as { code?: string }).code ?? "" };
    };
    for (const target of [
      "/v1/messages",
      "/v1/messages?limit=5",
      "/v1/messages?limit=5&status=sent",
      "/v1/messages?phone=%2B989121234567",
      "/v1/messages?phone=%2b989121234567&limit=%35",
      "/v1/messages?limit=5&&",
      "/v1/messages?phone=+989121234567",
    ])
      expect([target, await get(target)]).toEqual([target, { status: 200, code: "" }]);
    for (const [target, signed] of [
      ["/v1/messages?limit=6", "/v1/messages?limit=5"],
      ["/v1/messages?phone=%2B989121234567", "/v1/messages?phone=%2b989121234567"],
      ["/v1/messages?status=sent&limit=5", "/v1/messages?limit=5&status=sent"],
      ["/v1/wallet", "/v1/messages"],
    ] as const)
      expect([target, await get(target, signed)]).toEqual([
        target,
        { status: 401, code: "signature_invalid" },
      ]);
  });

  test("can't be led to another route by its Host", async () => {
    const signature = signedHeaders(secretOf(key), { method: "GET", url: "http://sluice/v1/messages" });
    for (const host of ["sluice/v1/messages?", "sluice/v1/messages#"]) {
      const headers = { host, "x-api-key": key.apiKey, ...signature };
      const { status } = await rawHttp(one.url, [head("GET", "/v1/wallet", headers)]);
      expect(status).toBeGreaterThan(399);
    }
  });
});

describe("the worked example of the reference", () => {
  const page = readFileSync(new URL("../../docs/reference/access.md", import.meta.url), "utf8");
  const [, script = ""] = /^```sh\n(# Send a signed message[\s\S]*?)^```$/m.exec(page) ?? [];

  const run = async (url: string, secret: string): Promise<unknown> => {
    const { openssl, edgeLibraries } = findTools(process.env);
    const env = {
      ...process.env,
      PATH: `${process.env.PATH}:${dirname(openssl)}`,
      ...(existsSync(edgeLibraries) ? { LD_LIBRARY_PATH: edgeLibraries } : {}),
      URL: url,
      API_KEY: key.apiKey,
      SIGNING_SECRET: secret,
    };
    const { stdout } = await promisify(execFile)("bash", ["-euc", script], { env, timeout: 20_000 });
    return JSON.parse(stdout);
  };

  test("sends a message, each time it is run", async () => {
    expect(script).toContain("openssl");
    const before = await messages();
    for (const { url } of [one, other])
      expect(await run(url, secretOf(key))).toMatchObject({
        enqueued: true,
        customer_id: String(customerId),
      });
    expect(await messages()).toBe(before + 2);
  });

  test("is refused with another secret", async () => {
    expect(await run(one.url, "ss_another")).toMatchObject({ code: "signature_invalid" });
  });
});

describe("both processes notice within 2 s", () => {
  let free: NewKey;
  let ofFree: number;
  const asked = (process: IngestProcess) => ask(process, "/v1/wallet", { apiKey: free.apiKey });
  const fresh = async () => {
    ofFree = await insertCustomer(pool, 1_000);
    free = await createKey({ pool, id }, ofFree, ["read"]);
    await noticed({ status: 200, code: "" });
  };
  /** Waits until both answer this, and expects it to take no longer than it may. */
  async function noticed(wanted: Seen): Promise<void> {
    const startedMs = performance.now();
    for (const process of [one, other]) {
      let seen = await asked(process);
      while (seen.status !== wanted.status && performance.now() - startedMs < NOTICED_MAX_MS) {
        await sleep(20);
        seen = await asked(process);
      }
      expect(seen).toEqual(wanted);
    }
  }

  test("that a customer is suspended, and that it is resumed", async () => {
    await fresh();
    await setSuspended(pool, ofFree, true);
    await noticed({ status: 403, code: "customer_suspended" });
    await setSuspended(pool, ofFree, false);
    await noticed({ status: 200, code: "" });
  });

  test("that a customer's or a key's allow-list has changed", async () => {
    await fresh();
    for (const of of [{ customerId: ofFree }, { keyId: free.keyId }]) {
      await setAddresses(pool, of, ["192.0.2.1", "2001:db8::/32"]);
      await noticed({ status: 403, code: "address_not_allowed" });
      await setAddresses(pool, of, ["127.0.0.0/8"]);
      await noticed({ status: 200, code: "" });
    }
  });

  test("that a key was revoked, was set to expire, or was rotated away", async () => {
    const gone = { status: 401, code: "api_key_invalid" };
    await fresh();
    await revokeKey(pool, free.keyId);
    await noticed(gone);
    await fresh();
    await setKeyExpiry(pool, free.keyId, Date.now() + 300);
    await noticed(gone);
    await fresh();
    const old = free;
    await rotateKey({ pool, id }, old.keyId, { overlapMs: 0 }, (made) => (free = made));
    await noticed({ status: 200, code: "" });
    free = old;
    await noticed(gone);
  });
});

test("only the edge is believed when it names the client's address", async () => {
  const ofEdge = await insertCustomer(pool, 1_000);
  const { apiKey } = await createKey({ pool, id }, ofEdge, ["read"]);
  await setAddresses(pool, { customerId: ofEdge }, ["203.0.113.0/24"]);
  const from = (headers: Headers) => ask(one, "/v1/wallet", { apiKey, headers });
  const edge = { "x-sluice-edge": EDGE_SECRET };
  expect((await from({ ...edge, "x-real-ip": "203.0.113.9" })).status).toBe(200);
  expect((await from({ ...edge, "x-real-ip": "::ffff:203.0.113.9" })).status).toBe(200);
  const others: Headers[] = [
    {},
    { "x-real-ip": "203.0.113.9" },
    { "x-forwarded-for": "203.0.113.9", forwarded: "for=203.0.113.9" },
    { "x-sluice-edge": "guessed", "x-real-ip": "203.0.113.9" },
    { ...edge, "x-real-ip": "203.0.114.9" },
    { ...edge, "x-real-ip": "203.0.113.9, 203.0.114.9" },
    { ...edge, "x-real-ip": "unknown" },
    edge,
  ];
  for (const headers of others)
    expect(await from(headers)).toEqual({ status: 403, code: "address_not_allowed" });
});

// The last: it ends a process.
test("a process that stops has written which keys were used, and only those", async () => {
  const owner = await insertCustomer(pool, 1_000);
  const [used, unused] = [
    await createKey({ pool, id }, owner, ["read"]),
    await createKey({ pool, id }, owner, ["send"]),
  ];
  expect((await ask(other, "/v1/wallet", { apiKey: used.apiKey })).status).toBe(200);
  expect((await ask(other, "/v1/wallet", { apiKey: unused.apiKey })).status).toBe(403);
  expect(await other.end()).toBe(0);
  const rows = await pool.query<{ key_id: string; last_used_at: Date | null }[]>(
    "SELECT key_id, last_used_at FROM api_keys WHERE customer_id=? ORDER BY key_id",
    [owner],
  );
  expect(rows.map(({ key_id, last_used_at }) => [key_id, last_used_at === null])).toEqual([
    [used.keyId, false],
    [unused.keyId, true],
  ]);
});
