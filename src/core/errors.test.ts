// Errors as callers see them: problem details (RFC 9457) from the one table, and nothing that is not theirs
// to see.

import { expect, test } from "bun:test";
import {
  ERRORS,
  type ErrorCode,
  insufficientBalance,
  problemBody,
  problemHeaders,
  SluiceError,
  toSluiceError,
} from "./errors.ts";

const codes = Object.keys(ERRORS) as ErrorCode[];
const bodyOf = (error: SluiceError) => JSON.parse(problemBody(error, "r-1")) as Record<string, unknown>;

test("every code answers all members of the contract", () => {
  for (const code of codes) {
    expect(bodyOf(new SluiceError(code))).toEqual({
      type: `urn:sluice:error:${code}`,
      title: ERRORS[code].title,
      status: ERRORS[code].status,
      detail: expect.any(String),
      code,
      request_id: "r-1",
      error: code,
    });
  }
});

test("field errors are listed when there are some", () => {
  const errors = [{ field: "phone", reason: "is not a valid phone number" }];
  expect(bodyOf(new SluiceError("validation_failed", { errors })).errors).toEqual(errors);
});

test("a 402 says what is needed and what there is", () => {
  expect(bodyOf(insufficientBalance(700, 300))).toMatchObject({
    status: 402,
    code: "insufficient_balance",
    required: 700,
    balance: 300,
  });
});

test("added members never replace the table's", () => {
  expect(bodyOf(new SluiceError("not_found", { extra: { status: 200, code: "fine" } }))).toMatchObject({
    status: 404,
    code: "not_found",
  });
});

test("a cause is kept for the log and never shown", () => {
  const error = toSluiceError(new Error("SELECT secret FROM t"));
  expect(error.code).toBe("internal");
  expect((error.cause as Error).message).toBe("SELECT secret FROM t");
  expect(problemBody(error, "r-1")).not.toContain("SELECT");
});

test("an error that already has a code keeps it", () => {
  const error = new SluiceError("not_found");
  expect(toSluiceError(error)).toBe(error);
});

test("answers that ask to wait say how long, in whole seconds of at least one", () => {
  for (const code of codes) {
    const waits = "retry-after" in problemHeaders(new SluiceError(code), "r-1");
    const underWay = code === "idempotency_in_progress";
    expect(waits).toBe(underWay || [429, 503].includes(ERRORS[code].status));
  }
  expect(problemHeaders(new SluiceError("rate_limited", { retryAfterS: 0.2 }), "r-1")["retry-after"]).toBe(
    "1",
  );
  expect(problemHeaders(new SluiceError("rate_limited", { retryAfterS: 2.1 }), "r-1")["retry-after"]).toBe(
    "3",
  );
});

test("headers carry the type, the request id and the allowed methods", () => {
  const error = new SluiceError("method_not_allowed", { allow: ["GET", "DELETE"] });
  expect(problemHeaders(error, "r-1")).toEqual({
    "content-type": "application/problem+json",
    "x-request-id": "r-1",
    allow: "GET, DELETE",
  });
});

test("whatever answers 429 or 5xx may be tried again, and a request under way; no other error", () => {
  for (const code of codes) {
    const { status, retryable } = ERRORS[code];
    expect(retryable).toBe(status === 429 || status >= 500 || code === "idempotency_in_progress");
  }
});
