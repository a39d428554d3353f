// The health port of every process: GET /health (alive), /ready (able to do its work), /metrics. Leaves what
// ready means to the role. Works on Bun and Node. Invariant: /ready answers within HEALTH_TIMEOUT_MS, even if
// a check hangs.

import { createServer, type ServerResponse } from "node:http";
import { HEALTH_TIMEOUT_MS } from "../core/limits.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";

/** `degraded`: it continues to work, but something it writes to or reads from is away. */
export type CheckResult = "ok" | "degraded" | "down";
export type Readiness = { ready: boolean; checks: Record<string, CheckResult> };
export type ReadyCheck = () => Readiness | Promise<Readiness>;

export type HealthServer = { close(): Promise<void> };
export type HealthDeps = { log: Log; metrics: Metrics; ready: ReadyCheck };

/** Listens at once; rejects with an Error that names the settings if the port is taken. */
export function serveHealth(
  deps: HealthDeps,
  options: { host: string; port: number },
): Promise<HealthServer> {
  watchReady(deps);
  const server = createServer((request, response) => {
    answer(deps, request.method ?? "", request.url ?? "", response).catch((err: unknown) => {
      deps.log.warn({ err }, "health request failed");
      response.destroy();
    });
  });
  server.keepAliveTimeout = 5_000;
  return new Promise((resolve, reject) => {
    const refuse = (cause: Error): void =>
      reject(
        new Error(
          `no health port on ${options.host}:${options.port}: see SLUICE_HEALTH_HOST, SLUICE_HEALTH_PORT ` +
            `and SLUICE_PROCESS_NUMBER: ${cause.message}`,
          { cause },
        ),
      );
    server.once("error", refuse);
    server.listen(options.port, options.host, () => {
      server.off("error", refuse);
      resolve({
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            server.closeAllConnections();
          }),
      });
    });
  });
}

async function answer(
  deps: HealthDeps,
  method: string,
  url: string,
  response: ServerResponse,
): Promise<void> {
  const path = url.split("?", 1)[0];
  if (method !== "GET" && method !== "HEAD") return sendJson(response, 405, { status: "method not allowed" });
  if (path === "/health") return sendJson(response, 200, { status: "ok" });
  if (path === "/ready") {
    const readiness = await checkReady(deps.ready);
    return sendJson(response, readiness.ready ? 200 : 503, readyBody(readiness));
  }
  if (path === "/metrics") {
    const text = await deps.metrics.text();
    response.writeHead(200, { "content-type": deps.metrics.contentType }).end(text);
    return;
  }
  sendJson(response, 404, { status: "not found" });
}

// Checked at each scrape, so that the metrics agree with what /ready would say now.
function watchReady({ metrics, ready }: HealthDeps): void {
  metrics.gauges("sluice_ready", async () => [[{}, Number((await checkReady(ready)).ready)]]);
  metrics.gauges("sluice_ready_check", async () => {
    const { checks } = await checkReady(ready);
    return Object.entries(checks).map(([check, result]) => [{ check }, Number(result === "ok")] as const);
  });
}

/** Runs a role's check with a time limit; a check that throws or hangs means not ready. */
async function checkReady(ready: ReadyCheck): Promise<Readiness> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<Readiness>((resolve) => {
    timer = setTimeout(() => resolve({ ready: false, checks: { check: "down" } }), HEALTH_TIMEOUT_MS);
  });
  try {
    return await Promise.race([Promise.resolve().then(ready), late]);
  } catch {
    return { ready: false, checks: { check: "down" } };
  } finally {
    clearTimeout(timer);
  }
}

type ReadyBody = Readonly<{
  status: "ready" | "degraded" | "not_ready";
  checks: Record<string, CheckResult>;
}>;

/** The body of /ready, here and on the API's port: `ready`, `degraded` (still ready) or `not_ready`. */
export function readyBody({ ready, checks }: Readiness): ReadyBody {
  const degraded = Object.values(checks).some((check) => check !== "ok");
  return { status: ready ? (degraded ? "degraded" : "ready") : "not_ready", checks };
}

function sendJson(response: ServerResponse, status: number, body: Record<string, unknown>): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
