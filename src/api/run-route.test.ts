// What a route declares is enforced in this order: access, query, body; and of a signed request the signature
// before its body is parsed.

import { describe, expect, test } from "bun:test";
import { Type } from "typebox";
import { neverGone } from "../core/caller.ts";
import { SluiceError, toSluiceError } from "../core/errors.ts";
import { signatureHeader, signatureOf } from "../core/request-signature.ts";
import type { KeyGuard, KeyOwner } from "../customers/api-keys.ts";
import { route } from "./route.ts";
import { runRoute } from "./run-route.ts";

const owner = { customerId: 1, keyId: "k", scopes: new Set(["send"]) } as unknown as KeyOwner;
const FREE: KeyGuard = { isSuspended: false, allows: null, signingSecret: null };
const guarded = (guard: Partial<KeyGuard>): KeyOwner => ({ ...owner, guard: { ...FREE, ...guard } });
const OWNERS: Record<string, KeyOwner> = {
  known: owner,
  limited: { ...owner, customerId: 2, requestLimit: 60 },
  "limited-signed": {
    ...guarded({ signingSecret: "ss_secret" }),
    requestLimit: 60,
  },
  suspended: guarded({ isSuspended: true }),
  elsewhere: guarded({ allows: (address) => address === "192.0.2.1" }),
  here: guarded({ allows: (address) => address === "203.0.113.9" }),
  signed: guarded({ signingSecret: "ss_secret" }),
  "suspended-elsewhere": guarded({ isSuspended: true, allows: () => false }),
  "signed-suspended": guarded({ isSuspended: true, signingSecret: "ss_secret" }),
};
let asked: string[] = [];
let used: string[] = [];
let counted: number[] = [];
let isLimited = false;
let nonces = new Set<string>();
const NOW_S = 1_790_000_000;
const access = {
  keys: {
    get: (key: string) => OWNERS[key],
    load: (key: string) => {
      asked.push(key);
      return Promise.resolve(key === "loaded" ? owner : null);
    },
    nowMs: () => NOW_S * 1_000,
  },
  noteUse: (keyId: string) => void used.push(keyId),
  takeRequest: ({ customerId }: { customerId: number }) => {
    if (isLimited) throw new SluiceError("rate_limited");
    counted.push(customerId);
  },
  takeNonce: (_: number, { nonce }: { nonce: string }) => {
    const isNew = !nonces.has(nonce);
    nonces.add(nonce);
    return Promise.resolve(isNew);
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
  used = [];
  return runRoute(access, of, {
    request: new Request(`http://sluice${url}`, init),
    requestId: "r",
    traceparent: "",
    params: {},
    isGone: neverGone,
    isStopping: () => isStopping,
    explain: toSluiceError,
    clientAddress: () => "203.0.113.9",
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

describe("a guarded key", () => {
  const good = '{"name":"x"}';
  test("is refused elsewhere, and while its customer is suspended; the address comes first", async () => {
    expect(await codeOf(run(sending, "/x", post("here", good)))).toBe("answered");
    expect(await codeOf(run(sending, "/x?no=1", post("elsewhere", "{")))).toBe("address_not_allowed");
    expect(await codeOf(run(sending, "/x?no=1", post("suspended", "{")))).toBe("customer_suspended");
    expect(await codeOf(run(sending, "/x", post("suspended-elsewhere", good)))).toBe("address_not_allowed");
    expect(await codeOf(run(sending, "/x", post("signed-suspended", good)))).toBe("customer_suspended");
    const reading = { ...sending, access: "read" } as const;
    expect(await codeOf(run(reading, "/x", post("suspended", good)))).toBe("customer_suspended");
  });

  test("is told which of its addresses is refused", async () => {
    const told = await run(sending, "/x", post("elsewhere", good)).catch(
      (error: SluiceError) => error.detail,
    );
    expect(told).toBe("The address 203.0.113.9 is not allowed.");
  });
});

describe("a key that takes signed requests only", () => {
  const signedPost = (sent: string, nonce: string, query = ""): RequestInit => {
    const timestamp = String(NOW_S);
    const body = Buffer.from(sent);
    const mac = signatureOf("ss_secret", { method: "POST", path: "/x", query, body, timestamp, nonce });
    const { headers, ...init } = post("signed", sent);
    const signed = {
      "x-sluice-timestamp": timestamp,
      "x-sluice-nonce": nonce,
      "x-sluice-signature": signatureHeader(mac),
    };
    return { ...init, headers: { ...(headers as Record<string, string>), ...signed } };
  };

  test("takes no upload, whose messages are sent before its body could be compared", async () => {
    const uploading = { ...sending, lines: { handle: async () => ({ status: 200, body: null }) } } as never;
    const upload = ({ headers, ...init }: RequestInit): RequestInit => ({
      ...init,
      headers: { ...(headers as Record<string, string>), "content-type": "application/x-ndjson" },
    });
    expect(await codeOf(run(uploading, "/x", upload(post("known", "{}"))))).toBe("answered");
    const signed = upload(signedPost("{}", "nonce-0123456789"));
    expect(await codeOf(run(uploading, "/x", signed))).toBe("unsupported_media_type");
  });

  test("is served when the signature is right, once", async () => {
    nonces = new Set();
    const sent = signedPost('{"name":"ی"}', "nonce-0123456789", "limit=5");
    expect(await run(sending, "/x?limit=5", sent)).toMatchObject({ status: 200, body: { name: "ی" } });
    expect(used).toEqual(["k"]);
    expect(await codeOf(run(sending, "/x?limit=5", sent))).toBe("signature_replayed");
    expect(used).toEqual([]);
  });

  test("reads nothing of query and body before the signature is found right", async () => {
    nonces = new Set();
    expect(await codeOf(run(sending, "/x", post("signed", "{")))).toBe("signature_missing");
    const { headers } = signedPost("{}", "nonce-0123456789");
    expect(await codeOf(run(sending, "/x", { method: "POST", body: "{", headers: headers as never }))).toBe(
      "signature_invalid",
    );
    const forged = { method: "POST", body: "{", headers: headers as never };
    expect(await codeOf(run(sending, "/x?no=1", forged))).toBe("signature_invalid");
    expect(nonces.size).toBe(0);
    const unknown = signedPost("{", "nonce-of-a-query", "no=1");
    expect(await codeOf(run(sending, "/x?no=1", unknown))).toBe("validation_failed");
    nonces = new Set();
    expect(await codeOf(run(sending, "/x", signedPost("{", "nonce-0123456789")))).toBe("malformed_json");
    expect(nonces.size).toBe(1);
  });
});

test("a request that goes on for long asks again for its caller, which counts nothing", async () => {
  counted = [];
  let again: (() => Promise<KeyOwner>) | undefined;
  const long = route({
    ...shared,
    method: "POST",
    access: "send",
    query: [],
    body,
    handle: (call) => {
      again = call.again;
      return { status: 200, body: {} };
    },
  });
  await run(long, "/x", post("limited", '{"name":"x"}'));
  const before = OWNERS.limited as KeyOwner;
  try {
    expect(await again?.()).toBe(before);
    OWNERS.limited = { ...before, guard: { ...FREE, isSuspended: true } };
    expect(await codeOf(again?.() as Promise<unknown>)).toBe("customer_suspended");
    OWNERS.limited = { ...before, scopes: new Set(["read"]) };
    expect(await codeOf(again?.() as Promise<unknown>)).toBe("scope_missing");
  } finally {
    OWNERS.limited = before;
  }
  expect([used, counted]).toEqual([["k"], [2]]);
});

test("a request counts against the limit of its customer, once it is known to be the customer's", async () => {
  counted = [];
  for (const key of ["known", "limited", "other", "limited-signed"])
    await codeOf(run(sending, "/x", post(key, '{"name":"x"}')));
  expect(counted).toEqual([2]);
  isLimited = true;
  try {
    expect(await codeOf(run(sending, "/x?no=1", post("limited", "{")))).toBe("rate_limited");
    expect(await codeOf(run(sending, "/x", post("known", '{"name":"x"}')))).toBe("answered");
  } finally {
    isLimited = false;
  }
});

test("a use is noted of a key that was served, and of no other", async () => {
  for (const [key, keyIds] of [
    ["known", ["k"]],
    ["here", ["k"]],
    ["other", []],
    ["elsewhere", []],
    ["suspended", []],
    ["signed", []],
  ] as const) {
    await codeOf(run(sending, "/x", post(key, '{"name":"x"}')));
    expect([key, used]).toEqual([key, [...keyIds]]);
  }
});
