// The pool of workers that submit. Owns piscina and the ports through which outcomes return; leaves their
// meaning to sender.ts.
// Bound: SENDER_BATCHES_MAX batches at once in each worker, TASKS_WAITING_MAX tasks more.

import { MessageChannel } from "node:worker_threads";
import { Piscina } from "piscina";
import { SENDER_BATCHES_MAX, SUBMIT_TIMEOUT_MS } from "../core/limits.ts";
import { createOtpSecret } from "../core/otp-secret.ts";
import type { RoutesFile } from "../operators/routes-file.ts";
import type { SubmitBatch, Tallies } from "./dispatch.ts";
import type { MysqlClock } from "../platform/mysql-clock.ts";
import { watched } from "../platform/retry.ts";
import { monotonicMs } from "./monotonic.ts";
import type { SharedCounts } from "./operator-meter.ts";
import { type LookUpAt, serveWorkerPort, type StoreReport, type WorkerLine } from "./worker-port.ts";
import type { FromWorker, Indexed, Note, PackedRoutes, Report, Task, WorkerData } from "./worker.ts";

export type Submitters = {
  /**
   * Calls `onOutcomes` with every message's outcome once, some at a time; resolves to the tallies after the
   * last. Rejects when a worker doesn't answer: then this process can't continue, and the claim's expiry ends
   * what it held.
   */
  submit(batch: SubmitBatch, onOutcomes: (outcomes: Indexed[]) => void): Promise<Tallies>;
  /**
   * From now on these are the operators. Batches under way go on with them; nothing is lost or waits for it.
   */
  use(file: RoutesFile, counts: ReadonlyMap<string, SharedCounts>): void;
  /** From now on calls `take` with what operators say outside of any batch. */
  onReport(take: (report: Report) => void): void;
  /** Asks an operator about a message; what it says is stored like its reports. */
  lookUp: LookUpAt;
  /** The sender stops: soon no submit starts any more (dispatch.ts). */
  drain(): void;
  close(): Promise<void>;
};

export type SubmittersOptions = {
  threads: number;
  /** By operator. */
  counts: ReadonlyMap<string, SharedCounts>;
  /** What connectors say about their connections, for the log. */
  onNote: (note: Note) => void;
  /** Stores what operators deliver on connections. Null: they are asked to try later. */
  storeReport: StoreReport | null;
  /** As in the settings: opens the codes of messages that have one. */
  otpSecret: string;
  /** MySQL's, by which promises are kept; on the clock of monotonic.ts. */
  clock: Pick<MysqlClock, "shared">;
};

/** After a batch's deadline: the time-outs of a last submit, with room for a busy machine. */
const ANSWERS_MAX_MS = 2 * SUBMIT_TIMEOUT_MS + 10_000;
const TASKS_WAITING_MAX = 32;

export function createSubmitters(
  file: RoutesFile,
  { threads, counts, onNote, storeReport, otpSecret, clock }: SubmittersOptions,
): Submitters {
  createOtpSecret(otpSecret); // a bad one is told here, not by a worker
  // A worker that replaces a dead one starts with what this object has then.
  const data: WorkerData = { routes: packed(file, 1, counts), otpSecret, clock: clock.shared };
  const pool = new Piscina({
    filename: new URL("./worker.ts", import.meta.url).href,
    workerData: data,
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker: SENDER_BATCHES_MAX,
    maxQueue: TASKS_WAITING_MAX,
    idleTimeout: Number.POSITIVE_INFINITY,
    // Waiting on Atomics would stop an idle worker's event loop: it would not notice closing connections, and
    // would lose messages on them.
    atomics: "disabled",
    recordTiming: false,
  });
  const workers: WorkerLine[] = [];
  let isDraining = false;
  pool.on("message", (message: FromWorker) => {
    if (message.kind === "note") onNote(message.note);
    if (message.kind !== "port") return;
    const worker = serveWorkerPort(message.port, storeReport);
    workers.push(worker);
    // It was still starting when the sender was stopped.
    if (isDraining) worker.drain();
  });
  const submitters: Submitters = {
    async submit(batch, onOutcomes) {
      const { port1, port2 } = new MessageChannel();
      let left = batch.messages.length;
      const all = new Promise<void>((resolve) => {
        port1.on("message", (outcomes: Indexed[]) => {
          left -= outcomes.length;
          onOutcomes(outcomes);
          if (left === 0) resolve();
        });
        if (left === 0) resolve();
      });
      const done = async () => {
        const task: Task = { batch, port: port2, routes: data.routes };
        const tallies = (await pool.run(task, { transferList: [port2] as never })) as Tallies;
        await all;
        return tallies;
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
    use(next, nextCounts) {
      data.routes = packed(next, data.routes.version + 1, nextCounts);
      // Brings them to a worker without waiting for the next messages. If it fails, the next batch will too.
      const nothing: SubmitBatch = { messages: [], allowance: new Map(), deadlineMs: monotonicMs() };
      submitters.submit(nothing, () => undefined).catch(() => undefined);
    },
    onReport(take) {
      pool.on("message", (message: FromWorker) => {
        if (message.kind === "report") take(message.report);
      });
    },
    // Every worker has connections of its own to all operators; the last one is alive.
    lookUp: (operator, asked) => workers.at(-1)?.lookUp(operator, asked),
    drain() {
      isDraining = true;
      for (const worker of workers) worker.drain();
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.close()));
      await pool.destroy();
    },
  };
  return submitters;
}

function packed(file: RoutesFile, version: number, counts: ReadonlyMap<string, SharedCounts>): PackedRoutes {
  const text = new TextEncoder().encode(JSON.stringify(file));
  const bytes = new SharedArrayBuffer(text.length);
  new Uint8Array(bytes).set(text);
  return { version, bytes, counts };
}
