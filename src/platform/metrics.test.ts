import { describe, expect, test } from "bun:test";
import { createMetrics } from "./metrics.ts";
import { linesMax, ROWS } from "./metrics-table.ts";

const linesOf = async (metrics: { text(): Promise<string> }, name: string): Promise<string[]> =>
  (await metrics.text()).split("\n").filter((line) => line.startsWith(name));

describe("the table", () => {
  test("names follow Prometheus's conventions", () => {
    for (const [name, { kind, help }] of Object.entries(ROWS)) {
      expect(name).toMatch(/^(process|sluice)_[a-z_]+$/);
      expect(`${name} ${name.endsWith("_total")}`).toBe(`${name} ${kind === "counter"}`);
      expect(`${name} ${help}`).not.toMatch(/\.$/);
    }
  });

  test("no label can hold anything from a request, and the number of series is bounded", () => {
    // Each label is a decision: a name missing from this list needs a review of what it may hold.
    const allowed = new Set(
      (
        "route method code check invariant operator answer lane state version commit runtime pool " +
        "reason operation topic partition result level error name source sha256"
      ).split(" "),
    );
    for (const [name, row] of Object.entries(ROWS)) {
      for (const label of Object.keys(row.labels))
        expect(`${name} ${label} ${allowed.has(label)}`).toBe(`${name} ${label} true`);
      expect(linesMax(row)).toBeLessThanOrEqual(7_000);
    }
  });

  test("buckets increase, and only histograms have them", () => {
    for (const { kind, buckets } of Object.values(ROWS)) {
      expect(buckets.length > 0).toBe(kind === "histogram");
      expect([...buckets].sort((a, b) => a - b)).toEqual([...buckets]);
    }
  });
});

describe("series", () => {
  test("a histogram cumulates its buckets, and a value on a bound belongs to it", async () => {
    const metrics = createMetrics("test");
    const observe = metrics.histogram("sluice_sender_batch_duration_seconds", {});
    for (const seconds of [0.001, 0.002, 0.5, 100]) observe(seconds);
    const lines = await linesOf(metrics, "sluice_sender_batch_duration_seconds");
    const value = (start: string) => Number(lines.find((line) => line.includes(start))?.split(" ")[1]);
    expect(value('le="0.001"')).toBe(1);
    expect(value('le="0.0025"')).toBe(2);
    expect(value('le="0.5"')).toBe(3);
    expect(value('le="10"')).toBe(3);
    expect(value('le="+Inf"')).toBe(4);
    expect(value("_count")).toBe(4);
    expect(value("_sum")).toBeCloseTo(100.503);
  });

  test("labelled counters start at 0, and a gauge without a known value has no line", async () => {
    const metrics = createMetrics("test");
    const add = metrics.counter("sluice_reconcile_drifts_total", { invariant: "balance" });
    expect(await linesOf(metrics, "sluice_reconcile_drifts_total")).toEqual([
      'sluice_reconcile_drifts_total{invariant="balance",role="test"} 0',
    ]);
    add(2);
    add(1);
    expect(await linesOf(metrics, "sluice_reconcile_drifts_total")).toEqual([
      'sluice_reconcile_drifts_total{invariant="balance",role="test"} 3',
    ]);
    let known: number | null = null;
    metrics.gauge("sluice_sender_unsettled", () => known);
    expect(await linesOf(metrics, "sluice_sender_unsettled")).toEqual([]);
    known = 7;
    expect(await linesOf(metrics, "sluice_sender_unsettled")).toEqual([
      'sluice_sender_unsettled{role="test"} 7',
    ]);
  });

  test("a value outside its closed set, a missing label and a second series of one name are refused", () => {
    const metrics = createMetrics("test");
    const labels = { route: "/x", method: "GET", code: "200" } as const;
    expect(() => metrics.counter("sluice_http_requests_total", { ...labels, code: "299" })).toThrow("299");
    expect(() => metrics.counter("sluice_http_requests_total", { route: "/x" } as never)).toThrow("3 labels");
    metrics.counter("sluice_http_requests_total", labels);
    expect(() => metrics.counter("sluice_http_requests_total", labels)).toThrow("already");
    expect(() => metrics.counted("sluice_nothing" as never, {} as never, () => 1)).toThrow(
      "no counter of the table",
    );
    expect(() => metrics.counted("sluice_ready" as never, {} as never, () => 1)).toThrow(
      "no counter of the table",
    );
  });

  test("a label whose values the process chooses has no more of them than the table allows", () => {
    const metrics = createMetrics("test");
    const add = (n: number) => metrics.counter("sluice_reconcile_drifts_total", { invariant: `i${n}` });
    for (let n = 0; n < 40; n++) add(n);
    expect(() => add(40)).toThrow("too many");
  });
});
