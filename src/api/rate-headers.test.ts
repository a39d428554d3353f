// The RateLimit headers of answers, as defined by draft-ietf-httpapi-ratelimit-headers-11.

import { expect, test } from "bun:test";
import { RateLimitedError } from "../ingest/rate-limits.ts";
import { respondProblem, respondRefusal } from "./http.ts";
import { rateHeaders } from "./rate-headers.ts";

const parts = { unit: "parts", size: 120, fillS: 60, left: 3, fullInS: 59 } as const;
const requests = { unit: "requests", size: 600, fillS: 60, left: 0, fullInS: 60 } as const;

test("the policy says what the bucket holds, of what, and how long it takes to fill", () => {
  expect(rateHeaders([parts])).toEqual({
    "ratelimit-policy": '"parts";q=120;w=60;qu="message-parts"',
    ratelimit: '"parts";r=3;t=59',
  });
});

test("a customer with both limits is told both", () => {
  expect(rateHeaders([parts, requests])).toEqual({
    "ratelimit-policy": '"parts";q=120;w=60;qu="message-parts", "requests";q=600;w=60',
    ratelimit: '"parts";r=3;t=59, "requests";r=0;t=60',
  });
});

test("a refusal has them too, along with Retry-After, also that of a door", () => {
  const error = new RateLimitedError([requests], 1.2);
  const refusal = respondRefusal(error, { status: 429, body: "later" }, "r-1");
  for (const { status, headers } of [respondProblem(error, "r-1"), refusal]) {
    expect(status).toBe(429);
    expect(headers.get("ratelimit")).toBe('"requests";r=0;t=60');
    expect(headers.get("ratelimit-policy")).toBe('"requests";q=600;w=60');
    expect(headers.get("retry-after")).toBe("2");
  }
});
