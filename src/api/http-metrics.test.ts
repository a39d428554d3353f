import { expect, test } from "bun:test";
import { createMetrics } from "../platform/metrics.ts";
import { HTTP_CODES, HTTP_METHODS, HTTP_SERIES_MAX } from "../platform/ingest-metrics.ts";
import { createObserveHttp } from "./http-metrics.ts";

async function counted(observe: (o: ReturnType<typeof createObserveHttp>) => void): Promise<string[]> {
  const metrics = createMetrics("test");
  observe(createObserveHttp(metrics, ["/v1/a", "/v1/b/:id"]));
  return (await metrics.text())
    .split("\n")
    .filter((line) => line.startsWith("sluice_http_requests_total") && !line.endsWith(" 0"))
    .map((line) => line.replace("sluice_http_requests_total", "").replace(',role="test"', ""));
}

test("answers and their durations are counted by route, method and code", async () => {
  const metrics = createMetrics("test");
  const observe = createObserveHttp(metrics, ["/v1/a"]);
  observe("/v1/a", "POST", 202, 0.02);
  observe("/v1/a", "POST", 202, 0.2);
  observe("/v1/a", "POST", 402, 0.2);
  const text = await metrics.text();
  const of = 'route="/v1/a",method="POST",code=';
  expect(text).toContain(`sluice_http_requests_total{${of}"202",role="test"} 2\n`);
  expect(text).toContain(`sluice_http_requests_total{${of}"402",role="test"} 1\n`);
  expect(text).toContain(
    `sluice_http_request_duration_seconds_bucket{${of}"202",le="0.025",role="test"} 1\n`,
  );
  expect(text).toContain(`sluice_http_request_duration_seconds_count{${of}"202",role="test"} 2\n`);
});

test("anything a client makes up is counted as `other`", async () => {
  const lines = await counted((observe) => {
    observe("/v1/b/01ARZ3NDEKTSV4RRFFQ69G5FAV", "GET", 404, 0);
    observe("/v1/a", "BREW", 405, 0);
    observe("/v1/a", "GET", 299, 0);
  });
  expect(lines.sort()).toEqual([
    '{route="/v1/a",method="GET",code="other"} 1',
    '{route="/v1/a",method="other",code="405"} 1',
    '{route="other",method="GET",code="404"} 1',
  ]);
});

test("the number of series is bounded, and answers beyond it are still counted", async () => {
  const routes = Array.from({ length: 39 }, (_, n) => `/v1/${n}`);
  const metrics = createMetrics("test");
  const observe = createObserveHttp(metrics, routes);
  let answers = 0;
  for (const route of routes)
    for (const method of HTTP_METHODS)
      for (const code of HTTP_CODES) {
        observe(route, method, Number(code), 0);
        answers++;
      }
  const lines = (await metrics.text()).split("\n").filter((line) => line.startsWith("sluice_http_requests"));
  expect(lines).toHaveLength(HTTP_SERIES_MAX);
  expect(lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0)).toBe(answers);
});
