// A piscina worker: submits batches, several at once. Outcomes return through the batch's own port as they
// come, lingering FLUSH_MS, so that a hanging call delays no other outcome; the task ends with its tally
// after the last one.

import { MessageChannel, type MessagePort, parentPort } from "node:worker_threads";
import { workerData } from "piscina";
import type { LaneRecord } from "../core/lane-record.ts";
import { createConnector, type OperatorSpec } from "../operators/connectors/kinds.ts";
import { type SubmitBatch, createDispatch, type Tally } from "./dispatch.ts";
import { monotonicMs } from "./monotonic.ts";
import { metered, type SharedCounts } from "./operator-meter.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";
import { createWorkerPort } from "./worker-port.ts";

export type WorkerData = { operators: readonly OperatorSpec[]; counts: SharedCounts };
export type Task = { batch: SubmitBatch; port: MessagePort };
export type Indexed = [index: number, outcome: Outcome];

const FLUSH_MS = 200;

/** What an operator says about a message whose outcome was already unknown; sent by the worker itself. */
export type Report = { message: LaneRecord; outcome: Outcome };
/** What a connector says about its connections. */
export type Note = { operator: string; level: "info" | "warn" | "error"; text: string };
/** What a worker sends outside of tasks; first of all its port (worker-port.ts). */
export type FromWorker =
  | { kind: "port"; port: MessagePort }
  | { kind: "report"; report: Report }
  | { kind: "note"; note: Note };

const { operators, counts } = workerData as WorkerData;
const toParent = (message: FromWorker, transfer: MessagePort[] = []) =>
  parentPort?.postMessage(message, transfer);
const { port1, port2 } = new MessageChannel();
const store = createWorkerPort(port1, () => Promise.all(connectors.map((connector) => connector.close())));
toParent({ kind: "port", port: port2 }, [port2]);
const connectorOf = (operator: OperatorSpec) =>
  createConnector(
    operator,
    (message, answer) => {
      const outcome = outcomeOf(operator.name, answer, Date.now());
      toParent({ kind: "report", report: { message, outcome } });
    },
    {
      onDeliver: (pdu) => store(operator.name, pdu),
      onNote: (note) => toParent({ kind: "note", note: { operator: operator.name, ...note } }),
    },
  );
const connectors = operators.map((operator, at) => metered(connectorOf(operator), counts, at, monotonicMs));
const dispatch = createDispatch({
  operators,
  connectors,
  monotonicMs,
  wallMs: Date.now,
  random: Math.random,
});

export default async function run({ batch, port }: Task): Promise<Tally[]> {
  let ready: Indexed[] = [];
  const flush = () => {
    if (ready.length > 0) port.postMessage(ready);
    ready = [];
  };
  const timer = setInterval(flush, FLUSH_MS);
  try {
    return await dispatch(batch, (index, outcome) => ready.push([index, outcome]));
  } finally {
    clearInterval(timer);
    flush();
    port.close();
  }
}
