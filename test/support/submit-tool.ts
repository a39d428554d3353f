// For tests, which run on Bun, whose undici is a different one: `node submit-tool.ts OPERATOR MESSAGE`, both
// in JSON, submits the message to the operator and prints each thing its connector reports as a line.

import type { LaneRecord } from "../../src/core/lane-record.ts";
import type { Answer } from "../../src/operators/connectors/connector.ts";
import { createConnector, type OperatorSpec } from "../../src/operators/connectors/kinds.ts";

const [operator = "", message = ""] = process.argv.slice(2);
const link = {
  onDeliver: () => Promise.resolve(false),
  onBinds: () => undefined,
  now: Date.now,
  onUnexpected: () => undefined,
  onNote: () => undefined,
};
const onReport = (_: LaneRecord, answer: unknown) => {
  console.log(JSON.stringify({ report: answer }));
  void connector.close();
};
const connector = createConnector(JSON.parse(operator) as OperatorSpec, onReport, link);
const done = (answer: Answer) => {
  console.log(JSON.stringify(answer));
  // After "no answer in time" a report may still come.
  if (answer.kind !== "lost" || answer.reason !== "no answer in time") void connector.close();
};
connector.submit(JSON.parse(message) as LaneRecord, done, 0);
