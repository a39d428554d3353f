// Planted bugs in when a message is tried again, and until when; bugs.ts has the list of all.

import { type Bug, bug } from "./bug.ts";

export const RETRY_BUGS: readonly Bug[] = [
  bug(
    "retry",
    "a message that is refused for now a second time fails",
    "src/sender/outcome.ts",
    "if (permanent || record.attempt + 1 >= MESSAGE_ATTEMPTS_MAX) return",
    "if (permanent || record.attempt > 0) return",
  ),
  bug(
    "retry",
    "a message that is refused for now expires, whatever its time",
    "src/sender/outcome.ts",
    "const inMs = retryInMs(record, nowMs, jitter);",
    "const inMs = record.attempt > 0 ? null : retryInMs(record, nowMs, jitter);",
  ),
  bug(
    "retry",
    "a message is sent although its time is over",
    "src/sender/dispatch.ts",
    "if (deps.wallMs() >= validUntilOf(message)) return expire(job);",
    "",
    // Those lost on their way would expire as well.
    {
      file: "src/ledger/requeue.ts",
      find: 'if (nowMs >= validUntilOf(record)) return "expired";',
      replace: "",
    },
  ),
  bug(
    "retry",
    "a message that was requeued forgets how long it is valid",
    "src/ledger/settle-plan.ts",
    'if (to === "queued") plan.queued.push({ record: { ...record, attempt }, inMs: change.retryInMs ?? 0 });',
    "const again = { ...record, attempt, validUntilMs: null };\n" +
      '    if (to === "queued") plan.queued.push({ record: again, inMs: change.retryInMs ?? 0 });',
  ),
  bug(
    "retry",
    "express is sent again when its answer is lost, whether its customer wants that or not",
    "src/sender/dispatch.ts",
    "message.mayResend === true && lost === null",
    'message.lane === "express" && lost === null',
  ),
  bug(
    "retry",
    "a message that expired stays reserved",
    "src/core/message.ts",
    'to: ["failed", "rejected", "expired", "canceled"],\n    charge: "refund",',
    'to: ["failed", "rejected", "canceled"],\n    charge: "refund",',
    {
      file: "src/core/message.ts",
      find: 'to: ["scheduled", "queued", "sending"], charge: null },',
      replace: 'to: ["scheduled", "queued", "sending", "expired"], charge: null },',
    },
  ),
];
