// The API's socket: Bun.serve, which is uWebSockets. Owns traces, counting answers, mapping errors to
// answers, and refusing new requests while stopping. Leaves what a route declares to run-route.ts. Invariant:
// anything thrown becomes one problem answer.
// Bounds: bodies are bounded by http.ts, concurrent requests by the group commit's queue.

import { CallerGoneError } from "../core/caller.ts";
import { SluiceError, toSluiceError } from "../core/errors.ts";
import type { KeyCache } from "../customers/key-cache.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import { CALLER_GONE_CODE } from "../platform/metrics-table.ts";
import { isConnectionLost } from "../platform/mysql-errors.ts";
import { sleep } from "../platform/retry.ts";
import type { Tracing } from "../platform/otlp.ts";
import { isSampled, newTraceparent, parseTraceparent, traceIdOf } from "../platform/trace.ts";
import { createClientAddress } from "./client-address.ts";
import { respond, respondProblem } from "./http.ts";
import type { Route } from "./route.ts";
import { runRoute } from "./run-route.ts";
import { createObserveHttp } from "./http-metrics.ts";

export type ServerDeps = {
  keys: KeyCache;
  routes: Route[];
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

type Handler = (request: Request & { params?: Record<string, string> }) => Promise<Response> | Response;

export function createServer(deps: ServerDeps, options: ServerOptions): ApiServer {
  const { keys, log, metrics, tracing } = deps;
  let refusing = false;
  const addressOf = createClientAddress(options.edgeSecret);
  const clientAddress = (request: Request): string =>
    addressOf(request.headers, () => server.requestIP(request)?.address);

  const fail = (thrown: unknown, requestId: string, request?: Request): Response => {
    // This answer can't reach the client; it exists only to be counted.
    if (thrown instanceof CallerGoneError) return new Response(null, { status: CALLER_GONE_CODE });
    const error = isConnectionLost(thrown)
      ? new SluiceError("unavailable", { cause: thrown })
      : toSluiceError(thrown);
    if (error.code === "internal") {
      const client = request === undefined ? undefined : clientAddress(request);
      log.error({ err: error.cause, trace_id: requestId, client }, "request failed");
    }
    const accepted = request?.headers.get("accept-language");
    return respondProblem(error, requestId, refusing ? { connection: "close" } : {}, accepted);
  };

  const answered =
    (route: Route): Handler =>
    async (request) => {
      const startedMs = Date.now();
      const given = request.headers.get("traceparent");
      const traceparent =
        given !== null && parseTraceparent(given) !== null ? given : newTraceparent(tracing.sample());
      const requestId = traceIdOf(traceparent);
      const response = await runRoute(keys, route, {
        request,
        requestId,
        traceparent,
        params: request.params ?? {},
        isGone: () => request.signal.aborted,
        isStopping: () => refusing,
        clientAddress: () => clientAddress(request),
      }).then(
        (reply) => respond(reply, requestId),
        (thrown: unknown) => fail(thrown, requestId, request),
      );
      if (isSampled(traceparent)) {
        const attributes = { "http.route": route.path, "http.response.status_code": response.status };
        tracing.span(`${route.method} ${route.path}`, traceparent, startedMs, Date.now(), attributes);
      }
      return response;
    };

  const table = new Map<string, Record<string, Handler>>();
  for (const route of deps.routes)
    table.set(route.path, { ...table.get(route.path), [route.method]: answered(route) });

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
    const allow = Object.keys(byMethod).flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]));
    bunRoutes[path] = observed(path, (request) => {
      const handler = byMethod[request.method] ?? (request.method === "HEAD" ? byMethod.GET : undefined);
      return (
        handler?.(request) ??
        fail(new SluiceError("method_not_allowed", { allow }), traceIdOf(newTraceparent()), request)
      );
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
      fail(new SluiceError("not_found", { detail: "No such route." }), traceIdOf(newTraceparent()), request),
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
