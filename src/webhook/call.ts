// One call of a customer's URL, by node:http(s), and what came of it. The name is resolved once, by DNS, all
// its addresses are checked, and the connection goes to a checked one; the agent refuses what isn't public
// once more (request-filtering-agent). Redirects are not followed. Leaves signatures to sign.ts, and what an
// answer means to outcome.ts.
// Invariant: no connection to an address that isn't public is begun, unless the settings allow it.
// Bounds: WEBHOOK_TIMEOUT_MS a call, from the look-up to the last byte; WEBHOOK_ANSWER_BYTES_MAX of an
// answer; a socket for each of the deliverer's calls, and IDLE_SOCKETS_MAX that are kept for the next ones.

import { Resolver } from "node:dns/promises";
import { type Agent, type IncomingMessage, request as requestHttp, type RequestOptions } from "node:http";
import { request as requestHttps } from "node:https";
import { isIP } from "node:net";
import { RequestFilteringHttpAgent, RequestFilteringHttpsAgent } from "request-filtering-agent";
import { callbackUrlProblem, hostOf, isPublicAddress, type UrlRules } from "../core/callback-url.ts";
import { CALLED_CHARS_MAX, WEBHOOK_ANSWER_BYTES_MAX, WEBHOOK_TIMEOUT_MS } from "../core/webhook-limits.ts";
import type { Method } from "../core/peers/form.ts";

export type CallAnswer =
  /** `body`: the beginning of it, if the call reads it. */
  | { kind: "answered"; code: number; body?: string }
  /** Nothing was sent: the URL, or where its name leads, isn't public. */
  | { kind: "not-allowed"; reason: string }
  | { kind: "failed"; reason: string; timedOut: boolean };
/** All addresses of a name, at least one; ends early when the signal aborts. @throws Error if it has none */
export type Resolve = (name: string, signal: AbortSignal) => Promise<string[]>;
export type Call = {
  method: Method;
  url: string;
  headers: Readonly<Record<string, string>>;
  /** "" for a GET. */
  body: string;
  /** Whether the body of the answer says something, too. */
  readsBody: boolean;
};
export type Caller = {
  /** Never rejects. */
  call(wanted: Call): Promise<CallAnswer>;
  close(): void;
};

/** Shorter than most servers keep an idle connection, so that we close it rather than they. */
const IDLE_MS = 4_000;
/** Of each kind, for all customers together. */
const IDLE_SOCKETS_MAX = 256;
/** Twice, and doubled at the second time, it leaves time for the call. */
const DNS_TIMEOUT_MS = 1_000;
const REASON_CHARS_MAX = 100;

export function createCaller(rules: UrlRules, resolve: Resolve = resolveByDns()): Caller {
  const options = {
    keepAlive: true,
    timeout: IDLE_MS,
    allowPrivateIPAddress: rules.allowPrivate,
    allowMetaIPAddress: false,
  };
  const agents = {
    "http:": new RequestFilteringHttpAgent(options),
    "https:": new RequestFilteringHttpsAgent(options),
  };
  for (const agent of Object.values(agents)) keepFewIdle(agent);
  return {
    call: (wanted) => callWith(wanted, { rules, resolve, agents }),
    close() {
      for (const agent of Object.values(agents)) agent.destroy();
    },
  };
}

// Not by the agent's maxTotalSockets: it counts idle sockets too, so a customer with thousands of hosts could
// make the calls to all others wait for a socket.
function keepFewIdle(agent: Agent): void {
  const keep = agent.keepSocketAlive.bind(agent);
  const idle = () => Object.values(agent.freeSockets).reduce((n, sockets) => n + (sockets?.length ?? 0), 0);
  agent.keepSocketAlive = (socket) => idle() < IDLE_SOCKETS_MAX && keep(socket);
}

type Deps = {
  rules: UrlRules;
  resolve: Resolve;
  agents: { "http:": RequestFilteringHttpAgent; "https:": RequestFilteringHttpsAgent };
};

function callWith(wanted: Call, deps: Deps): Promise<CallAnswer> {
  const problem = callbackUrlProblem(wanted.url, deps.rules, CALLED_CHARS_MAX);
  if (problem !== null) return Promise.resolve({ kind: "not-allowed", reason: `the URL ${problem}` });
  const stop = new AbortController();
  const seen: Seen = { code: null, body: wanted.readsBody ? "" : undefined };
  return new Promise((done) => {
    const timer = setTimeout(() => {
      // An answer whose body drips has said what matters.
      if (seen.code !== null) done(answerOf(seen.code, seen));
      else done({ kind: "failed", reason: `no answer within ${WEBHOOK_TIMEOUT_MS} ms`, timedOut: true });
      stop.abort();
    }, WEBHOOK_TIMEOUT_MS);
    void connectAndCall(wanted, { ...deps, signal: stop.signal, seen })
      .catch((error: unknown): CallAnswer => ({ kind: "failed", reason: reasonOf(error), timedOut: false }))
      .then((answer) => {
        clearTimeout(timer);
        done(answer);
      });
  });
}

/** The status of the answer, as soon as it is there, and what has come of its body, if that is read. */
type Seen = { code: number | null; body: string | undefined };

const answerOf = (code: number, { body }: Seen): CallAnswer =>
  body === undefined ? { kind: "answered", code } : { kind: "answered", code, body };

type Running = Deps & { signal: AbortSignal; seen: Seen };

async function connectAndCall(wanted: Call, running: Running): Promise<CallAnswer> {
  const url = new URL(wanted.url);
  const host = hostOf(url);
  const addresses = isIP(host) === 0 ? await running.resolve(host, running.signal) : [host];
  if (!running.rules.allowPrivate && !addresses.every(isPublicAddress))
    return { kind: "not-allowed", reason: "its name leads to an address that isn't public" };
  const address = addresses[0];
  if (address === undefined || running.signal.aborted) throw new Error("its name has no address");
  const first = await request(url, address, wanted, running);
  if (first.kind !== "stale") return first;
  // The server closed a connection that was kept for the next call while that was on its way.
  const second = await request(url, address, wanted, running);
  return second.kind === "stale" ? { kind: "failed", reason: CLOSED, timedOut: false } : second;
}

/** What is kept of a body: more than any peer asks for. */
const BODY_CHARS_MAX = 256;
const lengthOf = (body: string) => ({ "content-length": String(Buffer.byteLength(body)) });

const CLOSED = "the connection was closed";
const STALE: readonly unknown[] = ["ECONNRESET", "EPIPE"];

function request(
  url: URL,
  address: string,
  { method, headers, body }: Call,
  { agents, signal, seen }: Running,
): Promise<CallAnswer | { kind: "stale" }> {
  return new Promise((done, fail) => {
    const isHttps = url.protocol === "https:";
    const name = hostOf(url);
    const options: RequestOptions = {
      method,
      // Not the name: it would be resolved again, and might then lead elsewhere.
      host: address,
      port: url.port === "" ? (isHttps ? 443 : 80) : Number(url.port),
      path: `${url.pathname}${url.search}`,
      headers: { ...headers, host: url.host, ...(method === "GET" ? {} : lengthOf(body)) },
      signal,
    };
    // The name that the certificate must be for. TLS has none for an address, which is compared as it is.
    const servername = isIP(name) === 0 ? name : "";
    const sent = isHttps
      ? requestHttps({ ...options, servername, agent: agents["https:"] })
      : requestHttp({ ...options, agent: agents["http:"] });
    const answered = () => done(answerOf(seen.code ?? 0, seen));
    sent.on("response", (response) => {
      seen.code = response.statusCode ?? 0;
      readSome(response, seen, answered);
    });
    sent.on("error", (error: NodeJS.ErrnoException) => {
      // A status that has come counts, whatever becomes of the body.
      if (seen.code !== null) answered();
      else if (sent.reusedSocket && STALE.includes(error.code)) done({ kind: "stale" });
      else fail(error);
    });
    // An answer that is none, such as an upgrade, ends a request without any other event.
    sent.on("close", () => {
      if (seen.code !== null) answered();
      else fail(new Error(CLOSED));
    });
    sent.end(body);
  });
}

/** Calls `done` once the answer has ended, failed, or is longer than is worth reading. */
function readSome(response: IncomingMessage, seen: Seen, done: () => void): void {
  let bytes = 0;
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (seen.body !== undefined && seen.body.length < BODY_CHARS_MAX)
      seen.body += chunk.toString("latin1", 0, BODY_CHARS_MAX);
    if (bytes > WEBHOOK_ANSWER_BYTES_MAX) response.destroy();
  });
  response.on("error", () => undefined); // its status has come, and says it all
  response.on("end", done);
  response.on("close", done);
}

/**
 * By DNS alone: /etc/hosts knows machines of this network, and a name server that hangs must not hold up the
 * few threads that getaddrinfo has. `servers`: host:port of each; those of the machine unless given.
 */
export function resolveByDns(servers: readonly string[] = []): Resolve {
  return async (name, signal) => {
    if (name === "localhost") return ["127.0.0.1"]; // only reached where private addresses are allowed
    const resolver = new Resolver({ timeout: DNS_TIMEOUT_MS, tries: 2 });
    if (servers.length > 0) resolver.setServers(servers);
    signal.addEventListener("abort", () => resolver.cancel(), { once: true });
    const [v4, v6] = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
    const found = [v4, v6].flatMap((result) => (result.status === "fulfilled" ? result.value : []));
    if (found.length === 0) throw new Error("its name has no address");
    return found;
  };
}

/** A sentence for the customer, without addresses and paths of ours. */
function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown };
  const text = typeof code === "string" ? (REASONS[code] ?? code) : String(message);
  return text.slice(0, REASON_CHARS_MAX);
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "the connection was refused",
  ECONNRESET: CLOSED,
  EPIPE: CLOSED,
  ETIMEDOUT: "the connection timed out",
  EHOSTUNREACH: "the host can't be reached",
  ENETUNREACH: "the network can't be reached",
  HPE_HEADER_OVERFLOW: "the answer's headers are too large",
  CERT_HAS_EXPIRED: "its certificate has expired",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is self-signed",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
};
