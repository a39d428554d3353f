// The door of POST /v1/messages from both sides: a published request becomes the message it means; each
// answer is the peer's, byte for byte.

import { beforeEach, expect, test } from "bun:test";
import { ID_UUID, KEY, type TestDoor, testDoor } from "../../../test/support/doors.ts";
import { insufficientBalance, SluiceError } from "../../core/errors.ts";
import { SpendCapError } from "../../core/spend-cap.ts";
import { customerUuid } from "./door.ts";
import { createMessagesDoor } from "./messages.ts";

const CLIENT = "00000000-0000-0000-0000-00000000000a";
const MESSAGE = { client_id: CLIENT, to: "09121234567", from: "SLUICE", text: "Hello" };

let door: TestDoor;
beforeEach(() => {
  door = testDoor(createMessagesDoor);
});

const post = async (body: unknown, key = KEY) => {
  const { status, text } = await door.ask("/v1/messages", {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    headers: { "content-type": "application/json", "x-api-key": key },
  });
  return [status, text];
};
const error = (status: number, text: string) => [status, `{"error":${JSON.stringify(text)}}`];

test("a message is queued; who sends may be left to the key", async () => {
  const queued = [202, `{"message_id":"${ID_UUID}","status":"QUEUED"}`];
  expect(await post({ ...MESSAGE, reference: "r-1", otp: false, other: 1 })).toEqual(queued);
  expect(await post({ to: "09121234567", text: "x", client_reference: "r-2", express: true })).toEqual(
    queued,
  );
  expect(door.drafts).toMatchObject([
    { phone: "+989121234567", text: "Hello", from: "SLUICE", reference: "r-1", lane: "normal" },
    { phone: "+989121234567", text: "x", from: null, reference: "r-2", lane: "express" },
  ]);
  expect(await post({ ...MESSAGE, reference: "😀".repeat(128) })).toEqual(queued);
});

test("a request is refused in the peer's words", async () => {
  const invalid = error(400, "invalid request");
  for (const body of ["", "[]", { ...MESSAGE, text: 1 }, { ...MESSAGE, express: "yes" }])
    expect(await post(body)).toEqual(invalid);
  expect(await post({ ...MESSAGE, reference: "😀".repeat(129) })).toEqual(invalid);
  expect(await post({ ...MESSAGE, client_id: "x" })).toEqual(error(400, "invalid client_id"));
  expect(await post({ ...MESSAGE, client_id: customerUuid(11) })).toEqual(error(403, "not your client_id"));
  expect(await post({ ...MESSAGE, to: "" })).toEqual(error(400, "missing required fields"));
  expect(await post({ ...MESSAGE, text: undefined })).toEqual(error(400, "missing required fields"));
  expect(await post({ ...MESSAGE, to: "12" })).toEqual(error(422, "to is not a valid phone number."));
  expect(await post({ ...MESSAGE, to: "12", text: "a\0" })).toEqual(
    error(422, "to is not a valid phone number; text must not contain NUL (U+0000)."),
  );
  expect(await post({ ...MESSAGE, client_reference: "a\0" })).toEqual(invalid);
  expect(await post({ ...MESSAGE, otp: "yes" })).toEqual(invalid);
  const callback = { ...MESSAGE, dlr_callback_url: "https://a.example/" };
  expect(await post(callback)).toEqual(
    error(422, "dlr_callback_url needs a webhook secret, which this customer has not."),
  );
  expect(await post(MESSAGE, "sk_wrong")).toEqual(
    error(401, "The key is unknown, was revoked, or has expired."),
  );
  expect(door.drafts).toEqual([]);
});

test("a refusal of Sluice has its own status, in the peer's form", async () => {
  door.refuse(insufficientBalance(500, 499));
  expect(await post(MESSAGE)).toEqual([402, '{"balance":499,"error":"insufficient credits","required":500}']);
  door.refuse(new SpendCapError(500, { cap: "daily", limit: 900, left: 400, resetsAtMs: 0 }));
  expect(await post(MESSAGE)).toEqual([402, '{"error":"insufficient credits","required":500}']);
  door.refuse(new SluiceError("overloaded"));
  expect((await post(MESSAGE))[0]).toBe(503);
  door.refuse(new SluiceError("validation_failed", { errors: [{ field: "phone", reason: "is refused" }] }));
  expect(await post(MESSAGE)).toEqual(error(422, "to is refused."));
});

test("only the key's own client is told its credit", async () => {
  const me = async (query: string) => {
    const { status, text } = await door.ask(`/v1/me${query}`, { headers: { "x-api-key": KEY } });
    return [status, text];
  };
  expect(await me("?client_id=x")).toEqual(error(400, "invalid client_id format"));
  expect(await me(`?client_id=${customerUuid(11)}`)).toEqual(error(403, "not your client_id"));
});
