// Reads an inbound message from a deliver_sm or data_sm that is no receipt: its text by data_coding, and
// which part of a long message it is, by its user data header or by the SAR parameters. Leaves the wire to
// platform/smpp, whether it is a receipt to smpp.ts.
// Sources: SMPP 3.4, 5.2.19 (data_coding) and 5.3.2.22 to 24 (SAR); 3GPP TS 23.038, clause 4, for the values
// that pass a GSM coding through; TS 23.040, 9.2.3.24, for headers.
// Invariant: any bytes give a text: what the alphabet has no character for is read as Latin-1.

import { addressOf, type Inbound, inboundId, type InboundPart, partOf } from "../../core/inbound.ts";
import { decodeGsm7 } from "../../core/gsm7.ts";
import { INBOUND_PART_CHARS_MAX, INBOUND_TEXT_CHARS_MAX } from "../../core/inbound-limits.ts";
import type { RawReport } from "../../core/raw-report.ts";
import { decodeDeliver, PduError, type ShortMessage, TAG } from "../../platform/smpp/pdu.ts";
import { ReportError, type ReportTerms } from "./report.ts";

// Bits of esm_class (5.2.12).
const MESSAGE_TYPE = 0x3c;
const HAS_HEADER = 0x40;
/** Information elements: a reference of 8 bits or of 16, then total and number. */
const CONCAT_8 = 0x00;
const CONCAT_16 = 0x08;

/** None if its type says that it is something else, such as a phone's acknowledgement. @throws ReportError */
export function readInboundPdu(
  { operator, receivedAtMs, pdu }: Extract<RawReport, { via: "smpp" }>,
  { alphabet = "gsm" }: ReportTerms,
): Inbound[] {
  const message = decoded(pdu);
  if ((message.esmClass & MESSAGE_TYPE) !== 0) return [];
  const payload = tlv(message, TAG.messagePayload);
  const bytes = message.shortMessage.length > 0 || payload === undefined ? message.shortMessage : payload;
  const { header, text: body } = userData(bytes, (message.esmClass & HAS_HEADER) !== 0);
  const part = concatenated(header) ?? segmented(message);
  const id = tlv(message, TAG.receiptedMessageId);
  const text = decodedText(body, message.dataCoding, alphabet);
  return [
    {
      operator,
      operatorMessageId: inboundId(id === undefined ? null : cText(id)),
      from: addressOf(message.sourceAddr),
      to: addressOf(message.destAddr),
      text: text.slice(0, part === null ? INBOUND_TEXT_CHARS_MAX + 1 : INBOUND_PART_CHARS_MAX),
      receivedAtMs,
      part,
      parts: 1,
      missingParts: 0,
    },
  ];
}

function decoded(pdu: Uint8Array): ShortMessage {
  try {
    return decodeDeliver(pdu);
  } catch (cause) {
    if (cause instanceof PduError) throw new ReportError("not_pdu", cause.message, { cause });
    throw cause;
  }
}

const tlv = (message: ShortMessage, tag: number): Uint8Array | undefined =>
  message.tlvs.find(([other]) => other === tag)?.[1];

/** Up to a NUL, which peers leave out. */
const cText = (value: Uint8Array): string =>
  (Buffer.from(value).toString("latin1").split("\0")[0] ?? "").trim();

const numberOf = (value: Uint8Array | undefined): number =>
  value === undefined || value.length === 0 || value.length > 4
    ? Number.NaN
    : value.reduce((number, byte) => number * 256 + byte, 0);

/** A bit without a header that fits, as some peers send it: then all of it is text. */
function userData(bytes: Uint8Array, hasHeader: boolean): { header: Uint8Array; text: Uint8Array } {
  const end = 1 + (bytes[0] ?? 0);
  if (!hasHeader || end > bytes.length) return { header: bytes.subarray(0, 0), text: bytes };
  return { header: bytes.subarray(1, end), text: bytes.subarray(end) };
}

function concatenated(header: Uint8Array): InboundPart | null {
  for (let at = 0; at + 1 < header.length; ) {
    const [element, length] = [header[at] as number, header[at + 1] as number];
    const value = header.subarray(at + 2, at + 2 + length);
    at += 2 + length;
    const isShort = element === CONCAT_8 && value.length === 3;
    if (!isShort && !(element === CONCAT_16 && value.length === 4)) continue;
    const [total, number] = value.subarray(-2) as unknown as [number, number];
    return partOf(`udh ${numberOf(value.subarray(0, -2))}`, total, number);
  }
  return null;
}

function segmented(message: ShortMessage): InboundPart | null {
  const reference = numberOf(tlv(message, TAG.sarMsgRefNum));
  if (Number.isNaN(reference)) return null;
  const total = numberOf(tlv(message, TAG.sarTotalSegments));
  return partOf(`sar ${reference}`, total, numberOf(tlv(message, TAG.sarSegmentSeqnum)));
}

/** Bits 3 and 2 of the GSM groups with an alphabet: 7 bits, 8 bits, UCS-2. */
function decodedText(bytes: Uint8Array, coding: number, alphabet: ReportTerms["alphabet"]): string {
  const isClassed = coding >= 0x10 && coding <= 0x1f;
  const bits = coding & 0x0c;
  const isUcs2 = coding === 0x08 || (isClassed && bits === 0x08) || (coding & 0xf0) === 0xe0;
  if (isUcs2) return utf16be(bytes);
  const isDefault =
    coding === 0x00 ||
    (isClassed && bits === 0) ||
    (coding & 0xf4) === 0xf0 ||
    (coding >= 0xc0 && coding <= 0xdf);
  const latin1 = Buffer.from(bytes).toString("latin1");
  return isDefault && alphabet === "gsm" ? (decodeGsm7(bytes) ?? latin1) : latin1;
}

function utf16be(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(0, bytes.length & ~1))
    .swap16()
    .toString("utf16le");
}
