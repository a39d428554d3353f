// What the lines of an upload count as answered, because a mistake here would look like the gateway's.

import { expect, test } from "bun:test";
import { answerOf } from "./uploads.ts";

const result = (index: number) => ({ index, id: `M${index}`, encoding: "gsm7", parts: 1, cost: 500 });
const problem = { type: "x", status: 402, code: "insufficient_balance" };

test("a line has its own result, or the problem behind it, or no answer", () => {
  expect(answerOf(200, [result(0), problem], 0)).toMatchObject({ status: 202, id: "M0", cost: 500 });
  for (const at of [1, 2])
    expect(answerOf(200, [result(0), problem], at)).toMatchObject({
      status: 402,
      code: problem.code,
      id: null,
    });
  expect(answerOf(503, [{ ...problem, status: 503 }], 5)).toMatchObject({ status: 503, id: null });
  expect(answerOf(200, [result(0)], 1)).toBeNull();
  expect(answerOf(0, [], 0)).toBeNull();
});

test("a result of another line, or one without an id, is no acceptance", () => {
  expect(answerOf(200, [result(1)], 0)?.status).toBe(200);
  expect(answerOf(200, [{ index: 0, code: "validation_failed", detail: "phone" }], 0)?.status).toBe(200);
});
