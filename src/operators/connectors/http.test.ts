import { expect, test } from "bun:test";
import { readAnswer } from "./http.ts";

test("200 with an id is accepted; 200 without a valid one is lost, because it may have been accepted", () => {
  expect(readAnswer(200, '{"operator_message_id":"a-1"}')).toEqual({
    kind: "accepted",
    operatorMessageIds: ["a-1"],
  });
  const long = readAnswer(200, JSON.stringify({ operator_message_id: "x".repeat(300) }));
  expect(long).toEqual({ kind: "accepted", operatorMessageIds: ["x".repeat(255)] });
  for (const body of ["", "null", "[]", "{}", '{"operator_message_id":7}', '{"operator_message_id":"a b"}'])
    expect(readAnswer(200, body).kind).toBe("lost");
});

test("a refusal says whether it is for good; if it doesn't, 429 and 503 are for now", () => {
  expect(readAnswer(503, '{"code":"busy","permanent":true}')).toEqual({
    kind: "refused",
    permanent: true,
    reason: "503 busy",
  });
  expect(readAnswer(429, "not json")).toEqual({ kind: "refused", permanent: false, reason: "429 refused" });
  expect(readAnswer(400, '{"code":"number_refused"}')).toMatchObject({ kind: "refused", permanent: true });
});

test("any other status leaves open whether the message was accepted", () => {
  for (const status of [201, 302, 500, 502, 504]) expect(readAnswer(status, "{}").kind).toBe("lost");
});
