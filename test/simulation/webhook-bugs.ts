// Planted bugs in what customers are told of, and in how it gets to them; bugs.ts has the list of all.

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
    "plan.queued.push({ record: { ...record, attempt }, inMs: change.retryInMs ?? 0 });",
    "plan.queued.push({ record: { ...record, attempt, callback: undefined }, inMs: 0 });",
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
  // ---- deliveries ----
  bug(
    "webhook",
    "a delivery counts as delivered once it is called",
    "src/webhook/deliver.ts",
    "outcomes.push(outcomeOf(delivery, answer, delivery.leftMs - ageMs(), deps.timers.random));",
    'outcomes.push({ eventId: delivery.eventId, state: "delivered", code: 200, error: null, delayMs: 0 });',
  ),
  bug(
    "webhook",
    "a call without an answer counts as acknowledged",
    "src/webhook/outcome.ts",
    'if (result === "acknowledged") return { ...of',
    'if (result === "acknowledged" || result === "timed_out") return { ...of',
  ),
  bug(
    "webhook",
    "an event that is called again has a new id",
    "src/webhook/deliver.ts",
    "signedHeaders(by.secrets, delivery, deps.now()),",
    "signedHeaders(by.secrets, delivery.attempts === 0 ? delivery : { ...delivery, eventId: deps.id() }, 0),",
  ),
  bug(
    "webhook",
    "a message's own URL is forgotten",
    "src/webhook/deliver.ts",
    "const url = delivery.url ?? by?.url ?? null;",
    "const url = by?.url ?? null;",
  ),
  bug(
    "webhook",
    "what is refused a second time is given up",
    "src/webhook/outcome.ts",
    'if (result === "gone" || leftMs <= 0) return',
    'if (result === "gone" || delivery.attempts > 0) return',
  ),
  bug(
    "webhook",
    "events taken are deleted although their deliveries were rolled back",
    "src/ledger/webhook-deliveries.ts",
    "await storeDeliveries(conn, deliveries);",
    "if (rows.length > 0)\n" +
      "await conn.query(`DELETE FROM webhook_events WHERE id IN (${rows.map(({ id }) => id)});" +
      "COMMIT;BEGIN`);\n" +
      "await storeDeliveries(conn, deliveries);",
  ),
  bug(
    "webhook",
    "what came while its endpoint was worked on is forgotten",
    "src/ledger/webhook-endpoints.ts",
    "quote(endpoint)} AND run_at IS NOT NULL ",
    "quote(endpoint)} AND run_at > NOW(3) ",
  ),
  bug(
    "webhook",
    "an endpoint is taken although another process works on it",
    "src/ledger/webhook-endpoints.ts",
    "AND run_at<=NOW(3) ${others}",
    "AND run_at IS NOT NULL ${others}",
  ),
  bug(
    "webhook",
    "a process that slept ends the lease of another",
    "src/ledger/webhook-endpoints.ts",
    "one.endpoint === row.endpoint && one.lease === row.lease,",
    "one.endpoint === row.endpoint,",
  ),
  bug(
    "webhook",
    "an endpoint is paused after a few hours",
    "src/ledger/webhook-endpoints.ts",
    "Number(row.failing_ms ?? 0) >= WEBHOOK_RETRY_MS;",
    "Number(row.failing_ms ?? 0) >= WEBHOOK_RETRY_MS / 4;",
  ),
  bug(
    "webhook",
    "a pause is told after its commit",
    "src/webhook/settle.ts",
    'await tellPauses(conn, stopped);\n    await conn.query("COMMIT");',
    'await conn.query("COMMIT");\n    await tellPauses(conn, stopped);',
  ),
  bug(
    "webhook",
    "a pause is told to the endpoint that stopped",
    "src/ledger/webhook-pauses.ts",
    "const urls = isReached(wish) ? [null] : (origins.get(one.customerId) ?? []);",
    "const urls = isReached(wish) ? [one.url] : (origins.get(one.customerId) ?? []);",
  ),
  bug(
    "webhook",
    "a replay leaves its endpoint paused",
    "src/ledger/webhook-replay.ts",
    "{ resume: true },",
    "{ resume: false },",
  ),
  bug(
    "webhook",
    "the outcome of a call ends what was replayed since",
    "src/ledger/webhook-deliveries.ts",
    ' AND give_up_at=${byKey("event_id", readWith, "NULL")}`',
    "`",
  ),
];
