// Requests that can't be parsed, routed or authorized: bodies, routes, methods and keys, over real HTTP
// against a real ingest process and MySQL. Each gets its documented error, and nothing is stored, charged or
// logged that shouldn't be.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { BODY_BYTES_MAX } from "../../src/core/limits.ts";
import { makeCustomer } from "../support/ingest-process.ts";
import { head, rawHttp } from "../support/raw-http.ts";
import { type Api, fieldsOf, fromRaw, message, OPENING, refused, startApi } from "../support/refusals.ts";

let api: Api;
beforeAll(async () => {
  api = await startApi();
}, 60_000);
afterAll(() => api.stop(), 30_000);

describe("bodies", () => {
  for (const body of [
    "",
    "{",
    '{"phone":',
    "nonsense",
    '{"a":1}}',
    "{'phone':1}",
    "NaN",
    "\u0000",
    '{"text":"\n"}',
  ]) {
    test(`${JSON.stringify(body)} is malformed`, async () => {
      refused(await api.send(body), "malformed_json");
    });
  }

  for (const body of ["null", "[]", "1", '"text"', "true", "[{}]"]) {
    test(`${body} is JSON but no object`, async () => {
      expect(fieldsOf(refused(await api.send(body), "validation_failed"))).toEqual(["body"]);
    });
  }

  test("arrays and objects nested thousands deep are refused before they are parsed", async () => {
    for (const deep of [
      "[".repeat(60_000),
      `${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`,
      `{"text":${"[".repeat(3_000)}${"]".repeat(3_000)}}`,
    ]) {
      refused(await api.send(deep), "malformed_json");
    }
  });

  test("nesting in an unknown field of a short body is refused too", async () => {
    const code = JSON.parse((await api.send(`{"x":${"[".repeat(400)}${"]".repeat(400)}}`)).text)
      .code as string;
    expect(["malformed_json", "validation_failed"]).toContain(code);
  });

  test("brackets inside a text don't count as nesting", async () => {
    const answer = await api.send({ ...message, text: "[".repeat(600), phone: "1" });
    expect(fieldsOf(refused(answer, "validation_failed"))).toEqual(["phone"]);
  });

  const json = (apiKey: string) => ({ "content-type": "application/json", "x-api-key": apiKey });

  test("bytes that are not UTF-8 are refused", async () => {
    for (const bytes of [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xc0, 0xaf], [0xe2, 0x82]]) {
      const body = Buffer.concat([
        Buffer.from('{"phone":"09121234567","type":"normal","text":"'),
        Buffer.from(bytes),
        Buffer.from('"}'),
      ]);
      const request = head("POST", "/v1/sms/send", {
        ...json(api.customer.apiKey),
        "content-length": String(body.length),
      });
      refused(fromRaw(await rawHttp(api.ingest.url, [request, body])), "body_not_utf8");
    }
  });

  test("a body of 64 KiB is read, and one more byte is too large", async () => {
    const padded = (size: number) => JSON.stringify({ phone: "1" }).padEnd(size, " ");
    refused(await api.send(padded(BODY_BYTES_MAX)), "validation_failed");
    refused(await api.send(padded(BODY_BYTES_MAX + 1)), "payload_too_large");
  });

  for (const size of [BODY_BYTES_MAX * 16, 200 * 1024 * 1024, 2 ** 45]) {
    test(`an announced body of ${size} bytes is refused without waiting for it`, async () => {
      const request = head("POST", "/v1/sms/send", {
        ...json(api.customer.apiKey),
        "content-length": String(size),
      });
      refused(fromRaw(await rawHttp(api.ingest.url, [request, "{".repeat(1_000)])), "payload_too_large");
    });
  }

  test("a chunked body is bounded as it arrives", async () => {
    const request = head("POST", "/v1/sms/send", {
      ...json(api.customer.apiKey),
      "transfer-encoding": "chunked",
    });
    const chunk = `4000\r\n${" ".repeat(0x4000)}\r\n`;
    refused(
      fromRaw(await rawHttp(api.ingest.url, [request, ...Array<string>(8).fill(chunk), "0\r\n\r\n"])),
      "payload_too_large",
    );
    refused(
      fromRaw(await rawHttp(api.ingest.url, [request, ...Array<string>(8).fill(chunk)])),
      "payload_too_large",
    );
  });

  test("a small chunked body is accepted like any other", async () => {
    const body = '{"phone":"1"}';
    const request = head("POST", "/v1/sms/send", {
      ...json(api.customer.apiKey),
      "transfer-encoding": "chunked",
    });
    const chunks = Array.from(body, (c) => `1\r\n${c}\r\n`);
    refused(fromRaw(await rawHttp(api.ingest.url, [request, ...chunks, "0\r\n\r\n"])), "validation_failed");
  });

  for (const type of [
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/jsonp",
    "multipart/form-data; boundary=x",
    "",
  ]) {
    test(`content type ${JSON.stringify(type)} is refused`, async () => {
      const body = JSON.stringify(message);
      const headers = {
        "x-api-key": api.customer.apiKey,
        "content-length": String(body.length),
        ...(type === "" ? {} : { "content-type": type }),
      };
      refused(
        fromRaw(await rawHttp(api.ingest.url, [head("POST", "/v1/sms/send", headers), body])),
        "unsupported_media_type",
      );
    });
  }

  test("a content type with parameters or in capitals is still JSON", async () => {
    for (const type of ["application/json; charset=utf-8", "APPLICATION/JSON"]) {
      refused(await api.send({}, { "content-type": type }), "validation_failed");
    }
  });
});

describe("routes and methods", () => {
  for (const path of [
    "/",
    "/v1",
    "/v1/sms",
    "/v1/sms/send/",
    "/v2/sms/send",
    "/v1/../etc/passwd",
    "/%00",
    "/v1/sms/batches/1",
  ]) {
    test(`${path} does not exist`, async () => {
      refused(await api.ask(path, { method: "POST", body: "{}" }), "not_found");
    });
  }

  const wrong = [
    ["GET", "/v1/sms/send", "POST"],
    ["PUT", "/v1/sms/send", "POST"],
    ["OPTIONS", "/v1/sms/send", "POST"],
    ["PROPFIND", "/v1/sms/send", "POST"],
    ["PATCH", "/v1/wallet/topup", "POST"],
    ["POST", "/v1/wallet", "GET"],
    ["DELETE", "/v1/reports/messages", "GET"],
    ["POST", "/health", "GET"],
  ] as const;
  for (const [method, path, allow] of wrong) {
    test(`${method} ${path} says which method it takes`, async () => {
      const answer = await api.ask(path, { method });
      refused(answer, "method_not_allowed");
      expect(answer.headers.get("allow")).toContain(allow);
    });
  }

  test("a message that does not exist, or a malformed id, is not found", async () => {
    for (const id of ["01M7YBCH59Z4D8R94AWEAQ1Q8T", "x", "%00", "'%20OR%201=1", "🌍"]) {
      refused(await api.ask(`/v1/messages/${id}`), "not_found");
    }
  });
});

describe("keys", () => {
  test("no key, or an empty one, counts as missing", async () => {
    refused(await api.send(message, {}, null), "api_key_missing");
    refused(await api.send(message, {}, ""), "api_key_missing");
  });

  test("an unknown, a huge and a strange key are invalid", async () => {
    const [first, ...rest] = api.customer.apiKey;
    for (const key of [
      "x",
      "a".repeat(4_000),
      `${first === "a" ? "b" : "a"}${rest.join("")}`,
      `${api.customer.apiKey}x`,
      "' OR 1=1 -- ",
    ]) {
      refused(await api.send(message, {}, key), "api_key_invalid");
    }
  });

  test("a revoked key is invalid", async () => {
    const other = await makeCustomer(api.db.config, OPENING);
    await api.db.pool.write("UPDATE api_keys SET revoked_at=NOW(3) WHERE key_id=?", [other.keyId]);
    refused(await api.send(message, {}, other.apiKey), "api_key_invalid");
  });

  test("a key without the route's scope is refused on each route", async () => {
    const reader = await makeCustomer(api.db.config, OPENING, { scopes: ["read"] });
    const sender = await makeCustomer(api.db.config, OPENING, { scopes: ["send"] });
    refused(await api.send(message, {}, reader.apiKey), "scope_missing");
    refused(
      await api.ask(
        "/v1/wallet/topup",
        { method: "POST", body: '{"amount":1,"request_id":"x"}' },
        sender.apiKey,
      ),
      "scope_missing",
    );
    for (const path of [
      "/v1/wallet",
      "/v1/wallet/ledger",
      "/v1/messages",
      "/v1/reports/messages",
      "/v1/reports/usage",
    ]) {
      refused(await api.ask(path, {}, sender.apiKey), "scope_missing");
    }
  });

  test("the key is checked before the body is read", async () => {
    refused(await api.send("{", {}, "x"), "api_key_invalid");
  });
});

describe("after all of it", () => {
  test("nothing was stored, charged or logged that should not be", () => api.untouched());

  test("a good message is still taken", async () => {
    expect((await api.send(message)).status).toBe(202);
  });
});
