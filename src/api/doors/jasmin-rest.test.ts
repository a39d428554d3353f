// Jasmin's REST front from both sides: a published request becomes the message it means; each answer is
// Jasmin's, byte for byte, as its 0.11.1 writes it. Money is counted in test/integration/door-jasmin.test.ts.

import { beforeEach, describe, expect, test } from "bun:test";
import { CUSTOMER, ID_UUID, KEY, NOW_MS, type TestDoor, testDoor } from "../../../test/support/doors.ts";
import { BATCH_MESSAGES_MAX } from "../../core/batch-limits.ts";
import { insufficientBalance, SluiceError } from "../../core/errors.ts";
import { createJasminDoor } from "./jasmin.ts";

const basic = (user: string, key: string) => `Basic ${Buffer.from(`${user}:${key}`).toString("base64")}`;
const SIGNED = { authorization: basic(String(CUSTOMER), KEY) };
const MESSAGE = { to: 989121234567, content: "Hello" };
const SENT = [200, `{"data": "Success \\"${ID_UUID}"}`];

let door: TestDoor;
beforeEach(() => {
  door = testDoor(createJasminDoor);
});

type Headers = Record<string, string>;
const post = async (path: string, body: unknown, headers: Headers = SIGNED) => {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const seen = await door.ask(path, { method: "POST", body: text, headers });
  expect(seen.headers.get("content-type")).toBe("application/json");
  return [seen.status, seen.text];
};
const send = (body: unknown, headers?: Headers) => post("/secure/send", body, headers);
const batch = (body: unknown, headers?: Headers) => post("/secure/sendbatch", body, headers);
const get = async (path: string, headers: Headers = SIGNED) => {
  const { status, text } = await door.ask(path, { headers });
  return [status, text];
};
/** The quote at the end is lost there. */
const error = (status: number, message: string) => [status, `{"message": "Error \\"${message}"}`];
const invalid = (name: string, value: string) =>
  error(400, `Argument [${name}] has an invalid value: [${value}].`);
const unauthorized = (title: string) => [
  401,
  `{"title": "${title}", "description": "Please provide a valid Basic auth token", ` +
    '"link": {"text": "Documentation related to this error", ' +
    '"href": "http://docs.jasminsms.com/en/latest/apis/rest/index.html", "rel": "help"}}',
];
const failure = (title: string, description: string) => [
  412,
  `{"title": "${title}", "description": "${description}"}`,
];

describe("a message", () => {
  test("is one of the HTTP API, with _ for - and without a Content-Type", async () => {
    expect(await send(MESSAGE)).toEqual(SENT);
    const hex = { to: "+989121234567", from: "SLUICE", coding: 8, hex_content: "0633", tags: null };
    expect(await send({ ...hex, validity_period: 60, "validity-period": 90, password: "x" })).toEqual(SENT);
    expect(await send({ ...MESSAGE, coding: 8, content: "سلام" })).toEqual(SENT);
    expect(door.drafts).toMatchObject([
      { phone: "+989121234567", text: "Hello", from: null },
      { text: "س", from: "SLUICE", reference: null, validForMs: 90 * 60_000 },
      { text: "سلام" },
    ]);
  });

  test("with a receipt is told at its dlr-url", async () => {
    const told = { dlr: "yes", dlr_url: "https://a.example/dlr", dlr_level: 3 };
    expect(await send({ ...MESSAGE, ...told })).toEqual(SENT);
    expect(door.drafts[0]?.told).toMatchObject({ url: told.dlr_url, form: "jasmin 3 POST" });
  });

  test("that is repeated with its Idempotency-Key is sent once", async () => {
    const keyed = { ...SIGNED, "idempotency-key": "k" };
    expect(await send(MESSAGE, keyed)).toEqual(SENT);
    expect(await send(MESSAGE, keyed)).toEqual(SENT);
    expect(door.drafts).toHaveLength(1);
  });

  test("that can't be honoured is refused in Jasmin's words", async () => {
    expect(await send({ content: "x" })).toEqual(error(400, "Mandatory argument [to] is not found."));
    expect(await send({ to: 1 })).toEqual(error(400, "content or hex-content not present."));
    expect(await send({ ...MESSAGE, x_y: 1 })).toEqual(error(400, "Argument [x-y] is unknown."));
    expect(await send({ ...MESSAGE, to: [1, 2] })).toEqual(invalid("to", "[1,2]"));
    expect(await send({ ...MESSAGE, to: 12 })).toEqual(invalid("to", "12"));
    expect(await send({ ...MESSAGE, coding: 4 })).toEqual(invalid("coding", "4"));
    const unread = failure("Cannot parse JSON data", "Got unparseable json data");
    for (const body of ["", "{", "[]", "null"]) expect(await send(body)).toEqual(unread);
    door.optOut("+989121234567");
    expect(await send(MESSAGE)).toEqual(invalid("to", "989121234567"));
    expect(door.drafts).toEqual([]);
  });
});

describe("who calls", () => {
  test("must say so by Basic credentials, or by X-API-Key", async () => {
    const unread = { authorization: "Bearer x" };
    const asks = [
      (headers: Headers) => send(MESSAGE, headers),
      (headers: Headers) => batch({ messages: [MESSAGE] }, headers),
      (headers: Headers) => get("/secure/balance", headers),
      (headers: Headers) => get(`/secure/rate?to=989121234567&username=${CUSTOMER}&password=${KEY}`, headers),
    ];
    for (const ask of asks) {
      expect(await ask({})).toEqual(unauthorized("Authentication required"));
      expect(await ask(unread)).toEqual(unauthorized("Invalid token"));
    }
    const { headers } = await door.ask("/secure/balance");
    expect(headers.get("www-authenticate")).toBe('Basic realm="sluice"');
    expect(await send(MESSAGE, { "x-api-key": KEY })).toEqual(SENT);
  });

  test("a wrong user or key is Jasmin's 403, of a batch its 412, and a key without the scope its 400", async () => {
    for (const authorization of [basic("11", KEY), basic("11", "sk_wrong")]) {
      const wrong = { authorization };
      expect(await send(MESSAGE, wrong)).toEqual(error(403, "Authentication failure for username:11"));
      expect(await get("/secure/balance", wrong)).toEqual([
        403,
        '{"message": "Authentication failure for username:11"}',
      ]);
      expect(await batch({ messages: [MESSAGE] }, wrong)).toEqual(
        failure("Authentication failed", "Authentication failed for user: 11"),
      );
    }
    door.allow("read");
    const may = error(400, `Authorization failed for user [${CUSTOMER}] (Can not send MT messages).`);
    expect(await send(MESSAGE)).toEqual(may);
    expect(await batch({ messages: [MESSAGE] })).toEqual(may);
    expect(door.drafts).toEqual([]);
  });
});

test("a refusal of Sluice has its own status, in Jasmin's words", async () => {
  const asks = [() => send(MESSAGE), () => batch({ messages: [MESSAGE, MESSAGE] })];
  for (const ask of asks) {
    door.refuse(insufficientBalance(500, 1));
    expect(await ask()).toEqual(error(402, "Cannot charge submit_sm, check RouterPB log file for details"));
    door.refuse(new SluiceError("rate_limited", { retryAfterS: 9 }));
    expect(await ask()).toEqual(error(429, "User throughput exceeded"));
    door.refuse(new SluiceError("overloaded"));
    expect(await ask()).toEqual(
      error(503, "Cannot send submit_sm, check SMPPClientManagerPB log file for details"),
    );
  }
  expect(door.drafts).toEqual([]);
});

test("a rate is the price of a part, and how many there are", async () => {
  const rated = (parts: number) => [200, `{"data": {"unit_rate": 5.00, "submit_sm_count": ${parts}}}`];
  expect(await get("/secure/rate?to=989121234567")).toEqual(rated(1));
  const long = Buffer.from("x".repeat(161)).toString("hex");
  expect(await get(`/secure/rate?to=989121234567&coding=3&hex_content=${long}`)).toEqual(rated(2));
  const bare = (message: string) => [400, `{"message": "${message}"}`];
  expect(await get("/secure/rate")).toEqual(bare("Mandatory argument [to] is not found."));
  expect(await get("/secure/rate?to=x")).toEqual(bare("Argument [to] has an invalid value: [x]."));
  expect(await get("/secure/rate?to=1&dlr=yes")).toEqual(bare("Argument [dlr] is unknown."));
});

describe("a batch", () => {
  const taken = (count: number, more = "") => [
    200,
    `{"data": {"batchId": "${ID_UUID}", "messageCount": ${count}${more}}}`,
  ];
  const to = ["989121234561", 989121234562, "+989121234563"];

  test("is one message for each receiver, with what is for all of them", async () => {
    const messages = [
      { to, content: "a", from: "Brand1" },
      { to: "989121234567", hex_content: "62" },
    ];
    expect(await batch({ globals: { from: "Brand2", tags: "t" }, messages, other: 1 })).toEqual(taken(4));
    expect(door.drafts.map(({ phone, text, from, reference }) => [phone, text, from, reference])).toEqual([
      ["+989121234561", "a", "Brand1", "t"],
      ["+989121234562", "a", "Brand1", "t"],
      ["+989121234563", "a", "Brand1", "t"],
      ["+989121234567", "b", "Brand2", "t"],
    ]);
    expect(await batch({ messages: [MESSAGE], globals: null, batch_config: {} })).toEqual(taken(1));
    expect(
      await batch({ messages: [{ ...MESSAGE, to: Array(BATCH_MESSAGES_MAX).fill(989121234567) }] }),
    ).toEqual(taken(BATCH_MESSAGES_MAX));
  });

  test("is scheduled by a number of seconds, and valid from then on", async () => {
    const messages = [{ to, content: "a", validity_period: 60 }];
    const scheduled = (schedule_at: unknown) => batch({ messages, batch_config: { schedule_at } });
    expect(await scheduled("86400s")).toEqual(taken(3, ', "scheduled": "86400s"'));
    expect(door.drafts).toMatchObject(
      Array(3).fill({ sendAtMs: NOW_MS + 86_400_000, validForMs: 3_600_000 }),
    );
    expect(await scheduled("0s")).toEqual(taken(3));
    const title = "Cannot parse scheduled_at value";
    for (const at of ["2026-12-01 09:00:00", "x", 5]) {
      const [status, text] = await scheduled(at);
      expect([status, text]).toEqual(
        failure(title, `Got unknown format: ${at}, correct format is a number of seconds, such as 60s`),
      );
    }
    expect(await scheduled("999999999s")).toEqual(failure(title, "Too far ahead: 999999999s"));
    const own = [{ ...MESSAGE, sdt: "000000000100000R" }];
    expect(await batch({ messages: own, batch_config: { schedule_at: "60s" } })).toEqual(
      invalid("sdt", "000000000100000R"),
    );
    expect(door.drafts).toHaveLength(6);
  });

  test("that is repeated with its Idempotency-Key is sent once", async () => {
    const keyed = { ...SIGNED, "idempotency-key": "k" };
    const body = { messages: [{ to, content: "a" }], batch_config: { schedule_at: "60s" } };
    const first = await batch(body, keyed);
    door.pass(3_600_000);
    expect(await batch(body, keyed)).toEqual(first);
    expect(door.drafts).toHaveLength(3);
  });

  test("is known again by what was given, without the credentials: never more than its body", async () => {
    const keyed = { ...SIGNED, "idempotency-key": "k" };
    const globals = { content: "x".repeat(1_500), username: "1", password: "a" };
    const messages = [{ to: Array(BATCH_MESSAGES_MAX).fill(989121234567), password: "b" }];
    const body = { globals, messages };
    expect(await batch(body, keyed)).toEqual(taken(BATCH_MESSAGES_MAX));
    const again = { ...body, globals: { ...globals, username: "2", password: "c" } };
    expect(await batch(again, keyed)).toEqual(taken(BATCH_MESSAGES_MAX));
    await batch({ ...body, batch_config: { schedule_at: "60s" } }, keyed);
    const [first = "", second, other] = door.asked;
    expect(first.length).toBeLessThan(JSON.stringify(body).length);
    expect(second).toBe(first);
    expect(other).not.toBe(first);
  });

  test("with an argument longer than any message can have is refused before it is read for each receiver", async () => {
    const keyed = { ...SIGNED, "idempotency-key": "k" };
    const receivers = Array(BATCH_MESSAGES_MAX).fill(989121234567);
    const all = (more: object) => batch({ globals: more, messages: [{ to: receivers }] }, keyed);
    const text = "x".repeat(1_531);
    expect(await all({ content: text })).toEqual(invalid("content", text));
    const hex = "0041".repeat(1_531);
    expect(await all({ hex_content: hex, coding: 8 })).toEqual(
      error(400, `Invalid hex-content data: '${hex}'`),
    );
    const from = ["x".repeat(50_000)];
    expect(await all({ content: "a", from })).toEqual(invalid("from", `[\\"${from[0]}\\"]`));
    expect(door.asked).toEqual([]);
    const longest = { coding: 8, hex_content: hex.slice(4) };
    expect(await batch({ messages: [{ ...longest, to }] }, keyed)).toEqual(taken(3));
    expect(door.drafts).toMatchObject(Array(3).fill({ parts: 10, text: "A".repeat(1_530) }));
  });

  test("is refused as a whole, in Jasmin's words", async () => {
    const sound = { to, content: "a" };
    const missing = (name: string) => error(400, `Mandatory argument [${name}] is not found.`);
    const cases: [unknown, (string | number)[]][] = [
      [{}, missing("messages")],
      [{ messages: [] }, missing("messages")],
      [{ messages: [sound, 1] }, invalid("messages", "1")],
      [{ messages: [sound], globals: 1 }, invalid("globals", "1")],
      [{ messages: [sound, { content: "x" }] }, missing("to")],
      [{ messages: [sound, { to: [], content: "x" }] }, missing("to")],
      [{ messages: [sound], batch_config: "x" }, invalid("batch_config", '\\"x\\"')],
      [{ messages: [sound, { to: 1 }] }, error(400, "content or hex-content not present.")],
      [{ messages: [{ to: [989121234567, 12], content: "x" }] }, invalid("to", "12")],
      [{ messages: [sound, { ...sound, x: 1 }] }, error(400, "Argument [x] is unknown.")],
      [
        { messages: [sound, { ...sound, to: Array(BATCH_MESSAGES_MAX - 2).fill(1) }] },
        error(400, `Argument [messages] has more than ${BATCH_MESSAGES_MAX} receivers.`),
      ],
    ];
    for (const name of ["callback_url", "errback_url"])
      cases.push([
        { messages: [sound], batch_config: { [name]: "https://a.example/" } },
        error(400, `Argument [${name}] is unknown.`),
      ]);
    for (const [body, answer] of cases) expect([body, await batch(body)]).toEqual([body, answer]);
    expect(await batch("{")).toEqual(failure("Cannot parse JSON data", "Got unparseable json data"));
    door.optOut("+989121234562");
    expect(await batch({ messages: [sound] })).toEqual(invalid("to", "989121234562"));
    expect(door.drafts).toEqual([]);
  });

  test("is of one lane, and express of one time", async () => {
    door = testDoor(createJasminDoor, { priorityIsExpress: true });
    const express = { ...MESSAGE, priority: 3 };
    expect(await batch({ messages: [MESSAGE, express] })).toEqual(invalid("priority", "3"));
    const later = { ...express, sdt: "000000000100000R" };
    expect(await batch({ messages: [express, later] })).toEqual(invalid("sdt", "000000000100000R"));
    expect(await batch({ messages: [later, later] })).toEqual(taken(2));
    expect(door.drafts).toMatchObject([{ lane: "express" }, { lane: "express" }]);
  });
});

test("what is long and full of quotes is answered at once", async () => {
  const startedMs = performance.now();
  await send({ ...MESSAGE, to: `${'"'.repeat(60_000)}x` });
  expect(performance.now() - startedMs).toBeLessThan(2_000);
});
