// What a row of the table of metrics is, and how rows are written; the table itself is metrics-table.ts.

/** Seconds from the duration of one fsync to the longest time a caller may wait. */
export const BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** A closed set of values; or where a process takes the values from, and how many there may be. */
export type LabelValues = readonly string[] | { from: string; max: number };
export type Labels = Readonly<Record<string, LabelValues>>;
export type Kind = "counter" | "gauge" | "histogram";
/** The processes that have the metric. */
export type MetricRole = "all" | "ingest" | "relay" | "sender" | "dlr" | "webhook" | "http" | "routes";
export type MetricRow<K extends Kind = Kind, L extends Labels = Labels> = {
  kind: K;
  role: MetricRole;
  help: string;
  labels: L;
  /** Upper bounds, without the last one, +Inf. */
  buckets: readonly number[];
};

type None = Record<never, never>;
const none: None = {};
export const counter = <const L extends Labels = None>(
  role: MetricRole,
  help: string,
  labels: L = none as L,
) => ({ kind: "counter", role, help, labels, buckets: [] }) as const;
export const gauge = <const L extends Labels = None>(role: MetricRole, help: string, labels: L = none as L) =>
  ({ kind: "gauge", role, help, labels, buckets: [] }) as const;
export const histogram = <const L extends Labels = None>(
  role: MetricRole,
  help: string,
  buckets: readonly number[],
  labels: L = none as L,
) => ({ kind: "histogram", role, help, labels, buckets }) as const;
