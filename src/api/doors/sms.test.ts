// The door of /sms/send from both sides: a published request becomes the messages it means; each answer is
// the peer's, byte for byte. Lists and balances are read in test/integration/door-sms.test.ts.

import { beforeEach, describe, expect, test } from "bun:test";
import { CUSTOMER, KEY, type Seen, type TestDoor, testDoor } from "../../../test/support/doors.ts";
import { BATCH_MESSAGES_MAX } from "../../core/batch-limits.ts";
import { insufficientBalance, SluiceError } from "../../core/errors.ts";
import { SpendCapError } from "../../core/spend-cap.ts";
import { createSmsDoor } from "./sms.ts";

let door: TestDoor;
beforeEach(() => {
  door = testDoor(createSmsDoor);
});

const post = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Seen> =>
  door.ask(path, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    headers: { "content-type": "application/json", "x-api-key": KEY, ...headers },
  });
const MESSAGE = { customer_id: CUSTOMER, text: "Hello", recipients: ["09121234567"], type: "normal" };
const seenOf = ({ status, text }: Seen) => [status, text];
const refused = async (changes: object, of = MESSAGE) => {
  const seen = seenOf(await post("/sms/send", { ...of, ...changes }));
  expect(door.drafts).toEqual([]);
  return seen;
};
const message = (status: number, text: string) => [status, `{"message":${JSON.stringify(text)}}\n`];

describe("a message", () => {
  test("is accepted for all receivers under one identifier", async () => {
    const { status, text, headers } = await post("/sms/send", {
      ...MESSAGE,
      recipients: ["09121234567", "+989121234568"],
    });
    expect(status).toBe(200);
    expect(headers.get("content-type")).toBe("application/json");
    expect(text).toMatch(/^\{"sms_identifier":"[0-9a-f-]{36}","status":"processing"\}\n$/);
    const { sms_identifier } = JSON.parse(text) as { sms_identifier: string };
    expect(door.drafts.map(({ phone, reference, lane }) => [phone, reference, lane])).toEqual([
      ["+989121234567", sms_identifier, "normal"],
      ["+989121234568", sms_identifier, "normal"],
    ]);
  });

  test("is express only by that word; who sends may be left to the key; unknown members are ignored", async () => {
    for (const type of ["express", "EXPRESS", undefined, 7]) {
      const asked = { ...MESSAGE, customer_id: undefined, type, other: 1 };
      expect((await post("/sms/send", asked)).status).toBe(200);
    }
    expect(door.drafts.map(({ lane }) => lane)).toEqual(["express", "normal", "normal", "normal"]);
  });
});

describe("a request is refused in the peer's words", () => {
  test("bad JSON, no receivers, wrong types", async () => {
    const invalid = message(400, "invalid input");
    for (const body of ["", "{", "[]", "null", '{"text":"a","text":"b"}'])
      expect(seenOf(await post("/sms/send", body))).toEqual(invalid);
    expect(await refused({ recipients: [] })).toEqual(message(400, "zero recipients"));
    expect(await refused({ recipients: undefined })).toEqual(message(400, "zero recipients"));
    const wrong = [{ recipients: "09121234567" }, { recipients: [912] }, { text: 1 }, { customer_id: "10" }];
    for (const one of wrong) expect(await refused(one)).toEqual(invalid);
    expect((await post("/sms/send", MESSAGE, { "content-type": "text/plain" })).status).toBe(415);
  });

  test("another customer, a wrong key, a key without the scope", async () => {
    expect(await refused({ customer_id: 11 })).toEqual(message(403, "not your customer"));
    const wrong = await post("/sms/send", MESSAGE, { "x-api-key": "sk_wrong" });
    expect(seenOf(wrong)).toEqual(message(401, "The key is unknown, was revoked, or has expired."));
    expect(wrong.headers.get("www-authenticate")).toBe('ApiKey realm="sluice"');
    door.allow("read");
    expect((await refused({}))[0]).toBe(403);
  });

  test("a phone or text that can't be sent is a 422 that names it", async () => {
    expect(await refused({ recipients: ["09121234567", "12"] })).toEqual([
      422,
      '{"errors":[{"field":"recipients.1","reason":"is not a valid phone number"}],' +
        '"message":"recipients.1 is not a valid phone number."}\n',
    ]);
    expect((await refused({ text: "" }))[0]).toBe(422);
    const many = Array.from({ length: BATCH_MESSAGES_MAX + 1 }, () => "09121234567");
    expect((await refused({ recipients: many }))[0]).toBe(422);
  });

  test("no credit, and too much", async () => {
    door.refuse(insufficientBalance(500, 1));
    expect(await refused({})).toEqual([402, '{"message":"dont have Not Enough Balance "}\n']);
    door.refuse(new SpendCapError(500, { cap: "daily", limit: 900, left: 400, resetsAtMs: 0 }));
    expect(await refused({})).toEqual([402, '{"message":"dont have Not Enough Balance "}\n']);
    door.refuse(new SluiceError("overloaded"));
    const busy = await post("/sms/send", MESSAGE);
    expect([busy.status, busy.headers.get("retry-after")]).toEqual([503, "1"]);
  });

  test("a list without a customer, with another's or with an unknown status", async () => {
    const get = async (path: string) => seenOf(await door.ask(path, { headers: { "x-api-key": KEY } }));
    for (const path of ["/balance", "/sms/history"]) {
      expect(await get(path)).toEqual(message(400, "user_id is required"));
      expect(await get(`${path}?user_id=x`)).toEqual(message(400, "invalid input"));
      expect(await get(`${path}?user_id=11`)).toEqual(message(404, "not found"));
    }
    expect(await get(`/sms/history?user_id=${CUSTOMER}&status=lost`)).toEqual(message(400, "invalid input"));
  });
});

describe("an addition to the balance", () => {
  const add = async (body: object, headers: Record<string, string> = { "idempotency-key": "k" }) =>
    seenOf(await post("/balance/add", { user_id: CUSTOMER, balance: 100, ...body }, headers));

  test("is done once by its Idempotency-Key", async () => {
    door.allow("billing");
    expect(await add({ description: "x" })).toEqual([200, '"done"\n']);
    expect(door.topUps).toMatchObject([{ customerId: CUSTOMER, amount: 100, requestId: "sms:k" }]);
  });

  test("that can't be made is refused in the words of its own request", async () => {
    door.allow("billing");
    const refuse = (error: SluiceError) => (door.failTopUps = error);
    refuse(
      new SluiceError("topup_conflict", { detail: "This request_id was already used with the amount 5." }),
    );
    expect(await add({})).toEqual(message(409, "Idempotency-Key was used with another balance"));
    const reason = "is too large: a wallet can hold at most 9";
    refuse(new SluiceError("validation_failed", { errors: [{ field: "amount", reason }] }));
    expect(await add({})).toEqual([
      422,
      `{"errors":[{"field":"balance","reason":"${reason}"}],"message":"balance ${reason}."}\n`,
    ]);
  });

  test("without a key, of no amount or for another customer is refused", async () => {
    expect((await add({}))[0]).toBe(403);
    door.allow("billing");
    expect(await add({}, {})).toEqual(message(400, "Idempotency-Key is required"));
    expect(await add({}, { "idempotency-key": "k".repeat(125) })).toEqual(
      message(400, "Idempotency-Key is too long"),
    );
    for (const balance of [0, -1, 0.5, "1", undefined])
      expect(await add({ balance })).toEqual(message(400, "invalid input"));
    expect(await add({ user_id: 11 })).toEqual(message(403, "not your customer"));
    expect(door.topUps).toEqual([]);
  });
});
