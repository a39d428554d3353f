// The RateLimit headers of answers, as defined by draft-ietf-httpapi-ratelimit-headers-10.

import { expect, test } from "bun:test";
import { RateLimitedError } from "../ingest/rate-limits.ts";
import { respondProblem } from "./http.ts";
import { rateHeaders } from "./rate-headers.ts";

const rate = { size: 120, fillS: 60, left: 3, fullInS: 59 };

test("the policy says what the bucket holds and how long it takes to fill", () => {
  expect(rateHeaders(rate)).toEqual({
    "ratelimit-policy": '"parts";q=120;w=60',
    ratelimit: '"parts";r=3;t=59',
  });
});

test("a refusal has them too, along with Retry-After", () => {
  const { status, headers } = respondProblem(new RateLimitedError(rate, 1.2), "r-1");
  expect(status).toBe(429);
  expect(headers.get("ratelimit")).toBe('"parts";r=3;t=59');
  expect(headers.get("ratelimit-policy")).toBe('"parts";q=120;w=60');
  expect(headers.get("retry-after")).toBe("2");
});
