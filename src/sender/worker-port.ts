// The line between a worker and the main thread beside its tasks: brings what operators deliver on their
// connections to the main thread, which stores it, and asks the worker to look up a message, to drain, or to
// close its connections. Leaves storing to the sender, acknowledging and asking to the connectors.
// Invariant: each delivery has one answer: false if nothing stores it, or storing fails.
// Bound: the connectors' own limits on deliveries without an answer; CLOSE_MAX_MS to close.

import type { MessagePort } from "node:worker_threads";
import type { Asked } from "../operators/connectors/connector.ts";
import { within } from "../platform/retry.ts";

/** Resolves to true once what the operator delivered, a raw PDU, is stored. */
export type StoreReport = (operator: string, pdu: Uint8Array) => Promise<boolean>;

type FromWorker =
  | { kind: "delivered"; id: number; operator: string; pdu: Uint8Array }
  /** The answer to "close". */
  | { kind: "closed" };
type ToWorker =
  | { kind: "answer"; id: number; isStored: boolean }
  | { kind: "look-up"; operator: string; asked: Asked }
  | { kind: "drain" }
  | { kind: "close" };
/** Asks one of the worker's operators; nobody if it doesn't have that one. */
export type LookUpAt = (operator: string, asked: Asked) => void;
type Worker = { close(): Promise<unknown>; drain(): void; lookUp: LookUpAt };
/** A worker, as the main thread has it. */
export type WorkerLine = { close(): Promise<void>; drain(): void; lookUp: LookUpAt };

/** Longer than connections take to say goodbye to their operators. */
const CLOSE_MAX_MS = 3_000;

/** The worker's end. */
export function createWorkerPort(port: MessagePort, worker: Worker): StoreReport {
  const waiting = new Map<number, (isStored: boolean) => void>();
  let last = 0;
  const post = (message: FromWorker) => port.postMessage(message);
  const closed = () => post({ kind: "closed" });
  port.on("message", (message: ToWorker) => {
    if (message.kind === "close") return void worker.close().then(closed, closed);
    if (message.kind === "drain") return worker.drain();
    if (message.kind === "look-up") return worker.lookUp(message.operator, message.asked);
    waiting.get(message.id)?.(message.isStored);
    waiting.delete(message.id);
  });
  return (operator, pdu) =>
    new Promise((resolve) => {
      waiting.set(++last, resolve);
      post({ kind: "delivered", id: last, operator, pdu });
    });
}

/** The main thread's end. */
export function serveWorkerPort(port: MessagePort, store: StoreReport | null): WorkerLine {
  const closed = Promise.withResolvers<void>();
  const post = (message: ToWorker) => port.postMessage(message);
  port.on("message", (message: FromWorker) => {
    if (message.kind === "closed") return closed.resolve();
    const answer = (isStored: boolean) => post({ kind: "answer", id: message.id, isStored });
    const stored = store?.(message.operator, message.pdu) ?? Promise.resolve(false);
    stored.then(answer, () => answer(false));
  });
  port.unref();
  return {
    drain: () => post({ kind: "drain" }),
    lookUp: (operator, asked) => post({ kind: "look-up", operator, asked }),
    close() {
      post({ kind: "close" });
      return within(CLOSE_MAX_MS, closed.promise);
    },
  };
}
