// When an opt-out is about a message.

import { expect, test } from "bun:test";
import { EVERY_SENDER, isAboutSender, senderKey, senderKeys } from "./opt-out.ts";

test("a sender is the same however it is written", () => {
  for (const from of ["983000", "+983000", "00983000"]) expect(senderKey(from)).toBe("983000");
  expect(senderKey("Acme Inc")).toBe("acme inc");
  expect(senderKey("ACME inc")).toBe("acme inc");
  expect(senderKey("0912")).toBe("0912");
});

test("an opt-out is about its sender, about messages without one, and about all if it names none", () => {
  expect(isAboutSender("3000", "+3000", "IR")).toBe(true);
  expect(isAboutSender("3000", "3001", "IR")).toBe(false);
  expect(isAboutSender("acme", "Acme", "IR")).toBe(true);
  expect(isAboutSender("3000", null, "IR")).toBe(true);
  expect(isAboutSender(EVERY_SENDER, "3000", "IR")).toBe(true);
  expect(isAboutSender(EVERY_SENDER, null, "IR")).toBe(true);
});

test("a number is the same sender with and without its customer's calling code and a trunk prefix", () => {
  for (const from of ["3000123", "983000123", "+983000123", "00983000123", "03000123"])
    for (const sender of ["3000123", "983000123", "03000123"])
      expect([from, sender, isAboutSender(sender, from, "IR")]).toEqual([from, sender, true]);
  expect(isAboutSender("3000123", "+4530001230", "IR")).toBe(false);
  expect(isAboutSender("3000123", "+983000123", "DK")).toBe(false);
  expect(isAboutSender("98", "98", "IR")).toBe(true);
  expect(senderKeys("98", "IR")).toEqual(["98", "9898"]);
  expect(isAboutSender("3000", "03000", "IR")).toBe(false);
  expect(senderKeys("98acme", "IR")).toEqual(["98acme"]);
  expect(senderKeys("3000", "XX")).toEqual(["3000"]);
});
