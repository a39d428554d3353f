// Planted bugs in what is accepted before its credit is checked; bugs.ts has the list of all. Two seeds in
// thirteen have customers of mode `async`.

import { type Bug, bug, type Edit } from "./bug.ts";

const CLAIM = "src/ledger/claim.ts";
const UNRESERVED = "src/ledger/unreserved.ts";

/** The assertion that would stop the process before the model sees anything is removed. */
const stillUnreserved: Edit = {
  file: "src/ledger/settle-plan.ts",
  find: "  change.record.unreserved === true\n    ? chargeOfUnreserved(change)",
  replace:
    '  change.record.unreserved === true && change.from !== "sending"\n    ? chargeOfUnreserved(change)',
};

export const ASYNC_BUGS: readonly Bug[] = [
  bug(
    "async",
    "a claim does not reserve",
    CLAIM,
    "const owing = mayOwe ? queued.filter((r) => rows.get(r.id)?.unreserved === 1) : [];",
    "const owing = mayOwe ? queued.filter((r) => rows.get(r.id)?.unreserved === 2) : [];",
  ),
  bug(
    "async",
    "a claim reserves again at the next attempt",
    CLAIM,
    "queued.filter((r) => rows.get(r.id)?.unreserved === 1) : [];",
    "queued : [];",
    {
      file: UNRESERVED,
      find: "if (record.unreserved === undefined) return record;",
      replace: "if (record !== undefined) return record;",
    },
    stillUnreserved,
  ),
  bug(
    "async",
    "a record that is delivered twice reserves twice",
    CLAIM,
    "`WHERE id IN (${list(all)}) AND status='queued' ORDER BY id FOR UPDATE`",
    "`WHERE id IN (${list(all)}) AND (status='queued' OR ${mayOwe}) ORDER BY id FOR UPDATE`",
    {
      file: CLAIM,
      find: "queued.filter((r) => rows.get(r.id)?.unreserved === 1) : [];",
      replace: "queued.filter(isUnreserved) : [];",
    },
  ),
  bug(
    "async",
    "what is rejected has an entry",
    UNRESERVED,
    "for (const { id, cost } of own) entries.push(",
    "for (const { id, cost } of of) entries.push(",
  ),
  bug(
    "async",
    "what was never reserved is refunded",
    "src/ledger/settle-plan.ts",
    "  change.record.unreserved === true\n    ? chargeOfUnreserved(change)",
    "  change.record.unreserved === undefined && change.to === null\n    ? chargeOfUnreserved(change)",
  ),
  bug(
    "async",
    "a claim in doubt counts as unreserved",
    CLAIM,
    "  records: records.map(asReserved),\n  unpaid: ALL_PAID,",
    "  records: [...records],\n  unpaid: ALL_PAID,",
    stillUnreserved,
  ),
  bug(
    "async",
    "reserve and claim are two transactions",
    CLAIM,
    "const { paid, unpaid } = await reserveQueued(conn, owing, request);",
    "const { paid, unpaid } = await reserveQueued(conn, owing, request);\n" +
      '  await conn.query("COMMIT;BEGIN");',
  ),
  bug(
    "async",
    "claims pay whatever the caps say",
    "src/ledger/claim-credit.ts",
    "const room = roomIn(balance, caps);",
    "const room = roomIn(balance, []);",
  ),
  bug(
    "async",
    "what claims pay is not counted under the caps",
    UNRESERVED,
    "...capsSql(caps, granted)];",
    "...capsSql(caps, new Map())];",
  ),
  bug(
    "async",
    "claims pay more than the wallet has",
    "src/ledger/claim-credit.ts",
    "if (cost <= room - paid) {",
    "if (cost <= room) {",
  ),
  bug(
    "async",
    "what leases could pay is rejected",
    "src/ledger/claim-credit.ts",
    'if (balance + unspent - paid < cost) return "insufficient_balance";',
    'if (balance - paid < cost) return "insufficient_balance";',
  ),
  bug(
    "async",
    "wallets are locked before messages",
    CLAIM,
    "  const mayOwe = all.some(isUnreserved);\n",
    "  const mayOwe = all.some(isUnreserved);\n" +
      "  if (mayOwe) await conn.query(lockSql(customersOf(all), false));\n",
    {
      file: CLAIM,
      find: 'import { asReserved, isUnreserved, reserveQueued } from "./unreserved.ts";',
      replace:
        'import { customersOf, lockSql } from "./lease-rows.ts";\n' +
        'import { asReserved, isUnreserved, reserveQueued } from "./unreserved.ts";',
    },
  ),
  bug(
    "async",
    "an unreserved message is stored without the row that leads to it",
    "src/ledger/accept.ts",
    '`${unreserved === null ? "" : `${keepUnreservedSql(unreserved)};`}` +',
    '`${unreserved === null ? "" : `DO ${keepUnreservedSql(unreserved).length};`}` +',
  ),
  bug(
    "async",
    "what is reserved is listed as unreserved",
    UNRESERVED,
    "`DELETE ${BY_KEY} FROM unreserved_messages WHERE (customer_id,message_id) IN (${paid.map(keyOf)})`,",
    "`DO ${paid.map(keyOf).length}`,",
  ),
  bug(
    "async",
    "a message accepted without credit is charged at once as well",
    "src/ledger/accept.ts",
    "    else entries.push(entryOf(r.id,",
    "    if (r.cost > 0) entries.push(entryOf(r.id,",
  ),
  bug(
    "async",
    "an event does not say that nothing was reserved",
    "src/ledger/move.ts",
    "  if (record.unreserved === true) row.unreserved = true;\n",
    "",
  ),
  bug(
    "async",
    "customers of mode async need credit all the same",
    "src/ingest/accept-message.ts",
    "if (payer.isAsync === true) record.unreserved = true;",
    "",
  ),
];
