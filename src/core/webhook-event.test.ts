// Changes as customers are told them: packed and read again, their ids and their bodies.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { holds } from "../../test/support/seed.ts";
import { isUlid, ulidTimeMs } from "./id.ts";
import { REFERENCE_CHARS_MAX } from "./limits.ts";
import { WEBHOOK_BODY_CHARS_MAX } from "./webhook-limits.ts";
import { LANES, STATUSES } from "./message.ts";
import { RecordError } from "./packed.ts";
import {
  type ChangeEvent,
  eventBody,
  eventIdOf,
  packWebhookEvents,
  unpackWebhookEvents,
} from "./webhook-event.ts";

const EVENT: ChangeEvent = {
  customerId: 7,
  url: null,
  messageId: "01M7YBCH59Z4D8R94AWEAQ1Q8T",
  lane: "normal",
  phone: "+989121234567",
  status: "delivered",
  sequence: 5,
  parts: 2,
  cost: 1_000,
  reference: 'order "1"',
  operator: "A",
  error: null,
  createdAtMs: 1_790_000_000_000,
  occurredAtMs: 1_790_000_001_234,
};
const count = fc.maxSafeNat();
const label = fc.option(fc.string({ maxLength: 40 }), { nil: null });
const events: fc.Arbitrary<ChangeEvent> = fc.record({
  customerId: count,
  url: label,
  messageId: fc.string(),
  lane: fc.constantFrom(...LANES),
  phone: fc.string(),
  status: fc.constantFrom(...STATUSES),
  sequence: count,
  parts: count,
  cost: count,
  reference: label,
  operator: label,
  error: label,
  createdAtMs: count,
  occurredAtMs: count,
});

const calls = fc.record({
  form: fc.string(),
  from: label,
  operatorMessageId: label,
  encoding: fc.constantFrom("gsm7", "ucs2"),
});
const peers = fc.tuple(events, fc.string(), calls).map(([event, url, call]) => ({ ...event, url, call }));

test("events come back as they were packed", () => {
  holds("webhook events", fc.array(fc.oneof(events, peers), { maxLength: 10 }), (list) =>
    expect(unpackWebhookEvents(packWebhookEvents(list))).toEqual(list),
  );
});

test("an event in a peer's form has a URL, and all of its call", () => {
  const packr = new Packr({ useRecords: false });
  const call = { form: "kannel", from: null, operatorMessageId: null, encoding: "gsm7" } as const;
  const event = { ...EVENT, url: "https://example.com/", call };
  const [version, tuple] = packr.unpack(packWebhookEvents([event])) as [number, unknown[]];
  const read = (value: unknown[]) => () => unpackWebhookEvents(packr.pack([version, value]));
  for (const wrong of [tuple.with(1, null), tuple.with(14, "kannel"), tuple.with(14, ["kannel", null, null])])
    expect(read(wrong)).toThrow("the form of a webhook event");
});

test("bytes of another shape or version are refused", () => {
  const packr = new Packr({ useRecords: false });
  const [version, tuple] = packr.unpack(packWebhookEvents([EVENT])) as [number, unknown[]];
  const read = (value: unknown) => () => unpackWebhookEvents(packr.pack(value));
  expect(read([2, tuple])).toThrow("version");
  expect(read([version, tuple.slice(1)])).toThrow("14 fields");
  expect(read("events")).toThrow(RecordError);
  for (let i = 0; i < tuple.length; i++) expect(read([version, tuple.with(i, true)])).toThrow("wrong type");
});

test("the id of a change is a ULID of its time, the same each time, and no other change's", () => {
  const id = eventIdOf(EVENT);
  expect(isUlid(id)).toBe(true);
  expect(ulidTimeMs(id)).toBe(EVENT.occurredAtMs);
  expect(eventIdOf({ ...EVENT, error: "x" })).toBe(id);
  expect(eventIdOf({ ...EVENT, sequence: 4 })).not.toBe(id);
  expect(eventIdOf({ ...EVENT, messageId: "01M7YBCH5F0000000000000000" })).not.toBe(id);
});

test("a body names the message, the change and when it occurred", () => {
  expect(JSON.parse(eventBody(EVENT))).toEqual({
    type: "message.status",
    timestamp: "2026-09-21T14:13:21.234Z",
    data: {
      id: EVENT.messageId,
      customer_id: "7",
      type: "normal",
      phone: "+989121234567",
      status: "delivered",
      sequence: 5,
      occurred_at: "2026-09-21T14:13:21.234Z",
      parts: 2,
      cost: 1_000,
      reference: 'order "1"',
      operator: "A",
      last_error: null,
      created_at: "2026-09-21T14:13:20.000Z",
    },
  });
});

test("the longest body fits its column", () => {
  const longest: ChangeEvent = {
    ...EVENT,
    customerId: Number.MAX_SAFE_INTEGER,
    cost: Number.MAX_SAFE_INTEGER,
    phone: `+${"9".repeat(15)}`,
    status: "undelivered",
    lane: "express",
    sequence: 65_535,
    reference: '"'.repeat(REFERENCE_CHARS_MAX),
    operator: "o".repeat(32),
    error: '"'.repeat(100),
  };
  expect(eventBody(longest).length).toBeLessThanOrEqual(WEBHOOK_BODY_CHARS_MAX);
});
