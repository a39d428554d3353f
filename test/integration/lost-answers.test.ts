// The connection to MySQL is cut at the worst moments: before and after each kind of COMMIT of relay and
// sender, and all connections at once under traffic. Still each message is submitted once and captured once.

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { sleep } from "../../src/platform/retry.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { createDownstream, type Downstream, type Role, until } from "../support/roles.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

let down: Downstream;
let proxy: TcpProxy;
let sender: Role;
let customerId: number;
beforeAll(async () => {
  down = await createDownstream();
  customerId = await insertCustomer(down.pool, 1_000_000);
  proxy = await startTcpProxy(down.config.mysqlPort);
  const through = { mysqlPort: proxy.port };
  await Promise.all(["A", "B", "C"].map((name) => down.startOperator(name as "A", "fast")));
  [sender] = await Promise.all([down.start("sender-normal", through), down.start("relay", through)]);
}, 120_000);
afterAll(async () => {
  await down.end();
  proxy.close();
});

let records: LaneRecord[] = [];
beforeEach(() => {
  records = Array.from({ length: 20 }, () => laneRecord(customerId, { cost: 1 }));
});

async function expectSentOnce(): Promise<void> {
  const ids = records.map((r) => r.id);
  const list = ids.map((id) => `'${id}'`);
  const isSent = async () => {
    const [row] = await down.pool.query<{ n: number }[]>(
      `SELECT COUNT(*) AS n FROM messages WHERE status='sent' AND id IN (${list})`,
    );
    return row?.n === ids.length;
  };
  await until(isSent, "all are sent", 30_000, sender.log);
  const taken = ["A", "B", "C"].flatMap((name) => down.received(name)).filter((id) => ids.includes(id));
  expect(taken.toSorted()).toEqual(ids.toSorted());
  const closes = await down.pool.query<{ op: string }[]>(
    `SELECT op FROM wallet_ledger WHERE leg='close' AND entry_id IN (${list})`,
  );
  expect(closes.map((row) => row.op)).toEqual(ids.map(() => "capture"));
  expect(await down.pool.query("SELECT claim_id FROM claims")).toEqual([]);
}

for (const when of ["before", "after"] as const) {
  for (const [what, of] of [
    ["the relay's deletion", "FROM outbox WHERE id IN"],
    ["a claim", "INSERT INTO claims"],
    ["a settlement", "DELETE FROM claims"],
  ] as const) {
    test(`the connection is cut ${when} COMMIT of ${what}`, async () => {
      const cut = proxy.cutAtCommit(of, when);
      await acceptMessages(down.pool, records);
      await cut;
      await expectSentOnce();
    }, 120_000);
  }
}

test("all connections are cut again and again under traffic", async () => {
  records = Array.from({ length: 3_000 }, () => laneRecord(customerId, { cost: 1 }));
  for (let at = 0; at < records.length; at += 100) {
    await acceptMessages(down.pool, records.slice(at, at + 100));
    if (at % 500 !== 0) continue;
    proxy.cutAll();
    await sleep(50);
    proxy.mend();
  }
  await expectSentOnce();
}, 120_000);
