// A piscina worker: submits batches, several at once. Outcomes return through the batch's own port as they
// come, lingering FLUSH_MS, so that a hanging call delays no other outcome; the task ends with its tally
// after the last one.

import { type MessagePort, parentPort } from "node:worker_threads";
import { workerData } from "piscina";
import type { LaneRecord } from "../core/lane-record.ts";
import { createConnector, type OperatorSpec } from "../operators/connectors/kinds.ts";
import { type SubmitBatch, createDispatch, type Tally } from "./dispatch.ts";
import { monotonicMs } from "./monotonic.ts";
import { metered, type SharedCounts } from "./operator-meter.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";

export type WorkerData = { operators: readonly OperatorSpec[]; counts: SharedCounts };
export type Task = { batch: SubmitBatch; port: MessagePort };
export type Indexed = [index: number, outcome: Outcome];

const FLUSH_MS = 200;

/** What an operator says about a message whose outcome was already unknown; sent by the worker itself. */
export type Report = { message: LaneRecord; outcome: Outcome };

const { operators, counts } = workerData as WorkerData;
const connectorOf = (operator: OperatorSpec) =>
  createConnector(operator, (message, answer) => {
    const outcome = outcomeOf(operator.name, answer, Date.now());
    parentPort?.postMessage({ message, outcome } satisfies Report);
  });
const dispatch = createDispatch({
  operators,
  connectors: operators.map((operator, at) => metered(connectorOf(operator), counts, at, monotonicMs)),
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
