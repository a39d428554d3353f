import { expect, test } from "bun:test";
import { isIdempotencyKey } from "./idempotency-key.ts";
import { IDEMPOTENCY_KEY_CHARS_MAX } from "./limits.ts";

test("a key is printable ASCII up to the limit, with blanks only inside", () => {
  const longest = "k".repeat(IDEMPOTENCY_KEY_CHARS_MAX);
  for (const key of ["k", "!", "~", "[]", "order 4711", longest])
    expect([key, isIdempotencyKey(key)]).toEqual([key, true]);
  const bad = ["", " ", " k", "k ", "a,b", 'a"b', "a\\b", "a\tb", "a\u007fb", "تیکت-۴۷۱۱", `${longest}k`];
  for (const key of bad) expect([key, isIdempotencyKey(key)]).toEqual([key, false]);
});
