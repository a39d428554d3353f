// Signed requests from both sides: those that are served, and every way in which one is not.

import { describe, expect, test } from "bun:test";
import { NONCE_MARGIN_MS, SIGNATURE_WINDOW_MS } from "../core/access-limits.ts";
import { SluiceError } from "../core/errors.ts";
import { inPersian } from "../core/persian-errors.ts";
import { signatureHeader, signatureOf } from "../core/request-signature.ts";
import type { Nonce } from "../customers/nonces.ts";
import { holdSignature, readSignature } from "./signed-request.ts";

const SECRET = "ss_secret";
const NOW_S = 1_790_000_000;
const NONCE = "nonce-_0123456789";
const BODY = Buffer.from('{"phone":"+989121234567"}');

type Signed = { method: string; url: string; body: Uint8Array; timestamp: string; nonce: string };
const SEND: Signed = {
  method: "POST",
  url: "http://sluice/v1/sms/send",
  body: BODY,
  timestamp: String(NOW_S),
  nonce: NONCE,
};
/** The headers of a request, signed as its client should. */
function headersOf({ method, url, body, timestamp, nonce }: Signed, secret = SECRET): Record<string, string> {
  const [path = "", query = ""] = url.replace(/^http:\/\/[^/]+/, "").split("?");
  return {
    "x-sluice-timestamp": timestamp,
    "x-sluice-nonce": nonce,
    "x-sluice-signature": signatureHeader(
      signatureOf(secret, { method, path, query, body, timestamp, nonce }),
    ),
  };
}

/** What becomes of a request with these headers: served, or the code of its refusal. */
async function outcomeOf(
  sent: Pick<Signed, "method" | "url" | "body">,
  headers: Record<string, string>,
  { nowMs = NOW_S * 1_000, taken = [] as Nonce[] } = {},
): Promise<string> {
  const { method, url, body } = sent;
  const request = new Request(url, { method, headers });
  const takeNonce = (nonce: Nonce) => {
    const isNew = !taken.some((one) => one.keyId === nonce.keyId && one.nonce === nonce.nonce);
    taken.push(nonce);
    return Promise.resolve(isNew);
  };
  try {
    const signature = readSignature(request, nowMs);
    await holdSignature(signature, { request, body, secret: SECRET, keyId: "k" }, takeNonce);
    return "served";
  } catch (error) {
    if (error instanceof SluiceError) return error.code;
    throw error;
  }
}

describe("a request that is signed as it is sent", () => {
  test.each([
    SEND,
    { ...SEND, body: new Uint8Array(0) },
    { ...SEND, method: "GET", url: "http://sluice/v1/messages?status=sent&limit=5", body: new Uint8Array(0) },
    { ...SEND, method: "GET", url: "http://sluice/v1/messages?phone=%2B98912&cursor=a-_.~b", body: BODY },
    { ...SEND, url: "http://sluice:8080/v1/webhooks/deliveries/01M7YBCH59Z4D8R94AWEAQ1Q8T/replay" },
    { ...SEND, url: "http://[::1]:8080/v1/sms/send" },
    { ...SEND, nonce: "0123456789abcdef" },
    { ...SEND, nonce: "x".repeat(64) },
    { ...SEND, timestamp: String(NOW_S - 300) },
    { ...SEND, timestamp: String(NOW_S + 300) },
  ])("is served (%#)", async (sent) => {
    expect(await outcomeOf(sent, headersOf(sent))).toBe("served");
  });

  test("takes its nonce for as long as its time could be accepted, and longer", async () => {
    const taken: Nonce[] = [];
    await outcomeOf(SEND, headersOf(SEND), { taken });
    const expiresAtMs = NOW_S * 1_000 + SIGNATURE_WINDOW_MS + NONCE_MARGIN_MS;
    expect(taken).toEqual([{ keyId: "k", nonce: NONCE, expiresAtMs }]);
  });
});

describe("a request that was changed on its way is refused, and its nonce stays free", () => {
  const changes: Record<string, Partial<Signed>> = {
    "another method": { method: "PUT" },
    "another path": { url: "http://sluice/v1/sms/batches" },
    "a slash more": { url: "http://sluice/v1/sms/send/" },
    "a query": { url: "http://sluice/v1/sms/send?dry_run=1" },
    "another body": { body: Buffer.from('{"phone":"+989121234568"}') },
    "a blank more": { body: Buffer.concat([BODY, Buffer.from(" ")]) },
    "no body": { body: new Uint8Array(0) },
  };
  test.each(Object.entries(changes))("%s", async (_, change) => {
    const taken: Nonce[] = [];
    expect(await outcomeOf({ ...SEND, ...change }, headersOf(SEND), { taken })).toBe("signature_invalid");
    expect(taken).toEqual([]);
  });

  test.each([
    ["x-sluice-timestamp", String(NOW_S + 1)],
    ["x-sluice-nonce", `${NONCE}0`],
    ["x-sluice-signature", `v1=${"0".repeat(64)}`],
  ])("another %s", async (name, value) => {
    const taken: Nonce[] = [];
    expect(await outcomeOf(SEND, { ...headersOf(SEND), [name]: value }, { taken })).toBe("signature_invalid");
    expect(taken).toEqual([]);
  });

  test("another secret", async () => {
    for (const secret of ["", "ss_secre", "ss_secret ", "SS_SECRET"])
      expect(await outcomeOf(SEND, headersOf(SEND, secret))).toBe("signature_invalid");
  });
});

describe("headers", () => {
  test.each(["x-sluice-timestamp", "x-sluice-nonce", "x-sluice-signature"])(
    "%s must be there",
    async (name) => {
      const others = headersOf(SEND);
      delete others[name];
      expect(await outcomeOf(SEND, others)).toBe("signature_missing");
      expect(await outcomeOf(SEND, { ...others, [name]: "" })).toBe("signature_missing");
      const twice = { ...headersOf(SEND), [name]: `${headersOf(SEND)[name]}, ${headersOf(SEND)[name]}` };
      expect(await outcomeOf(SEND, twice)).toBe("malformed_request");
    },
  );

  test("must be written as documented, however right the signature is", async () => {
    for (const timestamp of [
      `${NOW_S}000`,
      `${NOW_S}.0`,
      `+${NOW_S}`,
      `0${NOW_S}`,
      "1.79e9",
      "0x6ab13b80",
      "-1790000000",
      "2026-09-21T14:13:20Z",
      "now",
    ]) {
      const sent = { ...SEND, timestamp };
      expect([timestamp, await outcomeOf(sent, headersOf(sent))]).toEqual([timestamp, "signature_invalid"]);
    }
    for (const nonce of [
      "0123456789abcde",
      "x".repeat(65),
      "0123456789abcde=",
      "0123456789 abcdef",
      "0123456789abcdeé",
    ]) {
      const sent = { ...SEND, nonce };
      expect([nonce, await outcomeOf(sent, headersOf(sent))]).toEqual([nonce, "signature_invalid"]);
    }
    const right = headersOf(SEND)["x-sluice-signature"] as string;
    for (const signature of [
      right.slice(3),
      right.replace("v1", "v2"),
      right.replace("v1", "V1"),
      right.slice(0, -1),
      `${right}0`,
      `v1=${right.slice(3).toUpperCase()}`,
      `v1=${Buffer.from(right.slice(3), "hex").toString("base64")}`,
    ]) {
      const headers = { ...headersOf(SEND), "x-sluice-signature": signature };
      expect([signature, await outcomeOf(SEND, headers)]).toEqual([signature, "signature_invalid"]);
    }
  });
});

describe("the time", () => {
  test("may be 300 s off in either direction, and no more", async () => {
    for (const [offS, outcome] of [
      [-300, "served"],
      [300, "served"],
      [-301, "signature_expired"],
      [301, "signature_expired"],
      [-86_400, "signature_expired"],
    ] as const) {
      const sent = { ...SEND, timestamp: String(NOW_S + offS) };
      expect([offS, await outcomeOf(sent, headersOf(sent))]).toEqual([offS, outcome]);
    }
    const nowMs = NOW_S * 1_000 + SIGNATURE_WINDOW_MS;
    expect(await outcomeOf(SEND, headersOf(SEND), { nowMs })).toBe("served");
    expect(await outcomeOf(SEND, headersOf(SEND), { nowMs: nowMs + 1 })).toBe("signature_expired");
  });

  test("the refusal says how far it is off", () => {
    const headers = headersOf(SEND);
    const request = new Request(SEND.url, { method: "POST", headers });
    const refusalAt = (nowS: number) => {
      try {
        readSignature(request, nowS * 1_000);
      } catch (error) {
        return [(error as SluiceError).detail, inPersian(error as SluiceError).detail];
      }
      return [];
    };
    expect(refusalAt(NOW_S + 412)).toEqual([
      "X-Sluice-Timestamp is 412 s behind the server's clock.",
      "زمان X-Sluice-Timestamp به اندازهٔ 412 ثانیه از ساعت سرور عقب‌تر است.",
    ]);
    expect(refusalAt(NOW_S - 412)).toEqual([
      "X-Sluice-Timestamp is 412 s ahead of the server's clock.",
      "زمان X-Sluice-Timestamp به اندازهٔ 412 ثانیه از ساعت سرور جلوتر است.",
    ]);
  });
});

test("a request that comes again is refused, and so is another one with its nonce", async () => {
  const taken: Nonce[] = [];
  expect(await outcomeOf(SEND, headersOf(SEND), { taken })).toBe("served");
  expect(await outcomeOf(SEND, headersOf(SEND), { taken })).toBe("signature_replayed");
  const other = { ...SEND, body: Buffer.from("{}") };
  expect(await outcomeOf(other, headersOf(other), { taken })).toBe("signature_replayed");
});
