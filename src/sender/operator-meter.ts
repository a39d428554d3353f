// Measures what operators answer and how fast: written by the workers that submit, read by the sender's main
// thread at each scrape. The memory is shared because a batch's tally only arrives with its last answer,
// while a hanging operator should be visible at once. Layout, in 64-bit numbers, for each operator: a count
// for each kind of answer, the submits under way, the sum of durations in µs, a count for each bucket.
// Invariant: every submit is counted once when it starts and once when it is answered, as a connector answers
// exactly once. An addition takes 0.1 µs.

import type { Metrics } from "../platform/metrics.ts";
import { ANSWERS, METRICS } from "../platform/metrics-table.ts";
import type { Connector } from "../operators/connectors/connector.ts";

export type SharedCounts = SharedArrayBuffer;

const BUCKETS = METRICS.sluice_operator_submit_duration_seconds.buckets;
const IN_FLIGHT = ANSWERS.length;
const SUM_US = IN_FLIGHT + 1;
const FIRST_BUCKET = SUM_US + 1;
const SLOTS = FIRST_BUCKET + BUCKETS.length + 1;

/** Memory for the counts of this many operators. */
export const createSharedCounts = (operators: number): SharedCounts =>
  new SharedArrayBuffer(operators * SLOTS * BigInt64Array.BYTES_PER_ELEMENT);

/** Wraps the connector of the operator with index `at`, so that its submits are counted. */
export function metered(
  connector: Connector,
  shared: SharedCounts,
  at: number,
  monotonicMs: () => number,
): Connector {
  const counts = countsOf(shared, at);
  return {
    ...connector,
    submit(message, done) {
      const startedMs = monotonicMs();
      Atomics.add(counts, IN_FLIGHT, 1n);
      connector.submit(message, (answer) => {
        const tookMs = monotonicMs() - startedMs;
        Atomics.sub(counts, IN_FLIGHT, 1n);
        Atomics.add(counts, ANSWERS.indexOf(answer.kind), 1n);
        Atomics.add(counts, SUM_US, BigInt(Math.round(tookMs * 1_000)));
        const bucket = BUCKETS.findIndex((seconds) => tookMs <= seconds * 1_000);
        Atomics.add(counts, FIRST_BUCKET + (bucket < 0 ? BUCKETS.length : bucket), 1n);
        done(answer);
      });
    },
  };
}

/** Adds the counts to the metrics; they are read at each scrape. */
export function exposeOperators(
  metrics: Metrics,
  operators: readonly { name: string }[],
  shared: SharedCounts,
): void {
  operators.forEach(({ name: operator }, at) => {
    const counts = countsOf(shared, at);
    const read = (slot: number) => Number(Atomics.load(counts, slot));
    for (const [slot, answer] of ANSWERS.entries())
      metrics.counted("sluice_operator_submits_total", { operator, answer }, () => read(slot));
    metrics.gauge("sluice_operator_submits_in_flight", () => read(IN_FLIGHT), { operator });
    metrics.observed("sluice_operator_submit_duration_seconds", { operator }, () => ({
      counts: Array.from({ length: BUCKETS.length + 1 }, (_, bucket) => read(FIRST_BUCKET + bucket)),
      sum: read(SUM_US) / 1e6,
    }));
  });
}

const countsOf = (shared: SharedCounts, at: number): BigInt64Array<SharedArrayBuffer> =>
  new BigInt64Array(shared, at * SLOTS * BigInt64Array.BYTES_PER_ELEMENT, SLOTS);
