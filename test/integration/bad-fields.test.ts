// Requests whose fields can't be accepted, over real HTTP against a real ingest process and MySQL: every
// wrong field is named, and nothing is stored, charged or logged that shouldn't be.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { FIELD_ERRORS_MAX, REQUEST_ID_CHARS_MAX } from "../../src/core/limits.ts";
import { BAD_MESSAGES } from "../support/bad-messages.ts";
import { makeCustomer } from "../support/ingest-process.ts";
import { type Api, fieldsOf, message, refused, startApi } from "../support/refusals.ts";

let api: Api;
beforeAll(async () => {
  api = await startApi();
}, 60_000);
afterAll(() => api.stop(), 30_000);

describe("fields of a message", () => {
  for (const [name, body, field] of BAD_MESSAGES) {
    test(`${name} is refused by name`, async () => {
      expect(fieldsOf(refused(await api.send(body), "validation_failed"))).toEqual([field]);
    });
  }

  test("every wrong field is named at once", async () => {
    const answer = await api.send({ phone: 1, text: 2, type: 3, from: 4, x: 5 });
    expect(fieldsOf(refused(answer, "validation_failed"))).toEqual(["from", "phone", "text", "type", "x"]);
  });

  test("of thousands of unknown fields the first fifty are named", async () => {
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`f${i}`, 1]));
    const answer = await api.send({ ...message, ...many });
    expect(refused(answer, "validation_failed").errors).toHaveLength(FIELD_ERRORS_MAX);
  });

  test("send_at is RFC 3339 with an offset, at most 30 days ahead, and not long over", async () => {
    const later = (ms: number) => new Date(Date.now() + ms).toISOString();
    const bad = [
      "tomorrow",
      "2030-01-01",
      later(60_000).slice(0, -1),
      later(-90_000),
      later(31 * 86_400_000),
      5,
    ];
    for (const send_at of bad)
      expect(fieldsOf(refused(await api.send({ ...message, send_at }), "validation_failed"))).toEqual([
        "send_at",
      ]);
  });

  test("a fallback is for a promise that is made now: not together with send_at", async () => {
    const send_at = new Date(Date.now() + 60_000).toISOString();
    const answer = await api.send({ ...message, type: "express", fallback: "normal", send_at });
    expect(fieldsOf(refused(answer, "validation_failed"))).toEqual(["fallback"]);
  });

  test("valid_for is a whole number of seconds, from a minute to 72 hours", async () => {
    for (const valid_for of [0, -60, 59, 259_201, 60.5, "60", true])
      expect(fieldsOf(refused(await api.send({ ...message, valid_for }), "validation_failed"))).toEqual([
        "valid_for",
      ]);
  });

  test("a callback_url needs a secret to sign with, and a public address to lead to", async () => {
    const given = async (callback_url: unknown) =>
      refused(await api.send({ ...message, callback_url }), "validation_failed").errors ?? [];
    expect(await given("https://example.com/hook")).toEqual([
      { field: "callback_url", reason: "needs a webhook secret, which this customer has not" },
    ]);
    for (const url of ["https://127.0.0.1/", "http://example.com/", "x".repeat(501), 7])
      expect((await given(url)).map(({ field }) => field)).toEqual(["callback_url"]);
  });

  test("an Idempotency-Key outside 1 to 255 printable ASCII characters is named, on both routes", async () => {
    for (const key of ["", "k".repeat(256), "naïve", "a\tb"]) {
      const headers = { "idempotency-key": key };
      expect(fieldsOf(refused(await api.send(message, headers), "validation_failed"))).toEqual([
        "Idempotency-Key",
      ]);
      const topup = { amount: 5, request_id: "never" };
      expect(fieldsOf(refused(await api.topup(topup, undefined, headers), "validation_failed"))).toEqual([
        "Idempotency-Key",
      ]);
    }
  });

  test("a text of exactly 10 parts passes every check but the phone's", async () => {
    const answer = await api.send({ ...message, text: "a".repeat(1_530), phone: "1" });
    expect(fieldsOf(refused(answer, "validation_failed"))).toEqual(["phone"]);
  });
});

describe("fields of a top-up", () => {
  for (const amount of [
    "0",
    "-1",
    "-0",
    "0.5",
    "1e-3",
    "9007199254740992",
    "9007199254740993",
    "1e400",
    "1e300",
    '"5"',
    "null",
    "true",
    "[5]",
    "{}",
  ]) {
    test(`an amount of ${amount} is refused`, async () => {
      expect(
        fieldsOf(refused(await api.topup(`{"amount":${amount},"request_id":"r"}`), "validation_failed")),
      ).toEqual(["amount"]);
    });
  }

  const ids: [string, unknown][] = [
    ["is empty", ""],
    [`has ${REQUEST_ID_CHARS_MAX + 1} characters`, "x".repeat(REQUEST_ID_CHARS_MAX + 1)],
    ["is long in code points, short in graphemes", `e${"\u0301".repeat(500)}`],
    ["is a number", 5],
    ["is null", null],
    ["holds a NUL", "a\0"],
    ["holds a lone surrogate", "\ud800"],
  ];
  for (const [name, request_id] of ids) {
    test(`a request_id that ${name} is refused`, async () => {
      expect(fieldsOf(refused(await api.topup({ amount: 5, request_id }), "validation_failed"))).toEqual([
        "request_id",
      ]);
    });
  }

  test("missing and unknown fields are refused by name", async () => {
    expect(fieldsOf(refused(await api.topup({}), "validation_failed"))).toEqual(["amount", "request_id"]);
    expect(
      fieldsOf(refused(await api.topup({ amount: 5, request_id: "r", customer_id: 1 }), "validation_failed")),
    ).toEqual(["customer_id"]);
  });

  test("a top-up that would pass 2^53 is refused and changes nothing", async () => {
    const rich = await makeCustomer(api.db.config, Number.MAX_SAFE_INTEGER - 5);
    const answer = await api.ask(
      "/v1/wallet/topup",
      { method: "POST", body: '{"amount":10,"request_id":"r"}' },
      rich.apiKey,
    );
    expect(fieldsOf(refused(answer, "validation_failed"))).toEqual(["amount"]);
  });

  test("a request_id of 128 characters is taken", async () => {
    const other = await makeCustomer(api.db.config, 0);
    const body = JSON.stringify({ amount: 5, request_id: "ی".repeat(REQUEST_ID_CHARS_MAX) });
    expect((await api.ask("/v1/wallet/topup", { method: "POST", body }, other.apiKey)).status).toBe(200);
  });
});

describe("queries", () => {
  const bad = [
    "limit=0",
    "limit=1001",
    "limit=x",
    "limit=1.5",
    "cursor=x",
    "cursor=%00",
    `cursor=${"a".repeat(5_000)}`,
    "unknown=1",
  ];
  const reports = [
    "status=SENT",
    "type=fast",
    "from=yesterday",
    "to=x",
    "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
    "phone=x",
    "id=x",
  ];
  for (const query of bad) {
    test(`${query.slice(0, 40)} is refused by every list`, async () => {
      for (const path of ["/v1/messages", "/v1/wallet/ledger", "/v1/reports/messages", "/v1/reports/usage"]) {
        refused(await api.ask(`${path}?${query}`), "validation_failed");
      }
    });
  }
  for (const query of reports) {
    test(`${query} is refused by the report`, async () => {
      refused(await api.ask(`/v1/reports/messages?${query}`), "validation_failed");
    });
  }
  for (const query of ["interval=week", "by=type", "by=status,status", "from=x", "status=sent", "phone=x"]) {
    test(`${query} is refused by the usage report`, async () => {
      const answer = await api.ask(`/v1/reports/usage?${query}`);
      expect(fieldsOf(refused(answer, "validation_failed"))).toEqual([query.split("=", 1)[0] as string]);
    });
  }
});

describe("after all of it", () => {
  test("nothing was stored, charged or logged that should not be", () => api.untouched());

  test("a good message is still taken", async () => {
    expect((await api.send(message)).status).toBe(202);
  });
});
