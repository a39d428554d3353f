// ClickHouse for the local stack: chDB (the engine, inside this process) behind the part of ClickHouse's HTTP
// interface that @clickhouse/client uses, so the gateway sees no difference from a server. Owns one data
// folder; loopback only, no log-in. Settings and parameters are state of a chDB connection, so every request
// gets its own connection (0.2 ms) and requests can't affect each other. An argument names another
// configuration file, by which a test limits what may be done. Bound: the requests that run at once and those
// that wait; more are refused with code 202.

import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { Session } from "chdb";
import { loadConfig } from "../platform/config.ts";
import { runUntilStopped } from "../platform/lifecycle.ts";
import { createLog } from "../platform/log.ts";

const runningMax = 4; // for two cores; reports and refreshable views seldom overlap more
const waitingMax = 128;
const bodyBytesMax = 64 * 1024 * 1024;
const drainMaxMs = 8_000;

type Query = { id: string; sql: string; format: string; database: string; assignments: string[] };

const config = loadConfig(process.env);
const log = createLog("clickhouse", config.logLevel);
const folder = resolve(config.stateFolder, "clickhouse");
mkdirSync(folder, { recursive: true });
const configFile = resolve(process.argv[2] ?? join(import.meta.dirname, "../../tools/clickhouse.xml"));
const connect = () => new Session(folder, { connectionArgs: [`--config-file=${configFile}`] });
const keeper = connect(); // keeps the engine and its background work alive between requests
const waiting: (() => void)[] = [];
let running = 0;
let stopping = false;

const server = Bun.serve({
  hostname: config.clickhouseHost,
  port: config.clickhousePort,
  maxRequestBodySize: bodyBytesMax,
  idleTimeout: 255,
  fetch: answer,
});
log.info({ port: config.clickhousePort, folder }, "ready");

runUntilStopped(log, drainMaxMs, async () => {
  stopping = true;
  await server.stop();
  keeper.close();
});

async function answer(request: Request): Promise<Response> {
  const url = new URL(request.url);
  const path = url.pathname;
  const isGreeting = path === "/" && request.method === "GET" && !url.searchParams.has("query");
  if (path === "/ping" || isGreeting) return new Response("Ok.\n");
  if (path !== "/") return failure(`Code: 0. DB::Exception: There is no handle ${path}`, 404);
  if (stopping) return failure("Code: 236. DB::Exception: The server is shutting down (ABORTED)", 503);
  if (waiting.length >= waitingMax)
    return failure("Code: 202. DB::Exception: Too many queries wait (TOO_MANY_SIMULTANEOUS_QUERIES)", 503);
  if (running < runningMax) running++;
  else await new Promise<void>((done) => waiting.push(done)); // a request that ends hands its place over
  try {
    return await run(await parse(request, url.searchParams));
  } catch (error) {
    return failure(error instanceof Error ? error.message : String(error), 500);
  } finally {
    const next = waiting.shift();
    if (next) next();
    else running--;
  }
}

async function run({ id, sql, format, database, assignments }: Query): Promise<Response> {
  const startedAtMs = performance.now();
  const connection = connect();
  try {
    await connection.queryAsync(`USE ${quoteName(database)}`);
    if (assignments.length > 0) await connection.queryAsync(`SET ${assignments.join(", ")}`);
    const result = await connection.queryAsync(sql, { format });
    const summary = {
      read_rows: String(result.rowsRead),
      read_bytes: String(result.bytesRead),
      elapsed_ns: String(Math.round((performance.now() - startedAtMs) * 1e6)),
    };
    const headers = {
      "x-clickhouse-query-id": id,
      "x-clickhouse-format": format,
      "x-clickhouse-summary": JSON.stringify(summary),
    };
    return new Response(result.bytes() as Uint8Array<ArrayBuffer>, { headers });
  } finally {
    connection.close();
  }
}

// Parameters of the interface itself; every other name is a setting, or `param_…`: SET accepts both, escaped
// as they were sent.
const reserved = new Set(
  [
    "query query_id default_format database session_id session_timeout session_check user password role",
    "wait_end_of_query buffer_size compress decompress enable_http_compression stacktrace close_session",
    "quota_key client_protocol_version send_progress_in_http_headers http_headers_progress_interval_ms",
    "cancel_http_readonly_queries_on_client_close",
  ].flatMap((line) => line.split(" ")),
);

async function parse(request: Request, search: URLSearchParams): Promise<Query> {
  let bytes = new Uint8Array(await request.arrayBuffer());
  if (request.headers.get("content-encoding") === "gzip") bytes = new Uint8Array(gunzipSync(bytes));
  const body = new TextDecoder().decode(bytes);
  const query = search.get("query") ?? "";
  const assignments = [...search]
    .filter(([name]) => !reserved.has(name))
    .map(([name, value]) => `${quoteName(name)} = ${quoteText(value)}`);
  return {
    id: search.get("query_id") ?? crypto.randomUUID(),
    sql: query === "" ? body : body === "" ? query : `${query}\n${body}`,
    format: search.get("default_format") ?? request.headers.get("x-clickhouse-format") ?? "TabSeparated",
    database: search.get("database") ?? request.headers.get("x-clickhouse-database") ?? "default",
    assignments,
  };
}

const quoteName = (name: string): string => `\`${name.replaceAll(/[`\\]/g, "\\$&")}\``;
const quoteText = (value: string): string => `'${value.replaceAll(/['\\]/g, "\\$&")}'`;

function failure(message: string, status: number): Response {
  const code = /Code: (\d+)/.exec(message)?.[1] ?? "0";
  return new Response(`${message}\n`, { status, headers: { "x-clickhouse-exception-code": code } });
}
