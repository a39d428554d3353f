// Webhooks as the gateway signs them (src/webhook/sign.ts), and everything that must not verify.

import { describe, expect, test } from "bun:test";
import { lowBalanceBody } from "../../src/core/webhook-low-balance.ts";
import { eventBody, type ChangeEvent } from "../../src/core/webhook-event.ts";
import { signedHeaders } from "../../src/webhook/sign.ts";
import type { ListDeliveriesAnswer } from "./types.ts";
import { verifyWebhook, type WebhookEvent, type WebhookHeaders, WebhookRefused } from "./webhook.ts";

const SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const nowMs = 1_790_000_001_000;
const change: ChangeEvent = {
  customerId: 1,
  url: null,
  messageId: "01M7YBCG2N0V4QK5A1T8P6WJ3D",
  lane: "normal",
  phone: "+989121234567",
  status: "delivered",
  sequence: 5,
  parts: 1,
  cost: 500,
  reference: "سفارش ۱",
  operator: "A",
  error: null,
  createdAtMs: nowMs - 2_000,
  occurredAtMs: nowMs - 1_000,
};
const body = eventBody(change);
const signed = (secrets: readonly string[] = [SECRET], atMs = nowMs, given = body) =>
  signedHeaders(secrets, { eventId: "01M7YBCH59Z4D8R94AWEAQ1Q8T", body: given }, atMs);
const verified = (
  headers: WebhookHeaders,
  secrets: string | readonly string[] = SECRET,
  given: string | Uint8Array = body,
) => verifyWebhook(given, headers, secrets, { nowMs });
const refusedFor = (call: Promise<unknown>, why: string) =>
  call.then(
    () => Promise.reject(new Error("it verified")),
    (thrown: unknown) => {
      expect(thrown).toBeInstanceOf(WebhookRefused);
      expect((thrown as Error).message).toContain(why);
    },
  );

describe("a call of the gateway verifies", () => {
  test("as text and as bytes, by Headers and by an object of any case", async () => {
    const upper = Object.fromEntries(
      Object.entries(signed()).map(([name, value]) => [name.toUpperCase(), value]),
    );
    for (const headers of [signed(), upper, new Headers(signed())])
      for (const given of [body, new TextEncoder().encode(body)]) {
        const event = await verified(headers, SECRET, given);
        expect(event).toEqual(JSON.parse(body));
        if (event.type !== "message.status") throw new Error("another event");
        expect([event.data.status, event.data.sequence, event.data.reference]).toEqual([
          "delivered",
          5,
          "سفارش ۱",
        ]);
      }
  });

  test("also one that says that the credit is low", async () => {
    const occurredAt = new Date(nowMs).toISOString();
    const data = {
      customer_id: "7",
      balance: 900,
      threshold: 1_000,
      currency: "IRR",
      occurred_at: occurredAt,
    };
    const low = lowBalanceBody({
      customerId: 7,
      url: null,
      balance: data.balance,
      threshold: data.threshold,
      currency: data.currency,
      occurredAtMs: nowMs,
    });
    const event = await verified(signed([SECRET], nowMs, low), SECRET, low);
    if (event.type !== "wallet.low") throw new Error("another event");
    expect(event satisfies { data: typeof data }).toEqual({
      type: "wallet.low",
      timestamp: occurredAt,
      data,
    });
  });

  test("while a secret is being changed: signed with both, or known in both", async () => {
    await verified(signed([OTHER, SECRET]), SECRET);
    await verified(signed([SECRET, OTHER]), [OTHER]);
    await verified(signed([OTHER]), [SECRET, OTHER]);
  });

  test("up to the tolerance away from now, in either direction", async () => {
    for (const off of [-300_000, 300_000]) await verified(signed([SECRET], nowMs + off));
    for (const off of [-302_000, 302_000])
      await refusedFor(verified(signed([SECRET], nowMs + off)), "more than 300 s");
    await verifyWebhook(body, signed([SECRET], nowMs - 500_000), SECRET, { nowMs, toleranceS: 600 });
    await refusedFor(verifyWebhook(body, signed([SECRET], nowMs), SECRET), "more than 300 s");
  });
});

type Same<A, B> = [A, B] extends [B, A] ? true : false;
test("the events that verify are those that the list of deliveries has", () => {
  // The compiler refuses this if one of the two has an event that the other lacks.
  const isSame: Same<WebhookEvent["type"], ListDeliveriesAnswer["deliveries"][number]["type"]> = true;
  expect(isSame).toBe(true);
});

describe("a call is refused", () => {
  test("with another body, id, time or secret", async () => {
    const headers = signed();
    await refusedFor(verified(headers, SECRET, `${body} `), "no signature");
    await refusedFor(verified({ ...headers, "webhook-id": "x" }), "no signature");
    await refusedFor(
      verified({ ...headers, "webhook-timestamp": String(nowMs / 1_000 - 1) }),
      "no signature",
    );
    await refusedFor(verified(headers, OTHER), "no signature");
    await refusedFor(verified(headers, [OTHER, OTHER]), "no signature");
  });

  test("with a signature that is cut, changed, of another version, or none", async () => {
    const right = signed()["webhook-signature"] as string;
    const changed = right.replace(/^v1,./, (start) => (start === "v1,A" ? "v1,B" : "v1,A"));
    for (const signature of [
      changed,
      right.slice(0, -4),
      right.replace("v1,", "v2,"),
      right.slice(3),
      "v1,",
      "v1,%%",
      "x",
    ])
      await refusedFor(verified({ ...signed(), "webhook-signature": signature }), "no signature");
  });

  test("without one of the headers, or with a time that is none", async () => {
    for (const name of ["webhook-id", "webhook-timestamp", "webhook-signature"]) {
      await refusedFor(verified({ ...signed(), [name]: undefined }), `${name} is missing`);
      await refusedFor(verified({ ...signed(), [name]: "" }), `${name} is missing`);
    }
    for (const time of ["soon", "-1", "1e9", "1790000001.5"])
      await refusedFor(verified({ ...signed(), "webhook-timestamp": time }), "is not a time");
  });

  test("if its signature comes after more than are looked at", async () => {
    const right = signed()["webhook-signature"] as string;
    const many = (count: number) => [...Array<string>(count).fill("v1,AAAA"), right].join(" ");
    await verified({ ...signed(), "webhook-signature": many(7) });
    await refusedFor(verified({ ...signed(), "webhook-signature": many(8) }), "no signature");
  });
});

test("secrets that can't be ones are a mistake of the program", async () => {
  const thrownFor = (secrets: string | readonly string[]) =>
    verified(signed(), secrets).catch((thrown: unknown) => thrown);
  expect(await thrownFor([])).toBeInstanceOf(RangeError);
  expect(await thrownFor("whsec_")).toBeInstanceOf(TypeError);
  expect(await thrownFor("whsec_%%")).toBeInstanceOf(TypeError);
});
