// The pool of workers that submit. Owns piscina and the ports through which outcomes return; leaves their
// meaning to sender.ts.
// Bound: BATCHES_PER_WORKER batches at once in each worker, TASKS_WAITING_MAX more.

import { MessageChannel } from "node:worker_threads";
import { Piscina } from "piscina";
import { SUBMIT_TIMEOUT_MS } from "../core/limits.ts";
import type { OperatorSpec } from "../operators/connectors/kinds.ts";
import type { SubmitBatch, Tally } from "./dispatch.ts";
import { watched } from "../platform/retry.ts";
import { monotonicMs } from "./monotonic.ts";
import type { SharedCounts } from "./operator-meter.ts";
import { serveWorkerPort, type StoreReport } from "./worker-port.ts";
import type { FromWorker, Indexed, Note, Report, WorkerData } from "./worker.ts";

export type Submitters = {
  /**
   * Calls `onOutcomes` with every message's outcome once, some at a time; resolves to the tallies after the
   * last. Rejects when a worker doesn't answer: then this process can't continue, and the claim's expiry ends
   * what it held.
   */
  submit(batch: SubmitBatch, onOutcomes: (outcomes: Indexed[]) => void): Promise<Tally[]>;
  /** From now on calls `take` with what operators say outside of any batch. */
  onReport(take: (report: Report) => void): void;
  close(): Promise<void>;
};

export type SubmittersOptions = {
  threads: number;
  counts: SharedCounts;
  /** What connectors say about their connections, for the log. */
  onNote: (note: Note) => void;
  /** Stores what operators deliver on connections. Null: they are asked to try later. */
  storeReport: StoreReport | null;
};

/** After a batch's deadline: the time-outs of a last submit, with room for a busy machine. */
const ANSWERS_MAX_MS = 2 * SUBMIT_TIMEOUT_MS + 10_000;
const BATCHES_PER_WORKER = 32;
const TASKS_WAITING_MAX = 32;

export function createSubmitters(
  operators: readonly OperatorSpec[],
  { threads, counts, onNote, storeReport }: SubmittersOptions,
): Submitters {
  const pool = new Piscina({
    filename: new URL("./worker.ts", import.meta.url).href,
    workerData: { operators, counts } satisfies WorkerData,
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker: BATCHES_PER_WORKER,
    maxQueue: TASKS_WAITING_MAX,
    idleTimeout: Number.POSITIVE_INFINITY,
    // Waiting on Atomics would stop an idle worker's event loop: it would not notice closing connections, and
    // would lose messages on them.
    atomics: "disabled",
    recordTiming: false,
  });
  const closers: (() => Promise<void>)[] = [];
  pool.on("message", (message: FromWorker) => {
    if (message.kind === "note") onNote(message.note);
    if (message.kind === "port") closers.push(serveWorkerPort(message.port, storeReport));
  });
  return {
    async submit(batch, onOutcomes) {
      const { port1, port2 } = new MessageChannel();
      let left = batch.messages.length;
      const all = new Promise<void>((resolve) => {
        port1.on("message", (outcomes: Indexed[]) => {
          left -= outcomes.length;
          onOutcomes(outcomes);
          if (left === 0) resolve();
        });
      });
      const done = async () => {
        const task = pool.run({ batch, port: port2 }, { transferList: [port2] as never });
        const tally = (await task) as Tally[];
        await all;
        return tally;
      };
      try {
        const hangs = Promise.withResolvers<never>();
        const late = () => hangs.reject(new Error("the workers do not answer"));
        // No submit starts after the deadline.
        const maxMs = batch.deadlineMs + ANSWERS_MAX_MS - monotonicMs();
        return await Promise.race([watched(done(), { maxMs, graceMs: ANSWERS_MAX_MS }, late), hangs.promise]);
      } finally {
        port1.close();
      }
    },
    onReport(take) {
      pool.on("message", (message: FromWorker) => {
        if (message.kind === "report") take(message.report);
      });
    },
    async close() {
      await Promise.all(closers.map((close) => close()));
      await pool.destroy();
    },
  };
}
