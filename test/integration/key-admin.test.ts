// Keys on MySQL as whoever runs Sluice changes them: rotation, expiry, when they were used last, allow-lists;
// and the nonces of signed requests.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import { type AllowList, listAddresses, setAddresses } from "../../src/customers/addresses.ts";
import { createKey, findKey, revokeKey } from "../../src/customers/api-keys.ts";
import { setSuspended } from "../../src/customers/customers.ts";
import { listKeys, type Rotated, rotateKey, setKeyExpiry } from "../../src/customers/key-admin.ts";
import { createKeyCache } from "../../src/customers/key-cache.ts";
import { createKeyUses } from "../../src/customers/key-uses.ts";
import { purgeNonces, takeNonce } from "../../src/customers/nonces.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { sleep } from "../../src/platform/retry.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { insertCustomer } from "../support/messages.ts";

const HOUR_MS = 3_600_000;
const id = createIdFactory({ now: Date.now });
let database: TestDatabase;
let pool: Pool;
let customerId: number;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database.config, { connections: 4, multipleStatements: true });
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});
beforeEach(async () => {
  customerId = await insertCustomer(pool, 1_000);
});

const refusalOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => null,
    (error: { code?: string }) => error.code,
  );
/** The keys that work, by whether each is found. */
const findable = async (...keys: string[]) => {
  const found = await Promise.all(keys.map((key) => findKey(pool, key)));
  return found.map((owner) => owner !== null);
};
async function rotate(
  keyId: string,
  options: Omit<Parameters<typeof rotateKey>[2], "overlapMs"> & { overlapMs?: number } = {},
): Promise<Rotated> {
  const made: Rotated[] = [];
  await rotateKey({ pool, id }, keyId, { overlapMs: 24 * HOUR_MS, ...options }, (one) => made.push(one));
  expect(made).toHaveLength(1);
  return made[0] as Rotated;
}
const soon = (iso: string | null | undefined, ms: number) =>
  Math.abs(Date.parse(iso ?? "") - Date.now() - ms) < 10_000;

describe("two keys live at most", () => {
  test("a third is refused; one that was revoked or has expired makes room", async () => {
    const first = await createKey({ pool, id }, customerId);
    const expiring = await createKey({ pool, id }, customerId, ["read"], {
      expiresAtMs: Date.now() + HOUR_MS,
    });
    expect(await refusalOf(createKey({ pool, id }, customerId))).toBe("validation_failed");
    expect(await findable(first.apiKey, expiring.apiKey)).toEqual([true, true]);
    await pool.query("UPDATE api_keys SET expires_at=NOW(3) WHERE key_id=?", [expiring.keyId]);
    await sleep(20);
    expect(await findable(first.apiKey, expiring.apiKey)).toEqual([true, false]);
    const second = await createKey({ pool, id }, customerId);
    expect(await refusalOf(createKey({ pool, id }, customerId))).toBe("validation_failed");
    expect(await revokeKey(pool, first.keyId)).toBe(true);
    const third = await createKey({ pool, id }, customerId);
    expect(await findable(first.apiKey, second.apiKey, third.apiKey)).toEqual([false, true, true]);
    const live = (await listKeys(pool, customerId)).map((key) => key.live);
    expect(live).toEqual([false, false, true, true]);
  });

  test("of several at once, no more than two are made", async () => {
    const made = await Promise.all(
      Array.from({ length: 5 }, () => refusalOf(createKey({ pool, id }, customerId))),
    );
    expect(made.filter((code) => code === null)).toHaveLength(2);
  });
});

describe("a rotation", () => {
  test("makes a key like the old one, which works beside it until it expires", async () => {
    const old = await createKey({ pool, id }, customerId, ["read", "send"], { signed: true });
    await setAddresses(pool, { keyId: old.keyId }, ["192.0.2.0/24", "2001:db8::/32"]);
    const made = await rotate(old.keyId);
    expect(made.customerId).toBe(customerId);
    expect(made.signingSecret).toMatch(/^ss_[\w-]{43}$/);
    expect(made.signingSecret).not.toBe(old.signingSecret);
    expect(await findable(old.apiKey, made.apiKey)).toEqual([true, true]);
    const [before, after] = await listKeys(pool, customerId);
    expect(before).toMatchObject({ key_id: old.keyId, live: true, expires_at: made.oldExpiresAt });
    expect(soon(made.oldExpiresAt, 24 * HOUR_MS)).toBe(true);
    expect(after).toMatchObject({
      key_id: made.keyId,
      scopes: "read,send",
      live: true,
      signed: true,
      addresses: ["192.0.2.0/24", "2001:db8::/32"],
      expires_at: null,
    });
    const owner = await findKey(pool, made.apiKey);
    expect(owner?.guard?.signingSecret).toBe(made.signingSecret as string);
    expect(owner?.guard?.allows?.("192.0.2.9")).toBe(true);
    expect(owner?.guard?.allows?.("192.0.3.9")).toBe(false);
  });

  test("of a key that takes any request may make one that takes signed ones, and the other way round", async () => {
    const old = await createKey({ pool, id }, customerId);
    expect(old.signingSecret).toBeUndefined();
    expect((await findKey(pool, old.apiKey))?.guard).toBeUndefined();
    const signed = await rotate(old.keyId, { overlapMs: 0, signed: true });
    expect((await findKey(pool, signed.apiKey))?.guard?.signingSecret).toBe(signed.signingSecret as string);
    const free = await rotate(signed.keyId, { overlapMs: 0, signed: false });
    expect((await findKey(pool, free.apiKey))?.guard).toBeUndefined();
  });

  test("is refused while both of two keys live, unless the old one is to end at once", async () => {
    const [a, b] = [await createKey({ pool, id }, customerId), await createKey({ pool, id }, customerId)];
    expect(await refusalOf(rotate(a.keyId))).toBe("validation_failed");
    expect((await listKeys(pool, customerId)).map((key) => key.expires_at)).toEqual([null, null]);
    const made = await rotate(a.keyId, { overlapMs: 0 });
    expect(await findable(a.apiKey, b.apiKey, made.apiKey)).toEqual([false, true, true]);
    expect(await refusalOf(rotate(a.keyId))).toBe("not_found");
    expect(await refusalOf(rotate(id()))).toBe("not_found");
  });

  test("lets no key live longer than it would have", async () => {
    const expiresAtMs = Date.now() + HOUR_MS;
    const old = await createKey({ pool, id }, customerId, ["read"], { expiresAtMs });
    const made = await rotate(old.keyId, { expiresAtMs: Date.now() + 48 * HOUR_MS });
    expect(Date.parse(made.oldExpiresAt)).toBe(expiresAtMs);
    const [, after] = await listKeys(pool, customerId);
    expect(soon(after?.expires_at, 48 * HOUR_MS)).toBe(true);
  });

  test("whose new key nobody could be shown changes nothing", async () => {
    const old = await createKey({ pool, id }, customerId);
    const before = await listKeys(pool, customerId);
    const shown: string[] = [];
    const failing = rotateKey({ pool, id }, old.keyId, { overlapMs: HOUR_MS }, (made) => {
      shown.push(made.apiKey);
      throw new Error("the disk is full");
    });
    expect(await failing.catch(String)).toBe("Error: the disk is full");
    expect(await listKeys(pool, customerId)).toEqual(before);
    expect(await findable(old.apiKey, ...shown)).toEqual([true, false]);
  });

  test("at once in two places happens once", async () => {
    const old = await createKey({ pool, id }, customerId);
    const codes = await Promise.all([refusalOf(rotate(old.keyId)), refusalOf(rotate(old.keyId))]);
    expect(codes.filter((code) => code === null)).toHaveLength(1);
    expect(codes).toContain("validation_failed");
    expect((await listKeys(pool, customerId)).filter((key) => key.live)).toHaveLength(2);
  });
});

describe("an expiry", () => {
  test("is kept by a process that knows the key already, to the moment; it can be changed while the key lives", async () => {
    const expiresAtMs = Date.now() + 2_500;
    const key = await createKey({ pool, id }, customerId, ["read"], { expiresAtMs });
    const kept = await createKey({ pool, id }, customerId, ["read"], { expiresAtMs });
    const pools = { polls: pool, loads: () => pool };
    const cache = createKeyCache(pools, { monotonicMs: () => performance.now(), now: Date.now });
    const ask = async (apiKey: string) => {
      const known = cache.get(apiKey);
      return known === undefined ? cache.load(apiKey) : known;
    };
    try {
      await sleep(700); // for the first poll
      expect((await ask(key.apiKey))?.expiresAtMs).toBe(expiresAtMs);
      expect((await ask(kept.apiKey))?.keyId).toBe(kept.keyId);
      await setKeyExpiry(pool, kept.keyId, null);
      while (cache.nowMs() < expiresAtMs - 100) {
        expect((await ask(key.apiKey))?.keyId).toBe(key.keyId);
        await sleep(20);
      }
      await sleep(200);
      expect(cache.nowMs()).toBeGreaterThan(expiresAtMs);
      expect(await ask(key.apiKey)).toBeNull();
      expect((await ask(kept.apiKey))?.keyId).toBe(kept.keyId);
    } finally {
      cache.stop();
    }
    expect(await refusalOf(setKeyExpiry(pool, key.keyId, null))).toBe("not_found");
    expect(await findable(key.apiKey)).toEqual([false]);
  });
});

describe("the time of the last use", () => {
  const lastUsed = async () => (await listKeys(pool, customerId)).map((key) => key.last_used_at);

  test("is written for those keys that were used, and is no change that processes look up again", async () => {
    const used = await createKey({ pool, id }, customerId);
    await createKey({ pool, id }, customerId);
    const changedAt = () => pool.query("SELECT key_id, CAST(updated_at AS CHAR) AS at FROM api_keys");
    const before = await changedAt();
    const uses = createKeyUses(pool);
    uses.note(used.keyId);
    await uses.write();
    const [first, second] = await lastUsed();
    expect(soon(first, 0)).toBe(true);
    expect(second).toBeNull();
    expect(await changedAt()).toEqual(before);
  });

  test("is written anew only once it is old", async () => {
    const { keyId } = await createKey({ pool, id }, customerId);
    const [one, other] = [createKeyUses(pool), createKeyUses(pool)];
    one.note(keyId);
    await one.write();
    const [first] = await lastUsed();
    await sleep(20);
    other.note(keyId);
    await other.write();
    expect(await lastUsed()).toEqual([first as string]);
    await pool.query("UPDATE api_keys SET last_used_at=NOW(3) - INTERVAL 31 SECOND WHERE key_id=?", [keyId]);
    other.note(keyId);
    await other.write();
    const [again] = await lastUsed();
    expect(soon(again, 0)).toBe(true);
  });
});

describe("an allow-list", () => {
  const allows = async (apiKey: string, address: string) =>
    (await findKey(pool, apiKey))?.guard?.allows?.(address) ?? true;

  test("is the customer's, or a key's, or both: then an address must be in each", async () => {
    const [a, b] = [await createKey({ pool, id }, customerId), await createKey({ pool, id }, customerId)];
    await setAddresses(pool, { customerId }, ["192.0.2.0/24"]);
    await setAddresses(pool, { keyId: a.keyId }, ["192.0.2.7", "203.0.113.7"]);
    const of = (apiKey: string) =>
      Promise.all(["192.0.2.7", "192.0.2.8", "203.0.113.7"].map((address) => allows(apiKey, address)));
    expect(await of(a.apiKey)).toEqual([true, false, false]);
    expect(await of(b.apiKey)).toEqual([true, true, false]);
    const lists: AllowList[] = [
      { customer_id: String(customerId), key_id: null, addresses: ["192.0.2.0/24"] },
      { customer_id: String(customerId), key_id: a.keyId, addresses: ["192.0.2.7", "203.0.113.7"] },
    ];
    expect(await listAddresses(pool, customerId)).toEqual(lists);
    await setAddresses(pool, { customerId }, null);
    expect(await of(a.apiKey)).toEqual([true, false, true]);
    expect(await of(b.apiKey)).toEqual([true, true, true]);
    await setAddresses(pool, { keyId: a.keyId }, null);
    expect((await findKey(pool, a.apiKey))?.guard).toBeUndefined();
    expect(await listAddresses(pool, customerId)).toEqual([]);
  });

  test("names what is no entry, has bounds, and belongs to someone", async () => {
    const bad = setAddresses(pool, { customerId }, ["192.0.2.1", "example.com", "::1/129"]);
    expect(await bad.catch((error: unknown) => error)).toMatchObject({
      code: "validation_failed",
      errors: [{ field: '"example.com"' }, { field: '"::1/129"' }],
    });
    const many = Array.from({ length: 65 }, (_, n) => `192.0.2.${n}`);
    for (const [list, code] of [
      [[], "validation_failed"],
      [many, "validation_failed"],
      [many.slice(1), null],
      [["192.0.2.1", ...many.slice(1)], null],
    ] as const)
      expect(await refusalOf(setAddresses(pool, { customerId }, list))).toBe(code);
    expect(await refusalOf(setAddresses(pool, { customerId: 999_999 }, ["::1"]))).toBe("not_found");
    expect(await refusalOf(setAddresses(pool, { keyId: id() }, ["::1"]))).toBe("not_found");
    expect(await refusalOf(listAddresses(pool, 999_999))).toBe("not_found");
    const longest = Array.from(
      { length: 64 },
      (_, n) => `1111:2222:3333:4444:5555:66${n + 10}:255.255.255.255/128`,
    );
    expect(await refusalOf(setAddresses(pool, { customerId }, longest))).toBeNull();
    expect((await listAddresses(pool, customerId))[0]?.addresses).toEqual(longest);
  });
});

test("a suspended customer's keys say so, until it is resumed; suspending it again keeps its time", async () => {
  const { apiKey } = await createKey({ pool, id }, customerId);
  const since = () => pool.query("SELECT suspended_at FROM customers WHERE customer_id=?", [customerId]);
  await setSuspended(pool, customerId, true);
  expect((await findKey(pool, apiKey))?.guard).toMatchObject({ isSuspended: true });
  const first = await since();
  await sleep(20);
  await setSuspended(pool, customerId, true);
  expect(await since()).toEqual(first);
  await setSuspended(pool, customerId, false);
  expect((await findKey(pool, apiKey))?.guard).toBeUndefined();
  expect(await refusalOf(setSuspended(pool, 999_999, true))).toBe("not_found");
});

describe("a nonce", () => {
  const expiresAtMs = () => Date.now() + 60_000;
  test("is taken once for each key, by whichever of many comes first", async () => {
    const nonce = { keyId: id(), nonce: "0123456789abcdef", expiresAtMs: expiresAtMs() };
    const taken = await Promise.all(Array.from({ length: 20 }, () => takeNonce(pool, nonce)));
    expect(taken.filter(Boolean)).toHaveLength(1);
    expect(await takeNonce(pool, { ...nonce, keyId: id() })).toBe(true);
    expect(await takeNonce(pool, { ...nonce, nonce: "0123456789abcdeF" })).toBe(true);
  });

  test("is deleted once it has expired, and not before", async () => {
    const keyId = id();
    await pool.query("DELETE FROM request_nonces");
    const old = Array.from(
      { length: 1_500 },
      (_, n) => `('${keyId}','old-nonce-${n}',NOW(3) - INTERVAL 1 SECOND)`,
    );
    await pool.query(`INSERT INTO request_nonces (key_id,nonce,expires_at) VALUES ${old}`);
    const nonce = { keyId, nonce: "fresh-nonce-0123456789", expiresAtMs: expiresAtMs() };
    expect(await takeNonce(pool, nonce)).toBe(true);
    expect([await purgeNonces(pool), await purgeNonces(pool), await purgeNonces(pool)]).toEqual([
      1_000, 500, 0,
    ]);
    expect(await takeNonce(pool, nonce)).toBe(false);
  });
});
