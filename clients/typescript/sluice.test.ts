// The client against a real HTTP server that answers as told: what it sends, when it tries again, and what it
// throws. Against the gateway: test/integration/client-typescript.test.ts.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { declaredRoutes } from "../../test/support/declared.ts";
import { templateOf } from "../../src/api/openapi/operation.ts";
import { type ErrorCode, problemBody, problemHeaders, SluiceError } from "../../src/core/errors.ts";
import { isProblem, SluiceProblem, SluiceUnreachable } from "./problem.ts";
import { createSluice, type Sluice, type SluiceOptions } from "./sluice.ts";
import { OPERATIONS } from "./types.ts";

type Seen = { method: string; path: string; headers: Headers; body: string };
type Answering = (seen: Seen) => Response | Promise<Response>;

let answers: Answering[] = [];
let seen: Seen[] = [];
let waits: number[] = [];
let server: Bun.Server<undefined>;
beforeAll(() => {
  server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url);
      const one = {
        method: request.method,
        path: pathname + search,
        headers: request.headers,
        body: await request.text(),
      };
      seen.push(one);
      // The last answer is for all that follows.
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      return answer?.(one) ?? new Response(null, { status: 404 });
    },
  });
});
afterEach(() => {
  [answers, seen, waits] = [[], [], []];
});
afterAll(() => server.stop(true));

const sent = { enqueued: true, id: "01M7YBCG2N0V4QK5A1T8P6WJ3D", status: "queued", cost: 500 };
const json =
  (body: unknown, status = 200) =>
  () =>
    Response.json(body, { status });
const problem =
  (code: ErrorCode, headers: Record<string, string> = {}): Answering =>
  () => {
    const error = new SluiceError(code);
    return new Response(problemBody(error, "r-1"), {
      status: error.status,
      headers: { ...problemHeaders(error, "r-1"), ...headers },
    });
  };
/** Waits are noted instead of waited; the random part of a wait is its least. */
const client = (options: Partial<SluiceOptions> = {}) =>
  createSluice({
    baseUrl: `${server.url.origin}/`,
    apiKey: "slk_test",
    sleep: (ms) => {
      waits.push(ms);
      return Promise.resolve();
    },
    random: () => 0,
    ...options,
  });
const message = { phone: "+989121234567", text: "Hello", type: "normal" } as const;
/** The operations whose repeat is refused, or does more than the first. */
const ONCE = ["deleteTemplate", "verifyCode", "changeMessage", "removeOptOut"] as const;
const once = async (sluice: Sluice) => {
  for (const name of ONCE)
    await thrownBy(sluice.request(name as "verifyCode", { path: { id: "1" }, body: { code: "482913" } }));
};
const keysSeen = () => new Set(seen.map(({ headers }) => headers.get("idempotency-key")));
const thrownBy = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => Promise.reject(new Error("it did not throw")),
    (thrown: unknown) => thrown,
  );

describe("a request", () => {
  test("has the key, the language, JSON and an Idempotency-Key", async () => {
    answers = [json(sent, 202)];
    expect(await client().send(message)).toEqual(sent as never);
    const [one] = seen as [Seen];
    expect([one.method, one.path, JSON.parse(one.body)]).toEqual(["POST", "/v1/sms/send", message]);
    expect(one.headers.get("x-api-key")).toBe("slk_test");
    expect(one.headers.get("accept-language")).toBe("en");
    expect(one.headers.get("content-type")).toBe("application/json");
    expect(one.headers.get("idempotency-key")).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("has the Idempotency-Key that its caller chose, and none where the operation takes none", async () => {
    answers = [json(sent, 202)];
    await client().send(message, { idempotencyKey: "order-1" });
    await client().preview(message, { idempotencyKey: "order-1" });
    await client().wallet();
    expect(seen.map(({ headers }) => headers.get("idempotency-key"))).toEqual(["order-1", null, null]);
  });

  test("has its parameters in path and query, encoded", async () => {
    answers = [json({ messages: [], next_cursor: null })];
    await client().message("a/b?c");
    await Array.fromAsync(client().messages({ phone: "+98912", limit: 2 }));
    expect(seen.map(({ path }) => path)).toEqual([
      "/v1/messages/a%2Fb%3Fc",
      "/v1/messages?phone=%2B98912&limit=2",
    ]);
    expect(seen[0]?.headers.get("content-type")).toBeNull();
  });

  test("asks for Persian if told to", async () => {
    answers = [problem("not_found")];
    await thrownBy(client({ language: "fa" }).wallet());
    expect(seen[0]?.headers.get("accept-language")).toBe("fa");
  });
});

describe("is tried again", () => {
  for (const code of ["rate_limited", "overloaded", "outcome_unknown", "idempotency_in_progress"] as const)
    test(`after ${code}, with the same key and body`, async () => {
      answers = [problem(code), problem(code), json(sent, 202)];
      expect(await client().send(message)).toEqual(sent as never);
      expect(seen).toHaveLength(3);
      expect(keysSeen().size).toBe(1);
      expect(new Set(seen.map(({ body }) => body)).size).toBe(1);
    });

  test("after a 503 that is no problem document", async () => {
    answers = [() => new Response("<h1>busy</h1>", { status: 503 }), json(sent, 202)];
    await client().send(message);
    expect(seen).toHaveLength(2);
  });

  test("after a connection that ended without an answer, with the same key", async () => {
    let cut = 2;
    const cutting: SluiceOptions["fetch"] = async (url, init) => {
      const answer = await fetch(url, init);
      if (cut-- > 0) throw new TypeError("the socket was closed");
      return answer;
    };
    answers = [json(sent, 202)];
    await client({ fetch: cutting }).send(message);
    expect(seen).toHaveLength(3);
    expect(keysSeen().size).toBe(1);
  });

  test("where nobody listens, as often as allowed", async () => {
    const idle = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
    const { port } = idle;
    idle.stop(true);
    const thrown = await thrownBy(client({ baseUrl: `http://127.0.0.1:${port}`, retries: 2 }).send(message));
    expect(thrown).toBeInstanceOf(SluiceUnreachable);
    expect((thrown as SluiceUnreachable).idempotencyKey).toMatch(/^[0-9a-f-]{36}$/);
    expect(waits).toHaveLength(2);
  });

  test("after an answer that takes too long", async () => {
    answers = [
      () => new Promise((late) => setTimeout(() => late(new Response("{}")), 2_000)),
      json(sent, 202),
    ];
    await client({ timeoutMs: 100 }).send(message);
    expect(seen).toHaveLength(2);
  });

  test("as often as allowed, then the last problem is thrown, with the key to repeat it", async () => {
    answers = [problem("overloaded")];
    const thrown = await thrownBy(client({ retries: 3 }).send(message, { idempotencyKey: "order-1" }));
    expect(seen).toHaveLength(4);
    expect(thrown).toMatchObject({
      code: "overloaded",
      status: 503,
      requestId: "r-1",
      idempotencyKey: "order-1",
    });
  });
});

describe("is not tried again", () => {
  for (const code of [
    "validation_failed",
    "api_key_invalid",
    "insufficient_balance",
    "idempotency_key_reused",
    "internal",
    "check_too_long", // a 503, but the next check would take as long
  ] as const)
    test(`after ${code}`, async () => {
      answers = [problem(code)];
      expect(await thrownBy(client().send(message))).toMatchObject({ code });
      expect(seen).toHaveLength(1);
    });

  test("after an answer that is no problem document, nor after a success that is no JSON", async () => {
    for (const status of [404, 200]) {
      answers = [() => new Response("<h1>hello</h1>", { status })];
      expect(await thrownBy(client().send(message))).toMatchObject({ name: "SluiceUnreachable", status });
    }
    expect(seen).toHaveLength(2);
  });

  for (const [what, answer] of [
    ["no answer in time", () => new Promise((late) => setTimeout(() => late(new Response("{}")), 500))],
    ["outcome_unknown", problem("outcome_unknown")],
    ["unavailable", problem("unavailable")],
    ["a 503 that is no problem document", () => new Response("<h1>busy</h1>", { status: 503 })],
  ] as [string, Answering][])
    test(`after ${what}, if it is an operation that may have taken effect and must not twice`, async () => {
      answers = [answer];
      await once(client({ timeoutMs: 100 }));
      expect(seen).toHaveLength(ONCE.length);
    });

  test("unless it was turned away: then such an operation, too, is tried again", async () => {
    for (const code of ["rate_limited", "overloaded"] as const) {
      answers = [problem(code)];
      await once(client({ retries: 2 }));
    }
    expect(seen).toHaveLength(2 * 3 * ONCE.length);
  });

  test("if it is told to wait longer than it may", async () => {
    answers = [problem("rate_limited", { "retry-after": "21" })];
    expect(await thrownBy(client({ delayMaxMs: 20_000 }).send(message))).toMatchObject({
      code: "rate_limited",
    });
    expect(seen).toHaveLength(1);
  });

  test("once its signal is aborted, also while it waits; the signal's reason is thrown", async () => {
    answers = [problem("overloaded")];
    const stop = new AbortController();
    const call = thrownBy(
      createSluice({ baseUrl: server.url.origin, apiKey: "k", delayMs: 60_000, delayMaxMs: 60_000 }).send(
        message,
        { signal: stop.signal },
      ),
    );
    while (seen.length === 0) await Bun.sleep(5);
    await Bun.sleep(20);
    stop.abort(new Error("enough"));
    expect(await call).toMatchObject({ message: "enough" });
    expect(await thrownBy(client().send(message, { signal: stop.signal }))).toMatchObject({
      message: "enough",
    });
    expect(seen).toHaveLength(1);
  });

  test("where a redirect would take the key to another place", async () => {
    answers = [() => new Response(null, { status: 307, headers: { location: "/elsewhere" } })];
    await thrownBy(client({ retries: 0 }).send(message));
    expect(seen.map(({ path }) => path)).toEqual(["/v1/sms/send"]);
  });
});

describe("the waits", () => {
  const waitsOf = async (header: string | null, options: Partial<SluiceOptions> = {}) => {
    const headers: Record<string, string> = header === null ? {} : { "retry-after": header };
    answers = [() => new Response("", { status: 503, headers })];
    await thrownBy(client(options).send(message));
    return waits;
  };

  test("double from the first one up to the longest, and at least half of each is waited", async () => {
    expect(await waitsOf(null, { retries: 5, delayMs: 100, delayMaxMs: 1_000 })).toEqual([
      50, 100, 200, 400, 500,
    ]);
  });

  test("have a random part of up to half", async () => {
    expect(await waitsOf(null, { retries: 3, delayMs: 100, random: () => 0.5 })).toEqual([75, 150, 300]);
  });

  test("are never shorter than Retry-After asks, in seconds or as a date", async () => {
    expect(await waitsOf("3", { retries: 2 })).toEqual([3_000, 3_000]);
    waits = [];
    const date = new Date(Date.now() + 9_000).toUTCString();
    const [wait = 0] = await waitsOf(date, { retries: 1 });
    expect(wait).toBeGreaterThan(6_000);
    expect(wait).toBeLessThanOrEqual(9_000);
  });

  test("come up to half as long after Retry-After at random, never beyond the longest wait", async () => {
    expect(await waitsOf("2", { retries: 1, random: () => 0.5 })).toEqual([2_500]);
    waits = [];
    expect(await waitsOf("19", { retries: 1, random: () => 0.5, delayMaxMs: 20_000 })).toEqual([20_000]);
  });

  test("are no shorter for a Retry-After that asks for less", async () => {
    expect(await waitsOf("1", { retries: 3, delayMs: 4_000 })).toEqual([2_000, 4_000, 8_000]);
  });

  test("don't heed a Retry-After that can't be read", async () => {
    expect(await waitsOf("soon", { retries: 1, delayMs: 100 })).toEqual([50]);
  });
});

describe("a problem", () => {
  test("has the members of its code", async () => {
    answers = [
      () =>
        new Response(
          problemBody(
            new SluiceError("insufficient_balance", { extra: { required: 700, balance: 300 } }),
            "r-1",
          ),
          { status: 402 },
        ),
    ];
    const thrown = await thrownBy(client().send(message));
    expect(thrown).toBeInstanceOf(SluiceProblem);
    if (!isProblem(thrown, "insufficient_balance")) throw new Error("another problem");
    const missing: number = thrown.problem.required - thrown.problem.balance;
    expect(missing).toBe(400);
    expect(isProblem(thrown, "not_found")).toBe(false);
    expect(isProblem(new Error("x"), "insufficient_balance")).toBe(false);
  });
});

describe("lists", () => {
  test("are read page by page, with the same filters, to the last one; an empty page ends nothing", async () => {
    const page = (ids: string[], next_cursor: string | null) =>
      json({ messages: ids.map((id) => ({ id })), next_cursor });
    answers = [page(["a", "b"], "c1"), page([], "c2"), page(["c"], null)];
    const ids: string[] = [];
    for await (const { id } of client().messages({ status: "failed" })) ids.push(id);
    expect(ids).toEqual(["a", "b", "c"]);
    expect(seen.map(({ path }) => path)).toEqual([
      "/v1/messages?status=failed",
      "/v1/messages?status=failed&cursor=c1",
      "/v1/messages?status=failed&cursor=c2",
    ]);
  });

  test("fetch no page that nobody asks for", async () => {
    answers = [json({ entries: [{ entry_id: "a" }, { entry_id: "b" }], next_cursor: "c1" })];
    for await (const entry of client().ledger()) {
      expect(entry.entry_id).toBe("a");
      break;
    }
    expect(seen).toHaveLength(1);
  });
});

describe("the operations", () => {
  test("that must not be repeated blindly are those tried here", () => {
    const named = Object.entries(OPERATIONS).flatMap(([name, { repeatable }]) => (repeatable ? [] : [name]));
    expect(named).toEqual([...ONCE]);
  });

  test("are those of the API that need a key, each with its method and path", () => {
    const declared = declaredRoutes
      .filter(({ access }) => access !== "public")
      .map(({ about, method, path }) => `${about.operationId} ${method} ${templateOf(path)}`);
    const known = Object.entries(OPERATIONS).map(([name, { method, path }]) => `${name} ${method} ${path}`);
    expect(known.toSorted()).toEqual(declared.toSorted());
  });

  test("each method of the client calls one of them", async () => {
    answers = [json({ next_cursor: null, messages: [], entries: [], usage: [], deliveries: [] })];
    const sluice = client();
    for (const call of [
      () => sluice.send(message),
      () => sluice.sendBatch({ messages: [message] }),
      () => sluice.preview(message),
      () => sluice.message("1"),
      () => sluice.topUp({ amount: 1, request_id: "r" }),
      () => sluice.wallet(),
      () => sluice.webhook(),
      () => sluice.request("replayDelivery", { path: { id: "1" }, body: {} }),
    ])
      await call();
    for (const list of [
      sluice.messages(),
      sluice.ledger(),
      sluice.messagesReport(),
      sluice.usageReport({ interval: "day" }),
      sluice.deliveries({ state: "failed" }),
    ])
      await Array.fromAsync<unknown>(list);
    expect(seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "POST /v1/sms/send",
      "POST /v1/sms/batches",
      "POST /v1/sms/preview",
      "GET /v1/messages/1",
      "POST /v1/wallet/topup",
      "GET /v1/wallet",
      "GET /v1/webhooks",
      "POST /v1/webhooks/deliveries/1/replay",
      "GET /v1/messages",
      "GET /v1/wallet/ledger",
      "GET /v1/reports/messages",
      "GET /v1/reports/usage?interval=day",
      "GET /v1/webhooks/deliveries?state=failed",
    ]);
  });
});
