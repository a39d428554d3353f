// An inbound message: what a phone sent to a number of ours, as its operator told it. Owns its form, what
// makes two of them the same, and when the parts of a long one are all there. Leaves reading to
// src/operators/reports/, rows to src/ledger/. Pure.
// Bounds: those of inbound-limits.ts; what is longer is cut where it is read.

import { createHash } from "node:crypto";
import {
  INBOUND_ADDRESS_CHARS_MAX,
  INBOUND_JSON_CHARS_MAX,
  INBOUND_PARTS_MAX,
  INBOUND_TEXT_CHARS_MAX,
} from "./inbound-limits.ts";
import { REPORT_ID_CHARS_MAX } from "./limits.ts";

/** Which part of a long message it is. `number` is from 1 to `total`. */
export type InboundPart = { reference: string; total: number; number: number };
export type Inbound = {
  operator: string;
  /** The operator's id of it; null if it names none. */
  operatorMessageId: string | null;
  /** The phone that sent it, and the number it sent it to, as the operator writes them. */
  from: string;
  to: string;
  text: string;
  receivedAtMs: number;
  /** null: it is whole. */
  part: InboundPart | null;
  /** Of a joined message: how many parts it had, and how many of these never came. */
  parts: number;
  missingParts: number;
};

// Without control characters, because each takes six in the body of its event.

/** An address without blanks, cut to length. */
export const addressOf = (given: string): string =>
  given
    .replaceAll(/[\s\p{Cc}]+/gu, "")
    .slice(0, INBOUND_ADDRESS_CHARS_MAX)
    .toWellFormed();

/** An operator's id; null if it names none, or one that is too long. */
export function inboundId(given: string | null): string | null {
  const id = (given ?? "").replaceAll(/\p{Cc}+/gu, "").toWellFormed();
  return id === "" || id.length > REPORT_ID_CHARS_MAX ? null : id;
}

/** null unless it can be one of several parts: what claims to be part 3 of 2, or 1 of 1, is whole. */
export function partOf(reference: string, total: number, number: number): InboundPart | null {
  const isSound = [total, number].every(Number.isSafeInteger) && number >= 1 && number <= total;
  return isSound && total > 1 && total <= INBOUND_PARTS_MAX ? { reference, total, number } : null;
}

/** A text that its row and its event have room for, and whether some of it was cut off. */
export function boundedText(given: string): { text: string; isCut: boolean } {
  let text = given.slice(0, INBOUND_TEXT_CHARS_MAX);
  while (JSON.stringify(text).length > INBOUND_JSON_CHARS_MAX) text = text.slice(0, text.length * 0.9);
  return { text: text.toWellFormed(), isCut: text.length < given.length };
}

/** The parts in their order as one message, with what is missing counted. `parts`: at least one. */
export function joined(parts: readonly Inbound[]): Inbound {
  const sorted = parts.toSorted((a, b) => (a.part?.number ?? 0) - (b.part?.number ?? 0));
  const [first] = sorted as [Inbound];
  const total = first.part?.total ?? 1;
  return {
    ...first,
    text: sorted.map(({ text }) => text).join(""),
    receivedAtMs: Math.max(...sorted.map(({ receivedAtMs }) => receivedAtMs)),
    part: null,
    parts: total,
    missingParts: total - sorted.length,
  };
}

const hashOf = (...values: readonly (string | number)[]): string =>
  createHash("sha256").update(JSON.stringify(values)).digest("hex").slice(0, 32);

/** The same for all parts of one message. */
export const joinKeyOf = ({ operator, from, to }: Inbound, { reference, total }: InboundPart): string =>
  hashOf("join", operator, from, to, reference, total);

/** The same for a part that comes again, and not for one of a later message with the same reference. */
export const partKeyOf = (inbound: Inbound, part: InboundPart): string =>
  hashOf("part", joinKeyOf(inbound, part), part.number, inbound.text);

/** The same for messages, or parts, of one operator with one id; null without an id. */
export const idKeyOf = ({ operator, operatorMessageId, part }: Inbound): string | null =>
  operatorMessageId === null ? null : hashOf("id", operator, operatorMessageId, part?.number ?? 0);

/** The same for messages that say the same. */
export const textKeyOf = ({ from, to, text }: Inbound): string => hashOf("text", from, to, text);
