// Planted bugs in what customers are told of; bugs.ts has the list of all.

import { type Bug, bug } from "./bug.ts";

export const WEBHOOK_BUGS: readonly Bug[] = [
  bug(
    "webhook",
    "an accepted message is not told",
    "src/ledger/accept.ts",
    "if (r.callback !== undefined) told.push(",
    "if (r.callback === undefined) told.push(",
  ),
  bug(
    "webhook",
    "a message read from its row has forgotten what its customer wants",
    "src/ledger/settle.ts",
    "callback: { statuses: callback_statuses, url: callback_url }",
    "callback: { statuses: 0, url: callback_url }",
  ),
  bug(
    "webhook",
    "a message's next attempt is not told",
    "src/ledger/settle-plan.ts",
    "plan.requeued.push({ record: { ...record, attempt }, inMs: change.retryInMs ?? 0 });",
    "plan.requeued.push({ record: { ...record, attempt, callback: undefined }, inMs: 0 });",
  ),
  bug(
    "webhook",
    "a settlement tells its changes twice",
    "src/ledger/settle.ts",
    "if (told !== null) statements.push(told);",
    "if (told !== null) statements.push(told, told);",
  ),
  bug(
    "webhook",
    "a customer is told what it didn't ask for",
    "src/ledger/webhook-events.ts",
    "if (callback === undefined || !wants(callback.statuses, row.status)) return [];",
    "if (callback === undefined) return [];",
  ),
  bug(
    "webhook",
    "an event has the sequence of the change before",
    "src/ledger/webhook-events.ts",
    "sequence: row.sequence,",
    "sequence: row.sequence - 1,",
  ),
];
