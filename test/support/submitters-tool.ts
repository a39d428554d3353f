// For tests, which run on Bun: `node --import ./test/support/blockable-threads.ts submitters-tool.ts OPERATOR
// MESSAGE`, both in JSON, gives the message to a sender's worker twice, the second time to one that hangs,
// and prints how each batch ended as a JSON line.

import type { LaneRecord } from "../../src/core/lane-record.ts";
import type { OperatorSpec } from "../../src/operators/connectors/kinds.ts";
import { createMysqlClock } from "../../src/platform/mysql-clock.ts";
import { monotonicMs } from "../../src/sender/monotonic.ts";
import { createSharedCounts } from "../../src/sender/operator-meter.ts";
import { createSubmitters } from "../../src/sender/submitters.ts";
import { blockThreads } from "./blockable-threads.ts";

const [operator = "", message = ""] = process.argv.slice(2);
const spec = JSON.parse(operator) as OperatorSpec;
const file = { operators: [spec], routes: [] };
const submitters = createSubmitters(file, {
  threads: 1,
  counts: new Map([[spec.name, createSharedCounts()]]),
  onNote: () => undefined,
  storeReport: null,
  otpSecret: "",
  clock: createMysqlClock({ now: Date.now, monotonicMs }),
});

async function submit(deadlineMs: number): Promise<void> {
  const outcomes: string[] = [];
  const startedMs = monotonicMs();
  const batch = {
    messages: [JSON.parse(message) as LaneRecord],
    allowance: new Map([[spec.name, 1]]),
    deadlineMs,
  };
  const ended = await submitters
    .submit(batch, (some) => outcomes.push(...some.map(([, outcome]) => outcome.kind)))
    .then(
      (tallies) => ({ tallies: [...tallies.values()] }),
      (error: Error) => ({ error: error.message }),
    );
  console.log(JSON.stringify({ ...ended, outcomes, tookMs: Math.round(monotonicMs() - startedMs) }));
}

await submit(monotonicMs() + 10_000);
await blockThreads();
await submit(monotonicMs() - 60_000); // long over, so that only the grace period is waited for
await submitters.close();
