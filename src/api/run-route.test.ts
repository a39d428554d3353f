// What a route declares is enforced in this order: access, query, body.

import { describe, expect, test } from "bun:test";
import { Type } from "typebox";
import { neverGone } from "../core/caller.ts";
import { SluiceError, toSluiceError } from "../core/errors.ts";
import type { KeyOwner } from "../customers/api-keys.ts";
import { route } from "./route.ts";
import { runRoute } from "./run-route.ts";

const owner = { customerId: 1, scopes: new Set(["send"]) } as unknown as KeyOwner;
let asked: string[] = [];
const keys = {
  get: (key: string) => (key === "known" ? owner : undefined),
  load: (key: string) => {
    asked.push(key);
    return Promise.resolve(key === "loaded" ? owner : null);
  },
};
const body = Type.Object({ name: Type.String() }, { additionalProperties: false });
const about = { operationId: "x", tag: "Service", summary: "x", answers: {} } as const;
const shared = { path: "/x", answers: { 200: Type.Unknown() }, errors: [], about } as const;
const sending = route({
  ...shared,
  method: "POST",
  access: "send",
  query: ["limit"],
  body,
  handle: ({ owner: { customerId }, query, body: { name }, bytes }) => ({
    status: 200,
    body: { customerId, name, limit: query.get("limit") ?? null, size: bytes.length },
  }),
});
const open = route({
  ...shared,
  method: "GET",
  access: "public",
  query: [],
  body: null,
  handle: (call) => ({ status: 200, body: { owner: call.owner, body: call.body } }),
});

const run = (of: typeof sending, url: string, init: RequestInit = {}, isStopping = false) => {
  asked = [];
  return runRoute(keys, of, {
    request: new Request(`http://sluice${url}`, init),
    requestId: "r",
    traceparent: "",
    params: {},
    isGone: neverGone,
    isStopping: () => isStopping,
    explain: toSluiceError,
    clientAddress: () => "",
  });
};
const post = (key: string | null, sent: string): RequestInit => ({
  method: "POST",
  body: sent,
  headers: { "content-type": "application/json", ...(key === null ? {} : { "x-api-key": key }) },
});
const codeOf = (running: Promise<unknown>) =>
  running.then(
    () => "answered",
    (error: unknown) => (error instanceof SluiceError ? error.code : String(error)),
  );

test("declared query and body reach the route, parsed and checked", async () => {
  const reply = await run(sending, "/x?limit=5", post("known", '{"name":"ی"}'));
  expect(reply).toEqual({ status: 200, body: { customerId: 1, name: "ی", limit: "5", size: 13 } });
  expect(await run(open, "/x")).toEqual({ status: 200, body: { owner: null, body: null } });
});

describe("the order", () => {
  const bad = "{";
  test("a key comes before the query, and the query before the body", async () => {
    expect(await codeOf(run(sending, "/x?no=1", post(null, bad)))).toBe("api_key_missing");
    expect(await codeOf(run(sending, "/x?no=1", post("", bad)))).toBe("api_key_missing");
    expect(await codeOf(run(sending, "/x?no=1", post("other", bad)))).toBe("api_key_invalid");
    expect(await codeOf(run(sending, "/x?no=1", post("known", bad)))).toBe("validation_failed");
    expect(await codeOf(run(sending, "/x", post("known", bad)))).toBe("malformed_json");
    expect(await codeOf(run(sending, "/x", post("loaded", '{"name":1}')))).toBe("validation_failed");
    expect(await codeOf(run(sending, "/x", post("loaded", '{"name":"x"}')))).toBe("answered");
  });

  test("a key of impossible length is not looked up", async () => {
    for (const [key, code] of [
      ["a,b", "malformed_request"],
      ["x".repeat(101), "api_key_invalid"],
    ] as const) {
      expect(await codeOf(run(sending, "/x", post(key, bad)))).toBe(code);
      expect(asked).toEqual([]);
    }
  });

  test("a stopping process refuses before it checks anything, but still answers health checks", async () => {
    expect(await codeOf(run(sending, "/x?no=1", post(null, bad), true))).toBe("unavailable");
    expect(await codeOf(run(open, "/x", {}, true))).toBe("answered");
  });

  test("a public route refuses undeclared parameters too", async () => {
    expect(await codeOf(run(open, "/x?verbose"))).toBe("validation_failed");
  });

  test("a key without the scope is told which scope it lacks", async () => {
    const reading = { ...sending, access: "read" } as const;
    expect(await codeOf(run(reading, "/x", post("known", bad)))).toBe("scope_missing");
  });
});
