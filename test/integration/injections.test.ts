// Texts that would do something as SQL, as a header, as a path or as a template, in every place where a
// caller can put one: each is refused or kept exactly as it is, and does nothing.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createTestClickhouse, type TestClickhouse } from "../support/clickhouse.ts";
import { INJECTIONS } from "../support/injections.ts";
import { makeCustomer } from "../support/ingest-process.ts";
import { head, type RawAnswer, rawHttp } from "../support/raw-http.ts";
import { type Answer, type Api, startApi } from "../support/refusals.ts";

/** Some of the texts sleep for 5 s where they are executed. */
const QUICK_MS = 4_000;
const AT_ONCE = 16;
let clickhouse: TestClickhouse;
let api: Api;
beforeAll(async () => {
  clickhouse = await createTestClickhouse();
  api = await startApi({ clickhouseDatabase: clickhouse.config.clickhouseDatabase });
}, 60_000);
afterAll(async () => {
  await api.stop();
  await clickhouse.drop();
}, 30_000);

/** Calls `each` for all texts, some at once; none may take as long as a statement that sleeps. */
async function forAll(each: (text: string, n: number) => Promise<void>): Promise<void> {
  for (let from = 0; from < INJECTIONS.length; from += AT_ONCE) {
    const startedMs = performance.now();
    await Promise.all(INJECTIONS.slice(from, from + AT_ONCE).map((text, i) => each(text, from + i)));
    expect(performance.now() - startedMs).toBeLessThan(QUICK_MS);
  }
}

function isCalm(text: string, { status, headers, text: body }: Answer): void {
  expect([text, status < 500]).toEqual([text, true]);
  expect([text, headers.get("x-injected") ?? null]).toEqual([text, null]);
  expect(body).not.toMatch(/SQL syntax|ER_[A-Z]+|DB::Exception|root:.:0:0|node_modules/);
}

test("there are 120 of them at least, so that with their places they are far more than 200 requests", () => {
  expect(new Set(INJECTIONS).size).toBe(INJECTIONS.length);
  expect(INJECTIONS.length).toBeGreaterThanOrEqual(120);
});

describe("in a body", () => {
  test("a text and a reference are stored as they are, or refused", async () => {
    let stored = 0;
    await forAll(async (text) => {
      const answer = await api.send({ phone: "+989121234567", text, type: "normal", reference: text });
      isCalm(text, answer);
      if (answer.status !== 202) {
        expect([text, answer.status]).toEqual([text, 422]);
        expect(text).toMatch(/[\u0000-\u001f\u007f-\u009f]/);
        return;
      }
      stored++;
      const { id } = JSON.parse(answer.text) as { id: string };
      const rows = await api.db.pool.query("SELECT text, reference FROM messages WHERE id=?", [id]);
      expect(rows).toEqual([{ text, reference: text }]);
      const shown = JSON.parse((await api.ask(`/v1/messages/${id}`)).text) as { reference: string };
      expect(shown.reference).toBe(text);
    });
    const [row] = await api.db.pool.query<{ n: number }[]>(
      "SELECT COUNT(*) AS n FROM messages WHERE customer_id=?",
      [api.customer.customerId],
    );
    expect(Number(row?.n)).toBe(stored);
    expect(stored).toBeGreaterThan(100);
  });

  test("phone, from, type and names of fields", () =>
    forAll(async (text) => {
      const good = { phone: "+989121234567", text: "x", type: "normal" };
      for (const body of [
        { ...good, phone: text },
        { ...good, from: text },
        { ...good, type: text },
        { ...good, [text]: 1 },
      ]) {
        const answer = await api.ask("/v1/sms/preview", { method: "POST", body: JSON.stringify(body) });
        isCalm(text, answer);
        expect([text, [200, 422].includes(answer.status)]).toEqual([text, true]);
      }
    }));

  test("a top-up's request_id is one key, whatever it says: a repeat changes nothing", async () => {
    const { apiKey, customerId } = await makeCustomer(api.db.config, 0);
    let paid = 0;
    await forAll(async (text) => {
      const body = { amount: 7, request_id: text };
      const [one, two] = [await api.topup(body, apiKey), await api.topup(body, apiKey)];
      for (const answer of [one, two]) isCalm(text, answer);
      expect([text, one.status === two.status]).toEqual([text, true]);
      if (one.status === 200) paid += 7;
    });
    const rows = await api.db.pool.query("SELECT balance FROM wallet_accounts WHERE customer_id=?", [
      customerId,
    ]);
    expect(rows).toEqual([{ balance: paid }]);
  });
});

describe("in a URL", () => {
  test("an id, a filter, a cursor: refused, or nothing of anybody else is found", async () => {
    const other = await makeCustomer(api.db.config, 0);
    const places = [
      (text: string) => `/v1/messages/${text}`,
      (text: string) => `/v1/messages?phone=${text}`,
      (text: string) => `/v1/reports/messages?id=${text}`,
      (text: string) => `/v1/reports/usage?by=${text}`,
      (text: string) => `/v1/wallet/ledger?cursor=${text}`,
      (text: string) => `/v1/wallet/ledger?from=${text}`,
      (text: string) => `/v1/opt-outs?sender=${text}`,
      (text: string) => `/v1/wallet?${text}=1`,
      (text: string) => `/docs/${text}`,
      (text: string) => `/dlr/${text}`,
    ];
    await forAll(async (text) => {
      for (const place of places) {
        const answer = await api.ask(place(encodeURIComponent(text)), {}, other.apiKey);
        isCalm(text, answer);
        const { status, text: body } = answer;
        expect([text, [200, 404, 405, 422].includes(status)]).toEqual([text, true]);
        expect(body).not.toContain("+989121234567");
      }
    });
  });
});

describe("in a header", () => {
  const NAMES = [
    "x-api-key",
    "idempotency-key",
    "accept-language",
    "traceparent",
    "content-type",
    "user-agent",
  ];
  const wallet = (text: string, name: string): Promise<RawAnswer> => {
    const plain = head("GET", "/v1/wallet", { "x-api-key": api.customer.apiKey });
    const own = name === "x-api-key" ? head("GET", "/v1/wallet", {}) : plain;
    return rawHttp(api.ingest.url, [Buffer.from(own.replace(/\r\n$/, `${name}: ${text}\r\n\r\n`))]);
  };

  test("it is a header's value and nothing else, or the request is refused", () =>
    forAll(async (text) => {
      for (const name of NAMES) {
        const { status, headers, body } = await wallet(text, name).catch(
          (): RawAnswer => ({
            status: 400, // closed without an answer: not HTTP
            headers: new Map(),
            body: "",
          }),
        );
        isCalm(text, { status, headers, text: body });
        if (name === "x-api-key") expect([text, status >= 400]).toEqual([text, true]);
      }
    }));
});

test("after all of it every table is there, no wallet has more than it was given, and nothing failed", async () => {
  expect(api.ingest.log()).not.toContain("request failed");
  for (const table of ["messages", "wallet_ledger", "wallet_accounts", "api_keys", "outbox", "customers"])
    expect(await api.db.pool.query(`SELECT COUNT(*) >= 0 AS there FROM ${table}`)).toEqual([{ there: 1 }]);
  const { balance } = JSON.parse((await api.ask("/v1/wallet")).text) as { balance: number };
  expect(balance).toBeLessThan(1_000_000);
  expect((await api.send({ phone: "+989121234567", text: "still here", type: "normal" })).status).toBe(202);
});
