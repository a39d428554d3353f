// Between the edge and ingest: what the edge adds to a request and removes from it, and what a client is told
// when the process behind it is gone. The upstream is a server of the test's own, which can misbehave on
// request.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { createClientAddress } from "../../src/api/client-address.ts";
import { loadConfig } from "../../src/platform/config.ts";
import { sleep } from "../../src/platform/retry.ts";
import { projectRoot } from "../../src/stack/tools.ts";
import { declaredRoutes } from "../support/declared.ts";
import { startEdge, type TestEdge } from "../support/edge.ts";
import { freePort, freePorts } from "../support/ports.ts";
import { head, rawAnswers, rawHttp } from "../support/raw-http.ts";
import { until } from "../support/roles.ts";

type Seen = { headers: IncomingHttpHeaders; body: string };
type Behaviour = "answer" | "answer late" | "cut";

let upstream: Server;
let port: number;
let edge: TestEdge;
let behaviour: Behaviour = "answer";
let seen: Seen[] = [];

beforeAll(async () => {
  port = await freePort();
  upstream = await startUpstream();
  edge = await startEdge(port);
}, 120_000);
beforeEach(() => {
  behaviour = "answer";
  seen = [];
});
afterAll(async () => {
  await edge.end();
  upstream.closeAllConnections();
  upstream.close();
}, 120_000);

async function startUpstream(): Promise<Server> {
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      if (request.url !== "/health") seen.push({ headers: request.headers, body });
      if (behaviour === "cut") request.socket.destroy();
      else setTimeout(() => response.end("{}"), behaviour === "answer late" ? 500 : 0);
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return server;
}

const send = (headers: Record<string, string> = {}) =>
  fetch(`${edge.url}/v1/sms/send`, { method: "POST", body: "{}", headers });
const codeOf = async (answer: Response) => ((await answer.json()) as { code: string }).code;

describe("the client's address", () => {
  test("is the connection's own, whatever the client claims", async () => {
    await send({
      "x-real-ip": "203.0.113.9",
      "x-forwarded-for": "203.0.113.9",
      forwarded: "for=203.0.113.9",
      "x-sluice-edge": "guessed",
    });
    const headers = new Headers(seen[0]?.headers as Record<string, string>);
    expect(headers.get("x-forwarded-for")).toBe("127.0.0.1");
    expect(headers.get("forwarded")).toBeNull();
    const clientAddress = createClientAddress(edge.secret);
    expect(clientAddress(headers, () => "192.0.2.1")).toBe("127.0.0.1");
  });

  test("a header given twice reaches the API twice, which refuses it", async () => {
    const twice = head("POST", "/v1/sms/send", { "content-length": "2", "Idempotency-Key": "a" });
    await rawHttp(edge.url, [twice.replace("\r\n\r\n", "\r\nidempotency-key: b\r\n\r\n"), "{}"]);
    expect(seen[0]?.headers["idempotency-key"]).toBe("a, b");
  });
});

describe("a process that is gone", () => {
  test("in the middle of a request: outcome_unknown, and the POST is not repeated", async () => {
    await send(); // so that there is an idle connection to use
    behaviour = "cut";
    seen = [];
    const answer = await send();
    expect([answer.status, answer.headers.get("retry-after"), await codeOf(answer)]).toEqual([
      503,
      "1",
      "outcome_unknown",
    ]);
    await sleep(100);
    expect(seen).toHaveLength(1);
  });

  test("in the middle of any other change: outcome_unknown too, as it may have been made; a read is unavailable", async () => {
    const methods = [...new Set(declaredRoutes.map(({ method }) => method))];
    expect(methods).toContain("PATCH");
    for (const method of methods) {
      behaviour = "answer";
      await send(); // so that there is an idle connection to use
      behaviour = "cut";
      seen = [];
      const answer = await fetch(`${edge.url}/v1/messages/01M7YBCG2N0V4QK5A1T8P6WJ3D`, { method });
      const code = method === "GET" ? "unavailable" : "outcome_unknown";
      expect(`${method} ${answer.status} ${await codeOf(answer)}`).toBe(`${method} 503 ${code}`);
      await sleep(50);
      if (method !== "GET") expect([method, seen.length]).toEqual([method, 1]);
    }
  });

  test("a door's GET, which may have sent a message, is not repeated either, and its key is in no log", async () => {
    await send();
    behaviour = "cut";
    seen = [];
    const answer = await fetch(`${edge.url}/cgi-bin/sendsms?username=1&password=never-in-a-log`);
    expect([answer.status, await codeOf(answer)]).toEqual([503, "outcome_unknown"]);
    await sleep(100);
    expect(seen).toHaveLength(1);
    expect(edge.log()).not.toContain("never-in-a-log");
  });

  test("before the request: unavailable with Retry-After, since nothing was stored; served again at once when it is back", async () => {
    upstream.closeAllConnections();
    upstream.close();
    await sleep(500); // until nginx has noticed the closed connections
    const answer = await send();
    expect([answer.status, answer.headers.get("retry-after"), await codeOf(answer)]).toEqual([
      503,
      "1",
      "unavailable",
    ]);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(answer.headers.get("x-request-id")).toMatch(/^[0-9a-f]{32}$/);
    upstream = await startUpstream();
    expect((await send()).status).toBe(200);
  });
});

test("a method that no route has is refused with those that the routes have", async () => {
  const { status, headers } = await rawHttp(edge.url, [head("PROPFIND", "/v1/messages", {})]);
  const declared = new Set(["HEAD", ...declaredRoutes.map(({ method }) => method)]);
  expect(status).toBe(405);
  expect(headers.get("allow")?.split(", ").toSorted()).toEqual([...declared].toSorted());
});

test("an idle connection is kept for 75 s or more; one to ingest is closed long before ingest would close it", () => {
  const all = edge.configuration().replace(/#.*$/gm, "");
  const [toIngest = ""] = /^ *upstream ingest \{[^}]*\}/m.exec(all) ?? [];
  const secondsIn = (text: string) =>
    [...text.matchAll(/\bkeepalive_time(?:out)? ([^;]*);/g)].map(([, value = ""]) => {
      expect(value).toMatch(/^\d+s$/);
      return Number.parseInt(value, 10);
    });
  const forClients = secondsIn(all.replace(toIngest, ""));
  expect(forClients.length).toBeGreaterThan(0);
  expect(Math.min(...forClients)).toBeGreaterThanOrEqual(75);
  expect(secondsIn(toIngest)).toHaveLength(1);
  expect(Math.max(...secondsIn(toIngest))).toBeLessThan(loadConfig({}).apiIdleS / 2);
});

test("starts as deploy/nginx/README.md says, also where stdout is a socket, as under systemd", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-test-edge-"));
  const readme = readFileSync(join(projectRoot, "deploy/nginx/README.md"), "utf8");
  const free = await freePorts(2);
  const url = `http://127.0.0.1:${free}`;
  const own: Record<string, string> = {
    SLUICE_EDGE_HOST: "127.0.0.1",
    SLUICE_EDGE_PORT: String(free),
    SLUICE_EDGE_TLS_PORT: String(free + 1),
    SLUICE_API_ADDRESS: `127.0.0.1:${port}`,
    SLUICE_EDGE_CERTIFICATE: edge.certificate,
    SLUICE_EDGE_CERTIFICATE_KEY: join(dirname(edge.certificate), "key.pem"),
  };
  const here = (text: string) => text.replaceAll(/\/(?:etc|var\/lib)\/sluice\b/g, `${folder}$&`);
  const block = (/```sh\n(.*?)```/s.exec(readme)?.[1] ?? "").replaceAll(
    /\b(SLUICE_\w+)=(\S+)/g,
    (given, name: string) => (own[name] === undefined ? given : `${name}=${own[name]}`),
  );
  execFileSync("bash", ["-euc", here(block)], { cwd: join(projectRoot, "deploy/nginx") });
  const [, ran = ""] = /Run it: `nginx (.*?)`/.exec(readme) ?? [];
  // Its own standard streams are sockets.
  const child = spawn("bash", ["-c", `exec "$0" ${here(ran)}`, edge.program], {
    env: edge.env,
    stdio: "pipe",
  });
  const said = text(child.stderr);
  const ended = once(child, "exit");
  try {
    const answers = () => fetch(`${url}/metrics`).catch(() => null);
    let answer = await answers();
    for (let n = 0; n < 600 && answer === null && child.exitCode === null; n++) {
      await sleep(50);
      answer = await answers();
    }
    if (answer === null) throw new Error(`nginx did not start: ${await said}`);
    expect([answer.status, await codeOf(answer)]).toEqual([404, "not_found"]);
    const id = answer.headers.get("x-request-id") ?? "none";
    const logged = () => readFileSync(join(folder, "var/lib/sluice/nginx/edge.log"), "utf8");
    for (let n = 0; n < 600 && !logged().includes(id); n++) await sleep(50); // nginx answers first
    expect(logged()).toContain(id);
    expect((await fetch(`${url}/health`)).status).toBe(200);
  } finally {
    child.kill("SIGQUIT");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  }
}, 120_000);

test("stopping answers the requests under way, and accepts no more", async () => {
  const other = await startEdge(port);
  behaviour = "answer late";
  const underWay = fetch(`${other.url}/v1/sms/send`, { method: "POST", body: "{}" });
  await until(() => seen.length === 1, "the request is under way");
  const [answer, byItself] = await Promise.all([underWay, other.end()]);
  expect([answer.status, byItself]).toEqual([200, true]);
  expect(await fetch(`${other.url}/health`).catch(() => "refused")).toBe("refused");
});

test("a chunked request with a trailer reaches the API with a plain Content-Length", async () => {
  const chunked = head("POST", "/v1/sms/send", { "transfer-encoding": "chunked", expect: "100-Continue" });
  await rawAnswers(edge.url, [chunked, "2\r\n{}\r\n0\r\nx-trailer: 1\r\n\r\n"], { wanted: 1 });
  const { headers, body } = seen[0] as Seen;
  expect(body).toBe("{}");
  expect({
    length: headers["content-length"],
    encoding: headers["transfer-encoding"],
    expect: headers.expect,
  }).toEqual({ length: "2", encoding: undefined, expect: undefined });
});
