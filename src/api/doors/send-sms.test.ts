// The door of /send-sms from both sides: a published request becomes the message it means; each answer is the
// peer's, byte for byte. Statuses and balances are read in test/integration/door-send-sms.test.ts.

import { beforeEach, expect, test } from "bun:test";
import { CUSTOMER, KEY, type TestDoor, testDoor } from "../../../test/support/doors.ts";
import { insufficientBalance, SluiceError } from "../../core/errors.ts";
import { SpendCapError } from "../../core/spend-cap.ts";
import { customerUuid } from "./door.ts";
import { createSendSmsDoor } from "./send-sms.ts";

const USER = "00000000-0000-0000-0000-00000000000a";
const NAME = "6f1c2d3e-4b5a-4978-8796-a5b4c3d2e1f0";
const MESSAGE = { message_id: NAME, user_id: USER, phone_number: "09121234567", message: "Hello" };

let door: TestDoor;
beforeEach(() => {
  door = testDoor(createSendSmsDoor);
});

const post = async (body: unknown, key = KEY) => {
  const { status, text, headers } = await door.ask("/send-sms", {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    headers: { "content-type": "application/json", "x-api-key": key },
  });
  expect(headers.get("content-type")).toBe("application/json; charset=utf-8");
  return [status, text];
};
const error = (status: number, text: string) => [status, `{"error":${JSON.stringify(text)}}`];

test("a message is sent under the name that its client gave it", async () => {
  expect(customerUuid(CUSTOMER)).toBe(USER);
  expect(await post({ ...MESSAGE, message_id: NAME.toUpperCase(), other: 1 })).toEqual([
    200,
    `{"message_id":"${NAME}","status":"pending"}`,
  ]);
  expect(door.drafts).toMatchObject([
    { phone: "+989121234567", text: "Hello", reference: NAME, lane: "normal", from: null },
  ]);
});

test("a request is refused in the peer's words, in its order", async () => {
  expect(await post("{")).toEqual(error(400, "invalid JSON payload"));
  expect(await post({})).toEqual(error(400, "invalid user_id format (must be UUID)"));
  expect(await post({ user_id: USER })).toEqual(error(400, "invalid message_id format (must be UUID)"));
  expect(await post({ user_id: USER, message_id: NAME })).toEqual(error(400, "invalid phone number"));
  for (const message of [undefined, "", "  ", 1, "x".repeat(1_531)])
    expect(await post({ ...MESSAGE, message })).toEqual(error(400, "invalid message content"));
  expect(await post({ ...MESSAGE, phone_number: "12" })).toEqual(error(400, "invalid phone number"));
  expect(door.drafts).toEqual([]);
});

test("another customer is unknown, and a wrong key is a 401", async () => {
  expect(await post({ ...MESSAGE, user_id: customerUuid(11) })).toEqual(error(404, "user not found"));
  expect(await post(MESSAGE, "sk_wrong")).toEqual(
    error(401, "The key is unknown, was revoked, or has expired."),
  );
  const headers = { "x-api-key": KEY };
  const read = async (path: string) => {
    const { status, text } = await door.ask(path, { headers });
    return [status, text];
  };
  expect(await read(`/balance/${customerUuid(11)}`)).toEqual(error(404, "user not found"));
  expect(await read("/balance/x")).toEqual(error(400, "invalid user_id format (must be UUID)"));
  expect(await read("/message-status/x")).toEqual(error(400, "invalid message_id format (must be UUID)"));
});

test("a phone that opted out is an invalid phone number", async () => {
  door.optOut("+989121234567");
  expect(await post(MESSAGE)).toEqual(error(400, "invalid phone number"));
  expect(door.drafts).toEqual([]);
});

test("a refusal of Sluice has its own status, in the peer's words", async () => {
  const answered = (given: SluiceError) => {
    door.refuse(given);
    return post(MESSAGE);
  };
  expect(await answered(insufficientBalance(500, 1))).toEqual(error(402, "insufficient balance"));
  const capped = new SpendCapError(500, { cap: "daily", limit: 900, left: 400, resetsAtMs: 0 });
  expect(await answered(capped)).toEqual(error(402, "insufficient balance"));
  expect(await answered(new SluiceError("idempotency_key_reused"))).toEqual(
    error(400, "duplicate message_id"),
  );
  expect(await answered(new SluiceError("rate_limited"))).toEqual(error(429, "server busy"));
  expect(await answered(new SluiceError("overloaded"))).toEqual(error(503, "server busy"));
  expect(await answered(new SluiceError("unavailable"))).toEqual(error(503, "unavailable"));
});
