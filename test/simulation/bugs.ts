// Bugs that are planted in a copy of the real source, one at a time, to check that the simulator catches
// each. An edit names text that must occur exactly once, so a code change that moves it is noticed. Owns the
// list; patched.ts makes the copies.

import { ASYNC_BUGS } from "./async-bugs.ts";
import { BATCH_BUGS } from "./batch-bugs.ts";
import { type Bug, bug, unasserted } from "./bug.ts";
import { CAP_BUGS } from "./cap-bugs.ts";
import { ADJUST_BUGS } from "./adjust-bugs.ts";
import { INBOUND_BUGS } from "./inbound-bugs.ts";
import { LANE_BUGS } from "./lane-bugs.ts";
import { OTP_BUGS } from "./otp-bugs.ts";
import { QUIET_BUGS } from "./quiet-bugs.ts";
import { REPORT_BUGS } from "./report-bugs.ts";
import { RETRY_BUGS } from "./retry-bugs.ts";
import { RIDE_BUGS } from "./ride-bugs.ts";
import { SCHEDULE_BUGS } from "./schedule-bugs.ts";
import { WEBHOOK_BUGS } from "./webhook-bugs.ts";

export const BUGS: readonly Bug[] = [
  // ---- the lease machine ----
  bug(
    "lease",
    "a commit doesn't check whether its leases still exist",
    "src/ledger/accept.ts",
    "if (spent.affectedRows !== batch.spends.length) {",
    "if (results.length === 0) {",
  ),
  bug(
    "lease",
    "a dropped lease's credit is kept",
    "src/ingest/lease-table.ts",
    "next.unit = lease.unit;",
    "next.unit = lease.unit;\n      next.granted = lease.available;\n      add(next, lease.available);",
  ),
  bug(
    "lease",
    "the reaper takes the leases of a living process",
    "src/ledger/node.ts",
    '"WHERE expires_at <= NOW(3) ORDER BY node_id"',
    '"ORDER BY node_id"',
    {
      file: "src/ledger/node.ts",
      find: "if (node?.dead !== 1) return false;",
      replace: "",
    },
  ),
  bug(
    "lease",
    "a 402 forgets what other processes hold",
    "src/ledger/grant.ts",
    "} else elsewhere += lease.unspent;",
    "} else elsewhere += 0;",
  ),
  bug(
    "lease",
    "a 402 forgets what is being committed from its own lease",
    "src/ledger/grant.ts",
    "own += lease.unspent;",
    "own += 0;",
  ),
  bug(
    "lease",
    "a lease that left keeps its row, and the credit in it",
    "src/ingest/lease-table.ts",
    "if (lease.held || lease.doubtful || lease.refilling) leaving.add(lease);",
    "",
  ),
  bug(
    "lease",
    "a process whose lifetime was over keeps what it held",
    "src/ingest/heartbeat.ts",
    "onExpired();\n",
    "\n",
  ),
  bug(
    "lease",
    "the reaper deletes a process but not its leases",
    "src/ledger/node.ts",
    "if (node.holds === 1) await reapNode(deps, node.node_id, signal);\n        else if (node.old === 1)",
    "if (node.holds + node.old > 0)",
    {
      file: "src/ledger/node.ts",
      find: "WHERE node_id='${nodeId}' AND ${IS_OLD}",
      replace: "WHERE node_id='${nodeId}'",
    },
  ),
  bug(
    "lease",
    "a process takes credit before it is registered",
    "src/ingest/lease-refill.ts",
    "if (!heartbeat.isAlive()) await heartbeat.renew();",
    "",
    {
      file: "src/ledger/lease.ts",
      find: "if (alive.length === 0) throw new NodeExpiredError(`node ${nodeId} is not alive`);",
      replace: "",
    },
  ),
  bug(
    "lease",
    "what a grant brought is forgotten when its answer was lost",
    "src/ingest/lease-table.ts",
    "const more = granted + (lease.held ? 0 : before);",
    "const more = granted;",
  ),
  bug(
    "lease",
    "what a lease held before a grant is counted twice",
    "src/ingest/lease-table.ts",
    "const more = granted + (lease.held ? 0 : before);",
    "const more = granted + before;",
  ),
  bug(
    "lease",
    "a lease continues after a grant whose answer was lost",
    "src/ingest/lease-refill.ts",
    "if (lease.held) drop(lease);\n    else table.doubt(lease);",
    "table.doubt(lease);",
  ),
  bug(
    "lease",
    "recalled credit is not given back",
    "src/ingest/lease-upkeep.ts",
    "return lease?.epoch === epoch && !lease.refilling ? [lease] : [];",
    "return lease?.epoch === epoch && lease.low < 0 ? [lease] : [];",
  ),
  // ---- ledger postings ----
  bug(
    "ledger",
    "a refund leaves reserved but reaches no balance",
    "src/core/ledger.ts",
    "change.balance += balance * amount;",
    'change.balance += op === "refund" ? 0 : balance * amount;',
  ),
  bug(
    "ledger",
    "a capture has no entry",
    "src/ledger/settle-plan.ts",
    "plan.wallets = walletChanges(plan.entries);",
    "plan.wallets = walletChanges(plan.entries);\n" +
      '  plan.entries = plan.entries.filter((e) => e.op === "refund");',
  ),
  bug(
    "ledger",
    "what is released has no entry",
    "src/ledger/lease-rows.ts",
    "const sql = `${walletsSql(walletChanges(entries))};${entriesSql(entries)};${eventsSql([], entries)}`;",
    "const sql = `${walletsSql(walletChanges(entries))};${eventsSql([], entries)}`;",
  ),
  bug(
    "ledger",
    "a release takes from the wallet instead of giving credit back",
    "src/core/ledger.ts",
    'release: { leg: "open", from: "lease", to: "balance" },',
    'release: { leg: "open", from: "balance", to: "lease" },',
  ),
  bug(
    "ledger",
    "a repeated top-up is paid in again",
    "src/ledger/topup.ts",
    `if (isError(error, "duplicate")) return false;`,
    `if (isError(error, "duplicate")) return true;`,
  ),
  bug(
    "ledger",
    "the events of a settlement leave out its entries",
    "src/ledger/settle.ts",
    "statements.push(eventsSql(plan.statuses, plan.entries));",
    "statements.push(eventsSql(plan.statuses, []));",
  ),
  // ---- the state machine of messages ----
  bug(
    "message",
    "a claim doesn't compare attempts",
    "src/ledger/move.ts",
    "`WHERE id IN ('${ids.join(\"','\")}') AND status='${from}' AND attempt=${attempt}`;",
    "`WHERE id IN ('${ids.join(\"','\")}') AND status='${from}'`;",
  ),
  bug(
    "message",
    "an expired claim's messages are sent again",
    "src/ledger/settle-plan.ts",
    'changeTo("unknown", record, "sending"',
    'changeTo("queued", record, "sending"',
  ),
  bug(
    "message",
    "a message whose answer was lost is tried at the next operator",
    "src/sender/dispatch.ts",
    'if (outcome.kind === "refused" || isAgain) {',
    'if (outcome.kind !== "accepted") {',
  ),
  bug(
    "message",
    "a late outcome overrules whatever the message became",
    "src/ledger/settle-plan.ts",
    'const news = row.status === "unknown" ? afterUnknown(change) : null;\n' +
      "    return news === null ? [] : [news];",
    "const news = afterUnknown(change);\n    return news === null ? [] : [{ ...news, from: row.status }];",
    unasserted,
  ),
  bug(
    "message",
    "a retry keeps its attempt",
    "src/core/message.ts",
    'return to === "queued" && from !== null && MACHINE[from].requeues ? attempt + 1 : attempt;',
    'return to === "queued" && from === "queued" ? attempt + 1 : attempt;',
  ),
  bug(
    "message",
    "a message is requeued under its current attempt",
    "src/core/message.ts",
    'return to === "queued" && from !== null && MACHINE[from].requeues ? attempt + 1 : attempt;',
    'return to === "queued" && from === "sending" ? attempt + 1 : attempt;',
  ),
  bug(
    "message",
    "a settlement doesn't check the status",
    "src/ledger/move.ts",
    "AND status='${from}' AND attempt=${attempt}`;",
    "AND (status='${from}' OR status<>'queued') AND attempt=${attempt}`;",
  ),
  bug(
    "message",
    "late express is captured",
    "src/core/message.ts",
    "return settlementOf(to, late);",
    "return settlementOf(to);",
  ),
  bug(
    "message",
    "express that was taken in time is noted as late",
    "src/ledger/move.ts",
    "record.guaranteedByMs === null || takenAtMs === null ? null : dateTime(takenAtMs);",
    "record.guaranteedByMs === null || takenAtMs === null ? null : dateTime(record.guaranteedByMs + 1);",
  ),
  bug(
    "message",
    "a message whose answer is lost is refunded at once",
    "src/core/message.ts",
    '{ when: "it was submitted, but the answer was lost", to: ["unknown"], charge: null },',
    '{ when: "it was submitted, but the answer was lost", to: ["unknown"], charge: "refund" },',
  ),
  bug(
    "message",
    "sent has the same number as unknown, so that a late outcome's event collides with it",
    "src/core/message.ts",
    "return SEQUENCES_AN_ATTEMPT * attempt + MACHINE[status].rank;",
    'return SEQUENCES_AN_ATTEMPT * attempt + MACHINE[status === "sent" ? "unknown" : status].rank;',
  ),
  bug(
    "message",
    "a late answer overrules the time limit of an unknown message",
    "src/ledger/settle-plan.ts",
    'const change = row.status === "unknown" ? afterUnknown(report) : null;',
    'const change = row.status === "sending" ? null : { ...report, from: row.status };',
    unasserted,
  ),
  bug(
    "message",
    "a late answer requeues a message that is unknown",
    "src/ledger/settle-plan.ts",
    'const change = row.status === "unknown" ? afterUnknown(report) : null;',
    'const change = row.status === "unknown" ? { ...report, from: row.status } : null;',
    unasserted,
  ),
  bug(
    "message",
    "offsets pass a batch before it is settled",
    "src/sender/batches.ts",
    "await runBatch(deps, request, progress);\n      settled();",
    "settled();\n      await runBatch(deps, request, progress);",
  ),
  bug(
    "message",
    "the relay deletes rows whose records failed",
    "src/relay/relay.ts",
    's.decoded.kind !== "undecodable" && s.failures.length === 0);',
    's.decoded.kind !== "undecodable");',
  ),
  // ---- idempotency ----
  bug(
    "idempotency",
    "a key is stored before its message, in a transaction of its own",
    "src/ledger/accept.ts",
    "`${before};${acceptSql(batch, heldLinkOf)}`",
    '`${batch.keys.length === 0 ? "" : `${claimKeysSql(batch.keys)};`}${before};' +
      "${acceptSql({ ...batch, keys: [] }, heldLinkOf)}`",
  ),
  bug(
    "idempotency",
    "the body is not compared",
    "src/ingest/idempotency.ts",
    'if (!stored.hash.equals(key.hash)) throw new SluiceError("idempotency_key_reused");',
    "",
  ),
  bug(
    "idempotency",
    "a key stays taken after its request failed",
    "src/ingest/idempotency.ts",
    "} finally {\n        underWay.delete(name);\n      }",
    "} finally {\n        counts.replayed_total += 0;\n      }",
  ),
  bug(
    "idempotency",
    "customers share keys",
    "src/ingest/idempotency.ts",
    "const name = `${customerId} ${operation} ${key.key}`;",
    "const name = `${operation} ${key.key}`;",
  ),
  bug(
    "idempotency",
    "the owner of a key is not checked",
    "src/ledger/idempotency.ts",
    "return claims.map((c) => c.owner).filter((owner) => !owners.has(owner));",
    "return claims.map((c) => c.owner).filter((owner) => owners.size > claims.length && !owners.has(owner));",
  ),
  // ---- callers that leave ----
  bug(
    "commit",
    "a message is stored although its caller left before",
    "src/ingest/commit-items.ts",
    "        items = withoutGone(items);\n",
    "",
  ),
  bug(
    "commit",
    "the credit of a message whose caller left is not given back",
    "src/ingest/commit-items.ts",
    "giveBack(out);\n    answer([...out], new CallerGoneError());",
    "answer([...out], new CallerGoneError());",
  ),
  bug(
    "lease",
    "a caller who leaves while waiting for credit takes it along",
    "src/ingest/lease-refill.ts",
    "const { cost } = waiter;\n      if (waiter.isGone()) waiter.reject(new CallerGoneError());",
    "const { cost } = waiter;\n" +
      "if (waiter.isGone()) (table.take(lease, cost, nowMs), waiter.reject(new CallerGoneError()));",
  ),
  bug(
    "idempotency",
    "the key of a caller who left stays taken",
    "src/ingest/commit-items.ts",
    "answer([...out], new CallerGoneError());",
    "for (const { record } of out) leave(record.customerId);",
  ),
  bug(
    "ledger",
    "a top-up is paid in although its caller left before",
    "src/ledger/topup.ts",
    "if (isGone()) return null;",
    "",
  ),
  // ---- a commit in doubt ----
  bug(
    "commit",
    "a commit in doubt counts as failed",
    "src/ingest/commit-items.ts",
    "inDoubt = true;\n          counts",
    "counts",
  ),
  bug(
    "commit",
    "a commit in doubt counts as stored",
    "src/ingest/commit-items.ts",
    "if (inDoubt && batch !== null && (await store.isStored(batch))) break;",
    "if (inDoubt) break;",
  ),
  bug(
    "commit",
    "a commit in doubt is looked up without a lock",
    "src/ledger/accept.ts",
    "`SELECT id FROM messages WHERE id='${id}' FOR UPDATE`",
    "`SELECT id FROM messages WHERE id='${id}'`",
  ),
  ...[REPORT_BUGS, RETRY_BUGS, WEBHOOK_BUGS, LANE_BUGS, BATCH_BUGS, CAP_BUGS].flat(),
  ...[SCHEDULE_BUGS, INBOUND_BUGS, OTP_BUGS, QUIET_BUGS, ADJUST_BUGS, ASYNC_BUGS, RIDE_BUGS].flat(),
];
