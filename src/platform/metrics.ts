// What a process counts, as Prometheus reads it. Owns one prom-client registry a process; leaves serving it
// to health.ts (and to the API's /metrics). Hot code adds to plain numbers, which are copied into the
// registry only when somebody scrapes.
// Bound: series exist from the start, one a name and label value written in the source; no label holds a
// customer or a message.

import { Counter, Gauge, Histogram, Registry } from "prom-client";

export type Metrics = {
  /**
   * Counters as plain numbers: `const c = metrics.counts("sluice_relay", { rows_total: "outbox rows produced"
   * }); c.rows_total += 8`.
   * The series is named `<prefix>_<key>`.
   */
  counts<K extends string>(prefix: string, docs: Readonly<Record<K, string>>): Record<K, number>;
  /** One counter with a label, as plain numbers by label value. */
  labelled<K extends string>(
    name: string,
    doc: string,
    label: string,
    values: readonly K[],
  ): Record<K, number>;
  /** A value read at each scrape. */
  gauge(name: string, doc: string, read: () => number): void;
  /** 0.2 µs an observation: around a batch or a request, in seconds. */
  histogram(name: string, doc: string, bucketsS?: readonly number[]): (seconds: number) => void;
  /** The text of /metrics. */
  text(): Promise<string>;
  contentType: string;
};

// From one fsync to the longest wait a caller is given.
const BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

export function createMetrics(role: string): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ role });
  const counter = (name: string, help: string, read: () => number) => {
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  };
  const gauge = (name: string, help: string, read: () => number) => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
  // prom-client's own default metrics sample the event loop all the time, and promtool refuses three of their
  // names.
  counter("process_cpu_seconds_total", "CPU time of this process", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  gauge("process_resident_memory_bytes", "memory held by this process", () => process.memoryUsage.rss());
  gauge("process_start_time_seconds", "Unix time this process started at", startedAt());

  return {
    counts(prefix, docs) {
      const values = zeros(Object.keys(docs) as (keyof typeof docs)[]);
      for (const key of Object.keys(docs) as (keyof typeof docs)[])
        counter(`${prefix}_${key}`, docs[key], () => values[key]);
      return values;
    },
    labelled(name, help, label, labelValues) {
      const values = zeros(labelValues);
      new Counter({
        name,
        help,
        labelNames: [label],
        registers: [registry],
        collect() {
          this.reset();
          for (const value of labelValues) this.inc({ [label]: value }, values[value]);
        },
      });
      return values;
    },
    gauge,
    histogram(name, help, bucketsS = BUCKETS_S) {
      const histogram = new Histogram({ name, help, buckets: [...bucketsS], registers: [registry] });
      return (seconds) => histogram.observe(seconds);
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

function zeros<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
}

function startedAt(): () => number {
  const seconds = Date.now() / 1_000 - process.uptime();
  return () => seconds;
}
