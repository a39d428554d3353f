// Low balances as customers are told of them: packed and read again, their ids and their bodies.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { holds } from "../../test/support/seed.ts";
import { isUlid, ulidTimeMs } from "./id.ts";
import { eventBody, eventIdOf, packWebhookEvents, unpackWebhookEvents } from "./webhook-event.ts";
import { WEBHOOK_BODY_CHARS_MAX } from "./webhook-limits.ts";
import type { LowBalanceEvent } from "./webhook-low-balance.ts";

const LOW: LowBalanceEvent = {
  customerId: 7,
  url: null,
  balance: 400,
  threshold: 1_000,
  currency: "IRR",
  occurredAtMs: 1_790_000_001_234,
};
const events: fc.Arbitrary<LowBalanceEvent> = fc.record({
  customerId: fc.maxSafeNat(),
  url: fc.constant(null),
  balance: fc.maxSafeNat(),
  threshold: fc.maxSafeNat(),
  currency: fc.string(),
  occurredAtMs: fc.maxSafeNat(),
});

test("low balances come back as they were packed", () => {
  holds("low balances", fc.array(events, { maxLength: 10 }), (list) =>
    expect(unpackWebhookEvents(packWebhookEvents(list))).toEqual(list),
  );
});

test("one of another shape is refused", () => {
  const packr = new Packr({ useRecords: false });
  const [version, tuple] = packr.unpack(packWebhookEvents([LOW])) as [number, unknown[]];
  const read = (value: unknown) => () => unpackWebhookEvents(packr.pack([version, value]));
  expect(read(tuple.slice(0, -1))).toThrow("6 fields");
  for (let i = 1; i < tuple.length; i++) expect(read(tuple.with(i, true))).toThrow("wrong type");
});

test("its id is a ULID of its time, and no other customer's", () => {
  const id = eventIdOf(LOW);
  expect(isUlid(id)).toBe(true);
  expect(ulidTimeMs(id)).toBe(LOW.occurredAtMs);
  expect(eventIdOf({ ...LOW, customerId: 8 })).not.toBe(id);
});

test("its body says what is left, of which threshold, and when", () => {
  expect(JSON.parse(eventBody(LOW))).toEqual({
    type: "wallet.low",
    timestamp: "2026-09-21T14:13:21.234Z",
    data: {
      customer_id: "7",
      balance: 400,
      threshold: 1_000,
      currency: "IRR",
      occurred_at: "2026-09-21T14:13:21.234Z",
    },
  });
  const [most, longest] = [Number.MAX_SAFE_INTEGER, "X".repeat(3)];
  const body = eventBody({ ...LOW, customerId: most, balance: most, threshold: most, currency: longest });
  expect(body.length).toBeLessThanOrEqual(WEBHOOK_BODY_CHARS_MAX);
});
