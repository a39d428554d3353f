// The text that a signature covers, the signature, and the secret: compared with values that another
// implementation made (Python's hmac and hashlib).

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import {
  signatureHeader,
  signatureOf,
  type SignedParts,
  signedText,
  signingSecretOf,
} from "./request-signature.ts";

const SECRET = "ss_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const POST: SignedParts = {
  method: "POST",
  path: "/v1/sms/send",
  query: "",
  body: Buffer.from('{"phone":"+989121234567","text":"Hello","type":"normal"}'),
  timestamp: "1790000000",
  nonce: "4f3c2b1a09f8e7d6c5b4a39281706f5e",
};
const GET: SignedParts = {
  ...POST,
  method: "GET",
  path: "/v1/messages",
  query: "status=sent&limit=5",
  body: new Uint8Array(0),
  nonce: "4f3c2b1a09f8e7d6c5b4a39281706f5f",
};

test("seven lines are signed, the body by its hash", () => {
  expect(signedText(POST)).toBe(
    "v1\nPOST\n/v1/sms/send\n\n5547efd1a2f1bba79e03fe5d4ff8d505124230184ca5905a8a630842cc5c65d4\n" +
      "1790000000\n4f3c2b1a09f8e7d6c5b4a39281706f5e",
  );
  expect(signedText(GET).split("\n").slice(0, 5)).toEqual([
    "v1",
    "GET",
    "/v1/messages",
    "status=sent&limit=5",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  ]);
});

test("the signature is the HMAC-SHA-256 that others make of it", () => {
  expect(signatureHeader(signatureOf(SECRET, POST))).toBe(
    "v1=1ccde8128b88922bbd91fc2940dc3f4fca3f287283fce5c5e422dfa65ca68d96",
  );
  expect(signatureHeader(signatureOf(SECRET, GET))).toBe(
    "v1=c5bb84a99f5edd5b8d2485f07216d66733933d12e119f0f9b7bec86b34a73dca",
  );
});

test("the reference page has the same values", () => {
  const page = readFileSync(new URL("../../docs/reference/access.md", import.meta.url), "utf8");
  for (const parts of [POST, GET]) {
    for (const line of signedText(parts)
      .split("\n")
      .filter((one) => one !== ""))
      expect(page).toContain(`\`${line}\``);
    expect(page).toContain(`\`${signatureHeader(signatureOf(SECRET, parts))}\``);
  }
  expect(page).toContain(`\`${Buffer.from(POST.body).toString()}\``);
  expect(page).toContain(`\`${SECRET}\``);
});

test("a request that differs in anything has another text", () => {
  const others: SignedParts[] = [
    GET,
    { ...GET, method: "HEAD" },
    { ...GET, path: "/v1/messages/" },
    { ...GET, path: "/v1/messages?status=sent", query: "limit=5" },
    { ...GET, query: "status=sent&limit=50" },
    { ...GET, query: "limit=5&status=sent" },
    { ...GET, query: "status=sent&limit=%35" },
    { ...GET, query: "" },
    { ...GET, path: "/v1/messages\nstatus=sent&limit=5", query: "" },
    { ...GET, body: Buffer.from("{}") },
    { ...GET, timestamp: "1790000001" },
    { ...GET, nonce: "4f3c2b1a09f8e7d6c5b4a39281706f60" },
  ];
  expect(new Set(others.map(signedText)).size).toBe(others.length);
});

test("the secret of a key follows from the key and the salt, and from nothing less", () => {
  const salt = Buffer.from(Uint8Array.from({ length: 32 }, (_, i) => i));
  const key = "sk_AAECAwQFBgcICQoLDA0ODxAREhM";
  expect(signingSecretOf(key, salt)).toBe("ss_cxRml2j05oXTJqsXkJDzgj2Qnwq_E7Zz84tXAplpuXE");
  expect(signingSecretOf(key, Buffer.alloc(32))).not.toBe(signingSecretOf(key, salt));
  expect(signingSecretOf(`${key}a`, salt)).not.toBe(signingSecretOf(key, salt));
});
