// Errors as callers see them: problem details (RFC 9457) made from the one table, without internal details.

import { expect, test } from "bun:test";
import {
  ERRORS,
  type ErrorCode,
  fieldName,
  insufficientBalance,
  problemBody,
  problemHeaders,
  SluiceError,
  toSluiceError,
} from "./errors.ts";
import { FIELD_ERRORS_MAX } from "./limits.ts";
import { inPersian } from "./persian-errors.ts";

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

test("an answer lists a bounded number of field errors, in any language; the error keeps all", () => {
  const errors = Array.from({ length: FIELD_ERRORS_MAX + 1 }, (_, n) => ({
    field: `f${n}`,
    reason: "is wrong",
  }));
  const error = new SluiceError("validation_failed", { errors });
  expect(error.errors).toEqual(errors);
  const listed = errors.slice(0, FIELD_ERRORS_MAX);
  expect(bodyOf(error).errors).toEqual(listed);
  const persian = JSON.parse(problemBody(error, "r-1", inPersian(error))) as { errors: { field: string }[] };
  expect(persian.errors.map(({ field }) => field)).toEqual(listed.map(({ field }) => field));
});

test("without its own text, the detail names the first few fields", () => {
  const errors = ["phone", "text", "type", "from"].map((field) => ({ field, reason: "is wrong" }));
  const detailOf = (count: number) =>
    new SluiceError("validation_failed", { errors: errors.slice(0, count) }).detail;
  expect(detailOf(1)).toBe("phone is wrong.");
  expect(detailOf(3)).toBe("phone is wrong; text is wrong; type is wrong.");
  expect(detailOf(4)).toBe("phone is wrong; text is wrong; type is wrong; and 1 more.");
  // As many as are ever listed: there may have been more of them.
  const most = Array.from({ length: FIELD_ERRORS_MAX }, () => ({ field: "f", reason: "is wrong" }));
  const error = new SluiceError("validation_failed", { errors: most });
  expect(error.detail).toEndWith(`; and at least ${FIELD_ERRORS_MAX - 3} more.`);
  expect(inPersian(error).detail).toContain(`دست‌کم ${FIELD_ERRORS_MAX - 3} `);
});

test("a field name from outside is shown truncated and without control characters", () => {
  expect(fieldName("a.b_c-1")).toBe("a.b_c-1");
  expect(fieldName("نام")).toBe("نام");
  expect(fieldName("\u001b[31m")).toBe("??31m");
  expect(fieldName("x".repeat(500))).toHaveLength(64);
  expect(fieldName("")).toBe('""');
});

test("every 401 names its scheme, and nothing else does", () => {
  for (const code of codes) {
    const challenge = problemHeaders(new SluiceError(code), "r-1")["www-authenticate"];
    const ofKeys = code.startsWith("signature_") ? "SluiceSignature" : "ApiKey";
    const scheme = code === "admin_token_invalid" ? "Bearer" : ofKeys;
    expect(challenge).toBe(ERRORS[code].status === 401 ? `${scheme} realm="sluice"` : undefined);
  }
  expect(codes.filter((code) => code.startsWith("signature_"))).toHaveLength(4);
});

test("a 402 says how much is required and how much there is", () => {
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

test("answers that ask to wait say how long, in whole seconds, at least one", () => {
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
    "cache-control": "no-store",
    allow: "GET, DELETE",
  });
});

test("errors with 429 or 5xx, and a request under way, are retryable, but for books that are too large", () => {
  for (const code of codes) {
    const { status, retryable } = ERRORS[code];
    const helps = status === 429 || (status >= 500 && code !== "check_too_long");
    expect(retryable).toBe(helps || code === "idempotency_in_progress");
  }
});

test("every 429 and 503 says when to come back", () => {
  for (const code of codes)
    if ([429, 503].includes(ERRORS[code].status))
      expect(problemHeaders(new SluiceError(code), "r-1")["retry-after"]).toBe("1");
});
