// Uploads and exports that are under way when their key, their customer or its settings change: they go on
// as a new request would, and end where it would be refused.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { BATCH_MESSAGES_MAX } from "../../src/core/batch-limits.ts";
import { createIdFactory } from "../../src/core/id.ts";
import { setAddresses } from "../../src/customers/addresses.ts";
import { revokeKey } from "../../src/customers/api-keys.ts";
import { setSuspended } from "../../src/customers/customers.ts";
import { sleep } from "../../src/platform/retry.ts";
import { phone, storedOf, walletOf } from "../support/batches.ts";
import { createTestClickhouse, insertStatusEvents, type TestClickhouse } from "../support/clickhouse.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  type IngestProcess,
  makeCustomer,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";
import { head } from "../support/raw-http.ts";
import { rawUpload, untilOver, untilTrue } from "../support/raw-upload.ts";

/** Within which every process knows of a change. */
const KNOWN_MS = 2_000;
const PRICE = 500;
const BALANCE = 10_000_000;
let clickhouse: TestClickhouse;
let db: TestDatabase;
let ingest: IngestProcess;

beforeAll(async () => {
  clickhouse = await createTestClickhouse();
  db = await createTestDatabase(clickhouse.config);
  ingest = await startIngest(db.config);
}, 60_000);
afterAll(async () => {
  await ingest.end();
  await Promise.all([db.drop(), clickhouse.drop()]);
}, 30_000);

const body = (count: number, first: number) =>
  Array.from({ length: count }, (_, n) => {
    const at = first + n;
    return `${JSON.stringify({ phone: phone(at), text: "x", from: "3000", reference: `r-${at}` })}\n`;
  }).join("");

const REFUSALS: [string, string, (customer: TestCustomer) => Promise<unknown>][] = [
  [
    "its customer is suspended",
    "customer_suspended",
    ({ customerId }) => setSuspended(db.pool, customerId, true),
  ],
  ["its key is revoked", "api_key_invalid", ({ keyId }) => revokeKey(db.pool, keyId)],
  [
    "its key expires",
    "api_key_invalid",
    ({ keyId }) => db.pool.write("UPDATE api_keys SET expires_at=NOW(3) WHERE key_id=?", [keyId]),
  ],
  [
    "its address is no longer allowed",
    "address_not_allowed",
    ({ customerId }) => setAddresses(db.pool, { customerId }, ["192.0.2.0/24"]),
  ],
];

describe("an upload under way", () => {
  /** A chunk is taken, then `change` is made and known, then the second comes. */
  const changed = async (customer: TestCustomer, change: (customer: TestCustomer) => Promise<unknown>) => {
    const one = rawUpload(ingest.url, customer);
    one.write(body(BATCH_MESSAGES_MAX + 10, 0));
    await untilTrue(() => one.lines().length === BATCH_MESSAGES_MAX, "the first results");
    await change(customer);
    await sleep(KNOWN_MS);
    one.write(body(10, BATCH_MESSAGES_MAX + 10));
    one.end();
    await untilOver(one);
    const later = one.lines().slice(BATCH_MESSAGES_MAX);
    one.leave();
    return later;
  };

  for (const [when, code, change] of REFUSALS)
    test(`ends with ${code} once ${when}, and nothing more of it is taken`, async () => {
      const customer = await makeCustomer(db.config, BALANCE);
      const later = await changed(customer, change);
      expect(later.map((line) => line.code)).toEqual([code]);
      expect(await storedOf(db.pool, customer)).toHaveLength(BATCH_MESSAGES_MAX);
      const reserved = BATCH_MESSAGES_MAX * PRICE;
      expect(await walletOf(db.pool, customer)).toEqual({ left: BALANCE - reserved, reserved });
    }, 30_000);

  test("whose customer changes goes on with its new price and its new senders", async () => {
    const set = (what: string) => (customer: TestCustomer) =>
      db.pool.write(`UPDATE customers SET ${what} WHERE customer_id=?`, [customer.customerId]);
    const dearer = await changed(await makeCustomer(db.config, BALANCE), set("price_normal=700"));
    expect(dearer.map((line) => (line as { cost?: number }).cost)).toEqual(Array(20).fill(700));
    const listed = await changed(await makeCustomer(db.config, BALANCE), set("senders='5000'"));
    expect(listed.map((line) => line.code)).toEqual(Array(20).fill("validation_failed"));
    const here = await changed(await makeCustomer(db.config, BALANCE), ({ customerId }) =>
      setAddresses(db.pool, { customerId }, ["127.0.0.0/8", "::1"]),
    );
    expect(here.map((line) => line.code)).toEqual(Array(20).fill(undefined));
  }, 30_000);
});

describe("an export under way", () => {
  const ROWS = 50_000;
  const CREATED_MS = Date.parse("2026-05-20T01:00:00Z");
  const id = createIdFactory({ now: () => CREATED_MS });
  /** The whole answer, whose client begins to read after `change` was made and is known. */
  const taken = async (customer: TestCustomer, change: (customer: TestCustomer) => Promise<unknown>) => {
    const { hostname, port } = new URL(ingest.url);
    const socket = connect(Number(port), hostname);
    socket.pause();
    const query = "from=2026-05-20T00:00:00Z&to=2026-05-21T00:00:00Z&format=ndjson";
    socket.write(head("GET", `/v1/reports/messages?${query}`, { "x-api-key": customer.apiKey }));
    await sleep(1_000);
    await change(customer);
    await sleep(KNOWN_MS);
    let [rows, ended, isClosed] = [0, "", false];
    socket.on("data", (chunk: Buffer) => {
      rows += chunk.toString("latin1").split('"cursor"').length - 1;
      ended = (ended + chunk.toString("latin1")).slice(-5);
    });
    for (const event of ["close", "error"]) socket.on(event, () => (isClosed = true));
    socket.resume();
    await untilTrue(() => isClosed || ended === "0\r\n\r\n", "the end of the export");
    socket.destroy();
    return { rows, isWhole: ended === "0\r\n\r\n" };
  };
  const withRows = async (): Promise<TestCustomer> => {
    const customer = await makeCustomer(db.config, 0);
    const { customerId: customer_id } = customer;
    const times = { created_at_ms: CREATED_MS, updated_at_ms: CREATED_MS + 10 };
    const fields = { sequence: 1, status: "queued", customer_id, reference: "x".repeat(120), ...times };
    for (let block = 0; block < 2; block++) {
      const events = Array.from({ length: ROWS / 2 }, () => ({ id: id(), ...fields }));
      await insertStatusEvents(clickhouse.clickhouse, events);
    }
    return customer;
  };

  test("is cut, for whichever reason its caller would be refused", async () => {
    const cut = REFUSALS.map(async ([, , change]) => taken(await withRows(), change));
    for (const { rows, isWhole } of await Promise.all(cut)) {
      expect(isWhole).toBe(false);
      expect(rows).toBeLessThan(ROWS - 5_000);
    }
  }, 60_000);

  test("is whole if its caller may go on", async () => {
    const { isWhole } = await taken(await withRows(), ({ customerId }) =>
      setAddresses(db.pool, { customerId }, ["127.0.0.0/8", "::1"]),
    );
    expect(isWhole).toBe(true);
  }, 60_000);
});
