// What HTTP itself demands of an API: single-valued headers, strict queries, challenges, caching, encodings
// and methods. Over raw sockets where a client library would correct the request.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { head, rawHttp } from "../support/raw-http.ts";
import { type Answer, type Api, fieldsOf, fromRaw, message, refused, startApi } from "../support/refusals.ts";

let api: Api;
beforeAll(async () => {
  api = await startApi();
}, 60_000);
afterAll(() => api.stop(), 30_000);

/** Sends a POST with these header lines, of which some may be repeated. */
async function raw(path: string, lines: [string, string][], body: string | Uint8Array): Promise<Answer> {
  const all: [string, string][] = [["Host", "sluice"], ...lines];
  const text = all.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return fromRaw(await rawHttp(api.ingest.url, [`POST ${path} HTTP/1.1\r\n${text}\r\n`, body]));
}
const good = JSON.stringify(message);
const linesOf = (body: string | Uint8Array): [string, string][] => [
  ["X-API-Key", api.customer.apiKey],
  ["Content-Type", "application/json"],
  ["Content-Length", String(Buffer.byteLength(body))],
];

describe("a single-valued header, given twice", () => {
  const twice = (body: string): [string, [string, string][]][] => [
    [
      "Idempotency-Key",
      [
        ["Idempotency-Key", "k"],
        ["Idempotency-Key", "k"],
      ],
    ],
    [
      "Idempotency-Key",
      [
        ["Idempotency-Key", "k"],
        ["idempotency-key", "other"],
      ],
    ],
    [
      "Idempotency-Key",
      [
        ["Idempotency-Key", ""],
        ["Idempotency-Key", "k"],
      ],
    ],
    ["X-API-Key", [["X-API-Key", api.customer.apiKey]]],
    ["X-API-Key", [["X-API-Key", "other"]]],
    ["Content-Type", [["Content-Type", "application/json"]]],
    ["Content-Type", [["Content-Type", "text/plain"]]],
    ["Content-Length", [["Content-Length", String(body.length)]]],
  ];
  for (let at = 0; at < 8; at++) {
    test(`is refused by name, and nothing happens (${at + 1})`, async () => {
      for (const [path, body] of [
        ["/v1/sms/send", good],
        ["/v1/wallet/topup", '{"amount":5,"request_id":"headers"}'],
      ] as const) {
        const [field, more] = twice(body)[at] as [string, [string, string][]];
        const answer = await raw(path, [...linesOf(body), ...more], body);
        expect(fieldsOf(refused(answer, "malformed_request"))).toEqual([field]);
      }
    });
  }

  test("a joined Content-Length can't bypass the limit of a body", async () => {
    const length: [string, string][] = [
      ["Content-Length", "80000000"],
      ["Content-Length", "80000000"],
    ];
    refused(await raw("/v1/sms/send", [...linesOf("").slice(0, 2), ...length], "{"), "malformed_request");
  });

  test("two traceparent headers count as none: the request gets its own trace", async () => {
    const trace = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
    const one = await api.ask("/v1/wallet", { headers: { traceparent: trace } });
    expect(one.headers.get("x-request-id")).toBe("a".repeat(32));
    const lines: [string, string][] = [...linesOf("{}"), ["traceparent", trace], ["traceparent", trace]];
    const answer = await raw("/v1/sms/send", lines, "{}");
    refused(answer, "validation_failed");
    expect(answer.headers.get("x-request-id")).not.toBe("a".repeat(32));
  });

  test("a key that contains a comma, a quote or a backslash is refused", async () => {
    for (const key of ['"k', 'k"', '"k";a=1', "a\\b", '""', '"', `"${"k".repeat(256)}"`])
      expect(
        fieldsOf(refused(await api.send(message, { "idempotency-key": key }), "validation_failed")),
      ).toEqual(["Idempotency-Key"]);
    expect(
      fieldsOf(refused(await api.send(message, { "idempotency-key": "a,b" }), "malformed_request")),
    ).toEqual(["Idempotency-Key"]);
  });
});

describe("queries", () => {
  const routes = [
    ["POST", "/v1/sms/send", good],
    ["POST", "/v1/wallet/topup", '{"amount":5,"request_id":"query"}'],
    ["GET", "/v1/wallet"],
    ["GET", "/v1/wallet/ledger"],
    ["GET", "/v1/wallet/reconcile"],
    ["GET", "/v1/messages"],
    ["GET", "/v1/messages/01M7YBCH59Z4D8R94AWEAQ1Q8T"],
    ["GET", "/v1/reports/messages"],
    ["GET", "/v1/reports/usage"],
    ["GET", "/health"],
    ["GET", "/ready"],
    ["GET", "/metrics"],
    ["GET", "/openapi.json"],
    ["GET", "/docs"],
    ["GET", "/swagger/index.html"],
    ["GET", "/docs/start.js"],
  ] as const;
  for (const [method, path, body] of routes) {
    test(`${method} ${path} refuses parameters that it doesn't take`, async () => {
      const ask = (query: string) =>
        api.ask(`${path}?${query}`, { method, ...(body === undefined ? {} : { body }) });
      expect(fieldsOf(refused(await ask("dry_run=true"), "validation_failed"))).toEqual(["dry_run"]);
      refused(await ask("%zz=1"), "malformed_request");
    });
  }

  test("a lost plus never selects another country's number", async () => {
    expect((await api.ask("/v1/messages?phone=+4532123456")).status).toBe(200);
    for (const path of ["/v1/messages", "/v1/reports/messages"]) {
      expect(fieldsOf(refused(await api.ask(`${path}?phone=+09121234567`), "validation_failed"))).toEqual([
        "phone",
      ]);
      refused(await api.ask(`${path}?phone=%ff`), "malformed_request");
    }
  });
});

describe("answers", () => {
  test("every 401 names its scheme", async () => {
    for (const key of [null, "", "x"]) {
      const answer = await api.ask("/v1/wallet", {}, key);
      expect(answer.status).toBe(401);
      expect(answer.headers.get("www-authenticate")).toBe('ApiKey realm="sluice"');
    }
  });

  test("no answer may be cached, whatever it says", async () => {
    const asked = [
      await api.ask("/v1/wallet"),
      await api.ask("/v1/wallet", {}, null),
      await api.ask("/v1/nothing"),
      await api.ask("/v1/wallet", { method: "PUT" }),
      await api.send({}),
      await api.topup({ amount: 1, request_id: "opening" }),
    ];
    expect(asked.map(({ status }) => status)).toEqual([200, 401, 404, 405, 422, 409]);
    for (const answer of asked) expect(answer.headers.get("cache-control")).toBe("no-store");
  });

  test("the description of the API is revalidated, not sent again", async () => {
    const first = await api.ask("/openapi.json", {}, null);
    expect([first.status, first.headers.get("cache-control")]).toEqual([200, "no-cache"]);
    const etag = first.headers.get("etag") ?? "";
    const again = await api.ask("/openapi.json", { headers: { "if-none-match": etag } }, null);
    expect([again.status, again.text, again.headers.get("etag")]).toEqual([304, "", etag]);
  });

  test("the pages for people are HTML under a policy of their own", async () => {
    for (const path of ["/docs", "/swagger/index.html"]) {
      const { status, headers, text } = await api.ask(path, {}, null);
      expect([status, headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
      expect(headers.get("content-security-policy")).toContain("default-src 'none'");
      expect(text).toContain("/docs/swagger-ui-bundle.js");
    }
    refused(await api.ask("/docs/package.json", {}, null), "not_found");
  });

  test("request ids don't count up: two in a row have nothing in common", async () => {
    const ids = await Promise.all(
      Array.from({ length: 20 }, () => api.ask("/health").then((a) => a.headers.get("x-request-id") ?? "")),
    );
    for (const part of [0, 8, 16, 24])
      expect(new Set(ids.map((id) => id.slice(part, part + 8))).size).toBe(20);
  });
});

describe("the format of a body", () => {
  test("a compressed body is refused as such, not as broken text", async () => {
    const body = gzipSync(good);
    for (const encoding of ["gzip", "GZIP", "br", "deflate", "gzip, identity", "x"]) {
      const answer = await raw("/v1/sms/send", [...linesOf(body), ["Content-Encoding", encoding]], body);
      expect(refused(answer, "unsupported_media_type").detail).toContain("Content-Encoding");
      expect(answer.headers.get("accept-encoding")).toBe("identity");
    }
    refused(await api.send({}, { "content-encoding": "identity" }), "validation_failed");
  });

  test("a charset other than UTF-8 is refused", async () => {
    for (const charset of ["iso-8859-1", '"UTF-16"', "windows-1256"])
      expect(
        refused(
          await api.send({}, { "content-type": `application/json; charset=${charset}` }),
          "unsupported_media_type",
        ).detail,
      ).toContain("UTF-8");
    for (const charset of ["utf-8", '"UTF-8"', "utf8", "us-ascii"])
      refused(
        await api.send({}, { "content-type": `application/json;charset=${charset}` }),
        "validation_failed",
      );
  });
});

describe("methods", () => {
  test("HEAD is answered like GET, without a body", async () => {
    for (const path of ["/v1/wallet", "/health", "/v1/messages"]) {
      const [get, without] = [await api.ask(path), await api.ask(path, { method: "HEAD" })];
      expect([without.status, without.text]).toEqual([200, ""]);
      expect(without.headers.get("content-type")).toBe(get.headers.get("content-type") as string);
    }
    expect((await api.ask("/v1/wallet", { method: "HEAD" }, null)).status).toBe(401);
  });

  test("Allow names all methods of a route", async () => {
    for (const [path, allow] of [
      ["/v1/wallet", "GET, HEAD"],
      ["/v1/sms/send", "POST"],
      ["/health", "GET, HEAD"],
    ] as const) {
      const answer = await api.ask(path, { method: "DELETE" });
      refused(answer, "method_not_allowed");
      expect(answer.headers.get("allow")).toBe(allow);
    }
    expect((await api.ask("/v1/sms/send", { method: "HEAD" })).status).toBe(405);
  });

  test("other HTTP methods are not allowed, and break nothing", async () => {
    for (const method of ["OPTIONS", "TRACE", "PATCH", "QUERY", "PROPFIND"]) {
      const request = head(method, "/v1/sms/send", { "content-length": "0" });
      refused(fromRaw(await rawHttp(api.ingest.url, [request])), "method_not_allowed");
    }
    refused(
      fromRaw(await rawHttp(api.ingest.url, ["CONNECT sluice:80 HTTP/1.1\r\nHost: sluice\r\n\r\n"])),
      "not_found",
    );
  });
});

describe("members and numbers", () => {
  test("a repeated member moves no money, in any order and spelling", async () => {
    const bodies = [
      '{"amount":5,"amount":7,"request_id":"twice"}',
      '{"amount":5,"request_id":"twice","\\u0061mount":7}',
      '{"amount":5,"amount":5,"request_id":"twice"}',
    ];
    for (const body of bodies)
      expect(fieldsOf(refused(await api.topup(body), "validation_failed"))).toEqual(["amount"]);
    const sent = `${good.slice(0, -1)},"phone":"09121234568"}`;
    expect(fieldsOf(refused(await api.send(sent), "validation_failed"))).toEqual(["phone"]);
  });

  test("an amount is exactly what is written, or refused", async () => {
    for (const amount of [
      "0.99999999999999999999",
      "5.0000000000000000001",
      "12345678901234567890",
      "4.9999999999999999999",
    ])
      expect(
        fieldsOf(refused(await api.topup(`{"amount":${amount},"request_id":"exact"}`), "validation_failed")),
      ).toEqual(["amount"]);
  });
});

test("nothing of all this was stored, charged or logged", () => api.untouched());

describe("what is accepted nevertheless", () => {
  test('"k" and k are one Idempotency-Key', async () => {
    const first = await api.send(message, { "idempotency-key": "quoted-1" });
    const again = await api.send(message, { "idempotency-key": '"quoted-1"' });
    expect([first.status, again.status, again.text]).toEqual([202, 202, first.text]);
    expect(again.headers.get("idempotent-replayed")).toBe("true");
  });

  test("null for an optional field means absent", async () => {
    const empty = {
      from: null,
      reference: null,
      send_at: null,
      valid_for: null,
      callback_url: null,
      fallback: null,
    };
    const answer = await api.send({ ...message, ...empty });
    expect(answer.status).toBe(202);
    const { id } = JSON.parse(answer.text) as { id: string };
    expect(JSON.parse((await api.ask("/v1/messages?limit=1")).text)).toMatchObject({
      messages: [{ id, from: null, reference: null }],
    });
  });

  test("1.0 and 1e0 are the whole number 1", async () => {
    for (const [at, amount] of ["1.0", "1e0"].entries())
      expect(
        JSON.parse((await api.topup(`{"amount":${amount},"request_id":"whole-${at}"}`)).text),
      ).toMatchObject({ topup: true, amount: 1 });
  });
});
