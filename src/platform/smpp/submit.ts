// The submit_sm of a message, one a part or one for all, by the three ways to tell a phone which parts belong
// together. Leaves the text's octets to text.ts, addresses and settings to the connector.
// Invariants: the parts are joined in one way only, and the header bit of esm_class says when it is in the
// text.

import type { Tlv } from "./octets.ts";
import { type Draft, message } from "./encode.ts";
import { COMMAND, type ShortMessage, TAG } from "./pdu.ts";
import type { SmppText } from "./text.ts";

/**
 * udh: a header in each part's text, which works everywhere. sar: TLVs, which some operators ignore. payload:
 * the whole text in one submit; the operator splits it.
 */
export const SPLITS = ["udh", "sar", "payload"] as const;
export type Split = (typeof SPLITS)[number];
/** Which parts of a long message ask for a receipt: some operators send one for the first or last only. */
export const RECEIPT_PARTS = ["each", "first", "last"] as const;
export type ReceiptParts = (typeof RECEIPT_PARTS)[number];

/** What is the same in all parts. */
export type SubmitFields = Omit<
  ShortMessage,
  "command" | "esmClass" | "dataCoding" | "shortMessage" | "tlvs"
>;
export type SubmitOptions = {
  split: Split;
  receiptParts: ReceiptParts;
  /** The same in all parts, and another in this recipient's next long message (8 bits). */
  reference: number;
  /** The operator's own, in every part. */
  tlvs: readonly Tlv[];
};

const UDH_INDICATOR = 0x40;

export function submitDrafts(
  { dataCoding, parts }: SmppText,
  fields: SubmitFields,
  { split, receiptParts, reference, tlvs: own }: SubmitOptions,
): Draft[] {
  const draft = (
    esmClass: number,
    shortMessage: Uint8Array,
    joining: Tlv[],
    registeredDelivery: number,
  ): Draft =>
    message({
      ...fields,
      command: COMMAND.submitSm,
      esmClass,
      dataCoding,
      shortMessage,
      tlvs: own.length === 0 ? joining : [...joining, ...own],
      registeredDelivery,
    });
  const [first] = parts;
  if (parts.length === 1 && first !== undefined) return [draft(0, first, [], fields.registeredDelivery)];
  if (split === "payload") {
    const payload: Tlv = [TAG.messagePayload, Buffer.concat(parts)];
    return [draft(0, new Uint8Array(0), [payload], fields.registeredDelivery)];
  }
  return parts.map((part, i) => {
    const asks = receiptParts === "each" || i === (receiptParts === "first" ? 0 : parts.length - 1);
    const registeredDelivery = asks ? fields.registeredDelivery : 0;
    if (split === "udh") {
      // Information element 0: concatenated short messages, 8-bit reference (TS 23.040, 9.2.3.24.1).
      const header = Uint8Array.of(5, 0, 3, reference, parts.length, i + 1);
      return draft(UDH_INDICATOR, Buffer.concat([header, part]), [], registeredDelivery);
    }
    const joining: Tlv[] = [
      [TAG.sarMsgRefNum, Uint8Array.of(0, reference)],
      [TAG.sarTotalSegments, Uint8Array.of(parts.length)],
      [TAG.sarSegmentSeqnum, Uint8Array.of(i + 1)],
    ];
    return draft(0, part, joining, registeredDelivery);
  });
}

/** Chooses the reference of a recipient's next long message; remembers `recipientsMax` of them. */
export function createReferences(recipientsMax: number, random: () => number): (recipient: string) => number {
  const last = new Map<string, number>();
  return (recipient) => {
    const reference = ((last.get(recipient) ?? Math.floor(random() * 256)) + 1) & 0xff;
    last.delete(recipient);
    last.set(recipient, reference);
    const [oldest] = last.keys();
    if (last.size > recipientsMax && oldest !== undefined) last.delete(oldest);
    return reference;
  };
}
