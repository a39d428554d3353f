// What is sent for a message, in every place where something of it may stand, with texts that try to leave
// their place.

import { describe, expect, test } from "bun:test";
import { laneRecord } from "../../../test/support/smpp-operator.ts";
import type { LaneRecord } from "../../core/lane-record.ts";
import { compileRequest, type HttpRequest, type RequestSettings, secretsOf } from "./http-request.ts";
import { PLACEHOLDERS } from "./template.ts";

const HOSTILE = [
  `"},"admin":true,"x":{"`,
  "a&to=+15550001&b=#?/../%00%2e",
  "</text><to>+15550001</to><text>",
  "\r\nX-Admin: 1\r\n\r\nGET / HTTP/1.1",
  "{phone} {{text}} {secret.key} ${text} $& $1",
  "سلام 😀 \u2028 \\ \t ' ` < > é",
];

type Settings = Partial<RequestSettings>;
function build(settings: Settings, message: Partial<LaneRecord> = {}): HttpRequest {
  const made = tryBuild(settings, message);
  if (typeof made === "string") throw new Error(made);
  return made;
}
const tryBuild = (settings: Settings, message: Partial<LaneRecord> = {}) =>
  compileRequest({ url: "http://sms.example/send", ...settings }).build(laneRecord("hello", message));
const headersOf = ({ headers }: HttpRequest): Record<string, string> =>
  Object.fromEntries(headers.flatMap((name, n) => (n % 2 === 0 ? [[name, headers[n + 1] ?? ""]] : [])));

test("an entry that says nothing posts our own JSON; without a sender its `from` is null", () => {
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const request = build({ authorization: "Bearer hunter2" }, { traceparent });
  expect([request.method, request.path]).toEqual(["POST", "/send"]);
  expect(JSON.parse(request.body ?? "")).toEqual({
    id: "01KDA0000000000000000000AA",
    phone: "+989121234567",
    text: "hello",
    from: "Shop",
    encoding: "gsm7",
    parts: 1,
    valid_until: "2026-11-07T08:10:00.000Z",
  });
  expect(headersOf(request)).toEqual({
    "content-type": "application/json",
    authorization: "Bearer hunter2",
    traceparent,
  });
  const bodyOf = (settings: Settings) => build(settings, { from: null, encoding: "ucs2" }).body ?? "";
  expect(JSON.parse(bodyOf({}))).toMatchObject({ from: null, encoding: "ucs2" });
  expect(JSON.parse(bodyOf({ sender: "us", encodings: { ucs2: 8 } }))).toMatchObject({
    from: "us",
    encoding: 8,
  });
  const url = "http://sms.example/{secret.key}/send";
  expect(bodyOf({ url, secrets: { key: "k" } })).toBe(bodyOf({}));
  expect(headersOf(build({}))).toEqual({ "content-type": "application/json" });
});

test("each placeholder is what the documentation says", () => {
  const names = Object.keys(PLACEHOLDERS);
  const json = Object.fromEntries(names.map((name) => [name, `{${name}}`]));
  const { body } = build({ body: { json } }, { text: "سلام", encoding: "ucs2", traceparent: "00-a-b-01" });
  expect(JSON.parse(body ?? "")).toEqual({
    id: "01KDA0000000000000000000AA",
    id_number: "7949967148628683102",
    phone: "+989121234567",
    phone_digits: "989121234567",
    phone_national: "09121234567",
    phone_nsn: "9121234567",
    text: "سلام",
    text_ucs2_hex: "0633064406270645",
    from: "Shop",
    parts: 1,
    encoding: "ucs2",
    valid_until: "2026-11-07T08:10:00.000Z",
    valid_until_unix: 1_794_039_000,
    traceparent: "00-a-b-01",
  });
});

test("a message that says how long it is valid has that in our own JSON and in templates", () => {
  const validUntilMs = Date.UTC(2026, 10, 4, 8, 12);
  const valid_until = "2026-11-04T08:12:00.000Z";
  expect(JSON.parse(build({}, { validUntilMs }).body ?? "")).toMatchObject({ valid_until });
  const json = { until: "{valid_until}", unix: "{valid_until_unix}" };
  const { body } = build({ body: { json } }, { validUntilMs });
  expect(JSON.parse(body ?? "")).toEqual({ until: valid_until, unix: validUntilMs / 1_000 });
});

describe("every place holds what stands in it", () => {
  for (const text of HOSTILE) {
    const message = { text, from: text.slice(0, 11) };

    test(`JSON: ${JSON.stringify(text)}`, () => {
      const json = { a: "{text}", b: "<{text}|{from}>", c: [{ "{text}": "{parts}" }] };
      const { body } = build({ body: { json } }, message);
      expect(JSON.parse(body ?? "")).toEqual({
        a: text,
        b: `<${text}|${message.from}>`,
        c: [{ "{text}": 1 }],
      });
    });

    test(`form and query: ${JSON.stringify(text)}`, () => {
      const fields = { to: "{phone}", text: "{text}", both: "{from} + {text}", "a&b": 1 };
      const wanted = [
        ["to", "+989121234567"],
        ["text", text],
        ["both", `${message.from} + ${text}`],
        ["a&b", "1"],
      ];
      const { body } = build({ body: { form: fields } }, message);
      expect([...new URLSearchParams(body ?? "")]).toEqual(wanted as never);
      const { path } = build({ method: "GET", query: fields }, message);
      expect(path).toMatch(/^\/send\?[\x21-\x7e]+$/);
      expect([...new URL(path, "http://sms.example").searchParams]).toEqual(wanted as never);
    });

    test(`URL: ${JSON.stringify(text)}`, () => {
      const url = "http://sms.example/{id}/send?to={phone}&text={text}";
      const { path } = build({ url, method: "GET", query: { from: "{from}" } }, message);
      const made = new URL(path, "http://sms.example");
      expect([made.pathname, made.hash]).toEqual(["/01KDA0000000000000000000AA/send", ""]);
      expect([...made.searchParams]).toEqual([
        ["to", "+989121234567"],
        ["text", text],
        ["from", message.from],
      ]);
    });

    test(`XML: ${JSON.stringify(text)}`, () => {
      const xml = `<sms to="{phone}" text="{text}"><text>{text}</text></sms>`;
      const { body } = build({ body: { xml } }, message);
      const [, attribute = "", element = ""] =
        /^<sms to="\+989121234567" text="([^"<>]*)"><text>([^<>]*)<\/text><\/sms>$/.exec(body ?? "") ?? [];
      expect([unescaped(attribute), unescaped(element)]).toEqual([text, text]);
    });

    test(`a header carries it or refuses the message: ${JSON.stringify(text)}`, () => {
      const made = tryBuild({ headers: { "X-Text": "{text}" } }, message);
      if (typeof made === "string") expect(made).toBe("something that its header x-text can't carry");
      else expect(headersOf(made)["x-text"]).toBe(text);
      expect(typeof made === "string").toBe(/[^\x20-\x7e\x80-\xff]/.test(text));
    });
  }
});

function unescaped(text: string): string {
  const names: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
  return text.replaceAll(/&(?:#(\d+)|(\w+));/g, (_, code: string | undefined, name: string) =>
    code === undefined ? (names[name] ?? "?") : String.fromCodePoint(Number(code)),
  );
}

test("what XML has no way to write refuses the message", () => {
  expect(tryBuild({ body: { xml: "<a>{text}</a>" } }, { text: "bell \u0007" })).toBe(
    "a text that XML can't carry",
  );
});

test("secrets and basic credentials go where the entry says", () => {
  const request = build({
    url: "http://sms.example/v1/{secret.key}/send?token={secret.key}",
    secrets: { key: "a/b?c=é" },
    basic: { username: "us", password: "hunter2" },
    headers: { "X-Key": "key {secret.key}", "Content-Type": "text/plain", traceparent: "none" },
    body: { form: { key: "{secret.key}" } },
  });
  expect(request.path).toBe("/v1/a%2Fb%3Fc%3D%C3%A9/send?token=a%2Fb%3Fc%3D%C3%A9");
  expect(headersOf(request)).toEqual({
    authorization: `Basic ${btoa("us:hunter2")}`,
    "x-key": "key a/b?c=é",
    "content-type": "text/plain",
    traceparent: "none",
  });
  expect(request.body).toBe("key=a%2Fb%3Fc%3D%C3%A9");
});

test("the secrets of an entry are known in every form in which they are sent", () => {
  const entry = {
    url: "http://sms.example/send",
    authorization: "Bearer hunter2",
    basic: { username: "us", password: "pass" },
    secrets: { key: "a/b<c>" },
  };
  expect(secretsOf(entry)).toEqual(
    expect.arrayContaining([
      "Bearer hunter2",
      "hunter2",
      "pass",
      btoa("us:pass"),
      "a/b<c>",
      "a%2Fb%3Cc%3E",
      "a/b&lt;c&gt;",
    ]),
  );
  expect(secretsOf({ url: "http://sms.example/send" }).join("")).toBe("");
});

test("a field that is only a placeholder without a value is left out; in a longer text it is empty", () => {
  const message = { from: null };
  const fields = { from: "{from}", line: "line {from}" };
  expect(build({ body: { form: fields } }, message).body).toBe("line=line%20");
  expect(build({ body: { json: { ...fields, list: ["{from}", 1] } } }, message).body).toBe(
    '{"line":"line ","list":[1]}',
  );
  expect(build({ query: fields, headers: { "X-From": "{from}" } }, message)).toMatchObject({
    path: "/send?line=line%20",
    headers: [],
    body: null,
  });
  expect(build({ body: { form: fields }, sender: "us" }, message).body).toBe("from=us&line=line%20us");
});

test("the operator's own words for encodings keep their type in JSON", () => {
  const encodings = { gsm7: 0, ucs2: "unicode" };
  const json = { coding: "{encoding}", as_text: "{encoding}." };
  expect(build({ body: { json }, encodings }).body).toBe('{"coding":0,"as_text":"0."}');
  const ucs2 = build({ body: { json }, encodings }, { encoding: "ucs2" });
  expect(ucs2.body).toBe('{"coding":"unicode","as_text":"unicode."}');
});

test("JSON keeps what is no text, and braces that are written twice are braces", () => {
  const json = { a: null, b: [1.5, true, []], c: {}, d: "{{{phone_digits}}}", e: "" };
  expect(build({ body: { json } }).body).toBe(
    '{"a":null,"b":[1.5,true,[]],"c":{},"d":"{989121234567}","e":""}',
  );
});

test("a URL is sent as it is written, but for what no request line can have", () => {
  const pathOf = (url: string) => build({ url, body: { form: {} } }).path;
  expect(pathOf("https://sms.example")).toBe("/");
  expect(pathOf("https://sms.example?a=b")).toBe("/?a=b");
  expect(pathOf("https://sms.example/a%20b/سلام c?x=é")).toBe("/a%20b/%D8%B3%D9%84%D8%A7%D9%85%20c?x=%C3%A9");
  expect(compileRequest({ url: "https://sms.example:8443/x" }).origin).toBe("https://sms.example:8443");
});
