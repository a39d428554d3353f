// The states sign exactly as node:crypto does with the key itself.

import { expect, test } from "bun:test";
import { createHmac, randomBytes } from "node:crypto";
import { hmacBy, hmacState } from "./hmac-sha1.ts";

const right = (key: string, text: string) => createHmac("sha1", key).update(text).digest("hex");
const ours = (key: string, text: string) => hmacBy(hmacState(key), text).toString("hex");

test("the published cases (RFC 2202)", () => {
  expect(ours("Jefe", "what do ya want for nothing?")).toBe("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
  expect(ours("a".repeat(80), "Test Using Larger Than Block-Size Key")).toBe(
    right("a".repeat(80), "Test Using Larger Than Block-Size Key"),
  );
});

test("keys and texts of every length around a block's, in any script", () => {
  for (let length = 0; length <= 200; length++) {
    const [key, text] = [randomBytes(length).toString("base64"), `${"سلام "}${"x".repeat(length)}`];
    expect(ours(key, text)).toBe(right(key, text));
    expect(ours("k".repeat(length), "")).toBe(right("k".repeat(length), ""));
  }
});

test("what is no state is refused", () => {
  expect(() => hmacBy(Buffer.alloc(39), "x")).toThrow(RangeError);
});
