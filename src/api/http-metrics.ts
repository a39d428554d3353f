// What the API counts of every answer: how many and how long, by route, method and code. Called once for each
// answer (server.ts): 15 to 30 ns of look-ups and additions; with its clock and its turn of the event loop
// 0.2 µs of the 85 µs that a message costs ingest. Series are made when their first answer comes: most pairs
// of route and code never happen.
// Bound: HTTP_SERIES_MAX; what comes after that is counted as `other`.

import type { Metrics } from "../platform/metrics.ts";
import { HTTP_CODES, HTTP_METHODS, HTTP_SERIES_MAX } from "../platform/metrics-table.ts";

/** `route` is the path as the route's table has it, never the request's own. */
export type ObserveHttp = (route: string, method: string, status: number, seconds: number) => void;

type Series = { count: (n: number) => void; time: (seconds: number) => void };
type Method = (typeof HTTP_METHODS)[number];

export function createObserveHttp(metrics: Metrics, paths: Iterable<string>): ObserveHttp {
  const routes = [...new Set([...paths, "other"])];
  const routeAt = new Map(routes.map((route, at) => [route, at]));
  const methodAt = new Map<string, number>(HTTP_METHODS.map((method, at) => [method, at]));
  const codeAt = new Map(HTTP_CODES.map((code, at) => [Number(code), at]));
  const otherRoute = routes.length - 1;
  const otherMethod = HTTP_METHODS.length - 1;
  const otherCode = HTTP_CODES.length - 1;
  const known: (Series | undefined)[] = [];
  let size = 0;

  const seriesOf = (route: number, method: number, code: number): Series => {
    const labels = {
      route: routes[route] as string,
      method: HTTP_METHODS[method] as Method,
      code: HTTP_CODES[code] as string,
    };
    return {
      count: metrics.counter("sluice_http_requests_total", labels),
      time: metrics.histogram("sluice_http_request_duration_seconds", labels),
    };
  };
  const indexOf = (route: number, method: number, code: number): number =>
    (route * HTTP_METHODS.length + method) * HTTP_CODES.length + code;
  const add = (route: number, method: number, code: number): Series => {
    size++;
    return (known[indexOf(route, method, code)] = seriesOf(route, method, code));
  };
  add(otherRoute, otherMethod, otherCode);
  const another = (route: number, method: number, code: number): Series =>
    size < HTTP_SERIES_MAX
      ? add(route, method, code)
      : (known[indexOf(otherRoute, otherMethod, otherCode)] as Series);

  return (route, method, status, seconds) => {
    const r = routeAt.get(route) ?? otherRoute;
    const m = methodAt.get(method) ?? otherMethod;
    const c = codeAt.get(status) ?? otherCode;
    const series = known[indexOf(r, m, c)] ?? another(r, m, c);
    series.count(1);
    series.time(seconds);
  };
}
