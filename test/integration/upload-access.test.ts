// An upload may last for hours: who may send, and at which price, is asked before each chunk of it, so what
// whoever runs Sluice decides holds within 2 s for it too.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { BATCH_MESSAGES_MAX } from "../../src/core/batch-limits.ts";
import { setAddresses } from "../../src/customers/addresses.ts";
import { setSuspended } from "../../src/customers/customers.ts";
import { sleep } from "../../src/platform/retry.ts";
import { phone, storedOf, walletOf } from "../support/batches.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  type IngestProcess,
  makeCustomer,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";
import { rawUpload, untilOver, untilTrue } from "../support/raw-upload.ts";

const OPENING = 10_000_000;
const PRICE = 500;
let db: TestDatabase;
let ingest: IngestProcess;
beforeAll(async () => {
  db = await createTestDatabase();
  ingest = await startIngest(db.config);
}, 60_000);
afterAll(async () => {
  await ingest.end();
  await db.drop();
});
afterEach(() => reconcileBooks(db.pool));

const lines = (first: number, count: number) =>
  Array.from({ length: count }, (_, n) => `${JSON.stringify({ phone: phone(first + n), text: "hello" })}\n`);

/** A first chunk, then `change` and the time in which it must hold, then `more` lines; all of the answer. */
async function changedMeanwhile(customer: TestCustomer, change: () => Promise<unknown>, more: number) {
  const one = rawUpload(ingest.url, customer);
  try {
    // One line more than is accepted at once, so that nothing waits for the rest.
    one.write(lines(0, BATCH_MESSAGES_MAX + 1).join(""));
    await untilTrue(() => one.lines().length === BATCH_MESSAGES_MAX, "the first results");
    await change();
    await sleep(2_000);
    one.write(lines(BATCH_MESSAGES_MAX + 1, more).join(""));
    one.end();
    await untilOver(one);
    return one.lines();
  } finally {
    one.leave();
  }
}

test.each([
  [
    "its key was revoked",
    "api_key_invalid",
    ({ customerId }: TestCustomer) =>
      db.pool.write(`UPDATE api_keys SET revoked_at=NOW(6) WHERE customer_id=${customerId}`),
  ],
  [
    "its customer was suspended",
    "customer_suspended",
    ({ customerId }: TestCustomer) => setSuspended(db.pool, customerId, true),
  ],
  [
    "its address is no longer allowed",
    "address_not_allowed",
    ({ customerId }: TestCustomer) => setAddresses(db.pool, { customerId }, ["192.0.2.0/24"]),
  ],
] as const)(
  "no further line is accepted when %s",
  async (_, code, change) => {
    const customer = await makeCustomer(db.config, OPENING);
    const all = await changedMeanwhile(customer, () => change(customer), 1);
    expect(all.at(-1)).toMatchObject({ code });
    expect(all).toHaveLength(BATCH_MESSAGES_MAX + 1);
    expect(await storedOf(db.pool, customer)).toHaveLength(BATCH_MESSAGES_MAX);
    const reserved = BATCH_MESSAGES_MAX * PRICE;
    expect(await walletOf(db.pool, customer)).toEqual({ left: OPENING - reserved, reserved });
  },
  30_000,
);

test("a new price holds for what is accepted from then on", async () => {
  const customer = await makeCustomer(db.config, OPENING);
  const { customerId } = customer;
  const dearer = () =>
    db.pool.write(`UPDATE customers SET price_normal=${PRICE + 1} WHERE customer_id=${customerId}`);
  const all = await changedMeanwhile(customer, dearer, 4);
  expect(all.slice(-5).map(({ cost }) => cost)).toEqual(Array(5).fill(PRICE + 1));
  const reserved = BATCH_MESSAGES_MAX * PRICE + 5 * (PRICE + 1);
  expect(await walletOf(db.pool, customer)).toEqual({ left: OPENING - reserved, reserved });
}, 30_000);
