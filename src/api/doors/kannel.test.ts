// Kannel's door from both sides: a published request becomes the messages it means; each answer is Kannel's,
// byte for byte.

import { beforeEach, describe, expect, test } from "bun:test";
import { CUSTOMER, KEY, NOW_MS, type TestDoor, testDoor } from "../../../test/support/doors.ts";
import { maskOf } from "../../core/callback.ts";
import { insufficientBalance, SluiceError } from "../../core/errors.ts";
import { SpendCapError } from "../../core/spend-cap.ts";
import { createKannelDoor } from "./kannel.ts";

const PATH = "/cgi-bin/sendsms";
const SIGNED = `username=${CUSTOMER}&password=${KEY}`;

let door: TestDoor;
beforeEach(() => {
  door = testDoor(createKannelDoor);
});

const get = async (query: string, headers: Record<string, string> = {}) => {
  const { status, text } = await door.ask(`${PATH}?${query}`, { headers });
  return [status, text];
};
const send = (query: string) => get(`${SIGNED}&${query}`);
/** Of a message that is sound but for this. */
const refused = async (query: string) => {
  const seen = await send(`${query}&to=09121234567&text=x`);
  expect(door.drafts).toEqual([]);
  return seen;
};
const ACCEPTED = [202, "0: Accepted for delivery"];
const DENIED = [400, "Number(s) has/have been denied by white- and/or black-lists."];
const DENIED_CALLER = [403, "Authorization failed for sendsms"];
const BODY_MISFORMED = [400, "Charset or body misformed, rejected"];

describe("a message", () => {
  test("is accepted, and answered as a page that may not be stored", async () => {
    const { status, text, headers } = await door.ask(
      `${PATH}?${SIGNED}&to=%2B989121234567&text=Hello+world&from=SLUICE&validity=60&account=shop-1&smsc=x`,
    );
    expect([status, text]).toEqual(ACCEPTED);
    expect(headers.get("content-type")).toBe("text/html");
    expect(headers.get("pragma")).toBe("no-cache");
    expect(headers.get("cache-control")).toBe("no-store");
    expect(door.drafts).toEqual([
      {
        phone: "+989121234567",
        text: "Hello world",
        lane: "normal",
        from: "SLUICE",
        reference: "shop-1",
        validForMs: 3_600_000,
        callbackUrl: null,
        encoding: "gsm7",
        parts: 1,
      },
    ]);
  });

  test("that is deferred is sent so many minutes later, and valid for as long from now", async () => {
    for (const deferred of ["5", "43200", "0", ""])
      expect(await send(`to=09121234567+09121234568&text=x&deferred=${deferred}`)).toEqual(ACCEPTED);
    expect(await send("to=09121234567&text=x&deferred=60&validity=90")).toEqual(ACCEPTED);
    expect(await send("to=09121234567&text=x&deferred=1&validity=4321")).toEqual(ACCEPTED);
    const times = door.drafts.map(({ sendAtMs, validForMs }) => [
      sendAtMs === undefined ? null : (sendAtMs - NOW_MS) / 60_000,
      validForMs === null ? null : validForMs / 60_000,
    ]);
    expect(times).toEqual([
      [5, null],
      [5, null],
      [43_200, null],
      [43_200, null],
      [null, null],
      [null, null],
      [null, null],
      [null, null],
      [60, 30],
      [1, 4_320],
    ]);
  });

  test("has the character set that charset names, or coding implies", async () => {
    expect(await send("to=09121234567&text=%D8%B3")).toEqual(ACCEPTED);
    expect(await send("to=09121234567&coding=2&text=%06%33")).toEqual(ACCEPTED);
    expect(await send("to=09121234567&coding=2&charset=UTF-8&text=%D8%B3")).toEqual(ACCEPTED);
    expect(await send("to=09121234567&coding=0&charset=iso-8859-1&text=%E9")).toEqual(ACCEPTED);
    expect(await send("to=09121234567&charset=windows-1252&text=%80")).toEqual(ACCEPTED);
    const sent = door.drafts.map(({ text, encoding }) => [text, encoding]);
    expect(sent).toEqual([
      ["س", "ucs2"],
      ["س", "ucs2"],
      ["س", "ucs2"],
      ["é", "gsm7"],
      ["€", "gsm7"],
    ]);
  });

  test("has one by any of its names", async () => {
    const salam = "%06%33%06%44%06%27%06%45";
    const named = {
      "utf8&text=%D8%B3": "س",
      "UTF-8&text=%D8%B3": "س",
      "ascii&text=Hi": "Hi",
      "US-ASCII&text=Hi": "Hi",
      "latin1&text=%E9": "é",
      "ISO8859-1&text=%E9": "é",
      "ISO_8859-1&text=%E9": "é",
      "cp1252&text=%80": "€",
      [`utf16be&text=${salam}`]: "سلام",
      [`UCS-2BE&text=${salam}`]: "سلام",
    };
    for (const query of Object.keys(named))
      expect([query, ...(await send(`to=09121234567&charset=${query}`))]).toEqual([query, ...ACCEPTED]);
    expect(door.drafts.map(({ text }) => text)).toEqual(Object.values(named));
  });

  test("is taken as RapidPro sends it, a text that GSM-7 can't hold", async () => {
    const report =
      "https%3A%2F%2Frapidpro.example%2Fc%2Fkn%2F0191e180%2Fstatus%3Fuuid%3D0191e181%26status%3D%25d";
    const query =
      "coding=2&charset=utf8&dlr-mask=27" +
      `&dlr-url=${report}&from=2020&password=${KEY}&priority=1&text=%D8%B3%D9%84%D8%A7%D9%85` +
      `&to=%2B989121234567&username=${CUSTOMER}`;
    expect(await get(query)).toEqual(ACCEPTED);
    const url = "https://rapidpro.example/c/kn/0191e180/status?uuid=0191e181&status=%d";
    expect(door.drafts).toMatchObject([
      { phone: "+989121234567", text: "سلام", from: "2020", told: { url } },
    ]);
  });

  test("is taken as RapidSMS sends it, whose every message names its character set", async () => {
    // Recorded from rapidsms 2.2.0 of PyPI.
    const report =
      "https%3A%2F%2Frapidsms.example%2Fbackend%2Fkannel%2F%3Fmessage_id%3Dm-1%26status%3D%25d" +
      "%26status_text%3D%25A%26smsc%3D%25i%26sms_id%3D%25I%26date_sent%3D%25t%26identity%3D%25p";
    const queryOf = (text: string, charset: string) =>
      `from=SLUICE&username=${CUSTOMER}&password=${KEY}&to=%2B989121234567+%2B989121234568` +
      `&text=${text}&coding=0&charset=${charset}&dlr-mask=31&dlr-url=${report}`;
    expect(await get(queryOf("Hi+there", "ascii"))).toEqual(ACCEPTED);
    expect(await get(queryOf("%D8%B3%D9%84%D8%A7%D9%85", "utf-8"))).toEqual(ACCEPTED);
    expect(door.drafts.map(({ phone, text }) => [phone, text])).toEqual([
      ["+989121234567", "Hi there"],
      ["+989121234568", "Hi there"],
      ["+989121234567", "سلام"],
      ["+989121234568", "سلام"],
    ]);
    expect(door.drafts[0]?.told?.url).toStartWith("https://rapidsms.example/backend/kannel/?message_id=m-1");
  });

  test("goes to several receivers at once; a plus that was not escaped is not lost", async () => {
    expect(await send("to=+989121234567++989121234568+09121234569&text=x")).toEqual(ACCEPTED);
    expect(await send("to=%2B989121234567%20%2B989121234568&text=x")).toEqual(ACCEPTED);
    expect(door.drafts.map(({ phone }) => phone)).toEqual([
      "+989121234567",
      "+989121234568",
      "+989121234569",
      "+989121234567",
      "+989121234568",
    ]);
  });

  test("may have aliases, values that ask for nothing, names given twice, and unknown ones", async () => {
    const nothing = "mclass=&udh=&pid=0&rpi=0&alt-dcs=0&mwi=&compress=0&deferred=0&dlr-mask=31&dlr-url=";
    const query = `user=${CUSTOMER}&pass=${KEY}&${nothing}&to=09121234567&to=12&text=first&text=second&x=y`;
    expect(await get(query)).toEqual(ACCEPTED);
    expect(await send("to=09121234567&text=x&dlr-url=http://a/&dlr-mask=0")).toEqual(ACCEPTED);
    expect(door.drafts.map(({ text }) => text)).toEqual(["first", "x"]);
  });

  test("is express by priority 3 only where that is set", async () => {
    await send("to=09121234567&text=x&priority=3");
    const other = testDoor(createKannelDoor, { priorityIsExpress: true });
    for (const priority of [2, 3])
      await other.ask(`${PATH}?${SIGNED}&to=09121234567&text=x&priority=${priority}`);
    expect([...door.drafts, ...other.drafts].map(({ lane }) => lane)).toEqual([
      "normal",
      "normal",
      "express",
    ]);
  });
});

describe("who calls", () => {
  test("may be told by a header instead", async () => {
    const basic = Buffer.from(`${CUSTOMER}:${KEY}`).toString("base64");
    expect(await get("to=09121234567&text=x", { "x-api-key": KEY })).toEqual(ACCEPTED);
    expect(await get("to=09121234567&text=x", { authorization: `Basic ${basic}` })).toEqual(ACCEPTED);
  });

  test("a user that is named beside a header must be the key's own", async () => {
    const basic = Buffer.from(`${CUSTOMER}:${KEY}`).toString("base64");
    const message = "to=09121234567&text=x";
    const ways: Record<string, string>[] = [{ "x-api-key": KEY }, { authorization: `Basic ${basic}` }];
    for (const headers of ways) {
      for (const user of [String(CUSTOMER), ""])
        expect(await get(`username=${user}&${message}`, headers)).toEqual(ACCEPTED);
      for (const user of ["username=11", "user=11", "username=%FF"])
        expect([user, ...(await get(`${user}&${message}`, headers))]).toEqual([user, ...DENIED_CALLER]);
    }
    expect(door.drafts).toHaveLength(4);
  });

  test("a wrong or missing user, key, scope, signature or address is Kannel's 403", async () => {
    const denied = DENIED_CALLER;
    const message = "&to=09121234567&text=x";
    expect(await get(message)).toEqual(denied);
    expect(await get(`username=${CUSTOMER}&password=sk_wrong${message}`)).toEqual(denied);
    expect(await get(`username=11&password=${KEY}${message}`)).toEqual(denied);
    expect(await get(`password=${KEY}${message}`)).toEqual(denied);
    door.allow("read");
    expect(await send("to=09121234567&text=x")).toEqual(denied);
    door.allow("send");
    const codes = [
      "signature_missing",
      "signature_invalid",
      "signature_expired",
      "signature_replayed",
      "address_not_allowed",
      "customer_suspended",
    ] as const;
    for (const code of codes) {
      door.refuse(new SluiceError(code));
      expect([code, ...(await send("to=09121234567&text=x"))]).toEqual([code, ...denied]);
    }
    expect(door.drafts).toEqual([]);
  });
});

describe("a request that can't be honoured is refused in Kannel's words", () => {
  test("receivers: one wrong number refuses all", async () => {
    expect(await send("text=x")).toEqual([400, "Missing receiver number, rejected"]);
    expect(await send("to=+&text=x")).toEqual([400, "Empty receiver number not allowed, rejected"]);
    expect(await send("to=0912a&text=x")).toEqual(DENIED);
    expect(await send("to=09121234567+12&text=x")).toEqual(DENIED);
    const many = Array.from({ length: 1_001 }, () => "09121234567").join("+");
    expect(await send(`to=${many}&text=x`)).toEqual(DENIED);
    expect(door.drafts).toEqual([]);
  });

  test("the text, its character set and its coding", async () => {
    expect(await send("to=09121234567")).toEqual(BODY_MISFORMED);
    expect(await send("to=09121234567&text=")).toEqual(BODY_MISFORMED);
    expect(await send("to=09121234567&text=%FF")).toEqual(BODY_MISFORMED);
    expect(await send("to=09121234567&text=100%")).toEqual(BODY_MISFORMED);
    expect(await send("to=09121234567&text=x&coding=2")).toEqual(BODY_MISFORMED);
    for (const charset of ["KOI8-R", "UCS2", "UTF-16", "constructor"])
      expect([charset, ...(await refused(`charset=${charset}`))]).toEqual([charset, ...BODY_MISFORMED]);
    expect(await send("to=09121234567&charset=ascii&text=%E9")).toEqual(BODY_MISFORMED);
    expect(await refused("coding=1")).toEqual([400, "Coding field misformed, rejected"]);
    expect(await refused("coding=3")).toEqual([400, "Coding field misformed, rejected"]);
    const long = "x".repeat(1_531);
    expect(await send(`to=09121234567&text=${long}`)).toEqual([400, "Text field is too long, rejected"]);
    expect(door.drafts).toEqual([]);
  });

  test("sender and account", async () => {
    const sender = [400, "Sender field misformed, rejected"];
    expect(await refused("from=much+too+long+a+name")).toEqual(sender);
    expect(await refused("from=%FF")).toEqual(sender);
    const account = [400, "Account field misformed or too long, rejected"];
    expect(await refused(`account=${"x".repeat(129)}`)).toEqual(account);
    expect(await refused(`account=${encodeURIComponent("😀".repeat(129))}`)).toEqual(account);
    expect(door.drafts).toEqual([]);
    const longest = "😀".repeat(128);
    await send(`to=09121234567&text=x&account=${encodeURIComponent(longest)}`);
    expect(door.drafts).toMatchObject([{ reference: longest }]);
  });

  test("what would change the message, its price or its moment", async () => {
    const misformed = {
      "udh=%05": "UDH",
      "mclass=0": "MClass",
      "pid=1": "PID",
      "rpi=1": "RPI",
      "alt-dcs=1": "Alt-DCS",
      "mwi=0": "MWI",
      "compress=1": "Compress",
      "deferred=43201": "Deferred",
      "deferred=-1": "Deferred",
      "deferred=1h": "Deferred",
      "deferred=60&validity=60": "Validity",
      "deferred=1&validity=4322": "Validity",
      "validity=0": "Validity",
      "validity=4321": "Validity",
      "validity=1x": "Validity",
      "priority=4": "Priority",
      "dlr-mask=x": "DLR-Mask",
    };
    for (const [query, name] of Object.entries(misformed))
      expect([query, ...(await refused(query))]).toEqual([query, 400, `${name} field misformed, rejected`]);
  });

  test("a POST", async () => {
    const post = async (type: string) => {
      const { status, text } = await door.ask(PATH, {
        method: "POST",
        body: "x",
        headers: { "content-type": type },
      });
      return [status, text];
    };
    expect(await post("application/x-www-form-urlencoded")).toEqual([400, "Invalid content-type"]);
    expect(await post("text/plain")).toEqual([415, "Unsupported content-type, rejected"]);
  });
});

test("one phone that opted out refuses all receivers", async () => {
  door.optOut("+989121234568");
  expect(await send("to=09121234567+09121234568&text=x")).toEqual(DENIED);
  expect(door.drafts).toEqual([]);
});

test("a refusal of Sluice has its own status, in Kannel's words", async () => {
  const answered = async (error: SluiceError) => {
    door.refuse(error);
    const { status, text, headers } = await door.ask(`${PATH}?${SIGNED}&to=09121234567&text=x`);
    return [status, text, headers.get("retry-after")];
  };
  expect(await answered(insufficientBalance(500, 1))).toEqual([402, "Not enough credit, rejected", null]);
  const capped = new SpendCapError(500, { cap: "daily", limit: 900, left: 400, resetsAtMs: 0 });
  expect(await answered(capped)).toEqual([402, "Not enough credit, rejected", null]);
  const later = "Temporal failure, try again later.";
  expect(await answered(new SluiceError("rate_limited", { retryAfterS: 9 }))).toEqual([429, later, "9"]);
  expect(await answered(new SluiceError("overloaded"))).toEqual([503, later, "1"]);
  expect(door.drafts).toEqual([]);
});

describe("a report", () => {
  const asked = async (query: string) => {
    const seen = await send(`to=09121234567&text=x&${query}`);
    return [...seen, door.drafts.at(-1)?.told];
  };
  const told = (url: string, statuses: number) => [...ACCEPTED, { url, statuses, form: "kannel" }];

  test("is told at dlr-url, of what dlr-mask asks for", async () => {
    const url = "https://a.example/r?s=%d&id=%I&x=%20";
    const given = `dlr-url=${encodeURIComponent(url)}`;
    const unsent = ["failed", "rejected", "expired", "canceled"] as const;
    const masks = [
      [1, maskOf(["delivered"])],
      [2, maskOf(["undelivered", ...unsent])],
      [4, maskOf(["queued"])],
      [8, maskOf(["sent"])],
      [16, maskOf(unsent)],
      [27, maskOf(["sent", "delivered", "undelivered", ...unsent])],
    ] as const;
    for (const [mask, statuses] of masks)
      expect(await asked(`${given}&dlr-mask=${mask}`)).toEqual(told(url, statuses));
    expect(await asked(`${given.replace("-", "")}&dlrmask=8`)).toEqual(told(url, maskOf(["sent"])));
    for (const nothing of [given, `${given}&dlr-mask=32`, "dlr-mask=31"])
      expect(await asked(nothing)).toEqual([...ACCEPTED, undefined]);
  });

  test("goes to the public Internet only, and its host is written out", async () => {
    const urls = [
      "http://a.example/",
      "https://127.0.0.1/",
      "https://[::1]/",
      "https://user:secret@a.example/",
      "https://a.example:22/",
      "https://%p.example/",
      "https://a%2eexample/",
      "ftp://a.example/",
      "//a.example/",
      `https://a.example/${"x".repeat(490)}`,
      `https://a.example/${"%R".repeat(100)}`,
      "https://a.example/#%d",
      "https://a.example/ \u00e9",
    ];
    for (const url of urls)
      expect([url, ...(await refused(`dlr-mask=31&dlr-url=${encodeURIComponent(url)}`))]).toEqual([
        url,
        400,
        "DLR-URL field misformed, rejected",
      ]);
  });
});

test("a validity that ends before quiet hours do is misformed", async () => {
  door = testDoor(createKannelDoor, { rules: { quietUntil: (_, atMs) => atMs + 3_600_000 } });
  expect(await refused("validity=60")).toEqual([400, "Validity field misformed, rejected"]);
  expect(await send("to=09121234567&text=x&validity=61")).toEqual(ACCEPTED);
  expect(door.drafts).toMatchObject([{ sendAtMs: expect.any(Number), validForMs: 60_000 }]);
});
