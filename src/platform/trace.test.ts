import { expect, test } from "bun:test";
import { isSampled, newTraceparent, parseTraceparent, traceIdOf } from "./trace.ts";

test("a new traceparent can be parsed, and no two are the same", () => {
  const seen = new Set(Array.from({ length: 1_000 }, () => newTraceparent()));
  expect(seen.size).toBe(1_000);
  for (const made of seen) expect(parseTraceparent(made)?.traceId).toBe(traceIdOf(made));
  expect(parseTraceparent(newTraceparent(true))?.sampled).toBe(true);
});

test("neither trace ids nor span ids count up: every digit varies", () => {
  const made = Array.from({ length: 600 }, () => newTraceparent());
  for (let at = 3; at < 52; at++) {
    if (at === 35) continue;
    expect(new Set(made.map((one) => one[at])).size).toBe(16);
  }
});

test("a trace is sampled by the lowest bit of its flags, whatever the others say", () => {
  const ids = newTraceparent().slice(0, -2);
  for (const [flags, sampled] of [
    ["00", false],
    ["01", true],
    ["02", false],
    ["03", true],
    ["0a", false],
    ["0b", true],
  ] as const) {
    expect(isSampled(ids + flags)).toBe(sampled);
    expect(parseTraceparent(ids + flags)?.sampled).toBe(sampled);
  }
  expect(isSampled("")).toBe(false);
});

test("a header that is malformed, of another version or all zeros is refused", () => {
  const good = newTraceparent();
  const bad = [
    "",
    "x",
    good.toUpperCase().replace("00-", "0G-"),
    good.replace(/^00/, "01"),
    `${good}-`,
    null,
    undefined,
  ];
  for (const header of bad) expect(parseTraceparent(header)).toBeNull();
  expect(parseTraceparent(`00-${"0".repeat(32)}-${"1".repeat(16)}-00`)).toBeNull();
  expect(parseTraceparent(`00-${"1".repeat(32)}-${"0".repeat(16)}-00`)).toBeNull();
});
