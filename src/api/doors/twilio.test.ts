// Twilio's door from both sides: a published request becomes the message it means; each answer is Twilio's,
// byte for byte.

import { beforeEach, describe, expect, test } from "bun:test";
import {
  CUSTOMER,
  ID_DATE,
  ID_HEX,
  KEY,
  KEY_ID,
  NOW_MS,
  type TestDoor,
  testDoor,
} from "../../../test/support/doors.ts";
import { maskOf } from "../../core/callback.ts";
import { insufficientBalance, SluiceError } from "../../core/errors.ts";
import { quietUntilOf } from "../../core/quiet-hours.ts";
import { RateLimitedError } from "../../ingest/rate-limits.ts";
import { accountSid, failureOf } from "../../core/peers/twilio.ts";
import { createTwilioDoor } from "./twilio.ts";

const ACCOUNT = `AC${"a".padStart(32, "0")}`;
const SERVICE = `MG${"0".repeat(32)}`;
const PATH = `/2010-04-01/Accounts/${ACCOUNT}/Messages.json`;
const basic = (user: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
});
const MESSAGE = { To: "+989121234567", From: "SLUICE", Body: "Hi there" };

let door: TestDoor;
beforeEach(() => {
  door = testDoor(createTwilioDoor);
});

const post = (form: Record<string, string> | string, headers: object = basic(ACCOUNT, KEY), path = PATH) =>
  door.ask(path, {
    method: "POST",
    body: new URLSearchParams(form).toString(),
    headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
  });
const refused = async (form: Record<string, string>, changes: object = {}) => {
  const { status, text } = await post({ ...MESSAGE, ...form, ...changes });
  expect(door.drafts).toEqual([]);
  return [status, text];
};
const error = (status: number, code: number, message: string) => [
  status,
  `{"code":${code},"message":${JSON.stringify(message)},` +
    `"more_info":"https://www.twilio.com/docs/errors/${code}","status":${status}}`,
];

describe("a message", () => {
  test("is created, and answered as Twilio's resource", async () => {
    const { status, text, headers } = await post({
      ...MESSAGE,
      ValidityPeriod: "600",
      ProvideFeedback: "false",
    });
    expect(status).toBe(201);
    expect(headers.get("content-type")).toBe("application/json");
    expect(text).toBe(
      `{"account_sid":"${ACCOUNT}","api_version":"2010-04-01","body":"Hi there",` +
        `"date_created":"${ID_DATE}","date_updated":"${ID_DATE}","date_sent":null,` +
        `"direction":"outbound-api","error_code":null,"error_message":null,"from":"SLUICE",` +
        `"messaging_service_sid":null,"num_media":"0","num_segments":"1","price":null,"price_unit":"IRR",` +
        `"sid":"SM${ID_HEX}","status":"queued","subresource_uris":{"media":` +
        `"/2010-04-01/Accounts/${ACCOUNT}/Messages/SM${ID_HEX}/Media.json"},"to":"+989121234567",` +
        `"uri":"/2010-04-01/Accounts/${ACCOUNT}/Messages/SM${ID_HEX}.json"}`,
    );
    expect(door.drafts).toEqual([
      {
        phone: "+989121234567",
        text: "Hi there",
        lane: "normal",
        from: "SLUICE",
        reference: null,
        validForMs: 600_000,
        callbackUrl: null,
        encoding: "gsm7",
        parts: 1,
      },
    ]);
  });

  test("is scheduled up to 30 days ahead, and valid from then on", async () => {
    const form = { ...MESSAGE, ScheduleType: "fixed", MessagingServiceSid: SERVICE, ValidityPeriod: "600" };
    // The last one as a client sends it that doesn't escape the plus.
    const times = ["2026-11-26T10:35:00Z", "2026-12-26T14:00:00+03:30", "2026-12-26T14:00:00 03:30"];
    for (const SendAt of times) {
      const { status, text } = await post({ ...form, SendAt });
      expect([status, JSON.parse(text)]).toMatchObject([201, { status: "scheduled", date_sent: null }]);
    }
    expect(door.drafts.map(({ sendAtMs, validForMs }) => [sendAtMs, validForMs])).toEqual([
      [NOW_MS + 300_000, 600_000],
      [NOW_MS + 30 * 86_400_000, 600_000],
      [NOW_MS + 30 * 86_400_000, 600_000],
    ]);
  });

  test("that is repeated with its Idempotency-Key is not refused because its time has come closer", async () => {
    const SendAt = "2026-11-26T10:35:01Z";
    const form = { ...MESSAGE, ScheduleType: "fixed", MessagingServiceSid: SERVICE, SendAt };
    const keyed = { ...basic(ACCOUNT, KEY), "idempotency-key": "order-1" };
    const first = await post(form, keyed);
    door.pass(5_000);
    const second = await post(form, keyed);
    expect([second.status, second.text]).toEqual([201, first.text]);
    expect(second.headers.get("idempotent-replayed")).toBe("true");
    expect((await post(form)).status).toBe(400);
    expect(door.drafts).toHaveLength(1);
  });

  test("by a messaging service has the customer's own sender, and is accepted", async () => {
    const { To, Body } = MESSAGE;
    const { text } = await post({ To, Body, MessagingServiceSid: SERVICE });
    expect(JSON.parse(text)).toMatchObject({
      from: null,
      messaging_service_sid: SERVICE,
      status: "accepted",
    });
    expect(door.drafts[0]).toMatchObject({ from: null, validForMs: 36_000_000 });
  });

  test("keeps every character, and counts its parts", async () => {
    const Body = `سلام + & = % ${"x".repeat(70)}`;
    const { text } = await post({ ...MESSAGE, Body });
    expect(JSON.parse(text)).toMatchObject({ body: Body, num_segments: "2" });
    expect(door.drafts[0]?.text).toBe(Body);
  });

  test("keeps a plus that was not escaped, with which it goes to another country", async () => {
    const { status, text } = await post("To=+4532123456&From=+4532123457&Body=x");
    expect([status, JSON.parse(text)]).toMatchObject([201, { to: "+4532123456", from: "+4532123457" }]);
    expect(door.drafts).toMatchObject([{ phone: "+4532123456", from: "+4532123457" }]);
  });

  test("may come with parameters that change nothing", async () => {
    const form = { MaxPrice: "1", Attempt: "2", RiskCheck: "enable", Unknown: "x", SmartEncoded: "false" };
    expect((await post({ ...MESSAGE, ...form })).status).toBe(201);
  });
});

describe("a StatusCallback", () => {
  const url = "https://app.example.com/sms/status?order=42";
  const SPENT = ["sent", "delivered", "undelivered", "failed", "rejected", "expired", "canceled"] as const;

  test("is told what follows the answer, signed by the key of the request", async () => {
    expect((await post({ ...MESSAGE, StatusCallback: `${url}#rc=3&rp=all` })).status).toBe(201);
    const told = { url, statuses: maskOf(SPENT), form: `twilio ${KEY_ID}` };
    expect(door.drafts.at(-1)).toMatchObject({ callbackUrl: null, told });
    expect(door.signers).toEqual([[KEY_ID, KEY]]);
    const { To, Body } = MESSAGE;
    await post({ To, Body, MessagingServiceSid: SERVICE, StatusCallback: url });
    expect(door.drafts.at(-1)?.told?.form).toBe(`twilio ${KEY_ID} ${SERVICE}`);
    await post(MESSAGE);
    expect(door.drafts.at(-1)?.told).toBeUndefined();
  });

  test("goes to the public Internet only", async () => {
    const reasons = {
      "http://a.example/": "must begin with https://",
      "https://169.254.169.254/": "must not lead to an address that isn't public",
      "https://a:b@a.example/": "must not contain a user name or password",
      "https://localhost/": "must have a host name of the public DNS",
      [`https://a.example/${"x".repeat(500)}`]: "must have at most 500 characters",
    };
    for (const [given, reason] of Object.entries(reasons)) {
      const message = `The 'StatusCallback' URL is not valid: it ${reason}.`;
      expect(await refused({ StatusCallback: given })).toEqual(error(400, 21609, message));
    }
  });
});

describe("who calls", () => {
  test("is the account, an API key of it, or X-API-Key", async () => {
    expect(accountSid(CUSTOMER)).toBe(ACCOUNT);
    const ways = [basic(ACCOUNT, KEY), basic(`SK${"1".repeat(32)}`, KEY), { "x-api-key": KEY }];
    for (const way of ways) expect((await post(MESSAGE, way)).status).toBe(201);
  });

  test("a wrong or missing key, or another account's name, is a 401", async () => {
    const ways = [{}, basic(ACCOUNT, "sk_wrong"), basic(accountSid(11), KEY), { authorization: "Basic ?" }];
    for (const way of ways) {
      const { status, text, headers } = await post(MESSAGE, way);
      expect([status, text]).toEqual(error(401, 20003, "Authenticate"));
      expect(headers.get("www-authenticate")).toBe('Basic realm="Twilio API"');
    }
  });

  test("another account's path is a 404, and a key without the scope a 403", async () => {
    const other = PATH.replace(ACCOUNT, accountSid(11));
    const { status, text } = await post(MESSAGE, basic(ACCOUNT, KEY), other);
    expect([status, text]).toEqual(error(404, 20404, `The requested resource ${other} was not found`));
    door.allow("read");
    const without = await post(MESSAGE);
    expect([without.status, without.text]).toEqual(error(403, 20003, "Permission Denied"));
  });
});

describe("a request that can't be honoured is refused with Twilio's code", () => {
  test("what is missing", async () => {
    expect(await refused({ To: "" })).toEqual(error(400, 21604, "A 'To' phone number is required."));
    expect(await refused({ From: "" })).toEqual(error(400, 21603, "A 'From' phone number is required."));
    expect(await refused({ Body: "" })).toEqual(error(400, 21602, "Message body is required."));
  });

  test("what is wrong", async () => {
    const to = "The 'To' number 12 is not a valid phone number.";
    expect(await refused({ To: "12" })).toEqual(error(400, 21211, to));
    const from = "The 'From' number whatsapp:+15005550006 is not a valid phone number or name.";
    expect(await refused({ From: "whatsapp:+15005550006" })).toEqual(error(400, 21212, from));
    const long = error(400, 21617, "The concatenated message body exceeds the 1600 character limit.");
    expect(await refused({ Body: "x".repeat(1_601) })).toEqual(long);
    expect(await refused({ Body: "x".repeat(1_531) })).toEqual(long);
    const nul = "The 'Body' must not contain NUL (U+0000).";
    expect(await refused({ Body: "a\0b" })).toEqual(error(400, 21602, nul));
    for (const given of ["59", "36001", "1h"]) {
      const message = `The 'ValidityPeriod' ${given} is not a number of seconds from 60 to 36000.`;
      expect(await refused({ ValidityPeriod: given })).toEqual(error(400, 21624, message));
    }
    const service = error(400, 21701, "The Messaging Service does not exist.");
    expect(await refused({ MessagingServiceSid: "MG1" })).toEqual(service);
  });

  test("what would change the message, its price or its moment", async () => {
    const codes = {
      MediaUrl: 21620,
      ContentSid: 21619,
    };
    for (const [name, code] of Object.entries(codes))
      expect((await refused({ [name]: "x" }))[1]).toStartWith(`{"code":${code},`);
    for (const name of ["SmartEncoded", "ShortenUrls", "SendAsMms"])
      expect(await refused({ [name]: "True" })).toEqual(error(400, 20400, `${name}=true is not supported.`));
    const discard = error(400, 20400, "ContentRetention=discard is not supported.");
    expect(await refused({ ContentRetention: "discard" })).toEqual(discard);
  });

  test("a time that can't be kept, or is not said as Twilio wants it", async () => {
    const sound = { ScheduleType: "fixed", MessagingServiceSid: SERVICE, SendAt: "2026-11-26T11:00:00Z" };
    const codeOf = async (form: Record<string, string>) => {
      const [status, text] = await refused(form);
      return [status, (JSON.parse(text as string) as { code: number }).code];
    };
    const { SendAt, ScheduleType } = sound;
    expect(await codeOf({ SendAt, MessagingServiceSid: SERVICE })).toEqual([400, 35126]);
    expect(await codeOf({ ...sound, ScheduleType: "optimal" })).toEqual([400, 35126]);
    expect(await codeOf({ ...sound, SendAt: "" })).toEqual([400, 35111]);
    expect(await codeOf({ SendAt, ScheduleType })).toEqual([400, 35118]);
    const window = error(
      400,
      35114,
      "SendAt time must be between 300 seconds and 30 days (2592000 seconds) in the future, inclusive.",
    );
    const times = [
      "2026-11-26T10:34:59Z",
      "2026-12-26T10:30:01Z",
      "2025-11-26T11:00:00Z",
      "2026-11-31T10:00:00Z",
      "soon",
    ];
    for (const at of times) expect(await refused({ ...sound, SendAt: at })).toEqual(window);
  });

  test("a phone that opted out, and a destination that the price plan refuses", async () => {
    const plan = { rateAt: () => 0, rates: [{ prefix: "+98", validFromMs: 0, prices: null }] };
    door = testDoor(createTwilioDoor, { rules: { plan } });
    const region =
      "Permission to send an SMS has not been enabled for the region indicated by the 'To' number";
    expect(await refused({})).toEqual(error(400, 21408, `${region}: ${MESSAGE.To}.`));
    door = testDoor(createTwilioDoor);
    door.optOut(MESSAGE.To);
    expect(await refused({})).toEqual(error(400, 21610, "Attempt to send to unsubscribed recipient."));
    expect((await post({ ...MESSAGE, To: "+989121234568" })).status).toBe(201);
  });

  test("a parameter given twice, or not in UTF-8", async () => {
    const twice = await post("To=%2B989121234567&To=%2B989121234568&From=A&Body=x");
    expect([twice.status, twice.text]).toEqual(error(400, 20400, "The 'To' parameter was given twice."));
    const bad = await door.ask(PATH, {
      method: "POST",
      body: "To=%2B989121234567&From=A&Body=%FF",
      headers: { "content-type": "application/x-www-form-urlencoded", ...basic(ACCOUNT, KEY) },
    });
    expect([bad.status, bad.text]).toEqual(error(400, 20400, "The 'Body' parameter is not encoded UTF-8."));
    expect(door.drafts).toEqual([]);
  });

  test("another media type", async () => {
    const { status, text } = await post(MESSAGE, { ...basic(ACCOUNT, KEY), "content-type": "text/plain" });
    expect([status, text]).toEqual(
      error(415, 20415, "Send Content-Type: application/x-www-form-urlencoded."),
    );
  });
});

describe("a refusal of Sluice has its own status, in Twilio's form", () => {
  const answered = async (given: SluiceError) => {
    door.refuse(given);
    const { status, text, headers } = await post(MESSAGE);
    return { seen: [status, text], retryAfter: headers.get("retry-after") };
  };

  test("no credit", async () => {
    const { seen } = await answered(insufficientBalance(500, 499));
    expect(seen).toEqual(error(402, 20402, "This costs 500; the wallet holds 499."));
  });

  test("too much", async () => {
    const rates = [{ unit: "parts", size: 10, fillS: 60, left: 0, fullInS: 60 }] as const;
    const limited = await answered(new RateLimitedError(rates, 7));
    expect(limited).toEqual({ seen: error(429, 20429, "Too Many Requests"), retryAfter: "7" });
    const busy = await answered(new SluiceError("overloaded"));
    expect(busy).toEqual({ seen: error(503, 20503, "Service Unavailable"), retryAfter: "1" });
  });

  test("an unknown message is a 404", async () => {
    const path = `/2010-04-01/Accounts/${ACCOUNT}/Messages/SMx.json`;
    const { status, text } = await door.ask(path, { headers: basic(ACCOUNT, KEY) });
    expect([status, text]).toEqual(error(404, 20404, `The requested resource ${path} was not found`));
  });
});

test("what became of a message has Twilio's error code", () => {
  const codeOf = (
    status: "failed" | "undelivered" | "expired" | "rejected" | "sent",
    lastError: string | null,
  ) => failureOf({ status, lastError })?.code ?? null;
  expect(codeOf("sent", "A: refused")).toBe(null);
  expect(codeOf("undelivered", "absent_subscriber (27)")).toBe(30003);
  expect(codeOf("undelivered", "unknown_subscriber")).toBe(30005);
  expect(codeOf("undelivered", null)).toBe(30008);
  expect(codeOf("failed", "A: refused")).toBe(30008);
  expect(codeOf("expired", null)).toBe(30036);
  expect(codeOf("rejected", "insufficient_balance")).toBe(30002);
  expect(codeOf("failed", "blocked_by_filter")).toBe(30007);
});

test("a validity that ends before quiet hours do is refused as one; without any a message waits", async () => {
  const minute = Math.floor(NOW_MS / 60_000) % 1_440;
  const night = { fromMin: minute, untilMin: (minute + 120) % 1_440, zone: "UTC", prefix: "" };
  const rules = { quietUntil: quietUntilOf([night]), senders: new Set(["SLUICE"]) };
  door = testDoor(createTwilioDoor, { rules });
  const [status, text] = await refused({ ValidityPeriod: "600" });
  expect([status, text]).toEqual([
    400,
    expect.stringContaining("The 'ValidityPeriod' must last 60 s beyond"),
  ]);
  expect(text).toContain('"code":21624');
  expect((await refused({ From: "OTHER" }))[1]).toContain('"code":21212');
  const ways: Record<string, string>[] = [{ From: "SLUICE" }, { MessagingServiceSid: SERVICE }];
  for (const by of ways) {
    const { status: created, text: shown } = await post({ To: MESSAGE.To, Body: "x", ...by });
    expect([created, JSON.parse(shown)]).toMatchObject([201, { status: "scheduled" }]);
  }
  const waiting = { sendAtMs: expect.any(Number), validForMs: 36_000_000 };
  expect(door.drafts).toMatchObject([waiting, waiting]);
});
