// Bugs planted in a copy of the real source, one at a time, to see that the simulator catches each. A patch
// names the only place where its text stands, so a change of the code that moves it is noticed. Owns the
// list; patched.ts makes the copies.

export type Edit = { file: string; find: string; replace: string };
export type Bug = {
  name: string;
  area: "lease" | "ledger" | "message" | "idempotency" | "commit";
  edits: readonly Edit[];
};

const bug = (
  area: Bug["area"],
  name: string,
  file: string,
  find: string,
  replace: string,
  ...more: Edit[]
): Bug => ({ area, name, edits: [{ file, find, replace }, ...more] });

// Bugs that the code's own assertions would stop before the model sees them are planted without those.
const unasserted: Edit = {
  file: "src/ledger/move.ts",
  find: "assert(canMove(move.from, move.to), `${move.from} never becomes ${move.to}`);",
  replace: "canMove(move.from, move.to);",
};

export const BUGS: readonly Bug[] = [
  // ---- the lease machine ----
  bug(
    "lease",
    "a commit doesn't look whether its leases are still there",
    "src/ledger/accept.ts",
    "if (results.at(-1)?.affectedRows !== batch.spends.length) {",
    "if (results.length === 0) {",
  ),
  bug(
    "lease",
    "a release doesn't look whether the lease is still there",
    "src/ledger/lease.ts",
    "const held = releases.filter((r) => (unspent.get(`${r.customerId}:${r.epoch}`) ?? -1) >= r.amount);",
    "const held = releases;",
  ),
  bug(
    "lease",
    "a dropped lease's credit is kept",
    "src/ingest/lease-table.ts",
    "lease.available = 0;\n      leave(lease);",
    "next.available = lease.available;\n      leave(lease);",
  ),
  bug(
    "lease",
    "the reaper takes leases that have not expired",
    "src/ledger/lease.ts",
    "`WHERE customer_id IN (${ids}) AND expires_at < NOW(3) ORDER BY customer_id, node_id, epoch ` +",
    "`WHERE customer_id IN (${ids}) ORDER BY customer_id, node_id, epoch ` +",
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
    "a 402 forgets what is being committed from the own lease",
    "src/ledger/grant.ts",
    "own += lease.unspent;",
    "own += 0;",
  ),
  bug(
    "lease",
    "leases dropped in doubt are renewed with the others",
    "src/ingest/lease-upkeep.ts",
    "await store.renew(table.dropped());",
    "await store.renew([]);",
  ),
  bug(
    "lease",
    "recalled credit is not given back",
    "src/ingest/lease-upkeep.ts",
    "return holds ? [lease] : [];",
    "return holds && lease.rate < 0 ? [lease] : [];",
  ),
  // ---- ledger postings ----
  bug(
    "ledger",
    "a refund is taken from reserved and given to nobody",
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
    "src/ledger/lease.ts",
    "${walletsSql(walletChanges(entries))};${entriesSql(entries)};${eventsSql([], entries)}",
    "${walletsSql(walletChanges(entries))};${eventsSql([], entries)}",
  ),
  bug(
    "ledger",
    "a release takes from the wallet instead of giving back",
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
  // ---- the message's machine ----
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
    "a lost answer is tried at the next operator",
    "src/sender/dispatch.ts",
    'job.end({ kind: "unknown", operator, reason: `${operator}: ${answer.reason}` });\n        break;',
    "",
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
    "a message is queued again under the attempt it has",
    "src/core/message.ts",
    'return to === "queued" && from !== null && MACHINE[from].requeues ? attempt + 1 : attempt;',
    'return to === "queued" && from === "sending" ? attempt + 1 : attempt;',
  ),
  bug(
    "message",
    "a settlement doesn't look at the status",
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
    "a message whose answer is lost is refunded at once",
    "src/core/message.ts",
    '{ when: "it was submitted and the answer is lost", to: ["unknown"], charge: null },',
    '{ when: "it was submitted and the answer is lost", to: ["unknown"], charge: "refund" },',
  ),
  bug(
    "message",
    "sent has the number of unknown, so that a late outcome's event meets it",
    "src/core/message.ts",
    "return SEQUENCES_AN_ATTEMPT * attempt + MACHINE[status].rank;",
    'return SEQUENCES_AN_ATTEMPT * attempt + MACHINE[status === "sent" ? "unknown" : status].rank;',
  ),
  bug(
    "message",
    "offsets pass a batch before it is settled",
    "src/sender/sender.ts",
    "await runBatch(batchDeps, { lane, read, allowance }, onPart);\n      offsets.end(handles);",
    "offsets.end(handles);\n      await runBatch(batchDeps, { lane, read, allowance }, onPart);",
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
    '`BEGIN;${batch.keys.length === 0 ? "" : `${claimKeysSql(batch.keys)};`}` +',
    '`${batch.keys.length === 0 ? "" : `${claimKeysSql(batch.keys)};`}BEGIN;` +',
    { file: "src/ledger/accept.ts", find: "results[2] as never", replace: "results[1] as never" },
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
    "who owns a key is not looked at",
    "src/ledger/idempotency.ts",
    "return claims.map((c) => c.owner).filter((owner) => !owners.has(owner));",
    "return claims.map((c) => c.owner).filter((owner) => owners.size > claims.length && !owners.has(owner));",
  ),
  // ---- callers that leave ----
  bug(
    "commit",
    "a message is stored though its caller left before",
    "src/ingest/group-commit.ts",
    "        items = withoutGone(items);\n",
    "",
  ),
  bug(
    "commit",
    "the credit of a message whose caller left is not given back",
    "src/ingest/group-commit.ts",
    "book.giveBack(reservation);\n    answer([...out], new CallerGoneError());",
    "lastRows += reservation.cost;\n    answer([...out], new CallerGoneError());",
  ),
  bug(
    "lease",
    "who left while waiting for credit takes it along",
    "src/ingest/lease-refill.ts",
    "if (waiter.isGone()) waiter.reject(new CallerGoneError());",
    "if (waiter.isGone()) (table.take(lease, cost), waiter.reject(new CallerGoneError()));",
  ),
  bug(
    "idempotency",
    "the key of a caller who left stays taken",
    "src/ingest/group-commit.ts",
    "answer([...out], new CallerGoneError());",
    "for (const { record } of out) leave(record.customerId);",
  ),
  bug(
    "ledger",
    "a top-up is paid in though its caller left before",
    "src/ledger/topup.ts",
    "if (isGone()) return null;",
    "",
  ),
  // ---- a commit in doubt ----
  bug(
    "commit",
    "a commit in doubt counts as failed",
    "src/ingest/group-commit.ts",
    "inDoubt = true;\n          counts",
    "counts",
  ),
  bug(
    "commit",
    "a commit in doubt counts as stored",
    "src/ingest/group-commit.ts",
    "if (inDoubt && batch !== null && (await store.isStored(batch))) break;",
    "if (inDoubt) break;",
  ),
  bug(
    "commit",
    "a commit in doubt is looked up without a lock",
    "src/ledger/accept.ts",
    "`SELECT id FROM messages WHERE id='${first.id}' FOR UPDATE`",
    "`SELECT id FROM messages WHERE id='${first.id}'`",
  ),
];
