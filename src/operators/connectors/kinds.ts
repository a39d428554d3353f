// The kinds of connectors, known only here. Each is a file beside this one that also declares the settings of
// its operators; here it has a member of the union and a case.

import type { Connector, OnReport, OperatorLink } from "./connector.ts";
import { createHttpConnector, type HttpOperator } from "./http.ts";
import { createSmppConnector, type SmppOperator } from "./smpp.ts";

export type OperatorSpec = HttpOperator | SmppOperator;

export function createConnector(operator: OperatorSpec, onReport: OnReport, link: OperatorLink): Connector {
  switch (operator.kind) {
    case "http":
      return createHttpConnector(operator, onReport);
    case "smpp":
      return createSmppConnector(operator, onReport, link);
  }
}
