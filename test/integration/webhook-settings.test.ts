// A customer's webhook settings on MySQL: its URL, statuses and secrets, and who is told of them.

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { maskOf } from "../../src/core/callback.ts";
import { createIdFactory } from "../../src/core/id.ts";
import { createKey, findKey } from "../../src/customers/api-keys.ts";
import {
  findSigning,
  readWebhook,
  removeWebhook,
  rotateSecret,
  setWebhook,
} from "../../src/customers/webhooks.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { insertCustomer } from "../support/messages.ts";

const id = createIdFactory({ now: Date.now });
const rules = { allowPrivate: false };
let db: TestDatabase;
let pool: Pool;
let customerId: number;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 2, multipleStatements: true });
});
beforeEach(async () => {
  customerId = await insertCustomer(pool, 1_000);
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

const refusalOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => null,
    (error: { code?: string }) => error.code,
  );

test("a webhook is set, changed and removed; its secret is shown once, and rotated with both in use", async () => {
  const url = "https://example.com/sms";
  const secret = await setWebhook(pool, customerId, { url, statuses: ["delivered"] }, rules);
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  expect(await setWebhook(pool, customerId, { url: null }, rules)).toBeNull();
  expect(await readWebhook(pool, customerId)).toEqual({
    url: null,
    statuses: ["delivered"],
    tellPauses: true,
    lowBalance: null,
    oldSecretUntil: null,
  });
  await setWebhook(pool, customerId, { tellPauses: false }, rules);
  expect(await readWebhook(pool, customerId)).toMatchObject({ statuses: ["delivered"], tellPauses: false });
  const second = await rotateSecret(pool, customerId, false);
  const signing = async () => (await findSigning(pool, [customerId]))[0]?.secrets;
  expect(await signing()).toEqual([second, secret as string]);
  expect(await refusalOf(rotateSecret(pool, customerId, false))).toBe("validation_failed");
  const third = await rotateSecret(pool, customerId, true);
  expect(await signing()).toEqual([third]);
  expect(await removeWebhook(pool, customerId)).toBe(true);
  expect(await signing()).toBeUndefined();
  const toPrivate = setWebhook(pool, customerId, { url: "https://10.0.0.1/" }, rules);
  expect(await refusalOf(toPrivate)).toBe("validation_failed");
});

test("the owner of a key is known with what it wants to be told", async () => {
  const { apiKey } = await createKey({ pool, id }, customerId);
  expect((await findKey(pool, apiKey))?.webhook).toBeUndefined();
  await setWebhook(pool, customerId, { statuses: ["failed"] }, rules);
  expect((await findKey(pool, apiKey))?.webhook).toEqual({ statuses: maskOf(["failed"]), hasUrl: false });
  await setWebhook(pool, customerId, { url: "https://example.com/" }, rules);
  expect((await findKey(pool, apiKey))?.webhook).toEqual({ statuses: maskOf(["failed"]), hasUrl: true });
});
