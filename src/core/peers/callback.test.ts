// Callbacks in the forms of Twilio, Kannel and Jasmin: what each status is in their words.

import { expect, test } from "bun:test";
import { statusesOf, TOLD_STATUSES } from "../callback.ts";
import { ulidOfHex } from "../id.ts";
import type { Status } from "../message.ts";
import { RecordError } from "../packed.ts";
import { CALLED_CHARS_MAX } from "../webhook-limits.ts";
import { type PeerEvent, peerBody } from "./callback.ts";
import {
  CALLBACK_FORM_CHARS_MAX,
  type CallbackForm,
  formText,
  jasminStatuses,
  kannelStatuses,
  readForm,
  TWILIO_STATUSES,
} from "./form.ts";
import { hasPlainHost, kannelUrlFits } from "./kannel.ts";
import { twilioText } from "./twilio.ts";

const KEY_ID = "01M7YBCH59Z4D8R94AWEAQ1Q8T";
const UUID = "0198ff72-ed1c-4f41-e0fc-4a1ac8c2b4ce";
const EVENT: PeerEvent = {
  customerId: 10,
  url: "https://app.example.com/sms/status?order=42",
  messageId: ulidOfHex(UUID.replaceAll("-", "")) ?? "",
  lane: "normal",
  phone: "+989121234567",
  status: "delivered",
  sequence: 5,
  parts: 2,
  cost: 1_000,
  reference: "order 1",
  operator: "A",
  error: null,
  createdAtMs: Date.UTC(2026, 10, 26, 10, 29, 58),
  occurredAtMs: Date.UTC(2026, 10, 26, 10, 30, 5),
  call: { form: "kannel", from: "SLUICE", operatorMessageId: "a/1", encoding: "ucs2" },
};
const told = (form: CallbackForm, changes: Partial<PeerEvent> = {}) =>
  peerBody({ ...EVENT, ...changes, call: { ...EVENT.call, ...changes.call, form: formText(form) } });
const fields = (form: CallbackForm, changes: Partial<PeerEvent> = {}) =>
  Object.fromEntries(new URLSearchParams(told(form, changes)));
const TWILIO = { peer: "twilio", keyId: KEY_ID, service: null } as const;
const kannel = (url: string, changes: Partial<PeerEvent> = {}) =>
  told({ peer: "kannel" }, { url, ...changes });

test("a form comes back as it was written, and nothing else is one", () => {
  const forms: CallbackForm[] = [
    TWILIO,
    { ...TWILIO, service: `MG${"a".repeat(32)}` },
    { peer: "kannel" },
    { peer: "jasmin", level: 3, method: "GET" },
    { peer: "jasmin", level: 1, method: "POST" },
  ];
  for (const form of forms) {
    expect(readForm(formText(form))).toEqual(form);
    expect(formText(form).length).toBeLessThanOrEqual(CALLBACK_FORM_CHARS_MAX);
  }
  for (const text of ["", "x", "kannel 1", "twilio", "twilio x", `twilio ${KEY_ID} MG1`, "jasmin 4 GET"])
    expect(() => readForm(text)).toThrow(RecordError);
});

test("whatever is asked for, the end of a message is told", () => {
  const ends = ["failed", "rejected", "expired", "canceled"] as const;
  const masks = [
    TWILIO_STATUSES,
    kannelStatuses(2),
    kannelStatuses(16),
    ...([1, 2, 3] as const).map(jasminStatuses),
  ];
  for (const mask of masks) expect(statusesOf(mask)).toEqual(expect.arrayContaining([...ends]));
  expect(statusesOf(kannelStatuses(32 + 64))).toEqual([]);
});

test("Twilio's fields, and the text that is signed", () => {
  expect(fields(TWILIO)).toEqual({
    AccountSid: `AC${"a".padStart(32, "0")}`,
    ApiVersion: "2010-04-01",
    From: "SLUICE",
    MessageSid: `SM${UUID.replaceAll("-", "")}`,
    MessageStatus: "delivered",
    RawDlrDoneDate: "2611261030",
    SmsSid: `SM${UUID.replaceAll("-", "")}`,
    SmsStatus: "delivered",
    To: "+989121234567",
  });
  const failed = fields({ ...TWILIO, service: `MG${"1".repeat(32)}` }, { status: "expired", error: "x" });
  expect(failed).toMatchObject({
    MessageStatus: "failed",
    ErrorCode: "30036",
    MessagingServiceSid: `MG${"1".repeat(32)}`,
  });
  expect(failed.RawDlrDoneDate).toBeUndefined();
  expect(fields(TWILIO, { status: "rejected", error: "insufficient_balance" })).toMatchObject({
    MessageStatus: "failed",
    ErrorCode: "30002",
    ErrorMessage: "Account suspended",
  });
  const words = TOLD_STATUSES.map((status) => fields(TWILIO, { status }).MessageStatus);
  expect(words.join()).toBe(
    "scheduled,queued,sending,sent,delivered,undelivered,failed,failed,failed,canceled",
  );
  expect(twilioText("b=2&a=%2B1&b=1&b=2&c=")).toBe("a+1b1b2c");
});

test("Kannel's bit of each status", () => {
  const bits: Partial<Record<Status, string>> = {
    queued: "4 ",
    sent: "8 ACK%2F",
    failed: "16 NACK%2FFailed",
    rejected: "16 NACK%2FRejected",
    expired: "16 NACK%2FExpired",
    canceled: "16 NACK%2FCanceled",
    delivered: "1 ",
    undelivered: "2 ",
  };
  for (const [status, seen] of Object.entries(bits)) {
    const url = kannel("%d %A", { status: status as Status });
    if (seen.includes("ACK")) expect(url).toBe(seen);
    else expect(url).toStartWith(`${seen}id%3A${UUID}%20sub%3A002%20`);
  }
});

test("Kannel's escapes", () => {
  const error = "other (27)";
  expect(kannel("%b", { status: "undelivered", error })).toBe(
    encodeURIComponent(
      `id:${UUID} sub:002 dlvrd:000 submit date:2611261029 done date:2611261030 stat:UNDELIV err:027 text:`,
    ),
  );
  const all = "%p|%P|%q|%I|%F|%i|%f|%t|%T|%n|%o|%c|%C|%O|%m|%v|%V|%%|%x|%20";
  expect(kannel(all)).toBe(
    `%2B989121234567|SLUICE|%2B989121234567|${UUID}|a%2F1|A||2026-11-26+10:30:05|1795689005|10|order%201|` +
      "2|UTF-16BE|08|-1|-1|-1|%|%x|%20",
  );
  const plain = { ...EVENT.call, encoding: "gsm7", from: null, operatorMessageId: null } as const;
  expect(peerBody({ ...EVENT, url: "%c%C%O[%P%F]", call: plain })).toBe("0UTF-800[]");
  expect(kannel("https://a.example/?r=%R")).toBe(
    "https://a.example/?r=https%3A%2F%2Fa.example%2F%3Fr%3D%25R",
  );
  // The words of the report's text.
  const sent = { status: "sent" } as const;
  expect(kannel("%k|%s|%r|%a", sent)).toBe("ACK%2F|||ACK%2F");
  expect(kannel("%k|%s|%s|%r")).toBe(
    `id%3A${UUID}|sub%3A002|dlvrd%3A002|submit+date%3A2611261029+done+date%3A2611261030+stat%3ADELIVRD+` +
      "err%3A000+text%3A",
  );
  // Whatever is put in stays where it is.
  const hostile = { reference: "&x=1#/@%d\u0001\ud83d", call: { ...EVENT.call, from: "a b&c" } };
  expect(kannel("https://a.example/?o=%o&P=%P", hostile)).toBe(
    "https://a.example/?o=%26x%3D1%23%2F%40%25d%01%EF%BF%BD&P=a%20b%26c",
  );
});

test("no escape stands in a host, and no URL becomes too long", () => {
  const hidden = ["https://%p.example/", "https://a@%d/", "https://a.example:%d", "https:///%d", "https:%d"];
  const odd = ["https:/%c3%a9.example/", "https:\\\\%p.example/", "https://a.example\\%d", "//a.example/"];
  for (const url of [...hidden, ...odd]) expect([url, hasPlainHost(url)]).toEqual([url, false]);
  for (const url of ["https://a.example/%d", "https://a.example?d=%d", "HTTPS://a.example:8443"])
    expect(hasPlainHost(url)).toBe(true);
  expect(kannelUrlFits(`https://a.example/?${"x".repeat(480)}`, null, null)).toBe(true);
  expect(kannelUrlFits("https://a.example/?%F%i%A%b%t%T%I%p%P%n%d%c", "SLUICE", "r".repeat(128))).toBe(true);
  expect(kannelUrlFits(`https://a.example/?${"%R".repeat(40)}`, null, null)).toBe(false);
  const long = `https://a.example/?${"%o".repeat(10)}`;
  expect(kannelUrlFits(long, null, "r".repeat(128))).toBe(true);
  expect(kannelUrlFits(long, null, "س".repeat(128))).toBe(false);
  expect(kannel(long, { reference: "r".repeat(128) }).length).toBeLessThanOrEqual(CALLED_CHARS_MAX);
});

test("Jasmin's fields are those of the level that happened", () => {
  const level = (of: 1 | 2 | 3) => ({ peer: "jasmin", level: of, method: "POST" }) as const;
  expect(fields(level(3), { status: "sent" })).toEqual({
    id: UUID,
    level: "1",
    message_status: "ESME_ROK",
    connector: "A",
  });
  expect(fields(level(2))).toEqual({
    id: UUID,
    level: "2",
    message_status: "DELIVRD",
    connector: "A",
    id_smsc: "a/1",
    sub: "002",
    dlvrd: "002",
    subdate: "2611261029",
    donedate: "2611261030",
    err: "000",
    text: "ND",
  });
  const word = (of: 1 | 2 | 3, changes: Partial<PeerEvent>) => {
    const seen = fields(level(of), changes);
    return `${seen.level} ${seen.message_status}`;
  };
  const refused = { status: "failed", error: "A: 0x0B RINVDSTADR", operator: null } as const;
  expect(([1, 2, 3] as const).map((of) => word(of, refused))).toEqual([
    "1 ESME_RINVDSTADR",
    "2 UNDELIV",
    "1 ESME_RINVDSTADR",
  ]);
  expect(word(3, { status: "failed", error: "A: refused" })).toBe("1 ESME_RSUBMITFAIL");
  expect(word(2, { status: "rejected" })).toBe("2 REJECTD");
  const expired = { status: "expired", error: "no operator in time" } as const;
  expect(([1, 2, 3] as const).map((of) => word(of, expired))).toEqual([
    "1 ESME_RSUBMITFAIL",
    "2 EXPIRED",
    "2 EXPIRED",
  ]);
  expect(word(3, { status: "canceled" })).toBe("2 DELETED");
  const missing = { operator: null, call: { ...EVENT.call, operatorMessageId: null } };
  expect(fields(level(2), missing)).toMatchObject({ connector: "ND", id_smsc: "ND" });
});

test("by GET the fields follow the URL's own query", () => {
  const get = { peer: "jasmin", level: 1, method: "GET" } as const;
  const sent = { status: "sent" } as const;
  const query = `id=${UUID}&level=1&message_status=ESME_ROK&connector=A`;
  expect(told(get, sent)).toBe(`${EVENT.url}&${query}`);
  expect(told(get, { ...sent, url: "https://a.example/dlr" })).toBe(`https://a.example/dlr?${query}`);
});
