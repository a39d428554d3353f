// A sender's submitters in a simulated run: what src/sender/worker.ts does, but inside the process.

import type { OperatorSpec } from "../../src/operators/connectors/kinds.ts";
import { createRouter } from "../../src/operators/route.ts";
import { createDispatch } from "../../src/sender/dispatch.ts";
import { createLines } from "../../src/sender/lines.ts";
import { monotonicMs } from "../../src/sender/monotonic.ts";
import { type Outcome, outcomeOf, withReported } from "../../src/sender/outcome.ts";
import { createCodeOf, reportWithoutCode } from "../../src/sender/sealed-codes.ts";
import type { Submitters } from "../../src/sender/submitters.ts";
import type { Indexed, Report } from "../../src/sender/worker.ts";
import type { Process } from "./kernel.ts";
import type { OnReportOf } from "./operators.ts";
import { OTP_SECRET } from "./otps.ts";
import { REPORT_TERMS } from "./reporting.ts";
import type { World } from "./roles.ts";

const FLUSH_MS = 200;
const codeOf = createCodeOf(OTP_SECRET);

const keyed = (outcome: Outcome): Outcome => withReported(outcome, (operator) => REPORT_TERMS[operator]);

/** Outcomes come back in groups, all of them before the tallies. */
export function submittersOf({ kernel, operators, onSubmit }: World, of: Process): Submitters {
  let take: (report: Report) => void = () => undefined;
  const dispatch = createDispatch({ monotonicMs, wallMs: Date.now, random: kernel.random.next, codeOf });
  const onReport: OnReportOf = (operator, given, said) => {
    const { message, answer } = reportWithoutCode(codeOf, given, said);
    take({ message, outcome: keyed(outcomeOf(operator, answer, Date.now())) });
  };
  const lines = createLines({
    connectorOf({ name }) {
      const connector = operators.connectorOf(of, name, onReport);
      return {
        ...connector,
        submit(message, done, leftMs) {
          onSubmit(message);
          connector.submit(message, done, leftMs);
        },
      };
    },
    monotonicMs,
  });
  const use = (specs: readonly OperatorSpec[]) => dispatch.use(lines.of(specs), createRouter(specs, []));
  use(operators.specs as OperatorSpec[]);
  return {
    async submit(batch, onOutcomes) {
      let ready: Indexed[] = [];
      const flush = () => {
        if (ready.length > 0) onOutcomes(ready);
        ready = [];
      };
      const timer = setInterval(flush, FLUSH_MS);
      try {
        return await dispatch.submit(batch, (index, outcome) => ready.push([index, keyed(outcome)]));
      } finally {
        clearInterval(timer);
        flush();
      }
    },
    use: (file) => use(file.operators),
    onReport: (taker) => void (take = taker),
    lookUp: () => undefined,
    drain: () => dispatch.drain(),
    close: () => Promise.resolve(),
  };
}
