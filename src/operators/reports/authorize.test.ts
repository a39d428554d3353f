import { describe, expect, test } from "bun:test";
import { createHash, createHmac } from "node:crypto";
import { createAuthorizer, type ReportAccess, type ReportRequest, withoutToken } from "./authorize.ts";

const FORM = "application/x-www-form-urlencoded";
const request = (more: Partial<ReportRequest> = {}): ReportRequest => ({
  url: "https://sms.example.com/dlr/op",
  headers: new Headers(),
  body: new Uint8Array(0),
  address: "192.0.2.7",
  ...more,
});
/** "ok", or the reason against it. */
const verdict = (access: ReportAccess, more: Partial<ReportRequest> = {}): string => {
  const answer = createAuthorizer(access)(request(more));
  return answer.kind === "ok" ? "ok" : answer.reason;
};
const headers = (...pairs: [string, string][]): Headers => new Headers(pairs);

describe("conditions", () => {
  test("none given admits nobody, unless the terms say open", () => {
    expect(verdict({})).toBe("the operator has no condition that admits it");
    expect(verdict({ open: false })).not.toBe("ok");
    expect(verdict({ open: true })).toBe("ok");
  });

  test("all given ones must hold, open or not", () => {
    const access = { secret: "s3cret", addresses: ["192.0.2.0/24"], open: true };
    const token = headers(["X-Sluice-Token", "s3cret"]);
    expect(verdict(access, { headers: token })).toBe("ok");
    expect(verdict(access)).toBe("no token");
    expect(verdict(access, { headers: token, address: "198.51.100.1" })).toBe(
      "the address 198.51.100.1 is not listed",
    );
  });

  test("that are empty are refused before they could admit anyone", () => {
    for (const access of [
      { secret: "" },
      { twilioAuthToken: "" },
      { vonageSignatureSecret: "" },
      { basic: { username: "op", password: "" } },
    ])
      expect(() => createAuthorizer(access)).toThrow("is empty");
  });
});

describe("a token", () => {
  const access = { secret: "s3cret" };
  const at = (query: string, ...given: [string, string][]) =>
    verdict(access, { url: `https://sms.example.com/dlr/op${query}`, headers: headers(...given) });

  test("in the header or the query must be the secret", () => {
    expect(at("", ["X-Sluice-Token", "s3cret"])).toBe("ok");
    expect(at("?a=b&token=s3cret")).toBe("ok");
    expect(at("")).toBe("no token");
    for (const wrong of ["s3cre", "s3crett", "S3CRET", ""])
      expect(at("", ["X-Sluice-Token", wrong])).toBe("a wrong token");
    expect(at("?token=")).toBe("a wrong token");
  });

  test("given twice must be right each time", () => {
    expect(at("?token=s3cret&token=x")).toBe("a wrong token");
    expect(at("?token=x", ["X-Sluice-Token", "s3cret"])).toBe("a wrong token");
    expect(at("", ["X-Sluice-Token", "s3cret"], ["X-Sluice-Token", "x"])).toBe("a wrong token");
    expect(at("?token=s3cret", ["X-Sluice-Token", "s3cret"])).toBe("ok");
  });

  test("is taken out of the query that is stored, however it is spelled", () => {
    expect(withoutToken("?a=1&token=s3cret&b=%20x")).toBe("a=1&b=%20x");
    expect(withoutToken("%74oken=s3cret&tokens=1&token")).toBe("tokens=1");
    expect(withoutToken("")).toBe("");
  });
});

describe("an address", () => {
  const addresses = ["192.0.2.0/25", "198.51.100.9", "2001:db8::/32"];
  const from = (address: string) => verdict({ addresses }, { address });

  test("must be in a listed block, also as IPv6 writes it", () => {
    for (const address of [
      "192.0.2.1",
      "::ffff:192.0.2.1",
      "::FFFF:192.0.2.1",
      "198.51.100.9",
      "2001:db8:7::1",
      "2001:db8::1%eth0",
    ])
      expect([address, from(address)]).toEqual([address, "ok"]);
    for (const address of [
      "192.0.2.128",
      "::ffff:192.0.2.200",
      "198.51.100.10",
      "2001:db9::1",
      "unknown",
      "",
    ])
      expect([address, from(address)]).toEqual([address, expect.stringContaining("is not listed")]);
  });

  test("an empty list admits nobody; what is no block is refused when the terms are read", () => {
    expect(verdict({ addresses: [] })).not.toBe("ok");
    for (const bad of [
      "192.0.2.0/33",
      "192.0.2",
      "host",
      "2001:db8::/129",
      "192.0.2.0/",
      "192.0.2.0/8/8",
      "192.0.2.0/-1",
    ])
      expect(() => createAuthorizer({ addresses: [bad] })).toThrow(bad);
  });
});

describe("Basic credentials", () => {
  const access = { basic: { username: "op", password: "pä:ss" } };
  const given = (text: string) => headers(["Authorization", `Basic ${Buffer.from(text).toString("base64")}`]);

  test("must be the operator's", () => {
    expect(verdict(access, { headers: given("op:pä:ss") })).toBe("ok");
    expect(verdict(access, { headers: given("op:pass") })).toBe("wrong Basic credentials");
    expect(verdict(access, { headers: headers(["Authorization", "Bearer x"]) })).toBe("no Basic credentials");
    expect(verdict(access)).toBe("no Basic credentials");
  });
});

describe("Twilio's signature", () => {
  // Published by Twilio with its helper libraries.
  const url = "https://mycompany.com/myapp.php?foo=1&bar=2";
  const form = (caller: string) => {
    const number = encodeURIComponent(caller);
    return `CallSid=CA1234567890ABCDE&Caller=${number}&Digits=1234&From=${number}&To=%2B18005551212`;
  };
  const signed = (
    body: string,
    signature: string | string[],
    more: Partial<ReportRequest> = {},
    type = FORM,
  ) => {
    const given = [signature].flat().map((each): [string, string] => ["X-Twilio-Signature", each]);
    const all = headers(["Content-Type", type], ...given);
    return verdict({ twilioAuthToken: "12345" }, { url, headers: all, body: Buffer.from(body), ...more });
  };
  const hmac = (text: string) => createHmac("sha1", "12345").update(text).digest("base64");

  test("is right for what Twilio publishes", () => {
    expect(signed(form("+14158675309"), "RSOYDt4T1cUTdK1PDd93/VVr8B8=")).toBe("ok");
    expect(signed(form("+14158675310"), "GvWf1cFY/Q7PnoempGyD5oXAezc=")).toBe("ok");
    expect(signed(form("+12349013030"), "0/KCTR6DLpKmkAf8muzZqo1nDgQ=")).toBe("ok");
  });

  test("is wrong for any other parameter, URL or token, and missing or repeated", () => {
    const right = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
    const body = form("+14158675309");
    expect(signed(`${body}&More=1`, right)).toBe("a wrong X-Twilio-Signature");
    expect(signed(body, right, { url: `${url}&baz=3` })).toBe("a wrong X-Twilio-Signature");
    expect(signed(body, right.toLowerCase())).toBe("a wrong X-Twilio-Signature");
    expect(signed(body, [right, "x"])).toBe("a wrong X-Twilio-Signature");
    expect(signed(body, [right, right])).toBe("a wrong X-Twilio-Signature");
    expect(signed(body, "")).toBe("a wrong X-Twilio-Signature");
    expect(signed(body, [])).toBe("no X-Twilio-Signature");
  });

  test("covers parameters given twice once for each value, sorted", () => {
    expect(signed("B=2&A=y&A=x&A=x", hmac(`${url}AxAyB2`))).toBe("ok");
    expect(signed("B=2&A=y&A=z", hmac(`${url}AxAyB2`))).toBe("a wrong X-Twilio-Signature");
  });

  test("may be made with or without the scheme's own port", () => {
    expect(signed("A=1", hmac("https://h.example:443/d?x=1A1"), { url: "https://h.example/d?x=1" })).toBe(
      "ok",
    );
    expect(signed("A=1", hmac("https://h.example/dA1"), { url: "https://h.example:443/d" })).toBe("ok");
    expect(signed("A=1", hmac("https://h.example/dA1"), { url: "https://h.example:8443/d" })).not.toBe("ok");
  });

  test("covers a body that is no form by its hash in the URL, and admits none without", () => {
    const body = '{"MessageSid":"SM1"}';
    const hash = createHash("sha256").update(body).digest("hex");
    const hashed = `${url}&bodySHA256=${hash}`;
    expect(signed(body, hmac(hashed), { url: hashed }, "application/json")).toBe("ok");
    expect(signed(`${body} `, hmac(hashed), { url: hashed }, "application/json")).toBe(
      "a body that is not signed",
    );
    expect(signed(body, hmac(url), {}, "application/json")).toBe("a body that is not signed");
    expect(signed("", hmac(url), {}, "")).toBe("ok");
  });
});

describe("Vonage's signature", () => {
  const secret = "abcdefghijklmnop";
  const url = "https://sms.example.com/dlr/vonage";
  const hmac = (text: string, algorithm = "sha256") =>
    createHmac(algorithm, secret).update(text).digest("hex");
  const given = (query: string, body = "", ...pairs: [string, string][]) =>
    verdict(
      { vonageSignatureSecret: secret },
      { url: `${url}${query}`, body: Buffer.from(body), headers: headers(...pairs) },
    );
  const text = "&messageId=0B01&status=deli_ver_ed&timestamp=1793779860";
  const query = "?status=deli%26ver%3Ded&messageId=0B01&timestamp=1793779860";

  test("in the parameter sig covers all others, in a query, a form or JSON", () => {
    expect(given(`${query}&sig=${hmac(text)}`)).toBe("ok");
    expect(given(`${query}&sig=${hmac(text).toUpperCase()}`)).toBe("ok");
    expect(given(`${query}&sig=${hmac(text, "sha512")}`)).toBe("ok");
    expect(given("", `${query.slice(1)}&sig=${hmac(text)}`)).toBe("ok");
    const json = { status: "deli&ver=ed", messageId: "0B01", timestamp: "1793779860", sig: hmac(text) };
    expect(given("", JSON.stringify(json))).toBe("ok");
    expect(given("", JSON.stringify({ ...json, messageId: "0B02" }))).toBe("a wrong signature");
    expect(given(`${query}&more=1&sig=${hmac(text)}`)).toBe("a wrong signature");
  });

  test("is refused if it is missing, repeated, weak, or beside parameters given twice", () => {
    expect(given(query)).toBe("no signature");
    expect(given(`${query}&sig=${hmac(text)}&sig=${hmac(text)}`)).toBe("a parameter given twice");
    expect(given(`${query}&status=failed&sig=${hmac(text)}`)).toBe("a parameter given twice");
    for (const weak of ["md5", "sha1"]) {
      const answer = given(`${query}&sig=${hmac(text, weak)}`);
      expect(answer).toBe("a signature that is neither SHA-256 nor SHA-512");
    }
    expect(given("", `[{"status":"delivered","sig":"${hmac("")}"}]`)).toBe("a body that is not signed");
  });

  const jwt = (claims: object, header: object = { typ: "JWT", alg: "HS256" }, key = secret): string => {
    const [a, b] = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"));
    return `${a}.${b}.${createHmac("sha256", key).update(`${a}.${b}`).digest("base64url")}`;
  };
  const body = '{"message_uuid":"a","status":"delivered"}';
  const payload_hash = createHash("sha256").update(body).digest("hex");
  const bearer = (token: string, sent = body) => given("", sent, ["Authorization", `Bearer ${token}`]);

  test("as a JWT covers the body", () => {
    expect(bearer(jwt({ payload_hash }))).toBe("ok");
    expect(bearer(jwt({ payload_hash }), `${body} `)).toBe("a body that is not signed");
    expect(bearer(jwt({}))).toBe("a body that is not signed");
    expect(bearer(jwt({}), "")).toBe("ok");
  });

  test("as a JWT of another key, another algorithm or none is refused", () => {
    expect(bearer(jwt({ payload_hash }, undefined, "other"))).toBe("a wrong signature");
    for (const alg of ["none", "HS512", "RS256", null])
      expect(bearer(jwt({ payload_hash }, { alg }))).toBe("a token that is not HS256");
    expect(bearer(`${jwt({ payload_hash }).split(".").slice(0, 2).join(".")}.`)).toBe("a wrong signature");
    expect(bearer("x.y")).toBe("a token that is not HS256");
  });
});
