import { expect, test } from "bun:test";
import { latencyOf } from "./latency.ts";

test("every latency is in one bar of the histogram, and the percentiles show the tail", () => {
  const ms = Float64Array.from({ length: 2_000 }, (_, i) => (i < 1_000 ? 0.5 : i < 1_997 ? 4.5 : 1_200 + i));
  expect(latencyOf(ms)).toEqual({
    p50_ms: 4.5,
    p99_ms: 4.5,
    p999_ms: 3_198,
    max_ms: 3_199,
    histogram: { "1 ms": 1_000, "5 ms": 997, more: 3 },
  });
});

test("a run without answers has no latency", () => {
  expect(latencyOf(new Float64Array(0))).toMatchObject({ p50_ms: 0, histogram: {} });
});
