// Measures what operators answer and how fast: written by the workers that submit, read by the sender's main
// thread at each scrape. The memory is shared because a batch's tally only arrives with its last answer,
// while a hanging operator should be visible at once. Layout of an operator's piece, in 64-bit numbers: a
// count for each kind of answer, the submits under way, the open binds, a count for each kind of unexpected
// answer, the sum of durations in µs, a count for each bucket.
// Invariant: every submit is counted once when it starts and once when it is answered, as a connector answers
// exactly once. An addition takes 0.1 µs.

import type { Metrics } from "../platform/metrics.ts";
import { ANSWERS, METRICS, UNEXPECTED_ANSWERS } from "../platform/metrics-table.ts";
import type { Answer, Connector } from "../operators/connectors/connector.ts";

export type SharedCounts = SharedArrayBuffer;
type UnexpectedAnswer = (typeof UNEXPECTED_ANSWERS)[number];

const BUCKETS = METRICS.sluice_operator_submit_duration_seconds.buckets;
const IN_FLIGHT = ANSWERS.length;
const BINDS = IN_FLIGHT + 1;
const UNEXPECTED = BINDS + 1;
const SUM_US = UNEXPECTED + UNEXPECTED_ANSWERS.length;
const FIRST_BUCKET = SUM_US + 1;
const SLOTS = FIRST_BUCKET + BUCKETS.length + 1;

export const createSharedCounts = (): SharedCounts =>
  new SharedArrayBuffer(SLOTS * BigInt64Array.BYTES_PER_ELEMENT);

/** Wraps an operator's connector, so that its submits are counted. */
export function metered(connector: Connector, shared: SharedCounts, monotonicMs: () => number): Connector {
  const counts = new BigInt64Array(shared);
  return {
    ...connector,
    submit(message, done, leftMs) {
      const startedMs = monotonicMs();
      Atomics.add(counts, IN_FLIGHT, 1n);
      const counted = (answer: Answer) => {
        const tookMs = monotonicMs() - startedMs;
        Atomics.sub(counts, IN_FLIGHT, 1n);
        Atomics.add(counts, ANSWERS.indexOf(answer.kind), 1n);
        Atomics.add(counts, SUM_US, BigInt(Math.round(tookMs * 1_000)));
        const bucket = BUCKETS.findIndex((seconds) => tookMs <= seconds * 1_000);
        Atomics.add(counts, FIRST_BUCKET + (bucket < 0 ? BUCKETS.length : bucket), 1n);
        done(answer);
      };
      connector.submit(message, counted, leftMs);
    },
  };
}

/** Counts an operator's binds, as they are opened and end. */
export function countBinds(shared: SharedCounts): (change: 1 | -1) => void {
  const counts = new BigInt64Array(shared);
  return (change) => void Atomics.add(counts, BINDS, BigInt(change));
}

/** Counts answers to an operator's requests that nobody waits for. */
export function countUnexpected(shared: SharedCounts): (answer: UnexpectedAnswer) => void {
  const counts = new BigInt64Array(shared);
  return (answer) => void Atomics.add(counts, UNEXPECTED + UNEXPECTED_ANSWERS.indexOf(answer), 1n);
}

export type OperatorMeters = {
  /**
   * From now on these are the operators, each with its counts. One that stays keeps them; the series of the
   * others end.
   */
  use(names: readonly string[]): ReadonlyMap<string, SharedCounts>;
};

export function createOperatorMeters(metrics: Metrics): OperatorMeters {
  let counts = new Map<string, SharedCounts>();
  return {
    use(names) {
      const next = new Map(names.map((name) => [name, counts.get(name) ?? createSharedCounts()]));
      for (const name of counts.keys()) if (!next.has(name)) metrics.forget("operator", name);
      for (const [name, shared] of next) if (!counts.has(name)) expose(metrics, name, shared);
      counts = next;
      return counts;
    },
  };
}

/** They are read at each scrape. */
function expose(metrics: Metrics, operator: string, shared: SharedCounts): void {
  const counts = new BigInt64Array(shared);
  const read = (slot: number) => Number(Atomics.load(counts, slot));
  for (const [slot, answer] of ANSWERS.entries())
    metrics.counted("sluice_operator_submits_total", { operator, answer }, () => read(slot));
  for (const [at, answer] of UNEXPECTED_ANSWERS.entries())
    metrics.counted("sluice_operator_unexpected_answers_total", { operator, answer }, () =>
      read(UNEXPECTED + at),
    );
  metrics.gauge("sluice_operator_submits_in_flight", () => read(IN_FLIGHT), { operator });
  metrics.gauge("sluice_operator_binds", () => read(BINDS), { operator });
  metrics.observed("sluice_operator_submit_duration_seconds", { operator }, () => ({
    counts: Array.from({ length: BUCKETS.length + 1 }, (_, bucket) => read(FIRST_BUCKET + bucket)),
    sum: read(SUM_US) / 1e6,
  }));
}
