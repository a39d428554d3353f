// The API's socket: Bun.serve, which is uWebSockets. Owns traces, counting answers, mapping errors to
// answers, and refusing new requests while stopping. Leaves what a route declares to run-route.ts (and
// admin/run.ts), and the peers' forms to doors/. Invariant: anything thrown becomes one problem answer, or
// one refusal of a door. Bounds: bodies are bounded by http.ts, concurrent requests by the group commit's
// queue.

import { CallerGoneError } from "../core/caller.ts";
import { SluiceError, toSluiceError } from "../core/errors.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import { CALLER_GONE_CODE } from "../platform/ingest-metrics.ts";
import { isConnectionLost } from "../platform/mysql-errors.ts";
import { sleep } from "../platform/retry.ts";
import type { Tracing } from "../platform/otlp.ts";
import { systemTimers } from "../platform/timers.ts";
import { isSampled, newTraceparent, parseTraceparent, traceIdOf } from "../platform/trace.ts";
import type { AccessDeps } from "./access.ts";
import { createClientAddress } from "./client-address.ts";
import { respond, respondProblem, respondRefusal } from "./http.ts";
import type { DoorRoute } from "./doors/door.ts";
import type { Arrival, Reply, Route } from "./route.ts";
import { createRefusalPace } from "./refusal-pace.ts";
import { createShed } from "./shed.ts";
import { createObserveHttp } from "./http-metrics.ts";

export type ServerDeps = {
  routes: Route[];
  /** Runs a route: checks who calls, reads what it declares, and lets it answer. */
  run: (route: Route, arrival: Arrival) => Promise<Reply>;
  /** Known keys, for routes with a `room`; absent where there are none. */
  keys?: AccessDeps["keys"];
  /** Of the doors that are open. */
  doors: DoorRoute[];
  metrics: Metrics;
  tracing: Tracing;
  log: Log;
};
/** `idleS`: a connection is closed after this many seconds without data. */
export type ServerOptions = { host: string; port: number; idleS: number; edgeSecret: string };
export type ApiServer = {
  /** From now on refuses new requests with 503. */
  refuse(): void;
  /** Closes the socket, after answers under way are finished. */
  close(): Promise<void>;
};

// Our own bound answers with a problem document (http.ts); Bun's answers with an empty body, so it is set out
// of the way. Bun buffers no more than a few MB of a body that nobody reads (measured with 200 MB sent).
const BUN_BODY_MAX = Number.MAX_SAFE_INTEGER;

type Refusal = DoorRoute["refusal"];
/** What an error answer needs to know of its request. */
type Failed = { request?: Request; refusal?: Refusal | undefined };
type Answering = Pick<Route, "method" | "path"> & {
  run(arrival: Arrival): Promise<Reply>;
  refusal?: Refusal;
};
type Handler = (request: Request & { params?: Record<string, string> }) => Promise<Response> | Response;

export function createServer(deps: ServerDeps, options: ServerOptions): ApiServer {
  const { keys, log, metrics, tracing } = deps;
  let refusing = false;
  const addressOf = createClientAddress(options.edgeSecret);
  const clientAddress = (request: Request): string =>
    addressOf(request.headers, () => server.requestIP(request)?.address);

  const explain = (thrown: unknown, requestId: string, request?: Request): SluiceError => {
    const error = isConnectionLost(thrown)
      ? new SluiceError("unavailable", { cause: thrown })
      : toSluiceError(thrown);
    if (error.code === "internal") {
      const client = request === undefined ? undefined : clientAddress(request);
      log.error({ err: error.cause, trace_id: requestId, client }, "request failed");
    }
    return error;
  };
  const fail = (thrown: unknown, requestId: string, { request, refusal }: Failed = {}): Response => {
    // This answer can't reach the client; it exists only to be counted.
    if (thrown instanceof CallerGoneError) return new Response(null, { status: CALLER_GONE_CODE });
    const error = explain(thrown, requestId, request);
    const headers: Record<string, string> = refusing ? { connection: "close" } : {};
    if (refusal === undefined)
      return respondProblem(error, requestId, headers, request?.headers.get("accept-language"));
    return respondRefusal(error, refusal(error, request), requestId, headers);
  };

  const answered =
    ({ method, path, run, refusal }: Answering): Handler =>
    async (request) => {
      const startedMs = Date.now();
      const given = request.headers.get("traceparent");
      const traceparent =
        given !== null && parseTraceparent(given) !== null ? given : newTraceparent(tracing.sample());
      const requestId = traceIdOf(traceparent);
      const response = await run({
        request,
        requestId,
        traceparent,
        params: request.params ?? {},
        isGone: () => request.signal.aborted,
        isStopping: () => refusing,
        explain,
        clientAddress: () => clientAddress(request),
      }).then(
        (reply) => respond(reply, requestId),
        (thrown: unknown) => fail(thrown, requestId, { request, refusal }),
      );
      if (isSampled(traceparent)) {
        const attributes = { "http.route": path, "http.response.status_code": response.status };
        tracing.span(`${method} ${path}`, traceparent, startedMs, Date.now(), attributes);
      }
      return response;
    };

  const pace = createRefusalPace(systemTimers);
  const table = new Map<string, Record<string, Handler>>();
  const put = (path: string, method: string, handler: Handler) =>
    table.set(path, { ...table.get(path), [method]: handler });
  const add = (one: Answering) => put(one.path, one.method, answered(one));
  for (const route of deps.routes) {
    const { method, path, room } = route;
    const run = (arrival: Arrival) => deps.run(route, arrival);
    const handler = answered({ method, path, run });
    const served = keys && room ? createShed({ keys, room, pace }, handler) : handler;
    put(path, method, served);
    // Not of a door: some peers send by GET, and a HEAD must send nothing.
    if (method === "GET") put(path, "HEAD", served);
  }
  // A path that only doors have is refused in their form for other methods, too.
  const refusals = new Map<string, Refusal>();
  for (const door of deps.doors) {
    if (!table.has(door.path)) refusals.set(door.path, door.refusal);
    add(door);
  }

  const bunRoutes: Record<string, Handler> = {};
  // Every answer passes here and is counted once, whatever becomes of it.
  const observe = createObserveHttp(metrics, table.keys());
  const observed =
    (path: string, handler: Handler): Handler =>
    async (request) => {
      const startedMs = performance.now();
      const response = await handler(request);
      observe(path, request.method, response.status, (performance.now() - startedMs) / 1_000);
      return response;
    };
  for (const [path, byMethod] of table) {
    const allow = Object.keys(byMethod);
    bunRoutes[path] = observed(path, (request) => {
      const handler = byMethod[request.method];
      if (handler !== undefined) return handler(request);
      const error = new SluiceError("method_not_allowed", { allow });
      return fail(error, traceIdOf(newTraceparent()), { request, refusal: refusals.get(path) });
    });
  }
  const server = Bun.serve({
    hostname: options.host,
    port: options.port,
    reusePort: true,
    maxRequestBodySize: BUN_BODY_MAX,
    idleTimeout: options.idleS,
    development: false,
    routes: bunRoutes as never,
    fetch: observed("other", (request) =>
      fail(new SluiceError("not_found", { detail: "No such route." }), traceIdOf(newTraceparent()), {
        request,
      }),
    ),
    error: (thrown) => {
      const response = fail(thrown, traceIdOf(newTraceparent()));
      observe("other", "other", response.status, 0); // thrown by a handler, so not counted yet
      return response;
    },
  });
  return {
    refuse() {
      refusing = true;
    },
    async close() {
      // stop(false) would also wait for idle keep-alive connections
      for (let i = 0; i < 200 && server.pendingRequests > 0; i++) await sleep(10);
      await server.stop(true);
    },
  };
}
