// The calls that deliveries ask for. Twilio's own library verifies its signature.

import { expect, test } from "bun:test";
import twilio from "twilio";
import { hmacState } from "../core/hmac-sha1.ts";
import { NO_WEBHOOK_URL } from "../ledger/webhook-deliveries.ts";
import { callOf, signersIn, type WantedCall } from "./wanted-call.ts";

const KEY_ID = "01M7YBCH59Z4D8R94AWEAQ1Q8T";
const TOKEN = "9f1c2d3e4b5a69788796a5b4c3d2e1f0";
const EVENT = "01M7YBCH59Z4D8R94AWEAQ1Q8V";
const URL_ = "https://app.example.com/sms/status?order=42";
const signing = { webhook: undefined, signers: new Map([[KEY_ID, hmacState(TOKEN)]]) };
const SIDS = "AccountSid=AC0123456789abcdef0123456789abcdef&ApiVersion=2010-04-01&From=SLUICE";
const SM = "SM00112233445566778899aabbccddeeff";
const BODY =
  `${SIDS}&MessageSid=${SM}&MessageStatus=delivered&RawDlrDoneDate=2611261030&` +
  `SmsSid=${SM}&SmsStatus=delivered&To=%2B989121234567`;
const delivery = (form: string | null, changes: object = {}) => ({
  eventId: EVENT,
  url: URL_,
  body: BODY,
  form,
  ...changes,
});
const wanted = (form: string | null, changes: object = {}) =>
  callOf(delivery(form, changes), signing, 0) as WantedCall;

test("a StatusCallback is signed as Twilio signs", () => {
  const { call, peer } = wanted(`twilio ${KEY_ID}`);
  expect(peer).toBe("twilio");
  expect(call).toMatchObject({ method: "POST", url: URL_, body: BODY, readsBody: false });
  // As their library for Python computed it.
  const signature = "FRzfe3l/Jjxx9w+ATNfkaz6yxKU=";
  expect(call.headers).toMatchObject({
    "content-type": "application/x-www-form-urlencoded",
    "x-twilio-signature": signature,
    "i-twilio-idempotency-token": EVENT,
    "webhook-id": EVENT,
  });
  const params = Object.fromEntries(new URLSearchParams(BODY));
  expect(twilio.validateRequest(TOKEN, signature, URL_, params)).toBe(true);
  expect(twilio.validateRequest(TOKEN, signature, URL_, { ...params, MessageStatus: "failed" })).toBe(false);
  expect(twilio.validateRequest("another", signature, URL_, params)).toBe(false);
});

test("is signed for the URL as its receiver sees it", () => {
  const { call } = wanted(`twilio ${KEY_ID}`, { url: "HTTPS://App.Example.com:443" });
  expect(call.url).toBe("https://app.example.com/");
  const params = Object.fromEntries(new URLSearchParams(BODY));
  const signature = call.headers["x-twilio-signature"] ?? "";
  expect(twilio.validateRequest(TOKEN, signature, "https://app.example.com/", params)).toBe(true);
});

test("without what signs there is no call", () => {
  expect(callOf(delivery(`twilio ${EVENT}`), signing, 0)).toContain("can't sign");
  expect(signersIn([delivery(`twilio ${KEY_ID}`), delivery("kannel"), delivery(null)])).toEqual([KEY_ID]);
});

test("Kannel's and Jasmin's callbacks need no webhook, and carry nothing of one", () => {
  const body = "https://a.example/r?d=1";
  const webhook = { customerId: 1, url: null, secrets: [`whsec_${Buffer.alloc(32).toString("base64")}`] };
  const headers = { "user-agent": "Sluice-Webhooks/1", "webhook-id": EVENT };
  expect(callOf(delivery("kannel", { body }), { ...signing, webhook }, 0)).toEqual({
    call: { method: "GET", url: body, headers, body: "", readsBody: false },
    peer: "kannel",
  });
  expect(wanted("jasmin 3 GET", { body }).call).toMatchObject({ method: "GET", url: body, readsBody: true });
  const posted = wanted("jasmin 1 POST", { body: "id=1" }).call;
  expect(posted).toMatchObject({ method: "POST", url: URL_, body: "id=1", readsBody: true });
  expect(callOf(delivery(null), signing, 0)).toBe(NO_WEBHOOK_URL);
});
