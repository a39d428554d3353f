// The pool of workers that submit. Owns piscina and the ports outcomes come back by; leaves what they mean to
// sender.ts.
// Bound: BATCHES_PER_WORKER at once a worker, TASKS_WAITING_MAX more.

import { MessageChannel } from "node:worker_threads";
import { Piscina } from "piscina";
import type { Batch, Tally } from "./dispatch.ts";
import type { SharedCounts } from "./operator-meter.ts";
import type { OperatorSpec } from "./operators.ts";
import type { Indexed, WorkerData } from "./worker.ts";

export type Submitters = {
  /**
   * `onOutcomes` is called with each message's outcome once, some at a time. Resolves when all were, with the
   * tallies.
   */
  submit(batch: Batch, onOutcomes: (outcomes: Indexed[]) => void): Promise<Tally[]>;
  close(): Promise<void>;
};

const BATCHES_PER_WORKER = 32;
const TASKS_WAITING_MAX = 32;

export function createSubmitters(
  operators: readonly OperatorSpec[],
  { threads, counts }: { threads: number; counts: SharedCounts },
): Submitters {
  const pool = new Piscina({
    filename: new URL("./worker.ts", import.meta.url).href,
    workerData: { operators, counts } satisfies WorkerData,
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker: BATCHES_PER_WORKER,
    maxQueue: TASKS_WAITING_MAX,
    idleTimeout: Number.POSITIVE_INFINITY,
    // Waiting on Atomics would stop an idle worker's event loop: it would not see its connections close, and
    // lose messages on them.
    atomics: "disabled",
    recordTiming: false,
  });
  return {
    async submit(batch, onOutcomes) {
      const { port1, port2 } = new MessageChannel();
      let left = batch.submits.length;
      const all = new Promise<void>((resolve) => {
        port1.on("message", (outcomes: Indexed[]) => {
          left -= outcomes.length;
          onOutcomes(outcomes);
          if (left === 0) resolve();
        });
      });
      try {
        const tally = (await pool.run({ batch, port: port2 }, { transferList: [port2] as never })) as Tally[];
        await all;
        return tally;
      } finally {
        port1.close();
      }
    },
    close: () => pool.destroy(),
  };
}
