// The kinds of connectors: the one place that knows them all. A kind is a file beside this one, with what its
// operators need to be told; here it gets a member of the union and a case.

import type { Connector, OnReport } from "./connector.ts";
import { createHttpConnector, type HttpOperator } from "./http.ts";

export type OperatorSpec = HttpOperator;

export function createConnector(operator: OperatorSpec, onReport: OnReport): Connector {
  switch (operator.kind) {
    case "http":
      return createHttpConnector(operator, onReport);
  }
}
