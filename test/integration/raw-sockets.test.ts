// The direct port and the edge, addressed byte by byte (test/support/raw-cases.ts): each message is answered
// with 202, stored and charged once, or refused and not stored or charged.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ERRORS, type ErrorCode } from "../../src/core/errors.ts";
import { sleep } from "../../src/platform/retry.ts";
import { startEdge, type TestEdge } from "../support/edge.ts";
import { post } from "../support/ingest-process.ts";
import { head, rawAnswers, rawHttp, type RawAnswer, sendAndLeave } from "../support/raw-http.ts";
import { type RawCase, rawCases, requestBytes, type Want } from "../support/raw-cases.ts";
import { type Api, startApi } from "../support/refusals.ts";
import { until } from "../support/roles.ts";
import { smugglingForms } from "../support/smuggling.ts";

const PRICE = 500;
let api: Api;
let edge: TestEdge;
beforeAll(async () => {
  api = await startApi();
  edge = await startEdge(Number(new URL(api.ingest.url).port));
}, 120_000);
afterAll(async () => {
  await edge.end();
  await api.stop();
}, 120_000);

async function balance(): Promise<number> {
  const wallet = JSON.parse((await api.ask("/v1/wallet")).text) as { balance: number };
  return wallet.balance;
}

async function stored(reference: string): Promise<number> {
  const [row] = await api.db.pool.query<{ n: number }[]>(
    "SELECT COUNT(*) AS n FROM messages WHERE customer_id = ? AND reference = ?",
    [api.customer.customerId, reference],
  );
  return Number(row?.n);
}

/** Waits until anything that a closed connection left behind would have been stored and charged. */
const settle = () => sleep(150);

function holdsTo(want: Want, { answers, closed }: { answers: RawAnswer[]; closed: boolean }, n: number) {
  const statuses = answers.map(({ status }) => status);
  if (want === "202") {
    expect(statuses).toEqual(Array.from({ length: n }, () => 202));
  } else if (want === "closed" || want === "left") {
    expect({ statuses, closed }).toEqual({ statuses: [], closed: true });
  } else if (want.startsWith("empty")) {
    expect({ statuses, closed }).toEqual({ statuses: [Number(want.slice(6))], closed: true });
  } else {
    const code = want as ErrorCode;
    expect(statuses).toEqual([ERRORS[code].status]);
    const { headers, body } = answers[0] as RawAnswer;
    expect(headers.get("content-type")).toBe("application/problem+json");
    const problem = JSON.parse(body) as Record<string, unknown>;
    expect(problem).toMatchObject({ code, error: code, status: ERRORS[code].status });
    expect(problem.request_id).toMatch(/^[0-9a-f]{32}$/);
    expect(headers.get("x-request-id")).toBe(problem.request_id as string);
  }
}

for (const door of ["direct", "edge"] as const) {
  describe(door, () => {
    for (const each of rawCases) {
      const messages = each.messages ?? 1;
      const want = each[door];
      test(`${each.name}: ${want}`, async () => {
        const reference = `${door} ${rawCases.indexOf(each)}`;
        const before = await balance();
        holdsTo(want, await exchange(door, each, reference), messages);
        await settle();
        const isStored = await stored(reference);
        const count = want === "202" ? messages : want === "left" ? Math.min(isStored, 1) : 0;
        expect({ stored: isStored, charged: before - (await balance()) }).toEqual({
          stored: count,
          charged: count * PRICE,
        });
      });
    }
  });
}

const urlOf = (door: "direct" | "edge"): string => (door === "edge" ? edge.url : api.ingest.url);

function exchange(door: "direct" | "edge", each: RawCase, reference: string) {
  const { pieces, messages = 1, halfClose = false, pauseMs = 0 } = each;
  return rawAnswers(urlOf(door), pieces(requestBytes(api.customer.apiKey, reference)), {
    wanted: each[door] === "202" ? messages : 1,
    halfClose,
    pauseMs,
  });
}

describe("smuggling", () => {
  const forms = smugglingForms("");
  const hiddenIn = (reference: string): string => requestBytes(api.customer.apiKey, reference).whole();

  test("some 70 forms are tried, and the hidden request of each is one that would be served alone", async () => {
    expect(forms.length).toBeGreaterThanOrEqual(40);
    for (const door of ["direct", "edge"] as const) {
      const { answers } = await rawAnswers(urlOf(door), [hiddenIn(`alone ${door}`)], { wanted: 1 });
      expect(answers.map(({ status }) => status)).toEqual([202]);
      expect(await stored(`alone ${door}`)).toBe(1);
    }
  });

  for (const door of ["direct", "edge"] as const)
    test(`${door}: no form's hidden request is served, none is a 5xx, and others are served as before`, async () => {
      const before = await balance();
      const ask = async ({ name, bytes }: (typeof forms)[number], n: number) => {
        const pieces = [Buffer.from(bytes(hiddenIn(`hidden ${door} ${n}`)), "latin1")];
        const { answers } = await rawAnswers(urlOf(door), pieces, { wanted: 2, mostMs: 1_000 });
        return { n, name, statuses: answers.map(({ status }) => status) };
      };
      const asked = await Promise.all(smugglingForms(api.customer.apiKey).map(ask));
      await settle();
      const wrong: unknown[] = [];
      for (const { n, name, statuses } of asked) {
        const served = await stored(`hidden ${door} ${n}`);
        if (served > 0 || statuses.some((status) => status === 202 || status >= 500))
          wrong.push({ name, statuses, served });
      }
      expect(wrong).toEqual([]);
      expect(await balance()).toBe(before);
      const next = `after ${door}`;
      const { answers } = await rawAnswers(urlOf(door), [hiddenIn(next)], { wanted: 1 });
      expect([answers[0]?.status, await stored(next)]).toEqual([202, 1]);
    });
});

describe("clients that leave", () => {
  test("in the middle of a body: nothing is stored, at either door", async () => {
    for (const door of ["direct", "edge"] as const) {
      const before = await balance();
      const request = requestBytes(api.customer.apiKey, `leaves ${door}`);
      await sendAndLeave(urlOf(door), [request.head(), request.body.slice(0, 20)]);
      await settle();
      expect({ stored: await stored(`leaves ${door}`), balance: await balance() }).toEqual({
        stored: 0,
        balance: before,
      });
    }
  });

  test("after a complete request to the edge: it is served to the end, and a repeat with its key gets the same answer", async () => {
    const before = await balance();
    const request = requestBytes(api.customer.apiKey, "left");
    const key = { "idempotency-key": "left-1" };
    const headers = [`Content-Length: ${request.body.length}`, "Idempotency-Key: left-1"];
    await sendAndLeave(edge.url, [request.head({ headers }) + request.body]);
    await settle();
    const repeat = () => post(`${edge.url}/v1/sms/send`, api.customer.apiKey, request.body, key);
    let again = await repeat();
    // A busy machine may still be at the first one.
    for (let tries = 1; again.status === 409 && tries < 300; tries++) {
      await Bun.sleep(100);
      again = await repeat();
    }
    expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([202, "true"]);
    expect({ stored: await stored("left"), charged: before - (await balance()) }).toEqual({
      stored: 1,
      charged: PRICE,
    });
  });
});

describe("the edge", () => {
  test("passes the API's own answers on as they are, and never shows nginx's version", async () => {
    const answer = await rawHttp(edge.url, [head("GET", "/v1/wallet", { "x-api-key": "sk_unknown" })]);
    expect(answer.status).toBe(401);
    const { code, request_id } = JSON.parse(answer.body) as Record<string, string>;
    expect(code).toBe("api_key_invalid");
    expect(answer.headers.get("x-request-id")).toBe(request_id ?? "");
    expect(answer.headers.get("server")).toBe("nginx");
  });

  test("keeps metrics and readiness to itself, however their path is spelled; health is open", async () => {
    const paths = [
      "/metrics",
      "/ready",
      "/%6detrics",
      "//metrics",
      "/v1/../metrics",
      "/metrics/",
      "/metrics?a",
    ];
    for (const path of [...paths, "http://sluice/metrics"])
      expect([path, (await rawHttp(edge.url, [head("GET", path, {})])).status]).toEqual([path, 404]);
    expect((await rawHttp(edge.url, [head("GET", "/health", {})])).status).toBe(200);
  });

  test("a request without TLS on the TLS port gets a problem document", async () => {
    const answer = await rawHttp(edge.tlsUrl.replace("https:", "http:"), [head("GET", "/health", {})]);
    expect([answer.status, (JSON.parse(answer.body) as { code: string }).code]).toEqual([
      400,
      "malformed_request",
    ]);
  });

  test("logs each of its own refusals under the request id that the client got", async () => {
    const answer = await rawHttp(edge.url, [head("SEND", "/v1/sms/send", {})]);
    const id = answer.headers.get("x-request-id") ?? "?";
    await until(() => edge.log().includes(id), "it is logged");
    const line = edge
      .log()
      .split("\n")
      .find((each) => each.includes(id));
    expect(JSON.parse(line ?? "{}")).toMatchObject({ role: "edge", status: 405, client: "127.0.0.1" });
  });
});
