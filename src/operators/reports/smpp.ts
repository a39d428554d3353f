// Reports that come by SMPP, as deliver_sm or data_sm: whether it is one, and what its text and its optional
// parameters say. Leaves the wire to platform/smpp, the text's format to receipt-text.ts.
// Invariant: a valid message_state beats the word in the text, and the id in receipted_message_id is tried
// before the one in the text. An inbound message is never taken for a report: `[]`.

import { decodeDeliver, PduError, TAG } from "../../platform/smpp/pdu.ts";
import { type ReceiptFields, receiptFields, receiptText } from "./receipt-text.ts";
import { errorOf, idsOf, type Reading, ReportError, type ReportStatus, type ReportTerms } from "./report.ts";
import { lastMomentOf, receiptTime } from "./times.ts";
import { knownWord, STATES } from "./words.ts";

// Bits of esm_class (3.4, 5.2.12). Operators put receipts under any of the three types.
const MESSAGE_TYPE = 0x3c;
const RECEIPT = 0x04;
const SME_ACK = 0x08;
const INTERMEDIATE = 0x20;
const HAS_HEADER = 0x40;

/** Network type and error number (5.3.2.31). */
const NETWORK_ERROR_CODE = 0x0423;

type Message = ReturnType<typeof decodeDeliver>;

/** @throws ReportError not_pdu */
export function readSmpp(pdu: Uint8Array, terms: ReportTerms): Reading[] {
  const message = decoded(pdu);
  const fields = fieldsOf(message);
  const tlvId = text(tlv(message, TAG.receiptedMessageId));
  const state = stateOf(tlv(message, TAG.messageState));
  if (!isReport(message.esmClass, terms, fields, tlvId !== null && state !== null)) return [];

  const known = fields.stat === null ? null : knownWord(fields.stat, terms.words);
  const isNotice = (message.esmClass & INTERMEDIATE) !== 0;
  const otherwise: ReportStatus = isNotice && fields.stat === null ? "none" : "unknown";
  const zone = terms.timeZone;
  const { doneDate } = fields;
  const doneAtMs = doneDate === null ? null : receiptTime(doneDate, zone);
  return [
    {
      operatorMessageIds: idsOf(tlvId, fields.id),
      ourId: null,
      status: state ?? known ?? otherwise,
      error: errorOf(fields.err) ?? networkError(tlv(message, NETWORK_ERROR_CODE)),
      doneAtMs,
      ...(doneDate === null || doneAtMs === null ? {} : { doneByMs: lastMomentOf(doneDate, doneAtMs) }),
      submittedAtMs: fields.submitDate === null ? null : receiptTime(fields.submitDate, zone),
      phone: message.sourceAddr === "" ? null : message.sourceAddr,
      disagrees: state !== null && known !== null && state !== known,
    },
  ];
}

function decoded(pdu: Uint8Array): Message {
  try {
    return decodeDeliver(pdu);
  } catch (cause) {
    if (cause instanceof PduError) throw new ReportError("not_pdu", cause.message, { cause });
    throw cause;
  }
}

/** The text is in short_message or in message_payload; a peer that sends both says the same in them. */
function fieldsOf(message: Message): ReceiptFields {
  const hasHeader = (message.esmClass & HAS_HEADER) !== 0;
  const short = receiptFields(receiptText(message.shortMessage, hasHeader));
  const payload = tlv(message, TAG.messagePayload);
  if (payload === undefined || short.id !== null || short.stat !== null) return short;
  return receiptFields(receiptText(payload, hasHeader));
}

// A receipt or an intermediate notice says so by its class, whatever it holds. Phones acknowledge with any
// text, and with esm_class 0 anyone can send us one: those must look like a report as well.
function isReport(esmClass: number, terms: ReportTerms, fields: ReceiptFields, hasTlvs: boolean): boolean {
  const type = esmClass & MESSAGE_TYPE;
  if ((type & (RECEIPT | INTERMEDIATE)) !== 0) return true;
  if (type !== SME_ACK && !(type === 0 && terms.plainReceipts)) return false;
  return hasTlvs || (fields.id !== null && fields.stat !== null);
}

const tlv = (message: Message, tag: number): Uint8Array | undefined =>
  message.tlvs.find(([other]) => other === tag)?.[1];

/** A C-octet string by its length; peers leave out the NUL that ends it. */
function text(value: Uint8Array | undefined): string | null {
  if (value === undefined) return null;
  const [read = ""] = Buffer.from(value).toString("latin1").split("\0", 1);
  return read.trim() === "" ? null : read.trim();
}

/** null unless it is one of the numbers of message_state, which some peers send in more bytes than one. */
function stateOf(value: Uint8Array | undefined): ReportStatus | null {
  if (value === undefined || value.length === 0 || value.length > 4) return null;
  return STATES[value.reduce((number, byte) => number * 256 + byte, 0)] ?? null;
}

/** TYPE:NUMBER; null if there is no error. */
function networkError(value: Uint8Array | undefined): string | null {
  if (value?.length !== 3) return null;
  const [type = 0, high = 0, low = 0] = value;
  const number = high * 256 + low;
  return number === 0 ? null : `${type}:${number}`;
}
