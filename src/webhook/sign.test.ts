// Signatures, compared with an HMAC made by hand and with the library's own verifier.

import { expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { signedHeaders } from "./sign.ts";

const secretOf = (byte: number) => `whsec_${Buffer.alloc(32, byte).toString("base64")}`;
const call = { eventId: "01M7YBCH59Z4D8R94AWEAQ1Q8T", body: '{"reference":"سلام \\" 😀"}' };

test("a signature is an HMAC of id, time and body under the secret's bytes", () => {
  const headers = signedHeaders([secretOf(7)], call, 1_790_000_001_999);
  const wanted = createHmac("sha256", Buffer.alloc(32, 7))
    .update(`${call.eventId}.1790000001.${call.body}`)
    .digest("base64");
  expect(headers).toMatchObject({
    "webhook-id": call.eventId,
    "webhook-timestamp": "1790000001",
    "webhook-signature": `v1,${wanted}`,
  });
});

test("while a secret is being changed, a receiver with either of the two verifies the call", () => {
  const headers = signedHeaders([secretOf(1), secretOf(2)], call, Date.now());
  for (const byte of [1, 2])
    expect(new Webhook(secretOf(byte)).verify(call.body, headers)).toEqual(JSON.parse(call.body));
  expect(() => new Webhook(secretOf(3)).verify(call.body, headers)).toThrow();
  expect(() => new Webhook(secretOf(1)).verify(`${call.body} `, headers)).toThrow();
});
