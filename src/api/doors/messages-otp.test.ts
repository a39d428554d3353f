// Codes of the door of POST /v1/messages: what is asked of /v1's codes, and each answer byte for byte. That
// they are sent, charged, verified and refunded is in test/integration/door-otp.test.ts.

import { beforeEach, describe, expect, test } from "bun:test";
import {
  CUSTOMER,
  ID_UUID,
  KEY,
  OTP_CODE,
  OTP_ID,
  type TestDoor,
  testDoor,
} from "../../../test/support/doors.ts";
import { insufficientBalance, laneSaturated, SluiceError } from "../../core/errors.ts";
import type { Status } from "../../core/message.ts";
import { OTP_TTL_DEFAULT_MS } from "../../core/otp-limits.ts";
import { customerUuid } from "./door.ts";
import { createMessagesDoor } from "./messages.ts";

const OTP = { to: "09121234567", otp: true };
const FAILED = '{"error":"OTP delivery failed - operator cannot deliver immediately",';
const TIMEOUT = "OTP delivery timeout - operator not responding within 5s";
const SENT = [200, `{"message_id":"${ID_UUID}","otp_code":"${OTP_CODE}","status":"SENT"}`];
const SENT_HIDDEN = [200, `{"message_id":"${ID_UUID}","otp_id":"${OTP_ID}","status":"SENT"}`];
const UNKNOWN = [
  503,
  `${FAILED}"message_id":"${ID_UUID}","otp_id":"${OTP_ID}","reason":"${TIMEOUT}; whether it was sent is ` +
    'not known yet, and its price stays reserved until it is","status":"SENDING"}',
];

let door: TestDoor;
const open = (showsOtp: boolean) => {
  door = testDoor(createMessagesDoor, { rules: showsOtp ? { showsOtp } : {} });
};
beforeEach(() => open(true));

async function ask(body: object, { apiKey = KEY, key = "" } = {}) {
  return door.ask("/v1/messages", {
    method: "POST",
    body: JSON.stringify(body),
    headers: {
      "content-type": "application/json",
      "x-api-key": apiKey,
      ...(key === "" ? {} : { "idempotency-key": key }),
    },
  });
}
const post = async (body: object, options = {}) => {
  const { status, text } = await ask(body, options);
  return [status, text];
};
const becomes = (status: Status, lastError: string | null = null) => (door.outcome = { status, lastError });
const error = (status: number, text: string) => [status, `{"error":${JSON.stringify(text)}}`];

describe("a code that an operator took", () => {
  test("is in the answer of a customer with that flag; for others its id is, to verify it by", async () => {
    for (const status of ["sent", "delivered"] as const) {
      open(true);
      becomes(status);
      expect(await post(OTP)).toEqual(SENT);
      open(false);
      becomes(status);
      expect(await post(OTP)).toEqual(SENT_HIDDEN);
    }
  });

  test("goes by the express lane, with the peer's text or the client's, and may take less than the wait", async () => {
    becomes("sent");
    expect(await post({ ...OTP, express: false })).toEqual(SENT);
    const client_id = customerUuid(CUSTOMER);
    const more = { client_id, from: "SLUICE", reference: "r-1", text: "{code} is your code" };
    expect(await post({ ...OTP, ...more })).toEqual(SENT);
    expect(door.drafts).toMatchObject([
      { phone: "+989121234567", lane: "express", from: null, validForMs: OTP_TTL_DEFAULT_MS },
      { text: "{code} is your code", lane: "express", from: "SLUICE", reference: "r-1" },
    ]);
    expect(door.drafts[0]?.text).toBe("Your verification code is {code}");
    expect(door.promises).toEqual([4_500, 4_500]);
  });

  test("that is asked for again with its Idempotency-Key is not sent again, and has the same bytes", async () => {
    becomes("sent");
    const first = await ask(OTP, { key: "k" });
    const again = await ask(OTP, { key: "k" });
    expect([first.status, first.text]).toEqual(SENT);
    expect([again.status, again.text]).toEqual(SENT);
    expect([first, again].map(({ headers }) => headers.get("idempotent-replayed"))).toEqual([null, "true"]);
    expect(door.drafts).toHaveLength(1);
    becomes("delivered");
    expect(await post(OTP, { key: "k" })).toEqual(SENT);
  });
});

describe("a code that no operator took within 5 s", () => {
  test("is a 503 in the peer's words once it is settled: it is refunded", async () => {
    const failed = (why: string) => [503, `${FAILED}"reason":"OTP delivery failed: ${why}"}`];
    becomes("failed", "A: no such number");
    expect(await post(OTP)).toEqual(failed("A: no such number"));
    becomes("expired", "guaranteed_by could not be kept");
    expect(await post(OTP)).toEqual(failed("guaranteed_by could not be kept"));
    becomes("rejected");
    expect(await post(OTP)).toEqual(failed("rejected"));
  });

  test("and is still queued will not be sent any more: the peer's timeout", async () => {
    becomes("queued");
    // Ids of tests are of the past, so its promise is over.
    expect(await post(OTP)).toEqual([503, `${FAILED}"reason":"${TIMEOUT}"}`]);
  });

  test("but may have been sent is a 503 that says so, with what it is found by", async () => {
    for (const status of ["sending", "unknown"] as const) {
      becomes(status);
      expect(await post(OTP)).toEqual(UNKNOWN);
    }
    door.outcome = null;
    expect(await post(OTP)).toEqual(UNKNOWN);
    open(false);
    becomes("unknown");
    expect(await post(OTP)).toEqual(UNKNOWN);
  });

  test("but was reported as not delivered is a 503 that says that an operator had it", async () => {
    becomes("undelivered");
    expect(await post(OTP)).toEqual([
      503,
      `${FAILED}"message_id":"${ID_UUID}","reason":"OTP delivery failed: the operator took it, and reports ` +
        'that it was not delivered","status":"FAILED_PERM"}',
    ]);
  });

  test("is answered with what became of it since, when it is asked for again with its key", async () => {
    becomes("unknown");
    expect(await post(OTP, { key: "k" })).toEqual(UNKNOWN);
    becomes("sent");
    expect(await post(OTP, { key: "k" })).toEqual(SENT);
    expect(door.drafts).toHaveLength(1);
  });
});

describe("a code is refused", () => {
  test("in the peer's words, or by Sluice's own", async () => {
    expect(await post({ otp: true })).toEqual(error(400, "missing required fields"));
    expect(await post({ ...OTP, client_id: customerUuid(11) })).toEqual(error(403, "not your client_id"));
    expect(await post({ ...OTP, to: "12" })).toEqual(error(422, "to is not a valid phone number."));
    for (const text of ["Your code", "{code} {code}"])
      expect(await post({ ...OTP, text })).toEqual(error(422, "text must have {code} exactly once."));
    expect(await post(OTP, { apiKey: "sk_wrong" })).toEqual(
      error(401, "The key is unknown, was revoked, or has expired."),
    );
    door.allow("read");
    expect((await post(OTP))[0]).toBe(403);
    expect(door.drafts).toEqual([]);
  });

  test("with its own status, and nothing is stored: no credit, too many codes, too much to do", async () => {
    door.refuse(insufficientBalance(700, 1));
    expect(await post(OTP)).toEqual([402, '{"balance":1,"error":"insufficient credits","required":700}']);
    const detail = "A code was sent to this number just now.";
    door.refuse(new SluiceError("otp_phone_limited", { detail, retryAfterS: 29 }));
    const limited = await ask(OTP);
    expect([limited.status, limited.text]).toEqual(error(429, detail));
    expect(limited.headers.get("retry-after")).toBe("29");
    door.refuse(new SluiceError("overloaded"));
    expect((await post(OTP))[0]).toBe(503);
    expect(door.drafts).toEqual([]);
  });

  test("in the peer's words while nothing can be promised", async () => {
    door.refuse(laneSaturated(43, 30, 7));
    const { status, text, headers } = await ask(OTP);
    const reason = "Nothing less than 43 s could be promised for an express message now; more than 30 s is";
    expect([status, text]).toEqual([
      503,
      `${FAILED}"reason":"OTP delivery failed: ${reason} not promised."}`,
    ]);
    expect(headers.get("retry-after")).toBe("7");
  });
});
