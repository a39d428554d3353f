// Addresses and CIDR blocks, from both sides: what a list has, what it hasn't, what is no entry of one.

import { describe, expect, test } from "bun:test";
import { ADDRESSES_MAX } from "./access-limits.ts";
import { addressList, isAddressBlock, plainAddress } from "./addresses.ts";

/** A block, addresses in it, and addresses next to it. */
const BLOCKS: readonly [block: string, inside: string[], outside: string[]][] = [
  ["203.0.113.9", ["203.0.113.9", "::ffff:203.0.113.9"], ["203.0.113.8", "203.0.113.10", "::203.0.113.9"]],
  ["203.0.113.9/32", ["203.0.113.9"], ["203.0.113.8", "203.0.113.10"]],
  ["203.0.113.8/31", ["203.0.113.8", "203.0.113.9"], ["203.0.113.7", "203.0.113.10"]],
  ["192.0.2.128/25", ["192.0.2.128", "192.0.2.255"], ["192.0.2.127", "192.0.3.0"]],
  ["192.0.2.0/24", ["192.0.2.0", "192.0.2.255"], ["192.0.1.255", "192.0.3.0"]],
  ["172.16.0.0/12", ["172.16.0.0", "172.31.255.255"], ["172.15.255.255", "172.32.0.0"]],
  ["10.1.2.3/8", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]],
  ["128.0.0.0/1", ["128.0.0.0", "255.255.255.255"], ["127.255.255.255", "8000::"]],
  ["0.0.0.0/0", ["0.0.0.0", "255.255.255.255", "::ffff:8.8.8.8"], ["::", "2001:db8::1"]],
  ["2001:db8::1", ["2001:db8::1", "2001:DB8:0:0:0:0:0:1", "2001:db8::1%eth0"], ["2001:db8::2", "2001:db8::"]],
  [
    "2001:db8::/32",
    ["2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"],
    ["2001:db7:ffff::", "2001:db9::"],
  ],
  [
    "2001:db8:0:8000::/49",
    ["2001:db8:0:8000::", "2001:db8:0:ffff::1"],
    ["2001:db8:0:7fff::", "2001:db8:1::"],
  ],
  ["2001:db8::ff/121", ["2001:db8::80", "2001:db8::ff"], ["2001:db8::7f", "2001:db8::100"]],
  ["::/0", ["::", "::1", "2001:db8::1"], ["192.0.2.1", "::ffff:192.0.2.1"]],
  ["::ffff:0:0/95", ["::fffe:c000:201"], ["192.0.2.1", "::ffff:192.0.2.1"]],
  ["::ffff:192.0.2.0/120", ["192.0.2.0", "192.0.2.255", "::ffff:c000:201"], ["192.0.1.255", "192.0.3.0"]],
  ["::ffff:192.0.2.7", ["192.0.2.7"], ["192.0.2.6", "192.0.2.8"]],
];

describe.each(BLOCKS)("%s", (block, inside, outside) => {
  const isListed = addressList([block]);
  test("has its addresses and no others", () => {
    expect(isAddressBlock(block)).toBe(true);
    expect(inside.filter((address) => !isListed(address))).toEqual([]);
    expect(outside.filter(isListed)).toEqual([]);
  });
});

test("a list has what any of its blocks has, of both versions", () => {
  const isListed = addressList(["192.0.2.0/24", "2001:db8::/32", "203.0.113.9"]);
  for (const address of ["192.0.2.1", "2001:db8::1", "203.0.113.9"]) expect(isListed(address)).toBe(true);
  for (const address of ["192.0.3.1", "2001:db9::1", "203.0.113.8"]) expect(isListed(address)).toBe(false);
  expect(addressList([])("192.0.2.1")).toBe(false);
});

test("what is no address is in no list, not even in one of everything", () => {
  const isListed = addressList(["0.0.0.0/0", "::/0"]);
  for (const odd of [
    "",
    "unknown",
    "192.0.2",
    "192.0.2.1.1",
    "192.0.2.256",
    "192.0.2.1 ",
    "192.0.2.1, 203.0.113.9",
    "192.0.2.1:443",
    "[::1]",
    "2001:db8::1::",
    "0x7f.0.0.1",
    "2130706433",
  ])
    expect([odd, isListed(odd)]).toEqual([odd, false]);
});

test("what is neither an address nor a block is refused by name", () => {
  for (const bad of [
    "",
    " ",
    "example.com",
    "192.0.2.0/33",
    "192.0.2.0/-1",
    "192.0.2.0/024",
    "192.0.2.0/+8",
    "192.0.2.0/8.0",
    "192.0.2.0/",
    "192.0.2.0/24/24",
    "192.0.2.0/255.255.255.0",
    "192.0.2.*",
    "192.0.2.1-192.0.2.9",
    "192.0.2.01",
    "192.0.2.0 /24",
    "2001:db8::/129",
    "2001:db8::g",
    "fe80::1%eth0",
    "[2001:db8::]/32",
    "::ffff:192.0.2.0/129",
  ]) {
    expect([bad, isAddressBlock(bad)]).toEqual([bad, false]);
    expect(() => addressList(["192.0.2.1", bad])).toThrow(`${bad} is neither an address nor a CIDR block`);
  }
});

test("an address is written in one way, however it comes", () => {
  for (const [given, plain] of [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:192.0.2.1", "192.0.2.1"],
    ["::ffff:c000:201", "192.0.2.1"],
    ["0:0:0:0:0:ffff:255.254.253.252", "255.254.253.252"],
    ["::ffff:0:192.0.2.1", "::ffff:0:192.0.2.1"],
    ["fe80::1%eth0", "fe80::1"],
    ["unknown", "unknown"],
  ] as const)
    expect(plainAddress(given)).toBe(plain);
});

test("the longest list fits its column", () => {
  const longest = "1111:2222:3333:4444:5555:6666:255.255.255.255/128";
  expect(isAddressBlock(longest)).toBe(true);
  expect(Array.from({ length: ADDRESSES_MAX }, () => longest).join(",").length).toBeLessThan(3_200);
});
