// Which statuses a customer is told, as stored masks.

import { expect, test } from "bun:test";
import { ALL_STATUSES, callbackOf, maskOf, statusesOf, TOLD_STATUSES, wants } from "./callback.ts";
import { STATUSES } from "./message.ts";

test("a mask gives back the statuses it was made of, and wants no other", () => {
  const mask = maskOf(["sent", "delivered", "failed"]);
  expect(statusesOf(mask)).toEqual(["sent", "delivered", "failed"]);
  expect(STATUSES.filter((status) => wants(mask, status))).toEqual(["sent", "delivered", "failed"]);
  expect(statusesOf(0)).toEqual([]);
});

test("the bits are those of masks that are stored already", () => {
  expect(maskOf(["queued"])).toBe(2);
  expect(maskOf(["sent", "delivered", "undelivered"])).toBe(16 + 32 + 64);
  expect(maskOf(["canceled"])).toBe(1_024);
  expect(ALL_STATUSES).toBe(2_047 - 4);
  expect(TOLD_STATUSES).not.toContain("sending");
});

test("a message is told of at its own URL, at its customer's, or not at all", () => {
  const url = "https://example.com/hook";
  expect(callbackOf(undefined, url)).toBeUndefined();
  expect(callbackOf({ statuses: 32, hasUrl: false }, null)).toBeUndefined();
  expect(callbackOf({ statuses: 32, hasUrl: false }, url)).toEqual({ url, statuses: 32 });
  expect(callbackOf({ statuses: 32, hasUrl: true }, null)).toEqual({ url: null, statuses: 32 });
});
