// The webhook role as a real process, against receivers on loopback: what arrives, signed how, after which
// kills, and whom a slow or dead endpoint holds up. Rows are tested in webhook-events.test.ts, calls in
// webhook-calls.test.ts.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { Webhook } from "standardwebhooks";
import { ALL_STATUSES } from "../../src/core/callback.ts";
import { createIdFactory } from "../../src/core/id.ts";
import { eventIdOf, packWebhookEvents } from "../../src/core/webhook-event.ts";
import type { PauseEvent } from "../../src/core/webhook-pause.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { rotateSecret, setWebhook } from "../../src/customers/webhooks.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import { settleClaim } from "../../src/ledger/settle.ts";
import { changeOf } from "../../src/sender/outcome.ts";
import { makeCustomer, post, startIngest, type TestCustomer } from "../support/ingest-process.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { createDownstream, type Downstream, type Role, until } from "../support/roles.ts";
import { startPeer, startReceiver, type Received } from "../support/webhook-receiver.ts";
import { verifiedByPython } from "../support/webhook-verifier.ts";

type StatusEvent = {
  event_id: string;
  customer_id: number;
  status: string;
  relayed_ago?: number;
  claimed_ago?: number;
  taken_ago?: number;
};

const PRIVATE = { webhookAllowPrivate: 1 };
const rules = { allowPrivate: true };
const id = createIdFactory({ now: Date.now });
let down: Downstream;
let role: Role;
beforeAll(async () => {
  down = await createDownstream();
  role = await down.start("webhook", PRIVATE);
}, 120_000);
afterAll(() => down.end());
const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});
const stopping = <T extends { stop(): Promise<unknown> }>(one: T): T => {
  stops.push(() => one.stop());
  return one;
};

/** A customer that wants all changes at this URL. */
async function customerAt(url: string | null): Promise<{ customerId: number; secret: string }> {
  const customerId = await insertCustomer(down.pool, 1_000_000);
  const secret = await setWebhook(down.pool, customerId, { url }, rules);
  return { customerId, secret: secret as string };
}
const messagesOf = (customerId: number, count: number, url: string | null = null): LaneRecord[] =>
  Array.from({ length: count }, () => laneRecord(customerId, { callback: { url, statuses: ALL_STATUSES } }));
async function accept(customerId: number, count: number, url: string | null = null): Promise<LaneRecord[]> {
  const records = messagesOf(customerId, count, url);
  await acceptMessages(down.pool, records);
  return records;
}
/** An operator takes them. */
async function send(records: LaneRecord[]): Promise<void> {
  const [claimId, nowMs, { pool }] = [id(), Date.now(), down];
  await claimMessages(pool, { claimId, lane: "normal", records, nowMs });
  const changes = records.map((record) =>
    changeOf(
      record,
      { kind: "accepted", operator: "A", operatorMessageIds: ["a"], atMs: nowMs },
      { nowMs, jitter: 0 },
    ),
  );
  await settleClaim({ pool, id }, { claimId, lane: "normal", changes, idsLeft: [], nowMs });
}
const verified = (secret: string, { body, headers }: Received) => new Webhook(secret).verify(body, headers);
const changesIn = (calls: readonly Received[]): string[] =>
  calls.map(({ data }) => `${data.id} ${data.status}`).sort();
const isDone = async (customerId: number): Promise<boolean> => {
  const [row] = await down.pool.query<{ n: number }[]>(
    "SELECT (SELECT COUNT(*) FROM webhook_events) + COUNT(*) AS n FROM webhook_deliveries " +
      "WHERE customer_id=? AND state='pending'",
    [customerId],
  );
  return Number(row?.n) === 0;
};
const isIdle = async (): Promise<boolean> => {
  const leased = await down.pool.query("SELECT 1 FROM webhook_endpoints WHERE lease IS NOT NULL");
  return leased.length === 0;
};
/** No delivery waits any longer; with `leased`, leases are over too. */
const dueNow = (leased = false) =>
  down.pool.query(
    "UPDATE webhook_deliveries SET run_at=NOW(3) WHERE run_at IS NOT NULL; " +
      "UPDATE webhook_endpoints SET run_at=NOW(3) WHERE run_at IS NOT NULL " +
      (leased ? "" : "AND lease IS NULL"),
  );

test("each status change is posted once, signed, with its id, its sequence and its time", async () => {
  const receiver = stopping(await startReceiver());
  const { customerId, secret } = await customerAt(receiver.url);
  const records = await accept(customerId, 50);
  await send(records);
  await until(() => receiver.calls.length >= 100, "100 calls", 30_000, role.log);
  await until(() => isDone(customerId), "nothing is pending", 30_000, role.log);
  expect(changesIn(receiver.calls)).toEqual(
    records.flatMap((record) => [`${record.id} queued`, `${record.id} sent`]).sort(),
  );
  expect(new Set(receiver.calls.map((call) => call.id)).size).toBe(100);
  for (const call of receiver.calls) expect(verified(secret, call)).toEqual(JSON.parse(call.body));
  expect(await role.count("sluice_webhook_delay_seconds_count")).toBeGreaterThanOrEqual(100);
  // By the package of another language, where it is installed.
  const calls = receiver.calls.map(({ headers, body }) => ({ secret, headers, body }));
  const byPython = await verifiedByPython(calls);
  expect(byPython ?? (process.env.SLUICE_CLIENTS === "all" ? "not installed" : 100)).toBe(100);
});

test("while a secret is rotated, both verify", async () => {
  const receiver = stopping(await startReceiver());
  const { customerId, secret } = await customerAt(receiver.url);
  const second = await rotateSecret(down.pool, customerId, false);
  await accept(customerId, 1);
  await until(() => receiver.calls.length === 1, "a call", 30_000, role.log);
  for (const each of [secret, second]) verified(each, receiver.calls[0] as Received);
});

test("killed between a call and its settlement, the role calls again with the same id and body", async () => {
  let isHolding = true;
  const receiver = stopping(
    await startReceiver((_, response) => {
      if (!isHolding) response.writeHead(200).end();
    }),
  );
  const { customerId } = await customerAt(receiver.url);
  await accept(customerId, 3);
  await until(() => receiver.calls.length === 3, "3 calls under way", 30_000, role.log);
  await role.end("SIGKILL");
  isHolding = false;
  role = await down.start("webhook", PRIVATE);
  await dueNow(true); // as after 40 s
  await until(() => isDone(customerId), "nothing is pending", 30_000, role.log);
  const [first, again] = [receiver.calls.slice(0, 3), receiver.calls.slice(3)];
  const sent = (calls: Received[]) => calls.map((call) => `${call.id} ${call.body}`).sort();
  expect(sent(again)).toEqual(sent(first));
}, 120_000);

test("stopped, the role ends the calls under way and settles them", async () => {
  const receiver = stopping(
    await startReceiver((_, response) => void setTimeout(() => response.writeHead(200).end(), 1_500)),
  );
  const { customerId } = await customerAt(receiver.url);
  await accept(customerId, 4);
  await until(() => receiver.calls.length === 4, "4 calls under way", 30_000, role.log);
  expect(await role.end()).toBe(0);
  expect(await isDone(customerId)).toBe(true);
  role = await down.start("webhook", PRIVATE);
  expect(receiver.calls).toHaveLength(4);
}, 120_000);

test("two roles share the work, and each change is still posted once", async () => {
  const receiver = stopping(await startReceiver());
  const { customerId } = await customerAt(receiver.url);
  const other = await down.start("webhook", { ...PRIVATE, healthPort: down.config.operatorPort + 2 });
  for (let n = 0; n < 10; n++) await accept(customerId, 20);
  await until(() => receiver.calls.length >= 200, "200 calls", 30_000, role.log);
  await until(() => isDone(customerId), "nothing is pending", 30_000, role.log);
  expect(new Set(receiver.calls.map((call) => call.id)).size).toBe(200);
  expect(receiver.calls).toHaveLength(200);
  expect(await other.end()).toBe(0);
}, 120_000);

test("slow, dead and misbehaving endpoints hold up nobody, and memory stays bounded", async () => {
  const silent = stopping(await startPeer(() => undefined));
  const huge = stopping(
    await startPeer((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n");
      const chunk = Buffer.alloc(1024 * 1024);
      const more = () => {
        while (!socket.destroyed) if (!socket.write(chunk)) return void socket.once("drain", more);
      };
      more();
    }),
  );
  const closing = stopping(await startPeer((socket) => socket.destroy()));
  for (const { url } of [silent, silent, huge, closing]) await accept((await customerAt(url)).customerId, 40);
  // One customer names twenty hosts that don't answer.
  const { customerId: flooding } = await customerAt(null);
  for (let n = 0; n < 20; n++) {
    const peer = stopping(await startPeer(() => undefined));
    await accept(flooding, 3, peer.url);
  }
  await until(() => silent.connections() > 0, "the silent one is called", 30_000, role.log);
  const receiver = stopping(await startReceiver());
  const { customerId } = await customerAt(receiver.url);
  const startedMs = Date.now();
  await accept(customerId, 100);
  await until(() => receiver.calls.length >= 100, "100 calls", 4_000, role.log);
  expect(Date.now() - startedMs).toBeLessThan(4_000);
  expect(await role.count("process_resident_memory_bytes")).toBeLessThan(400e6);
  for (const table of ["webhook_deliveries", "webhook_endpoints"])
    await down.pool.query(`DELETE FROM ${table}`);
}, 120_000);

test("what isn't acknowledged is called again, and after 410 never", async () => {
  const codes = [500, 302, 404, 200];
  const receiver = stopping(
    await startReceiver((call, response) => {
      const code = call.path === "/gone" ? 410 : (codes.shift() ?? 200);
      response.writeHead(code, { location: receiver.url }).end();
    }),
  );
  const { customerId } = await customerAt(receiver.url);
  const [record] = await accept(customerId, 1);
  for (let calls = 1; calls <= 4; calls++) {
    await until(() => receiver.calls.length === calls, `call ${calls}`, 30_000, role.log);
    await until(isIdle, "it is settled");
    await dueNow();
  }
  await until(() => isDone(customerId), "nothing is pending", 30_000, role.log);
  expect(changesIn(receiver.calls)).toEqual(Array.from({ length: 4 }, () => `${record?.id} queued`));

  const gone = await customerAt(receiver.url.replace("/hook", "/gone"));
  await accept(gone.customerId, 1);
  await until(() => isDone(gone.customerId), "it is over", 30_000, role.log);
  await accept(gone.customerId, 2);
  await until(() => isDone(gone.customerId), "they are not called", 30_000, role.log);
  expect(receiver.calls.filter(({ path }) => path === "/gone")).toHaveLength(1);
  await until(() => role.log().includes("takes no calls any more"), "it is logged");
}, 240_000);

test("a receiver that refuses pauses gets all changes as before", async () => {
  const codes = [500, 410];
  const receiver = stopping(
    await startReceiver(({ body }, response) => {
      const { type } = JSON.parse(body) as { type: string };
      response.writeHead(type === "endpoint.paused" ? (codes.shift() ?? 410) : 204).end();
    }),
  );
  const { customerId } = await customerAt(receiver.url);
  const pause: PauseEvent = {
    customerId,
    url: null,
    endpoint: "https://a.example.com",
    endpointUrl: null,
    state: "paused",
    failures: 20,
    reason: "answered 500",
    occurredAtMs: Date.now(),
  };
  await down.pool.query("INSERT INTO webhook_events (payload) VALUES (?)", [packWebhookEvents([pause])]);
  await until(() => receiver.calls.length === 1, "it is told", 30_000, role.log);
  await until(isIdle, "it is settled");
  await dueNow();
  await until(() => isDone(customerId), "it is refused for good", 30_000, role.log);
  expect(receiver.calls.map((call) => call.id)).toEqual([eventIdOf(pause), eventIdOf(pause)]);
  const endpoints = await down.pool.query(
    "SELECT state, failures FROM webhook_endpoints WHERE customer_id=?",
    [customerId],
  );
  expect(endpoints).toEqual([{ state: "active", failures: 0 }]);
  const records = await accept(customerId, 2);
  await until(() => isDone(customerId), "changes are told", 30_000, role.log);
  expect(changesIn(receiver.calls.slice(2))).toEqual(records.map(({ id: of }) => `${of} queued`).sort());
}, 180_000);

test("whatever comes for a customer without a webhook fails at once, even where calls have failed before", async () => {
  const customerId = await insertCustomer(down.pool, 1_000_000);
  await accept(customerId, 1);
  await until(() => isDone(customerId), "it has failed", 30_000, role.log);
  await until(isIdle, "it is settled");
  await down.pool.query("UPDATE webhook_endpoints SET failures=50 WHERE customer_id=?", [customerId]);
  await accept(customerId, 20);
  await until(() => isDone(customerId), "all have failed", 30_000, role.log);
  const found = await down.pool.query<{ state: string; error: string; n: number }[]>(
    "SELECT state, error, COUNT(*) AS n FROM webhook_deliveries WHERE customer_id=? GROUP BY state, error",
    [customerId],
  );
  expect(found.map(({ state, error, n }) => [state, error, Number(n)])).toEqual([
    ["failed", "the customer has no webhook URL any more", 21],
  ]);
}, 120_000);

type Delivery = { id: string; message_id: string; state: string; attempts: number; last_error: string };
test("a customer lists its deliveries by the API and replays them: one, a span, all that failed", async () => {
  let code = 500;
  const receiver = stopping(await startReceiver((_, response) => void response.writeHead(code).end()));
  const ingest = await startIngest(down.config, PRIVATE);
  stops.push(() => ingest.end());
  const customer: TestCustomer = await makeCustomer(down.config, 100_000);
  const ask = async <T>(path: string): Promise<T> => {
    const answer = await fetch(`${ingest.url}${path}`, { headers: { "x-api-key": customer.apiKey } });
    return (await answer.json()) as T;
  };
  const replay = async (path: string, body: object): Promise<object> => {
    const answer = await post(`${ingest.url}/v1/webhooks/deliveries/${path}`, customer.apiKey, body);
    return (await answer.json()) as object;
  };
  await setWebhook(down.pool, customer.customerId, { statuses: ["queued"] }, rules);
  const ids: string[] = [];
  for (let n = 0; n < 3; n++) {
    const body = { phone: "+989121234567", text: "hi", type: "normal", callback_url: receiver.url };
    const answer = await post(`${ingest.url}/v1/sms/send`, customer.apiKey, body);
    expect(answer.status).toBe(202);
    ids.push(((await answer.json()) as { id: string }).id);
  }
  await until(() => receiver.calls.length === 3, "3 calls", 30_000, role.log);
  await down.pool.query("UPDATE webhook_deliveries SET give_up_at=NOW(3) WHERE customer_id=?", [
    customer.customerId,
  ]);
  const list = () => ask<{ deliveries: Delivery[] }>("/v1/webhooks/deliveries?state=failed");
  await until(async () => {
    await dueNow();
    return (await list()).deliveries.length === 3;
  }, "all have failed");
  const { deliveries } = await list();
  expect(deliveries.map(({ message_id }) => message_id)).toEqual(ids.toReversed());
  expect(deliveries[0]).toMatchObject({ state: "failed", last_error: "answered 500" });
  expect(await ask("/v1/webhooks")).toMatchObject({
    url: null,
    statuses: ["queued"],
    endpoints: [{ origin: new URL(receiver.url).origin, state: "active" }],
  });

  code = 200;
  const oldest = deliveries[2] as Delivery;
  expect(await replay(`${oldest.id}/replay`, {})).toEqual({ id: oldest.id, state: "pending" });
  await until(async () => (await list()).deliveries.length === 2, "one is delivered", 30_000, role.log);
  expect(await replay("replay", { state: "failed" })).toEqual({ replayed: 2, next: null });
  await until(async () => (await list()).deliveries.length === 0, "all are", 30_000, role.log);
  await until(() => isDone(customer.customerId), "nothing is pending");
  const before = receiver.calls.length;
  expect(await replay("replay", { from: new Date(0).toISOString() })).toMatchObject({ replayed: 3 });
  await until(() => receiver.calls.length >= before + 3, "all again", 30_000, role.log);
  expect(await replay("replay", {})).toMatchObject({ code: "validation_failed" });
  expect(await replay(`${id()}/replay`, {})).toMatchObject({ code: "not_found" });
}, 240_000);

test("what customers are told is what the report is told: every event of sms.status, and no other", async () => {
  const receiver = stopping(await startReceiver());
  const { customerId } = await customerAt(receiver.url);
  const relay = await down.start("relay");
  const sender = await down.start("sender-normal");
  for (const name of ["A", "B", "C"] as const) await down.startOperator(name);
  await accept(customerId, 60);
  const refused = messagesOf(customerId, 5).map((record) => ({ ...record, phone: "+989129990001" }));
  await acceptMessages(down.pool, refused);
  await until(
    async () => {
      const open = await down.pool.query(
        "SELECT 1 FROM messages WHERE customer_id=? AND status IN ('queued','sending') LIMIT 1",
        [customerId],
      );
      return open.length === 0;
    },
    "every message was sent or has failed",
    60_000,
    sender.log,
  );
  await until(() => isDone(customerId), "nothing is pending", 30_000, role.log);
  await until(
    async () => (await down.pool.query("SELECT 1 FROM outbox LIMIT 1")).length === 0,
    "the relay is done",
    30_000,
    relay.log,
  );
  const events = (await down.readTopic("sms.status"))
    .flatMap(({ value }) => value.toString().trim().split("\n"))
    .map((line) => JSON.parse(line) as StatusEvent)
    .filter((event) => event.customer_id === customerId);
  const toldOf = ({ data }: Received) => `${data.id}:${data.sequence}`;
  expect([...new Set(receiver.calls.map(toldOf))].sort()).toEqual(
    [...new Set(events.map(({ event_id }) => event_id))].sort(),
  );
  expect(receiver.calls.length).toBeGreaterThanOrEqual(130);
  // Each of them by Kafka's time, its sender's and its operator's, in this order.
  const taken = events.filter(({ status }) => status === "sent");
  expect(taken.length).toBeGreaterThan(0);
  for (const { relayed_ago, claimed_ago, taken_ago } of taken) {
    expect(relayed_ago).toBeGreaterThanOrEqual(claimed_ago ?? Number.POSITIVE_INFINITY);
    expect(claimed_ago).toBeGreaterThanOrEqual(taken_ago ?? Number.POSITIVE_INFINITY);
    expect(taken_ago).toBeGreaterThanOrEqual(1);
  }
}, 180_000);
