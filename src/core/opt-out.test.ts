// When an opt-out is about a message.

import { expect, test } from "bun:test";
import { EVERY_SENDER, isAboutSender, senderKey } from "./opt-out.ts";

test("a sender is the same however it is written", () => {
  for (const from of ["983000", "+983000", "00983000"]) expect(senderKey(from)).toBe("983000");
  expect(senderKey("Acme Inc")).toBe("acme inc");
  expect(senderKey("ACME inc")).toBe("acme inc");
  expect(senderKey("0912")).toBe("0912");
});

test("an opt-out is about its sender, about messages without one, and about all if it names none", () => {
  expect(isAboutSender("3000", "+3000")).toBe(true);
  expect(isAboutSender("3000", "3001")).toBe(false);
  expect(isAboutSender("acme", "Acme")).toBe(true);
  expect(isAboutSender("3000", null)).toBe(true);
  expect(isAboutSender(EVERY_SENDER, "3000")).toBe(true);
  expect(isAboutSender(EVERY_SENDER, null)).toBe(true);
});
