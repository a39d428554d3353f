// A process's metrics in Prometheus's format. Owns the series of one process; leaves which metrics exist to
// metrics-table.ts, and serving them to health.ts (and to the API's /metrics). Hot code adds to plain
// numbers, which are only copied at a scrape: a labelled count or observation takes 15 to 30 ns, while
// prom-client's own take 510 to 570, so prom-client is only used to write the text.
// Invariant: every series has a row in the table, with labels that the row allows; none appears twice.
// Bound: linesMax of each row.

import assert from "node:assert/strict";
import { type Metric, Registry } from "prom-client";
import type { Log } from "./log.ts";
import { watchProcess } from "./process-metrics.ts";
import type { Kind, MetricRow } from "./metric-rows.ts";
import { type LabelsOf, METRICS, type MetricName, type Named, seriesMax } from "./metrics-table.ts";

/** The part of a counter's name after a prefix: `rows_total` of `sluice_relay_rows_total`. */
type CounterKey<P extends string> =
  Named<"counter"> extends infer N ? (N extends `${P}_${infer K}` ? K : never) : never;
/** Empty for a metric without labels, so that the argument can be omitted. */
type LabelsArgument<N extends MetricName> = keyof LabelsOf<N> extends never
  ? [labels?: LabelsOf<N>]
  : [labels: LabelsOf<N>];
type Sample<N extends MetricName> = readonly [labels: LabelsOf<N>, value: number];

export type Metrics = {
  /**
   * Counters as plain numbers that share these labels: `c = metrics.counts("sluice_relay", ["rows_total"],
   * { lane })`, then `c.rows_total++`.
   */
  counts<P extends string, K extends CounterKey<P>>(
    prefix: P,
    keys: readonly K[],
    ...labels: LabelsArgument<Extract<`${P}_${K}`, MetricName>>
  ): Record<K, number>;
  /** One series of a labelled counter, starting at 0; returns a function that adds to it. */
  counter<N extends Named<"counter">>(name: N, labels: LabelsOf<N>): (n: number) => void;
  /** A counter that is counted elsewhere: `read` returns its value at each scrape. */
  counted<N extends Named<"counter">>(name: N, labels: LabelsOf<N>, read: () => number): void;
  /** A gauge read at each scrape; null means not known yet, and gives no line. */
  gauge<N extends Named<"gauge">>(name: N, read: () => number | null, ...labels: LabelsArgument<N>): void;
  /** All series of a gauge, read at each scrape: for series that come and go. */
  gauges<N extends Named<"gauge">>(
    name: N,
    read: () => readonly Sample<N>[] | Promise<readonly Sample<N>[]>,
  ): void;
  /** One series of a histogram; returns a function that observes a value in the unit of the metric's name. */
  histogram<N extends Named<"histogram">>(name: N, labels: LabelsOf<N>): (value: number) => void;
  /**
   * A histogram that is observed elsewhere: `read` returns the counts by bucket, +Inf last, at each scrape.
   */
  observed<N extends Named<"histogram">>(
    name: N,
    labels: LabelsOf<N>,
    read: () => { counts: ArrayLike<number>; sum: number },
  ): void;
  /** Ends every series that has this value of this label, such as an operator that is gone. */
  forget(label: string, value: string): void;
  /** The text of /metrics. */
  text(): Promise<string>;
  contentType: string;
};

type Line = { metricName: string; labels: Record<string, string>; value: number };
type Series = { labels: Record<string, string>; lines: () => Line[] };
type Family = { series: Map<string, Series>; all: (() => Promise<Line[]>) | null };

/** `log` is told when the process stood still for seconds. */
export function createMetrics(role: string, log?: Log): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ role });
  const families = new Map<MetricName, Family>();

  const familyOf = (name: MetricName, kind: Kind): Family => {
    const row: MetricRow = METRICS[name];
    assert(row?.kind === kind, `${name} is no ${kind} of the table`);
    let family = families.get(name);
    if (family === undefined) {
      const made: Family = { series: new Map(), all: null };
      families.set(name, (family = made));
      // Everything that prom-client needs of a metric to write it.
      const metric = {
        name,
        get: async () => ({ name, help: row.help, type: kind, values: await linesOf(made) }),
      };
      registry.registerMetric(metric as unknown as Metric);
    }
    return family;
  };
  const add = (
    name: MetricName,
    kind: Kind,
    labels: Record<string, string>,
    linesOf: (labels: Record<string, string>) => Line[],
  ) => {
    const { series } = familyOf(name, kind);
    const known = labelled(name, labels);
    const key = Object.values(known).join("\n");
    assert(!series.has(key), `${name} has this series already: ${key}`);
    assert(series.size < seriesMax(METRICS[name]), `${name} has too many series`);
    series.set(key, { labels: known, lines: () => linesOf(known) });
    checkOpenLabels(
      name,
      [...series.values()].map((each) => each.labels),
    );
  };
  const counted = (name: MetricName, labels: Record<string, string>, read: () => number) =>
    add(name, "counter", labels, (known) => [{ metricName: name, labels: known, value: read() }]);

  const metrics: Metrics = {
    counts(prefix, keys, labels = {} as never) {
      const values = Object.fromEntries(keys.map((key) => [key, 0])) as Record<string, number>;
      const of = labels as Record<string, string>;
      for (const key of keys) counted(`${prefix}_${key}` as MetricName, of, () => values[key] as number);
      return values as Record<(typeof keys)[number], number>;
    },
    counter(name, labels) {
      let value = 0;
      counted(name, labels as Record<string, string>, () => value);
      return (n) => {
        value += n;
      };
    },
    counted: (name, labels, read) => counted(name, labels as Record<string, string>, read),
    gauge(name, read, labels = {} as never) {
      add(name, "gauge", labels as Record<string, string>, (known) => {
        const value = read();
        return value === null ? [] : [{ metricName: name, labels: known, value }];
      });
    },
    gauges(name, read) {
      const family = familyOf(name, "gauge");
      assert(family.all === null && family.series.size === 0, `${name} is read already`);
      family.all = async () => {
        const samples = await read();
        const lines = samples.map(([labels, value]) => ({
          metricName: name,
          labels: labelled(name, labels as Record<string, string>),
          value,
        }));
        checkOpenLabels(
          name,
          lines.map((line) => line.labels),
        );
        return lines;
      };
    },
    histogram(name, labels) {
      const { buckets } = METRICS[name];
      const counts = new Float64Array(buckets.length + 1);
      let sum = 0;
      metrics.observed(name, labels, () => ({ counts, sum }));
      return (value) => {
        let at = 0;
        while (at < buckets.length && value > (buckets[at] as number)) at++;
        (counts[at] as number)++;
        sum += value;
      };
    },
    observed(name, labels, read) {
      const { buckets } = METRICS[name];
      add(name, "histogram", labels as Record<string, string>, (known) =>
        histogramLines(name, known, buckets, read()),
      );
    },
    forget(label, value) {
      for (const { series } of families.values())
        for (const [key, { labels }] of series) if (labels[label] === value) series.delete(key);
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
  watchProcess(metrics, log);
  return metrics;
}

async function linesOf({ series, all }: Family): Promise<Line[]> {
  if (all !== null) return all();
  return [...series.values()].flatMap(({ lines }) => lines());
}

function histogramLines(
  name: string,
  labels: Record<string, string>,
  buckets: readonly number[],
  { counts, sum }: { counts: ArrayLike<number>; sum: number },
): Line[] {
  const lines: Line[] = [];
  let cumulated = 0;
  for (let at = 0; at <= buckets.length; at++) {
    cumulated += counts[at] as number;
    const le = at < buckets.length ? String(buckets[at]) : "+Inf";
    lines.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: cumulated });
  }
  lines.push({ metricName: `${name}_sum`, labels, value: sum });
  lines.push({ metricName: `${name}_count`, labels, value: cumulated });
  return lines;
}

/** The labels in the table's order. Throws if one is missing or has a value that isn't allowed. */
function labelled(name: MetricName, labels: Record<string, string>): Record<string, string> {
  const allowed = Object.entries((METRICS[name] as MetricRow).labels);
  assert(Object.keys(labels).length === allowed.length, `${name} has ${allowed.length} labels`);
  return Object.fromEntries(
    allowed.map(([label, values]) => {
      const value = labels[label];
      assert(value !== undefined, `${name} has the label ${label}`);
      const isOpen = "max" in values;
      assert(isOpen || values.includes(value), `${label}="${value}" is no value of ${name}`);
      return [label, value];
    }),
  );
}

/** Asserts that a label whose values the process chooses has no more of them than the table allows. */
function checkOpenLabels(name: MetricName, series: readonly Record<string, string>[]): void {
  for (const [label, values] of Object.entries((METRICS[name] as MetricRow).labels)) {
    if (!("max" in values)) continue;
    const different = new Set(series.map((labels) => labels[label])).size;
    assert(different <= values.max, `${name} has more than ${values.max} values of ${label}`);
  }
}
