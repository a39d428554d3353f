// The periods of spend caps, in UTC, and what a refusal says.

import { expect, test } from "bun:test";
import { problemBody } from "./errors.ts";
import { periodAt, SpendCapError } from "./spend-cap.ts";

const at = (cap: "daily" | "monthly", text: string): string[] => {
  const { fromMs, toMs } = periodAt(cap, Date.parse(text));
  return [fromMs, toMs].map((ms) => new Date(ms).toISOString().slice(0, 16));
};

test("a day begins and ends at midnight UTC, and its first moment belongs to it", () => {
  expect(at("daily", "2026-02-28T23:59:59.999Z")).toEqual(["2026-02-28T00:00", "2026-03-01T00:00"]);
  expect(at("daily", "2026-03-01T00:00:00.000Z")).toEqual(["2026-03-01T00:00", "2026-03-02T00:00"]);
});

test("a month has as many days as it has, and the last one ends with the year", () => {
  expect(at("monthly", "2028-02-29T12:00:00Z")).toEqual(["2028-02-01T00:00", "2028-03-01T00:00"]);
  expect(at("monthly", "2026-12-31T23:59:59.999Z")).toEqual(["2026-12-01T00:00", "2027-01-01T00:00"]);
});

test("a refusal is a 402 that names the cap, what is left of it, and when it begins anew", () => {
  const resetsAtMs = Date.UTC(2026, 2, 1);
  const error = new SpendCapError(700, { cap: "monthly", limit: 1_000, left: 300, resetsAtMs });
  expect(JSON.parse(problemBody(error, "r"))).toMatchObject({
    status: 402,
    code: "spend_cap_reached",
    required: 700,
    cap: "monthly",
    limit: 1_000,
    left: 300,
    resets_at: "2026-03-01T00:00:00.000Z",
  });
});

test("a cap that was lowered below what was spent has nothing left, not less", () => {
  const error = new SpendCapError(1, { cap: "daily", limit: 10, left: -5, resetsAtMs: 0 });
  expect(error.extra.left).toBe(0);
});
