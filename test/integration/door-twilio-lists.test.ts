// Lists, cancels and the account of Twilio's door on a real ingest process and MySQL, as Twilio's own clients
// ask for them: Node's always, Python's where scripts/clients.sh has installed it.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import twilio from "twilio";
import { createIdFactory } from "../../src/core/id.ts";
import { unpackLaneRow } from "../../src/core/lane-record.ts";
import { accountSid } from "../../src/core/peers/twilio.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import { settleClaim } from "../../src/ledger/settle.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { changeOf } from "../../src/sender/outcome.ts";
import { walletOf } from "../support/batches.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  type IngestProcess,
  makeCustomer,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";

const id = createIdFactory({ now: Date.now });
let db: TestDatabase;
let ledger: Pool;
let ingest: IngestProcess;
beforeAll(async () => {
  db = await createTestDatabase();
  ledger = createPool(db.config, { connections: 1, multipleStatements: true });
  ingest = await startIngest(db.config, { doors: "twilio" });
}, 60_000);
afterEach(async () => {
  await reconcileBooks(db.pool);
  await db.pool.query("DELETE FROM outbox");
});
afterAll(async () => {
  await Promise.all([ingest.end(), ledger.end()]);
  await db.drop();
});

const PHONE = "+989121234567";
const SERVICE = `MG${"0".repeat(32)}`;
const DAY_MS = 86_400_000;

const clientOf = ({ customerId, apiKey }: TestCustomer) => {
  const client = twilio(accountSid(customerId), apiKey);
  client.api.baseUrl = ingest.url;
  return client;
};
type Client = ReturnType<typeof clientOf>;
const send = async (client: Client, count: number): Promise<string[]> => {
  const sids: string[] = [];
  for (let n = 0; n < count; n++)
    sids.push((await client.messages.create({ to: PHONE, from: "SLUICE", body: `سلام ${n}` })).sid);
  return sids;
};
const schedule = async (client: Client): Promise<string> => {
  const sendAt = new Date(Date.now() + DAY_MS);
  const later = { scheduleType: "fixed", messagingServiceSid: SERVICE, sendAt } as const;
  return (await client.messages.create({ to: "+989121234568", body: "later", ...later })).sid;
};
const sidsOf = (messages: readonly { sid: string }[]) => messages.map(({ sid }) => sid);
const errorOf = (call: Promise<unknown>) =>
  call.then(
    () => null,
    ({ status, code, message }: { status: number; code: number; message: string }) => [status, code, message],
  );

/** An operator takes all that waits. */
async function operatorTakesAll(): Promise<void> {
  const rows = await db.pool.query<{ payload: Buffer }[]>("SELECT payload FROM outbox WHERE lane='normal'");
  const records = rows.flatMap(({ payload }) => unpackLaneRow(payload));
  await db.pool.query("DELETE FROM outbox");
  const [claimId, nowMs] = [id(), Date.now()];
  const claim = { claimId, lane: "normal", nowMs } as const;
  await claimMessages(ledger, { ...claim, records });
  const taken = { kind: "accepted", operator: "A", operatorMessageIds: ["a-1"], atMs: nowMs } as const;
  const changes = records.map((record) => changeOf(record, taken, { nowMs, jitter: 0 }));
  await settleClaim({ pool: ledger, id }, { ...claim, changes, idsLeft: [] });
}

describe("the list of messages", () => {
  test("is read page by page to its end, newest first, as each message is now", async () => {
    const customer = await makeCustomer(db.config, 10_000);
    await send(clientOf(await makeCustomer(db.config, 10_000)), 1); // another customer's
    const client = clientOf(customer);
    const sids = await send(client, 4);
    await operatorTakesAll();
    sids.push(...(await send(client, 1)));
    const all = await client.messages.list({ pageSize: 2 });
    expect(sidsOf(all)).toEqual(sids.toReversed());
    const newest = all[0];
    expect(newest?.toJSON()).toMatchObject({ status: "queued", price: null, dateSent: null });
    expect([all[1]?.status, all[1]?.price, all[1]?.body]).toEqual(["sent", "-5.00", "سلام 3"]);
    expect(all[1]?.toJSON()).toEqual((await client.messages(sids[3] as string).fetch()).toJSON());
    expect(sidsOf(await client.messages.list({ limit: 3 }))).toEqual(sids.toReversed().slice(0, 3));
    expect(await client.messages.list({ to: "+989129999999" })).toEqual([]);
  });

  test("has the members of Twilio's page, and URIs that lead on with the same filters", async () => {
    const customer = await makeCustomer(db.config, 10_000);
    const client = clientOf(customer);
    const sids = await send(client, 3);
    await schedule(client);
    const { authorization } = basic(customer);
    const path = `/2010-04-01/Accounts/${accountSid(customer.customerId)}/Messages.json`;
    const read = async (target: string) =>
      (await (await fetch(ingest.url + target, { headers: { authorization } })).json()) as Page;
    const query = `To=${encodeURIComponent(PHONE)}&From=SLUICE`;
    const first = await read(`${path}?PageSize=2&${query}`);
    const { messages, next_page_uri, ...rest } = first;
    expect(sidsOf(messages)).toEqual(sids.slice(1).toReversed());
    const firstUri = `${path}?To=%2B989121234567&From=SLUICE&PageSize=2&Page=0`;
    const place = { page: 0, page_size: 2, start: 0, end: 1, previous_page_uri: null };
    expect(rest as object).toEqual({ ...place, first_page_uri: firstUri, uri: firstUri });
    const token = /^(.*)&Page=1&PageToken=[\w-]+$/.exec(next_page_uri ?? "");
    expect(token?.[1]).toBe(firstUri.replace("&Page=0", ""));
    const { messages: last, ...second } = await read(next_page_uri ?? "");
    expect(sidsOf(last)).toEqual([sids[0] as string]);
    const after = { page: 1, page_size: 2, start: 2, end: 2, previous_page_uri: null, next_page_uri: null };
    expect(second as object).toEqual({ ...after, first_page_uri: firstUri, uri: next_page_uri as string });
    const other = (next_page_uri ?? "").replace("SLUICE", "OTHER");
    expect(await read(other)).toMatchObject({ code: 20400, status: 400 });
  });

  test("has what was accepted at the time that it is filtered by", async () => {
    const client = clientOf(await makeCustomer(db.config, 10_000));
    const [sid = ""] = await send(client, 1);
    const { dateCreated } = await client.messages(sid).fetch();
    const from = "SLUICE";
    const [before, after] = [new Date(+dateCreated - 1_000), new Date(+dateCreated + 1_000)];
    const dayAfter = new Date(+dateCreated + DAY_MS);
    const midnight = new Date(`${dateCreated.toISOString().slice(0, 10)}T00:00:00Z`);
    const found = [
      { dateSent: midnight },
      { dateSentBefore: dateCreated, from },
      { dateSentAfter: dateCreated, to: PHONE },
      { dateSentAfter: before, dateSentBefore: after },
    ];
    for (const filter of found)
      expect([filter, sidsOf(await client.messages.list(filter))]).toEqual([filter, [sid]]);
    const none = [
      { dateSent: dayAfter },
      { dateSentBefore: before },
      { dateSentAfter: after },
      { dateSentAfter: after, dateSentBefore: before },
      { from: "OTHER" },
    ];
    for (const filter of none) expect([filter, await client.messages.list(filter)]).toEqual([filter, []]);
    const day = midnight.toISOString().slice(0, 10);
    for (const dateSent of [day, `${day}T23:59:59Z`] as unknown as Date[])
      expect(sidsOf(await client.messages.list({ dateSent, dateSentBefore: day as never }))).toEqual([sid]);
  });
});

test("a message's media, which it names, are an empty list; another customer's message has none", async () => {
  const [customer, other] = [await makeCustomer(db.config, 10_000), await makeCustomer(db.config, 0)];
  const client = clientOf(customer);
  const [sid = ""] = await send(client, 1);
  expect(await client.messages(sid).media.list({ pageSize: 5 })).toEqual([]);
  const { subresourceUris } = await client.messages(sid).fetch();
  const answer = await fetch(`${ingest.url}${subresourceUris.media}`, { headers: basic(customer) });
  const uri = `${subresourceUris.media}?PageSize=50&Page=0`;
  expect([answer.status, await answer.json()]).toEqual([
    200,
    {
      end: 0,
      first_page_uri: uri,
      media_list: [],
      next_page_uri: null,
      page: 0,
      page_size: 50,
      previous_page_uri: null,
      start: 0,
      uri,
    },
  ]);
  const theirs = errorOf(clientOf(other).messages(sid).media.list());
  expect((await theirs)?.slice(0, 2)).toEqual([404, 20404]);
  expect((await errorOf(client.messages("SM1").media.list()))?.slice(0, 2)).toEqual([404, 20404]);
});

describe("a cancel", () => {
  test("of a scheduled message refunds it, and may be repeated", async () => {
    const customer = await makeCustomer(db.config, 10_000);
    const client = clientOf(customer);
    const sid = await schedule(client);
    expect(await walletOf(db.pool, customer)).toEqual({ left: 9_500, reserved: 500 });
    for (let n = 0; n < 2; n++) {
      const canceled = await client.messages(sid).update({ status: "canceled" });
      expect(canceled.toJSON()).toMatchObject({ sid, status: "canceled", price: null });
      expect(await walletOf(db.pool, customer)).toEqual({ left: 10_000, reserved: 0 });
    }
  });

  test("of one that was sent, or of another customer's, changes nothing", async () => {
    const [customer, other] = [await makeCustomer(db.config, 10_000), await makeCustomer(db.config, 0)];
    const client = clientOf(customer);
    const [sent = ""] = await send(client, 1);
    const cannot = [409, 30409, "This message cannot be canceled"];
    expect(await errorOf(client.messages(sent).update({ status: "canceled" }))).toEqual(cannot);
    await operatorTakesAll();
    expect(await errorOf(client.messages(sent).update({ status: "canceled" }))).toEqual(cannot);
    const scheduled = await schedule(client);
    const theirs = clientOf(other).messages(scheduled).update({ status: "canceled" });
    expect((await errorOf(theirs))?.slice(0, 2)).toEqual([404, 20404]);
    expect((await client.messages(scheduled).fetch()).status).toBe("scheduled");
    expect(await walletOf(db.pool, customer)).toEqual({ left: 9_000, reserved: 500 });
  });

  test("is the only change: no text is forgotten, and no message deleted", async () => {
    const client = clientOf(await makeCustomer(db.config, 10_000));
    const [sid = ""] = await send(client, 1);
    const redacted = errorOf(client.messages(sid).update({ body: "" }));
    expect(await redacted).toEqual([400, 20400, "Redacting a message is not supported."]);
    expect(await errorOf(client.messages(sid).remove())).toEqual([405, 20004, "Method not allowed"]);
    expect((await client.messages(sid).fetch()).body).toBe("سلام 0");
  });
});

test("the account is the key's own, with what is true of it", async () => {
  const [customer, other] = [
    await makeCustomer(db.config, 0, { name: "فروشگاه" }),
    await makeCustomer(db.config, 0),
  ];
  const sid = accountSid(customer.customerId);
  const path = `/2010-04-01/Accounts/${sid}`;
  const answer = await fetch(`${ingest.url}${path}.json`, { headers: basic(customer) });
  const [created] = await db.pool.query<{ created_at: Date }[]>(
    "SELECT created_at FROM customers WHERE customer_id=?",
    [customer.customerId],
  );
  expect([answer.status, await answer.json()]).toEqual([
    200,
    {
      date_created: created?.created_at.toUTCString().replace("GMT", "+0000"),
      date_updated: null,
      friendly_name: "فروشگاه",
      owner_account_sid: sid,
      sid,
      status: "active",
      subresource_uris: { balance: `${path}/Balance.json`, messages: `${path}/Messages.json` },
      type: "Full",
      uri: `${path}.json`,
    },
  ]);
  const client = clientOf(customer);
  const fetched = await client.api.v2010.accounts(sid).fetch();
  expect([fetched.sid, fetched.friendlyName, fetched.dateUpdated]).toEqual([sid, "فروشگاه", null as never]);
  const theirs = client.api.v2010.accounts(accountSid(other.customerId)).fetch();
  expect((await errorOf(theirs))?.slice(0, 2)).toEqual([404, 20404]);
  const wrong = clientOf({ ...customer, apiKey: "sk_wrong" })
    .api.v2010.accounts(sid)
    .fetch();
  expect(await errorOf(wrong)).toEqual([401, 20003, "Authenticate"]);
  expect((await fetch(ingest.url + path, { headers: basic(customer) })).status).toBe(404);
});

test("Twilio's client for Python lists, cancels and reads the account", async () => {
  const customer = await makeCustomer(db.config, 10_000);
  const client = clientOf(customer);
  const sids = await send(client, 4);
  await operatorTakesAll();
  const scheduled = await schedule(client);
  const got = byPython([
    ingest.url,
    accountSid(customer.customerId),
    customer.apiKey,
    scheduled,
    sids[0] as string,
  ]);
  if (got === null) {
    expect(process.env.SLUICE_CLIENTS).not.toBe("all");
    return;
  }
  expect(got).toEqual({
    listed: [scheduled, ...sids.toReversed()],
    canceled: "canceled",
    refused: [409, 30409, "Unable to update record: This message cannot be canceled"],
    redacted: [400, 20400, "Unable to update record: Redacting a message is not supported."],
    deleted: [405, 20004, "Unable to delete record: Method not allowed"],
    account: [accountSid(customer.customerId), "test", "active", null],
  });
  expect(await walletOf(db.pool, customer)).toEqual({ left: 8_000, reserved: 0 });
});

/** What test/support/twilio-client.py printed; null if Python's clients aren't installed. */
function byPython(args: readonly string[]): unknown {
  const python = process.env.SLUICE_CLIENTS_PYTHON ?? "";
  if (!existsSync(python)) return null;
  const program = join(import.meta.dirname, "../support/twilio-client.py");
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: "1" };
  const { stdout, stderr } = spawnSync(python, [program, ...args], { env, encoding: "utf8" });
  if (stdout === "") throw new Error(`twilio-client.py: ${stderr}`);
  return JSON.parse(stdout);
}

type Page = { messages: { sid: string }[]; next_page_uri: string | null };
const basic = ({ customerId, apiKey }: TestCustomer) => ({
  authorization: `Basic ${Buffer.from(`${accountSid(customerId)}:${apiKey}`).toString("base64")}`,
});
