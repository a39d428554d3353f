// Jasmin's door from both sides: a published request becomes the message it means; each answer is Jasmin's,
// byte for byte. Balances are read in test/integration/door-jasmin.test.ts.

import { beforeEach, describe, expect, test } from "bun:test";
import { CUSTOMER, ID_UUID, KEY, NOW_MS, type TestDoor, testDoor } from "../../../test/support/doors.ts";
import { maskOf } from "../../core/callback.ts";
import { insufficientBalance, SluiceError } from "../../core/errors.ts";
import { createJasminDoor } from "./jasmin.ts";

const SIGNED = `username=${CUSTOMER}&password=${KEY}`;

let door: TestDoor;
beforeEach(() => {
  door = testDoor(createJasminDoor);
});

const get = async (target: string, headers: Record<string, string> = {}) => {
  const { status, text } = await door.ask(target, { headers });
  return [status, text];
};
const send = (query: string) => get(`/send?${SIGNED}&${query}`);
/** Of a message that is sound but for this. */
const refused = async (query: string) => {
  const seen = await send(`${query}&to=09121234567&content=x`);
  expect(door.drafts).toEqual([]);
  return seen;
};
const SUCCESS = [200, `Success "${ID_UUID}"`];
const error = (status: number, message: string) => [status, `Error "${message}"`];
const invalid = (name: string, value: string) =>
  error(400, `Argument [${name}] has an invalid value: [${value}].`);

describe("a message", () => {
  test("is accepted by GET, and answered with its id", async () => {
    const { status, text, headers } = await door.ask(
      `/send?${SIGNED}&to=+989121234567&from=SLUICE&content=Hello+world&validity-period=60&tags=a,b-1&dlr=no`,
    );
    expect([status, text]).toEqual(SUCCESS);
    expect(headers.get("content-type")).toBe("text/plain");
    expect(headers.get("cache-control")).toBe("no-store");
    expect(door.drafts).toEqual([
      {
        phone: "+989121234567",
        text: "Hello world",
        lane: "normal",
        from: "SLUICE",
        reference: "a,b-1",
        validForMs: 3_600_000,
        callbackUrl: null,
        encoding: "gsm7",
        parts: 1,
      },
    ]);
  });

  test("that is repeated with its Idempotency-Key is not refused because its time is over", async () => {
    const target = `/send?${SIGNED}&to=09121234567&content=x&sdt=261126103000000%2B`;
    const keyed = { headers: { "idempotency-key": "order-1" } };
    for (const waitMs of [0, 61_000]) {
      door.pass(waitMs);
      const { status, text } = await door.ask(target, keyed);
      expect([status, text]).toEqual(SUCCESS);
    }
    expect((await door.ask(target)).status).toBe(400);
    expect(door.drafts).toHaveLength(1);
  });

  test("with sdt is sent at that time, and valid for as long from now", async () => {
    for (const sdt of ["000000000100000R", "261126150000014%2B", "261126150000014+", ""])
      expect(await send(`to=09121234567&content=x&sdt=${sdt}`)).toEqual(SUCCESS);
    expect(await send("to=09121234567&content=x&sdt=000000010000000R&validity-period=90")).toEqual(SUCCESS);
    const times = door.drafts.map(({ sendAtMs, validForMs }) => [
      sendAtMs === undefined ? null : (sendAtMs - NOW_MS) / 60_000,
      validForMs === null ? null : validForMs / 60_000,
    ]);
    expect(times).toEqual([
      [1, null],
      [60, null],
      [60, null],
      [null, null],
      [60, 30],
    ]);
  });

  test("is accepted as a form, and as JSON with numbers", async () => {
    const post = async (type: string, body: string) => {
      const headers = { "content-type": type };
      const { status, text } = await door.ask("/send", { method: "POST", body, headers });
      return [status, text];
    };
    const form = `${SIGNED}&to=09121234567&content=%D8%B3`;
    expect(await post("application/x-www-form-urlencoded", form)).toEqual(SUCCESS);
    const json = {
      username: CUSTOMER,
      password: KEY,
      to: 989121234567,
      content: "س",
      coding: 8,
      priority: 1,
    };
    expect(await post("application/json", JSON.stringify(json))).toEqual(SUCCESS);
    expect(door.drafts.map(({ phone, text }) => [phone, text])).toEqual([
      ["+989121234567", "س"],
      ["+989121234567", "س"],
    ]);
    expect((await post("application/json", "{"))[0]).toBe(400);
    expect((await post("application/json; charset=utf-8", JSON.stringify(json)))[0]).toBe(415);
  });

  test("has the text that its coding says, as content or in hex", async () => {
    const texts = {
      "content=%D8%B3": "س",
      "coding=1&content=plain": "plain",
      "coding=3&content=%E9": "é",
      "coding=6&content=%BF": "П",
      "coding=7&content=%E0": "א",
      "coding=8&content=%06%33": "س",
      "hex-content=1b6500": "€@",
      "coding=8&hex-content=06330041": "سA",
    };
    for (const query of Object.keys(texts)) expect(await send(`to=09121234567&${query}`)).toEqual(SUCCESS);
    expect(door.drafts.map(({ text }) => text)).toEqual(Object.values(texts));
  });

  test("is express by priority 3 only where that is set", async () => {
    await send("to=09121234567&content=x&priority=3");
    const other = testDoor(createJasminDoor, { priorityIsExpress: true });
    for (const priority of [2, 3])
      await other.ask(`/send?${SIGNED}&to=09121234567&content=x&priority=${priority}`);
    expect([...door.drafts, ...other.drafts].map(({ lane }) => lane)).toEqual([
      "normal",
      "normal",
      "express",
    ]);
  });
});

describe("who calls", () => {
  test("may be told by a header instead", async () => {
    expect(await get("/send?to=09121234567&content=x", { "x-api-key": KEY })).toEqual(SUCCESS);
  });

  test("a header that can't be read, or of another user, is Jasmin's 403, also beside a right key", async () => {
    const failed = `Authentication failure for username:${CUSTOMER}`;
    const bearer = { authorization: "Bearer t" };
    expect(await get(`/send?${SIGNED}&to=09121234567&content=x`, bearer)).toEqual(error(403, failed));
    expect(await get(`/rate?${SIGNED}&to=09121234567`, bearer)).toEqual([403, JSON.stringify(failed)]);
    expect(await get(`/balance?${SIGNED}`, bearer)).toEqual([403, JSON.stringify(failed)]);
    expect(await get("/balance", bearer)).toEqual([403, '"Authentication failure for username:"']);
    const message = "to=09121234567&content=x";
    const basic = { authorization: `Basic ${Buffer.from(`${CUSTOMER}:${KEY}`).toString("base64")}` };
    for (const header of [basic, { "x-api-key": KEY }] as Record<string, string>[]) {
      const other = await get(`/send?username=11&${message}`, header);
      expect(other).toEqual(error(403, "Authentication failure for username:11"));
      expect(await get(`/send?username=${CUSTOMER}&${message}`, header)).toEqual(SUCCESS);
    }
    expect(door.drafts).toHaveLength(2);
  });

  test("a wrong user or key is Jasmin's 403, and a key without the scope its 400", async () => {
    const message = "to=09121234567&content=x";
    expect(await get(`/send?username=${CUSTOMER}&password=sk_wrong&${message}`)).toEqual(
      error(403, `Authentication failure for username:${CUSTOMER}`),
    );
    expect(await get(`/send?username=me&password=${KEY}&${message}`)).toEqual(
      error(403, "Authentication failure for username:me"),
    );
    expect(await get(`/balance?username=me&password=${KEY}`)).toEqual([
      403,
      '"Authentication failure for username:me"',
    ]);
    door.allow("read");
    expect(await send(message)).toEqual(
      error(400, `Authorization failed for user [${CUSTOMER}] (Can not send MT messages).`),
    );
    expect(door.drafts).toEqual([]);
  });
});

describe("a request that can't be honoured is refused in Jasmin's words", () => {
  test("arguments that are missing or unknown", async () => {
    const none = "Mandatory arguments not found, please refer to the HTTPAPI specifications.";
    expect(await get("/send")).toEqual(error(400, none));
    expect(await get("/balance")).toEqual([400, JSON.stringify(none)]);
    expect(await get("/send?username=1")).toEqual(error(400, "Mandatory argument [password] is not found."));
    expect(await send("content=x")).toEqual(error(400, "Mandatory argument [to] is not found."));
    expect(await send("to=09121234567")).toEqual(error(400, "content or hex-content not present."));
    expect(await refused("udh=1")).toEqual(error(400, "Argument [udh] is unknown."));
    expect(await refused("constructor=1")).toEqual(error(400, "Argument [constructor] is unknown."));
    const both = "content and hex-content cannot be used both in same request.";
    expect(await refused("hex-content=00")).toEqual(error(400, both));
  });

  test("values", async () => {
    expect(await send("to=12&content=x")).toEqual(invalid("to", "12"));
    expect(await send("to=0912a&content=x")).toEqual(invalid("to", "0912a"));
    expect(await refused("from=much+too+long+a+name")).toEqual(invalid("from", "much too long a name"));
    expect(await send("to=09121234567&content=")).toEqual(invalid("content", ""));
    expect((await send("to=09121234567&content=%FF"))[0]).toBe(400);
    expect((await send("to=09121234567&content=100%"))[0]).toBe(400);
    expect((await send(`to=09121234567&content=${"x".repeat(1_531)}`))[0]).toBe(400);
    for (const hex of ["0", "zz", "1b"])
      expect(await send(`to=09121234567&hex-content=${hex}`)).toEqual(
        error(400, `Invalid hex-content data: '${hex}'`),
      );
    expect(await get(`/send?username=1&password=&to=1&content=x`)).toEqual(invalid("password", ""));
    expect(door.drafts).toEqual([]);
  });

  test("what would change the message, its price or its moment", async () => {
    const values = {
      coding: "4",
      priority: "4",
      sdt: "000031000000000R",
      "validity-period": "4321",
      dlr: "maybe",
      "dlr-url": "http://a/",
      "dlr-level": "4",
      "dlr-method": "PUT",
      tags: "a b",
      custom_tlvs: "[1]",
    };
    for (const [name, value] of Object.entries(values))
      expect(await refused(`${name}=${encodeURIComponent(value)}`)).toEqual(invalid(name, value));
    for (const sdt of ["1", "tomorrow", "261126102800000+", "260230103000000+"])
      expect(await refused(`sdt=${encodeURIComponent(sdt)}`)).toEqual(invalid("sdt", sdt));
    const short = await refused("sdt=000000010000000R&validity-period=60");
    expect(short).toEqual(invalid("validity-period", "60"));
  });
});

test("a phone that opted out is an invalid value", async () => {
  door.optOut("+989121234567");
  expect(await refused("")).toEqual(invalid("to", "09121234567"));
});

test("a receipt is told at dlr-url, at the level that is asked for", async () => {
  const url = "https://a.example/dlr?a=1";
  const asked = async (query: string) => {
    const { status } = await door.ask(`/send?${SIGNED}&to=09121234567&content=x&${query}`);
    return [status, door.drafts.at(-1)?.told];
  };
  const given = `dlr-url=${encodeURIComponent(url)}`;
  const unsent = ["failed", "rejected", "expired", "canceled"] as const;
  const [one, two] = [maskOf(["sent", ...unsent]), maskOf(["delivered", "undelivered", ...unsent])];
  const forms = [
    [given, "jasmin 1 POST", one],
    [`${given}&dlr=no`, "jasmin 1 POST", one],
    [`${given}&dlr=yes&dlr-level=2&dlr-method=get`, "jasmin 2 GET", two],
    [`${given}&dlr-level=3&dlr-method=POST`, "jasmin 3 POST", one | two],
  ] as const;
  for (const [query, form, statuses] of forms)
    expect(await asked(query)).toEqual([200, { url, statuses, form }]);
  for (const none of ["dlr=no", "dlr-method=GET", "dlr-url=&dlr-level="])
    expect(await asked(none)).toEqual([200, undefined]);
  for (const query of ["dlr=yes", "dlr-level=1"]) {
    const { status, text } = await door.ask(`/send?${SIGNED}&to=09121234567&content=x&${query}`);
    expect([status, text]).toEqual([...error(400, "Mandatory argument [dlr-url] is not found.")]);
  }
  for (const bad of ["https://10.0.0.1/", "https://u:p@a.example/", `https://a.example/${"x".repeat(500)}`])
    expect((await asked(`dlr-url=${encodeURIComponent(bad)}`))[0]).toBe(400);
});

test("a refusal of Sluice has its own status, in Jasmin's words", async () => {
  const answered = async (given: SluiceError) => {
    door.refuse(given);
    const { status, text, headers } = await door.ask(`/send?${SIGNED}&to=09121234567&content=x`);
    return [status, text, headers.get("retry-after")];
  };
  expect(await answered(insufficientBalance(500, 1))).toEqual([
    ...error(402, "Cannot charge submit_sm, check RouterPB log file for details"),
    null,
  ]);
  expect(await answered(new SluiceError("rate_limited", { retryAfterS: 9 }))).toEqual([
    ...error(429, "User throughput exceeded"),
    "9",
  ]);
  expect(await answered(new SluiceError("overloaded"))).toEqual([
    ...error(503, "Cannot send submit_sm, check SMPPClientManagerPB log file for details"),
    "1",
  ]);
  expect(door.drafts).toEqual([]);
});

test("a rate is the price of a part, and how many there are", async () => {
  const rate = (query: string) => get(`/rate?${SIGNED}&to=09121234567&${query}`);
  expect(await rate("content=x")).toEqual([200, '{"unit_rate": 5.00, "submit_sm_count": 1}']);
  expect(await rate("")).toEqual([200, '{"unit_rate": 5.00, "submit_sm_count": 1}']);
  expect(await rate(`content=${"x".repeat(161)}`)).toEqual([
    200,
    '{"unit_rate": 5.00, "submit_sm_count": 2}',
  ]);
  expect(await rate("content=%FF")).toEqual([400, '"Argument [content] has an invalid value: [\ufffd]."']);
  expect(door.drafts).toEqual([]);
});

test("nothing is rated that can't be sent", async () => {
  const json = (message: string) => [400, JSON.stringify(message)];
  const rate = (query: string) => get(`/rate?${SIGNED}&${query}`);
  for (const to of ["12", "+12"])
    expect(await rate(`to=${to}&content=x`)).toEqual(json(`Argument [to] has an invalid value: [${to}].`));
  for (const text of ["a\0b", "x".repeat(1_531)]) {
    const content = encodeURIComponent(text);
    const message = `Argument [content] has an invalid value: [${text}].`;
    expect(await rate(`to=09121234567&content=${content}`)).toEqual(json(message));
    expect(await send(`to=09121234567&content=${content}`)).toEqual(error(400, message));
    const hex = Buffer.from(text).toString("hex");
    const invalidHex = json(`Invalid hex-content data: '${hex}'`);
    expect(await rate(`to=09121234567&coding=3&hex-content=${hex}`)).toEqual(invalidHex);
  }
  expect(await rate("to=09121234567&content=")).toEqual([200, '{"unit_rate": 5.00, "submit_sm_count": 1}']);
});

test("a ping needs no key", async () => {
  expect(await get("/ping")).toEqual([200, "Jasmin/PONG"]);
});

test("a validity that ends before quiet hours do is an invalid value", async () => {
  door = testDoor(createJasminDoor, { rules: { quietUntil: (_, atMs) => atMs + 3_600_000 } });
  expect(await refused("validity-period=60")).toEqual(invalid("validity-period", "60"));
  expect(await send("to=09121234567&content=x")).toEqual(SUCCESS);
  expect(door.drafts).toMatchObject([{ sendAtMs: expect.any(Number) }]);
});
