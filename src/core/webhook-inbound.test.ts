// The event of a message that came in: its body byte for byte, its id, and how it is packed.

import { expect, test } from "bun:test";
import { pack, RecordError } from "./packed.ts";
import {
  eventBody,
  eventIdOf,
  eventTypeOf,
  packWebhookEvents,
  unpackWebhookEvents,
} from "./webhook-event.ts";
import { type InboundEvent, inboundIdOf, inboundTuple } from "./webhook-inbound.ts";
import { addressOf, boundedText, inboundId } from "./inbound.ts";
import { INBOUND_ADDRESS_CHARS_MAX, KEYWORD_CHARS_MAX } from "./inbound-limits.ts";
import { REPORT_ID_CHARS_MAX } from "./limits.ts";
import { WEBHOOK_BODY_CHARS_MAX } from "./webhook-limits.ts";

const AT_MS = Date.UTC(2026, 8, 21, 14, 13, 20, 123);
const event: InboundEvent = {
  inboundId: inboundIdOf(AT_MS, ["A", "7f3a"]),
  customerId: 7,
  url: null,
  operator: "A",
  operatorMessageId: "7f3a",
  from: "+989121234567",
  to: "3000123",
  keyword: null,
  text: "لغو۱۱",
  isCut: false,
  command: "stop",
  parts: 1,
  missingParts: 0,
  occurredAtMs: AT_MS,
};

test("a body says who sent what to which number, and what it asks for", () => {
  expect(JSON.parse(eventBody(event))).toEqual({
    type: "message.received",
    timestamp: "2026-09-21T14:13:20.123Z",
    data: {
      id: event.inboundId,
      customer_id: "7",
      from: "+989121234567",
      to: "3000123",
      keyword: null,
      text: "لغو۱۱",
      truncated: false,
      command: "stop",
      parts: 1,
      missing_parts: 0,
      operator: "A",
      operator_message_id: "7f3a",
      occurred_at: "2026-09-21T14:13:20.123Z",
    },
  });
  expect([eventIdOf(event), eventTypeOf(event)]).toEqual([event.inboundId, "message.received"]);
});

test("it is packed among others and read as it was", () => {
  const other = { ...event, keyword: "vote", command: null, operatorMessageId: null, isCut: true };
  expect(unpackWebhookEvents(packWebhookEvents([event, other]))).toEqual([event, other]);
});

test("a tuple that is none is refused", () => {
  for (const at of inboundTuple(event).keys()) {
    if (at === 0) continue;
    const bad: unknown[] = [...inboundTuple(event)];
    bad[at] = {};
    expect(() => unpackWebhookEvents(pack([1, bad]))).toThrow(RecordError);
  }
  expect(() => unpackWebhookEvents(pack([1, inboundTuple(event).slice(0, -1)]))).toThrow(RecordError);
});

test("the longest body fits its column, whatever characters its fields come with", () => {
  for (const character of ['"', "\\", "\u0000", "\u001f", "\u0085", "\ud800", "x"]) {
    const longest = {
      ...event,
      from: addressOf(character.repeat(1_000)),
      keyword: '"'.repeat(KEYWORD_CHARS_MAX),
      operator: "o".repeat(32),
      operatorMessageId: inboundId(character.repeat(REPORT_ID_CHARS_MAX)),
      ...boundedText("\u0001".repeat(1_666)),
    };
    expect(JSON.stringify(longest.from).length).toBeLessThanOrEqual(2 * INBOUND_ADDRESS_CHARS_MAX + 2);
    const { length } = eventBody(longest);
    expect([character, length <= WEBHOOK_BODY_CHARS_MAX]).toEqual([character, true]);
  }
});
