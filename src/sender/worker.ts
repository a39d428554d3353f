// A piscina worker: submits batches, several at once. Outcomes return through the batch's own port as they
// come, lingering FLUSH_MS, so that a hanging call delays no other outcome; the task ends with its tallies
// after the last one. Each task brings the operators of its time, so that a worker that was just started, or
// idle when they changed, has them too.

import { MessageChannel, type MessagePort, parentPort } from "node:worker_threads";
import { workerData } from "piscina";
import type { LaneRecord } from "../core/lane-record.ts";
import { createOtpSecret } from "../core/otp-secret.ts";
import type { Connector } from "../operators/connectors/connector.ts";
import { createConnector, type OperatorSpec } from "../operators/connectors/kinds.ts";
import { createRouter } from "../operators/route.ts";
import type { RoutesFile } from "../operators/routes-file.ts";
import { createMysqlClock, type MysqlClock } from "../platform/mysql-clock.ts";
import { type SubmitBatch, createDispatch, type Tallies } from "./dispatch.ts";
import { createLines } from "./lines.ts";
import { monotonicMs } from "./monotonic.ts";
import { countBinds, countUnexpected, metered, type SharedCounts } from "./operator-meter.ts";
import type { ReportTerms } from "../operators/reports/report.ts";
import { reportTermsOf } from "../operators/reports/settings.ts";
import { type Outcome, outcomeOf, withReported } from "./outcome.ts";
import { createCodeOf, reportWithoutCode } from "./sealed-codes.ts";
import { createWorkerPort } from "./worker-port.ts";

/** The routes file as workers get it: packed, so that a task costs nothing when it has not changed. */
export type PackedRoutes = {
  /** Grows with each change. */
  version: number;
  /** RoutesFile in JSON. */
  bytes: SharedArrayBuffer;
  counts: ReadonlyMap<string, SharedCounts>;
};
/** `otpSecret`: as in the settings; `clock`: what the main thread knows of MySQL's. */
export type WorkerData = { routes: PackedRoutes; otpSecret: string; clock: MysqlClock["shared"] };
export type Task = { batch: SubmitBatch; port: MessagePort; routes: PackedRoutes };
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

const toParent = (message: FromWorker, transfer: MessagePort[] = []) =>
  parentPort?.postMessage(message, transfer);
const { port1, port2 } = new MessageChannel();
const store = createWorkerPort(port1, {
  close: () => lines.close(),
  drain: () => dispatch.drain(),
  lookUp: (operator, asked) => connectors.get(operator)?.lookUp?.(asked),
});
toParent({ kind: "port", port: port2 }, [port2]);
const { otpSecret, clock } = workerData as WorkerData;
const codeOf = createCodeOf(createOtpSecret(otpSecret));
const { now } = createMysqlClock({ now: Date.now, monotonicMs }, clock);
const connectorOf = (operator: OperatorSpec) => {
  const { name } = operator;
  const connector = createConnector(
    operator,
    (message, answer) => {
      const said = reportWithoutCode(codeOf, message, answer);
      const outcome = keyed(outcomeOf(name, said.answer, now()));
      toParent({ kind: "report", report: { message: said.message, outcome } });
    },
    {
      now,
      onDeliver: (pdu) => store(name, pdu),
      onBinds: countBinds(counts.get(name) as SharedCounts),
      onUnexpected: countUnexpected(counts.get(name) as SharedCounts),
      onNote: (note) => toParent({ kind: "note", note: { operator: name, ...note } }),
    },
  );
  return metered(connector, counts.get(name) as SharedCounts, monotonicMs);
};
const dispatch = createDispatch({ monotonicMs, wallMs: now, random: Math.random, codeOf });
const lines = createLines({ connectorOf, monotonicMs });
let version = 0;
let connectors: ReadonlyMap<string, Connector> = new Map();
let counts: PackedRoutes["counts"];
/** How each operator's reports find their messages. */
let terms: ReadonlyMap<string, ReportTerms | null>;
const keyed = (outcome: Outcome) => withReported(outcome, (operator) => terms.get(operator));
use((workerData as WorkerData).routes);

function use(routes: PackedRoutes): void {
  if (routes.version <= version) return;
  ({ version, counts } = routes);
  const text = new TextDecoder().decode(new Uint8Array(routes.bytes).slice());
  const file = JSON.parse(text) as RoutesFile;
  terms = new Map(file.operators.map((operator) => [operator.name, reportTermsOf(operator)]));
  const present = lines.of(file.operators);
  connectors = new Map(present.map(({ name, connector }) => [name, connector]));
  dispatch.use(present, createRouter(file.operators, file.routes));
}

export default async function run({ batch, port, routes }: Task): Promise<Tallies> {
  use(routes);
  let ready: Indexed[] = [];
  const flush = () => {
    if (ready.length > 0) port.postMessage(ready);
    ready = [];
  };
  const timer = setInterval(flush, FLUSH_MS);
  try {
    return await dispatch.submit(batch, (index, outcome) => ready.push([index, keyed(outcome)]));
  } finally {
    clearInterval(timer);
    flush();
    port.close();
  }
}
