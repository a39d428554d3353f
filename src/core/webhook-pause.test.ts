// Pauses as customers are told of them: packed and read again beside changes, their ids and their bodies.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { holds } from "../../test/support/seed.ts";
import { isUlid, ulidTimeMs } from "./id.ts";
import { eventBody, eventIdOf, packWebhookEvents, unpackWebhookEvents } from "./webhook-event.ts";
import {
  CALLBACK_ORIGIN_CHARS_MAX,
  CALLBACK_URL_CHARS_MAX,
  WEBHOOK_BODY_CHARS_MAX,
} from "./webhook-limits.ts";
import { type PauseEvent, STOPPED_STATES } from "./webhook-pause.ts";

const PAUSE: PauseEvent = {
  customerId: 7,
  url: null,
  endpoint: "https://example.com",
  endpointUrl: "https://example.com/sms?order=1",
  state: "paused",
  failures: 31,
  reason: "answered 500",
  occurredAtMs: 1_790_000_001_234,
};
const label = fc.option(fc.string({ maxLength: 40 }), { nil: null });
const pauses: fc.Arbitrary<PauseEvent> = fc.record({
  customerId: fc.maxSafeNat(),
  url: label,
  endpoint: fc.string(),
  endpointUrl: label,
  state: fc.constantFrom(...STOPPED_STATES),
  failures: fc.maxSafeNat(),
  reason: label,
  occurredAtMs: fc.maxSafeNat(),
});

test("pauses come back as they were packed", () => {
  holds("webhook pauses", fc.array(pauses, { maxLength: 10 }), (list) =>
    expect(unpackWebhookEvents(packWebhookEvents(list))).toEqual(list),
  );
});

test("a pause of another shape is refused", () => {
  const packr = new Packr({ useRecords: false });
  const [version, tuple] = packr.unpack(packWebhookEvents([PAUSE])) as [number, unknown[]];
  const read = (value: unknown) => () => unpackWebhookEvents(packr.pack([version, value]));
  expect(read(tuple.slice(0, -1))).toThrow("9 fields");
  for (let i = 1; i < tuple.length; i++) expect(read(tuple.with(i, true))).toThrow("wrong type");
  expect(read(tuple.with(5, "active"))).toThrow("wrong type");
  expect(read(tuple.with(0, "endpoint.resumed"))).toThrow("14 fields");
});

test("the id of a pause is a ULID of its time, and no other pause's, nor that of another place it is told at", () => {
  const id = eventIdOf(PAUSE);
  expect(isUlid(id)).toBe(true);
  expect(ulidTimeMs(id)).toBe(PAUSE.occurredAtMs);
  expect(eventIdOf({ ...PAUSE, failures: 32 })).toBe(id);
  const others: Partial<PauseEvent>[] = [
    { customerId: 8 },
    { endpoint: "" },
    { url: "https://b.example/" },
    { occurredAtMs: 1 },
  ];
  for (const other of others) expect(eventIdOf({ ...PAUSE, ...other })).not.toBe(id);
});

test("a body names the endpoint, why it takes no calls, and since when", () => {
  const data = {
    customer_id: "7",
    origin: "https://example.com",
    url: "https://example.com/sms?order=1",
    state: "paused",
    failures: 31,
    reason: "answered 500",
    occurred_at: "2026-09-21T14:13:21.234Z",
  };
  const type = "endpoint.paused";
  expect(JSON.parse(eventBody(PAUSE))).toEqual({ type, timestamp: data.occurred_at, data });
  const own = JSON.parse(eventBody({ ...PAUSE, endpoint: "" })) as { data: object };
  expect(own.data).toEqual({ ...data, origin: null });
});

test("the longest body fits its column", () => {
  const longest: PauseEvent = {
    ...PAUSE,
    customerId: Number.MAX_SAFE_INTEGER,
    endpoint: `https://${"e".repeat(CALLBACK_ORIGIN_CHARS_MAX - 8)}`,
    endpointUrl: `https://e.example/${'"'.repeat(CALLBACK_URL_CHARS_MAX - 18)}`,
    failures: 2 ** 32 - 1,
    reason: '"'.repeat(100),
  };
  expect(eventBody(longest).length).toBeLessThanOrEqual(WEBHOOK_BODY_CHARS_MAX);
});
