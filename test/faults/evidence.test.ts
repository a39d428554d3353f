// How evidence is read: what an operator took by SMPP.

import { expect, test } from "bun:test";
import { type MessageRow, readReceipts, readSmpp } from "./evidence.ts";

test("what was taken by SMPP is found by its text: several parts are one message, which ends as its worst part", () => {
  const messages = [1, 2, 3].map((n) => ({ id: `M${n}`, reference: `r${n}` }) as MessageRow);
  const { ours, taken } = readSmpp(
    [
      "a +98912 1/1 Message 1;",
      "b1 +98912 1/2 Message 2;Message 2;",
      "b2 +98912 2/2 ssage 2;Message 2;Message",
      "c +98912 1/1 Message 3;",
      "d +98912 1/1 Message 4;",
    ],
    messages,
  );
  expect(taken).toEqual(["M1", "M2", "M3", "d"]); // which is found as taken_not_stored
  const lines = ["UNDELIV b2 +98912 us", "DELIVRD b1 +98912 us", "ack b1", "DELIVRD a +98912 us"];
  expect([...readReceipts([...lines, "DELIVRD c +98912 us", "but c"], ours)]).toEqual([
    ["M2", "undelivered"],
    ["M1", "delivered"],
    ["M3", "delivered"],
  ]);
});
