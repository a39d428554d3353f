// The table of command_status, held against the classes of the document on SMPP peers.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { holds } from "../../../test/support/seed.ts";
import {
  classOf,
  isThrottling,
  mayBeReported,
  STATUS_CLASSES,
  type StatusClass,
  type StatusOverrides,
  statusText,
} from "./status.ts";

const CLASSES: [StatusClass, number[]][] = [
  ["later", [0x58, 0x14, 0x64, 0x08, 0x04, 0x45, 0xff]],
  [
    "elsewhere",
    [0x0d, 0x0e, 0x0f, 0x05, 0x15, 0x53, 0x66, 0x400, 0x401, 0x4ff, 0x22, 0x5a, 0x100, 0x103, 0x0a],
  ],
  ["for_good", [0x01, 0x0b, 0x06, 0x07, 0x43, 0x48, 0x51, 0x54, 0x61, 0x62, 0x63, 0x65, 0xc0, 0xc4, 0x104]],
  ["perhaps_taken", [0x0c, 0xfe]],
];
for (const [kind, statuses] of CLASSES)
  test(`${kind}: ${statuses.map((status) => statusText(status)).join(", ")}`, () => {
    for (const status of statuses) expect([status, classOf(status, new Map())]).toEqual([status, kind]);
  });

test("an unknown status is tried elsewhere, an operator's own meaning comes first", () => {
  expect([0x94, 0x55f, 0xffff_ffff].map((status) => classOf(status, new Map()))).toEqual([
    "elsewhere",
    "elsewhere",
    "elsewhere",
  ]);
  expect(classOf(0x58, new Map([[0x58, "for_good" as const]]))).toBe("for_good");
});

test("any 32-bit value has a class and a text", () => {
  holds("status", fc.nat(0xffff_ffff), (status) => {
    expect(STATUS_CLASSES).toContain(classOf(status, new Map()));
    expect(statusText(status)).toMatch(/^0x[0-9A-F]{2,8}( |$)/);
  });
});

test("two statuses ask for fewer submits", () => {
  expect([0x58, 0x14, 0x08, 0].map(isThrottling)).toEqual([true, true, false, false]);
});

test("a receipt may follow every refusal but those that put the submit off", () => {
  const reported = (statuses: number[], overrides: StatusOverrides = new Map()) =>
    statuses.filter((status) => mayBeReported(status, overrides));
  expect(reported([0x45, 0xff, 0x0b, 0x401, 0x94])).toHaveLength(5);
  expect(reported([0x58, 0x14, 0x64, 0x08, 0x04, 0])).toEqual([]);
  const own: StatusOverrides = new Map([
    [0x401, "later"],
    [0x45, "elsewhere"],
    [0x58, "for_good"],
  ]);
  expect(reported([0x401, 0x45, 0xff, 0x58], own)).toEqual([0x45, 0xff]);
});
