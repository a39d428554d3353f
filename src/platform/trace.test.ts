import { expect, test } from "bun:test";
import { newTraceparent, parseTraceparent, traceIdOf } from "./trace.ts";

test("a new traceparent is read back, and no two are alike", () => {
  const seen = new Set(Array.from({ length: 1_000 }, () => newTraceparent()));
  expect(seen.size).toBe(1_000);
  for (const made of seen) expect(parseTraceparent(made)?.traceId).toBe(traceIdOf(made));
  expect(parseTraceparent(newTraceparent(true))?.sampled).toBe(true);
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
