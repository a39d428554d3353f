// POST /v1/sms/preview on a real ingest process and MySQL: its figures are those of a send of the same body,
// its errors too, and nothing is stored or charged.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TEXT_PARTS_MAX } from "../../src/core/limits.ts";
import { setCaps } from "../../src/ledger/cap-admin.ts";
import { setMode } from "../../src/ledger/lease-admin.ts";
import { BAD_MESSAGES } from "../support/bad-messages.ts";
import { makeCustomer, type TestCustomer } from "../support/ingest-process.ts";
import {
  type Answer,
  type Api,
  fieldsOf,
  message,
  type Problem,
  refused,
  startApi,
} from "../support/refusals.ts";

type Preview = {
  phone: string;
  type: string;
  encoding: string;
  parts: number;
  segments: string[];
  last_segment: { used: number; left: number };
  cost: number;
  currency: string;
  balance_after: number;
  sufficient: boolean;
  operators: string[] | null;
  warnings: { position: number; character: string; replacement: string | null }[];
  parts_as_gsm7: number | null;
  normalization: { text: string; parts_saved: number; applied: boolean } | null;
};

const BALANCE = 100_000;
const operator = (name: string, prefix: string, terms: string) =>
  `  ${name}: { kind: http, url: "http://127.0.0.1:9/submit", prefixes: ["${prefix}"], ${terms} }`;
const ROUTES = [
  "operators:",
  operator("north", "+98", "price: 1, lanes: [normal]"),
  operator("dear", "+44", "price: 2"),
  operator("east", "+44", "price: 1"),
  operator("west", "+44", "price: 1"),
  "",
].join("\n");

const folder = mkdtempSync(join(tmpdir(), "sluice-test-preview-"));
let api: Api;
beforeAll(async () => {
  const routesFile = join(folder, "routes.yaml");
  writeFileSync(routesFile, ROUTES);
  api = await startApi({ routesFile });
}, 60_000);
// No relay runs here: what stays in the outbox would make the express lane look slow.
afterEach(() => api.db.pool.query("DELETE FROM outbox"));
afterAll(async () => {
  await api.stop();
  rmSync(folder, { recursive: true });
}, 30_000);

const ask = (body: unknown, headers: Record<string, string> = {}, apiKey?: string | null): Promise<Answer> =>
  api.ask(
    "/v1/sms/preview",
    { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body), headers },
    apiKey,
  );
async function preview({ apiKey }: TestCustomer, body: unknown): Promise<Preview> {
  const answer = await ask(body, {}, apiKey);
  expect(answer.status).toBe(200);
  return JSON.parse(answer.text) as Preview;
}
const balanceOf = async ({ apiKey }: TestCustomer): Promise<number> => {
  const { text } = await api.ask("/v1/wallet", {}, apiKey);
  return (JSON.parse(text) as { balance: number }).balance;
};
/** Everything of a customer that a send would have left behind. */
const traces = async ({ customerId }: TestCustomer): Promise<number> => {
  const tables = ["messages", "credit_leases", "idempotency_keys"].map(
    (table) => `(SELECT COUNT(*) FROM ${table} WHERE customer_id=${customerId})`,
  );
  const [row] = await api.db.pool.query<{ found: number | string }[]>(
    `SELECT ${tables.join("+")}+(SELECT COUNT(*) FROM wallet_ledger WHERE customer_id=${customerId} ` +
      "AND op<>'topup') AS found",
  );
  return Number(row?.found);
};

test("the answer has every field, and names the character that makes the text UCS-2", async () => {
  const customer = await makeCustomer(api.db.config, BALANCE);
  const text = `It’s ${"a".repeat(66)}`;
  expect(await preview(customer, { ...message, text })).toEqual({
    phone: "+989121234567",
    type: "normal",
    encoding: "ucs2",
    parts: 2,
    segments: [text.slice(0, 67), text.slice(67)],
    last_segment: { used: 4, left: 63 },
    cost: 1_000,
    currency: "IRR",
    prices: { normal: 500, express: 700 },
    balance_after: BALANCE - 1_000,
    send_at: null,
    sufficient: true,
    operators: ["north"],
    warnings: [
      {
        code: "not_gsm7",
        detail: expect.stringContaining("U+2019"),
        position: 2,
        character: "’",
        replacement: "'",
      },
    ],
    parts_as_gsm7: 1,
    normalization: null,
  } as unknown as Preview);
  expect(await traces(customer)).toBe(0);
});

describe("a preview agrees with the send of the same body", () => {
  const cases: [string, object][] = [
    ["of one part", {}],
    ["of the longest text", { text: "a".repeat(153 * TEXT_PARTS_MAX) }],
    ["with an extension character at the end of a part", { text: `${"a".repeat(152)}€${"b".repeat(152)}` }],
    ["in Persian, with emoji", { text: `${"سلام ".repeat(13)}😀😀` }],
    ["by express", { type: "express", text: "a".repeat(161) }],
    ["by express with a fallback", { type: "express", fallback: "normal" }],
    ["with everything that is optional", { from: "Sluice", reference: "r-1", valid_for: 60 }],
    ["with null for what is optional", { from: null, reference: null, valid_for: null }],
    ["to a phone in another spelling", { phone: "۰۹۱۲ ۱۲۳ ۴۵۶۷" }],
    ["to a number that no operator takes", { phone: "+12133734253" }],
  ];
  for (const [name, fields] of cases) {
    test(name, async () => {
      const customer = await makeCustomer(api.db.config, BALANCE);
      const body = { ...message, ...fields };
      const previewed = await preview(customer, body);
      expect(await traces(customer)).toBe(0);
      expect(await balanceOf(customer)).toBe(BALANCE);

      const answer = await api.send(body, {}, customer.apiKey);
      expect(answer.status).toBe(202);
      const sent = JSON.parse(answer.text) as Record<string, unknown>;
      const { type, encoding, parts, cost, currency, balance_after } = previewed;
      expect(sent).toMatchObject({ type, encoding, parts, cost, currency, balance_after });
      expect(await balanceOf(customer)).toBe(balance_after);
      expect(await preview(customer, body)).toEqual({ ...previewed, balance_after: balance_after - cost });

      const [stored] = await api.db.pool.query<{ phone: string; text: string }[]>(
        "SELECT phone, text FROM messages WHERE id=?",
        [sent.id],
      );
      expect(stored).toEqual({ phone: previewed.phone, text: previewed.segments.join("") });
      expect(previewed.segments).toHaveLength(parts);
    });
  }
});

describe("the wallet", () => {
  test("is spent to the last unit, and what does not suffice is said, not refused", async () => {
    const customer = await makeCustomer(api.db.config, 1_000);
    const two = { ...message, text: "a".repeat(161) };
    expect(await preview(customer, two)).toMatchObject({ cost: 1_000, balance_after: 0, sufficient: true });
    const three = { ...message, text: "a".repeat(307) };
    const previewed = await preview(customer, three);
    expect(previewed).toMatchObject({ cost: 1_500, balance_after: 1_000, sufficient: false });
    const sent = refused(await api.send(three, {}, customer.apiKey), "insufficient_balance");
    expect(sent).toMatchObject({ required: previewed.cost, balance: previewed.balance_after });
  });

  test("counts what is left in a lease, of which a send took its part", async () => {
    const customer = await makeCustomer(api.db.config, 1_700);
    expect((await api.send(message, {}, customer.apiKey)).status).toBe(202);
    const previewed = await preview(customer, { ...message, type: "express" });
    expect(previewed).toMatchObject({ cost: 700, balance_after: 500, sufficient: true });
  });
});

describe("a spend cap", () => {
  test("does not suffice for what it has no room for, whatever the wallet has", async () => {
    const customer = await makeCustomer(api.db.config, BALANCE);
    await setCaps(api.db.pool, customer.customerId, { daily: 1_200 });
    expect(await preview(customer, message)).toMatchObject({
      balance_after: BALANCE - 500,
      sufficient: true,
    });
    expect((await api.send(message, {}, customer.apiKey)).status).toBe(202);
    const express = { ...message, type: "express" };
    const last = await preview(customer, express);
    expect(last).toMatchObject({ cost: 700, balance_after: BALANCE - 1_200, sufficient: true });
    const two = { ...message, text: "a".repeat(161) };
    const previewed = await preview(customer, two);
    expect(previewed).toMatchObject({ cost: 1_000, balance_after: BALANCE - 500, sufficient: false });
    refused(await api.send(two, {}, customer.apiKey), "spend_cap_reached");
    expect(await balanceOf(customer)).toBe(previewed.balance_after);
    expect((await api.send(express, {}, customer.apiKey)).status).toBe(202);
    expect(await balanceOf(customer)).toBe(last.balance_after);
  });
});

test("in mode async everything suffices, and the wallet stays as it is until the message is claimed", async () => {
  for (const balance of [0, BALANCE]) {
    const customer = await makeCustomer(api.db.config, balance);
    await setMode(api.db.pool, customer.customerId, "async");
    await setCaps(api.db.pool, customer.customerId, { daily: 100 });
    const previewed = await preview(customer, message);
    expect(previewed).toMatchObject({ cost: 500, balance_after: balance, sufficient: true });
    expect((await api.send(message, {}, customer.apiKey)).status).toBe(202);
    expect(await balanceOf(customer)).toBe(balance);
  }
});

describe("the operators", () => {
  test("are those of which one is asked first; null where none takes the number in its lane", async () => {
    const customer = await makeCustomer(api.db.config, BALANCE);
    const first = async (fields: object) => (await preview(customer, { ...message, ...fields })).operators;
    expect(await first({})).toEqual(["north"]);
    expect(await first({ phone: "+447911123456" })).toEqual(["east", "west"]);
    expect(await first({ type: "express" })).toBeNull();
    expect(await first({ phone: "+12133734253" })).toBeNull();
  });
});

describe("an Idempotency-Key", () => {
  test("is checked, but neither kept nor looked up", async () => {
    const customer = await makeCustomer(api.db.config, BALANCE);
    const key = { "idempotency-key": "order-1" };
    const other = { ...message, text: "another" };
    for (const body of [message, other]) expect((await ask(body, key, customer.apiKey)).status).toBe(200);
    expect(await traces(customer)).toBe(0);
    expect((await api.send(message, key, customer.apiKey)).status).toBe(202);
    const answer = await ask(other, key, customer.apiKey);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("idempotent-replayed")).toBeNull();
    const wrong = { "idempotency-key": "a\tb" };
    expect(fieldsOf(refused(await ask(message, wrong), "validation_failed"))).toEqual(["Idempotency-Key"]);
  });
});

describe("the rate limit", () => {
  test("counts a preview as one part, whatever its text, and is the one of sends", async () => {
    const customer = await makeCustomer(api.db.config, BALANCE, { rateLimit: 2 });
    const long = { ...message, text: "a".repeat(153 * TEXT_PARTS_MAX) };
    // A bucket is never smaller than the longest message.
    for (let left = TEXT_PARTS_MAX - 1; left >= 0; left--) {
      const answer = await ask(long, {}, customer.apiKey);
      expect(answer.status).toBe(200);
      expect(answer.headers.get("ratelimit")).toMatch(new RegExp(`^"parts";r=${left};t=\\d+$`));
    }
    const limited = await ask(long, {}, customer.apiKey);
    refused(limited, "rate_limited");
    expect(Number(limited.headers.get("retry-after"))).toBeGreaterThan(0);
    refused(await api.send(message, {}, customer.apiKey), "rate_limited");
  });

  test("a body that is refused does not count", async () => {
    const customer = await makeCustomer(api.db.config, BALANCE, { rateLimit: 2 });
    refused(await ask({ ...message, text: "" }, {}, customer.apiKey), "validation_failed");
    const answer = await ask(message, {}, customer.apiKey);
    expect(answer.headers.get("ratelimit")).toMatch(/^"parts";r=9;/);
  });
});

describe("what a send refuses, a preview refuses with the same problem", () => {
  const sameAsSend = async (body: unknown, code: Parameters<typeof refused>[1]): Promise<Problem> => {
    const problem = refused(await ask(body), code);
    expect({ ...problem, request_id: "" }).toEqual({
      ...refused(await api.send(body), code),
      request_id: "",
    });
    return problem;
  };
  for (const [name, body, field] of BAD_MESSAGES) {
    test(name, async () => {
      expect(fieldsOf(await sameAsSend(body, "validation_failed"))).toEqual([field]);
    });
  }

  test("a fallback for normal, and a callback_url without a secret", async () => {
    expect(fieldsOf(await sameAsSend({ ...message, fallback: "normal" }, "validation_failed"))).toEqual([
      "fallback",
    ]);
    const callback_url = "https://example.com/hook";
    expect(fieldsOf(await sameAsSend({ ...message, callback_url }, "validation_failed"))).toEqual([
      "callback_url",
    ]);
  });

  test("several wrong fields at once, and none at all", async () => {
    await sameAsSend({ phone: 1, text: 2, type: 3, from: 4, x: 5 }, "validation_failed");
    await sameAsSend({}, "validation_failed");
    await sameAsSend([], "validation_failed");
  });

  test("a time that is long over", async () => {
    await sameAsSend({ ...message, send_at: "2020-01-01T00:00:00Z" }, "validation_failed");
  });

  test("what is no JSON", async () => {
    for (const body of ["", "{", "nonsense"]) await sameAsSend(body, "malformed_json");
  });

  test("a missing, an unknown and a reading key", async () => {
    const reader = await makeCustomer(api.db.config, BALANCE, { scopes: ["read"] });
    refused(await ask(message, {}, null), "api_key_missing");
    refused(await ask(message, {}, "x"), "api_key_invalid");
    refused(await ask(message, {}, reader.apiKey), "scope_missing");
  });
});

describe("after all of it", () => {
  test("nothing was stored, charged or logged that should not be", async () => {
    expect((await ask(message)).status).toBe(200);
    await api.untouched();
  });
});
