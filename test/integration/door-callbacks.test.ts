// What clients of Twilio, Kannel and Jasmin are told at their own URLs, from a request at the door to a call
// by a real webhook role, of a customer that has no webhook. The words of each peer: core/peers/.

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import twilio from "twilio";
import { createIdFactory, ulidUuid } from "../../src/core/id.ts";
import { type LaneRecord, unpackLaneRow } from "../../src/core/lane-record.ts";
import { accountSid } from "../../src/core/peers/twilio.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import { settleClaim } from "../../src/ledger/settle.ts";
import { replayMany } from "../../src/ledger/webhook-replay.ts";
import { changeOf, type Outcome } from "../../src/sender/outcome.ts";
import { reconcileBooks } from "../support/books.ts";
import {
  type IngestProcess,
  makeCustomer,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";
import { createDownstream, type Downstream, type Role, until } from "../support/roles.ts";
import { type Answering, type Receiver, startReceiver } from "../support/webhook-receiver.ts";
import { verifiedByPython } from "../support/webhook-verifier.ts";

const PRIVATE = { webhookAllowPrivate: 1 };
const PHONE = "+989121234567";
const id = createIdFactory({ now: Date.now });
const acknowledge: Answering = (_, response) => void response.writeHead(200).end("ok");
let down: Downstream;
let role: Role;
let ingest: IngestProcess;
let receiver: Receiver;
let customer: TestCustomer;
let answer = acknowledge;
beforeAll(async () => {
  down = await createDownstream();
  [role, ingest, receiver] = await Promise.all([
    down.start("webhook", PRIVATE),
    startIngest(down.config, { ...PRIVATE, doors: "twilio,kannel,jasmin" }),
    startReceiver((call, response) => answer(call, response)),
  ]);
}, 120_000);
beforeEach(async () => {
  answer = acknowledge;
  receiver.calls.length = 0;
  customer = await makeCustomer(down.config, 100_000);
});
afterAll(async () => {
  await reconcileBooks(down.pool);
  await Promise.all([ingest.end(), receiver.stop()]);
  await down.end();
});

/** What the doors have put into the outbox, as senders get it, with this outcome. */
async function sent(outcomeOf: (record: LaneRecord) => Outcome): Promise<LaneRecord[]> {
  const rows = await down.pool.query<{ id: number; payload: Buffer }[]>(
    "SELECT id, payload FROM outbox WHERE lane='normal'",
  );
  const records = rows.flatMap(({ payload }) => unpackLaneRow(payload));
  await down.pool.query("DELETE FROM outbox");
  const [claimId, nowMs] = [id(), Date.now()];
  await claimMessages(down.pool, { claimId, lane: "normal", records, nowMs });
  const changes = records.map((record) => changeOf(record, outcomeOf(record), { nowMs, jitter: 0 }));
  await settleClaim({ pool: down.pool, id }, { claimId, lane: "normal", changes, idsLeft: [], nowMs });
  return records;
}
const taken = (): Outcome => ({
  kind: "accepted",
  operator: "A",
  operatorMessageIds: ["a-1"],
  atMs: Date.now(),
});
const called = (calls: number) =>
  until(() => receiver.calls.length >= calls, `${calls} calls`, 30_000, role.log);
type Row = { state: string; attempts: number; code: number; error: string | null; calls: string };
const delivery = async (): Promise<Row | undefined> => {
  const [row] = await down.pool.query<Row[]>(
    "SELECT state, attempts, code, error, calls FROM webhook_deliveries WHERE customer_id=?",
    [customer.customerId],
  );
  return row;
};
const settled = async (state: string, attempts: number) => {
  await until(
    async () => {
      const row = await delivery();
      return row?.state === state && row.attempts === attempts;
    },
    `${state} after ${attempts}`,
    30_000,
    role.log,
  );
  return delivery();
};
const dueNow = () =>
  down.pool.query(
    "UPDATE webhook_deliveries SET run_at=NOW(3) WHERE run_at IS NOT NULL; " +
      "UPDATE webhook_endpoints SET run_at=NOW(3) WHERE run_at IS NOT NULL AND lease IS NULL",
  );

test("Twilio's client verifies what it is told with the key that it sends with", async () => {
  const client = twilio(accountSid(customer.customerId), customer.apiKey);
  client.api.baseUrl = ingest.url;
  const statusCallback = `${receiver.url}/twilio?order=42`;
  const message = { to: PHONE, from: "SLUICE", body: "سلام", statusCallback };
  const { sid } = await client.messages.create(message);
  const failing = await client.messages.create(message);
  await sent(({ id: of }) =>
    `SM${ulidUuid(of).replaceAll("-", "")}` === sid
      ? taken()
      : { kind: "refused", permanent: true, reason: "A: refused" },
  );
  await called(2);
  for (const call of receiver.calls) {
    expect([call.method, call.path]).toEqual(["POST", "/hook/twilio?order=42"]);
    const params = Object.fromEntries(new URLSearchParams(call.body));
    const signature = call.headers["x-twilio-signature"] ?? "";
    expect(twilio.validateRequest(customer.apiKey, signature, statusCallback, params)).toBe(true);
    expect(twilio.validateRequest(`${customer.apiKey}x`, signature, statusCallback, params)).toBe(false);
    expect(call.headers["i-twilio-idempotency-token"]).toBe(call.id);
    const isFailing = params.MessageSid === failing.sid;
    expect(params).toMatchObject({
      AccountSid: accountSid(customer.customerId),
      MessageSid: isFailing ? failing.sid : sid,
      MessageStatus: isFailing ? "failed" : "sent",
      From: "SLUICE",
      To: PHONE,
    });
    expect(params.ErrorCode).toBe(isFailing ? "30008" : undefined);
  }
  // By their package of another language, where it is installed.
  const calls = receiver.calls.map(({ headers, body }) => ({
    secret: customer.apiKey,
    headers,
    body,
    url: statusCallback,
  }));
  const byPython = await verifiedByPython(calls);
  expect(byPython ?? (process.env.SLUICE_CLIENTS === "all" ? "not installed" : 2)).toBe(2);
  // The key is nowhere, nor is it needed: what signs is.
  const [key] = await down.pool.query<{ hmac_sha1: Buffer }[]>(
    "SELECT hmac_sha1 FROM api_keys WHERE customer_id=?",
    [customer.customerId],
  );
  expect(key?.hmac_sha1.length).toBe(40);
});

test("Kannel's URL is called with its escapes replaced, and again by a replay", async () => {
  const url = `${receiver.url}?s=%d&id=%I&to=%p&smsc=%i&ref=%o&secret=s3cr3t`;
  const query = new URLSearchParams({
    "dlr-url": url,
    "dlr-mask": "27",
    to: PHONE,
    text: "x",
    account: "a b",
  });
  const signed = `username=${customer.customerId}&password=${customer.apiKey}`;
  const accepted = await fetch(`${ingest.url}/cgi-bin/sendsms?${signed}&${query.toString()}`);
  expect([accepted.status, await accepted.text()]).toEqual([202, "0: Accepted for delivery"]);
  const [record] = await sent(taken);
  await called(1);
  const uuid = ulidUuid(record?.id ?? "");
  const path = `/hook?s=8&id=${uuid}&to=%2B989121234567&smsc=A&ref=a%20b&secret=s3cr3t`;
  const [call] = receiver.calls;
  expect([call?.method, call?.path, call?.body]).toEqual(["GET", path, ""]);
  await settled("delivered", 1);
  const selection = { fromMs: null, toMs: null, state: "delivered" } as const;
  expect((await replayMany(down.pool, customer.customerId, selection, null)).replayed).toBe(1);
  await called(2);
  expect([receiver.calls[1]?.path, receiver.calls[1]?.id]).toEqual([path, call?.id]);
  // Neither whom it was for, nor what its URL holds.
  for (const log of [role.log(), ingest.log()])
    for (const secret of [PHONE.slice(1), "s3cr3t", customer.apiKey]) expect(log).not.toContain(secret);
});

test("Jasmin's receiver is called again until it says that it took it", async () => {
  answer = (_, response) => void response.writeHead(200).end("OK");
  const url = `${receiver.url}/dlr`;
  const query = new URLSearchParams({ "dlr-url": url, "dlr-level": "3", to: PHONE, content: "x" });
  const signed = `username=${customer.customerId}&password=${customer.apiKey}`;
  const accepted = await fetch(`${ingest.url}/send?${signed}&${query.toString()}`);
  expect(accepted.status).toBe(200);
  const [record] = await sent(taken);
  const refused = await settled("pending", 1);
  expect(refused).toMatchObject({ code: 200, error: "answered 200 without ACK/Jasmin" });
  answer = (_, response) => void response.writeHead(200).end("ACK/Jasmin\n");
  await dueNow();
  const taking = await settled("delivered", 2);
  expect(taking?.calls).toMatch(/^\d{13}:200:\d+ \d{13}:200:\d+$/);
  for (const call of receiver.calls) {
    expect([call.method, call.path]).toEqual(["POST", "/hook/dlr"]);
    expect(Object.fromEntries(new URLSearchParams(call.body))).toEqual({
      id: ulidUuid(record?.id ?? ""),
      level: "1",
      message_status: "ESME_ROK",
      connector: "A",
    });
  }
});

test("an endpoint that fails gets one call at a time, whether or not its customer has a webhook", async () => {
  answer = (_, response) => void response.writeHead(500).end();
  const query = new URLSearchParams({ "dlr-url": `${receiver.url}?n=%I`, "dlr-mask": "8", text: "x" });
  const signed = `username=${customer.customerId}&password=${customer.apiKey}`;
  const to = Array.from({ length: 12 }, (_, n) => `+98912000000${n % 10}`).join(" ");
  const asked = `${signed}&${query.toString()}&to=${encodeURIComponent(to)}`;
  expect((await fetch(`${ingest.url}/cgi-bin/sendsms?${asked}`)).status).toBe(202);
  const failures = async () => {
    const [row] = await down.pool.query<{ failures: number }[]>(
      "SELECT failures FROM webhook_endpoints WHERE customer_id=? AND lease IS NULL",
      [customer.customerId],
    );
    return row?.failures ?? 0;
  };
  await sent(taken);
  await until(async () => (await failures()) >= 5, "it fails", 30_000, role.log);
  const before = receiver.calls.length;
  expect(before).toBeLessThanOrEqual(12);
  const known = await failures();
  await dueNow();
  await until(async () => (await failures()) > known, "it is probed", 30_000, role.log);
  expect(receiver.calls.length).toBe(before + 1);
});
