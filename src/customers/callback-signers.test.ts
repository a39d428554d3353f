// What signs Twilio's callbacks is stored before a message is accepted, by a request that brings the key.

import { expect, test } from "bun:test";
import { SluiceError } from "../core/errors.ts";
import { hmacState } from "../core/hmac-sha1.ts";
import { createCallbackSigners } from "./callback-signers.ts";

/** A database that refuses what it is given an error for, and keeps which keys it was asked to store. */
function recorded() {
  const stored: unknown[][] = [];
  let failing: Error | null = null;
  const write = (_sql: string, values: unknown[] = []) => {
    if (failing !== null) return Promise.reject(failing);
    stored.push(values);
    return Promise.resolve({ affectedRows: 1, insertId: 0, info: "" });
  };
  return {
    stored,
    signers: createCallbackSigners(() => ({ write })),
    fail: (error: Error | null) => (failing = error),
  };
}

const owner = (keyId: string) => ({ customerId: 7, keyId });

test("a key is stored once by each process", async () => {
  const { stored, signers } = recorded();
  for (const keyId of ["a", "b", "a"]) await signers.keep(owner(keyId), `sk_${keyId}`);
  expect(stored).toEqual(["a", "b"].map((keyId) => [hmacState(`sk_${keyId}`), keyId]));
});

test("requests of one key that come together wait for one statement", async () => {
  const { stored, signers } = recorded();
  await Promise.all(["a", "b", "a", "a"].map((keyId) => signers.keep(owner(keyId), `sk_${keyId}`)));
  expect(stored).toEqual(["a", "b"].map((keyId) => [hmacState(`sk_${keyId}`), keyId]));
});

test("a lock or a full disk is a 503, like that of a commit, and the next request stores the key", async () => {
  const { stored, signers, fail } = recorded();
  for (const [errno, sqlState] of [
    [1205, "HY000"],
    [1114, "HY000"],
  ] as const) {
    fail(Object.assign(new Error("refused"), { errno, sqlState }));
    const error = await signers.keep(owner("a"), "sk_a").catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(SluiceError);
    expect(error).toMatchObject({ code: "unavailable", status: 503 });
  }
  const overloaded = new SluiceError("overloaded");
  fail(overloaded);
  expect(await signers.keep(owner("a"), "sk_a").catch((thrown: unknown) => thrown)).toBe(overloaded);
  fail(null);
  await signers.keep(owner("a"), "sk_a");
  expect(stored).toEqual([[hmacState("sk_a"), "a"]]);
});
