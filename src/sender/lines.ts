// A worker's operators over changes of the routes file. Invariants: an operator whose terms stay the same
// keeps its line, with its connector, window and rate; another one's connector is closed when its last submit
// has been answered and no late answer can come any more; it is told so before the new ones are made, which
// may need its connections.

import type { Connector } from "../operators/connectors/connector.ts";
import type { OperatorSpec } from "../operators/connectors/kinds.ts";
import { createLine, type Line } from "./dispatch.ts";

type LinesDeps = { connectorOf: (operator: OperatorSpec) => Connector; monotonicMs: () => number };

const CLOSE_POLL_MS = 50;

export type Lines = {
  /** The lines of these operators; gives up the lines of all others. */
  of(operators: readonly OperatorSpec[]): Line[];
  /** Closes all connectors at once. */
  close(): Promise<unknown>;
};

export function createLines({ connectorOf, monotonicMs }: LinesDeps): Lines {
  // By the whole spec, in JSON.
  let present = new Map<string, Line>();
  return {
    of(operators) {
      const wanted = new Map(operators.map((operator) => [JSON.stringify(operator), operator]));
      const gone = [...present].flatMap(([key, line]) => (wanted.has(key) ? [] : [line]));
      for (const { connector } of gone) connector.retire?.();
      const lineOf = ([key, operator]: [string, OperatorSpec]): [string, Line] => [
        key,
        present.get(key) ?? createLine(operator, connectorOf(operator), monotonicMs),
      ];
      const next = new Map([...wanted].map(lineOf));
      for (const line of gone) closeWhenIdle(line, monotonicMs);
      present = next;
      return [...next.values()];
    },
    close: () => Promise.all([...present.values()].map(({ connector }) => connector.close())),
  };
}

function closeWhenIdle(line: Line, monotonicMs: () => number): void {
  const timer = setInterval(() => {
    if (line.underWay > 0 || monotonicMs() < line.lateUntilMs) return;
    clearInterval(timer);
    void line.connector.close();
  }, CLOSE_POLL_MS);
}
