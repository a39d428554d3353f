// The PDUs of SMPP 3.4 (issue 1.2) that a client needs: their commands, and reading their fields. Written by
// encode.ts, cut from a stream by framing.ts. Leaves to others: the meaning of a status (status.ts) and of a
// receipt's text.
// Invariant: reading is lenient in everything but the header. Any bytes of 16 or more give a result or a
// PduError, for peers differ from the specification: error answers with or without bodies, ids of any
// length, strings without NUL, unknown TLVs.

import { createReader, type Tlv } from "./octets.ts";

/** command_id (5.1.2.1); an answer has the same with RESPONSE set. */
export const COMMAND = {
  bindReceiver: 0x1,
  bindTransmitter: 0x2,
  querySm: 0x3,
  submitSm: 0x4,
  deliverSm: 0x5,
  unbind: 0x6,
  bindTransceiver: 0x9,
  outbind: 0xb,
  enquireLink: 0x15,
  alertNotification: 0x102,
  dataSm: 0x103,
  genericNack: 0x8000_0000,
} as const;
export const RESPONSE = 0x8000_0000;

export const HEADER_BYTES = 16;

/** Optional parameters (5.3.2) that are written or read here. */
export const TAG = {
  receiptedMessageId: 0x001e,
  sarMsgRefNum: 0x020c,
  sarTotalSegments: 0x020e,
  sarSegmentSeqnum: 0x020f,
  messagePayload: 0x0424,
  messageState: 0x0427,
} as const;

/** Bytes that are no PDU, or not the one asked for. */
export class PduError extends Error {
  override name = "PduError";
}

export type Header = { length: number; command: number; status: number; sequence: number };

/** @throws PduError if the bytes aren't one whole PDU by their own length */
export function readHeader(pdu: Uint8Array): Header {
  if (pdu.length < HEADER_BYTES) throw new PduError(`a PDU of ${pdu.length} octets`);
  const buf = Buffer.from(pdu.buffer, pdu.byteOffset, HEADER_BYTES);
  const length = buf.readUInt32BE(0);
  if (length !== pdu.length) throw new PduError(`command_length ${length} in ${pdu.length} octets`);
  return {
    length,
    command: buf.readUInt32BE(4),
    status: buf.readUInt32BE(8),
    sequence: buf.readUInt32BE(12),
  };
}

/** What submit_sm, deliver_sm and data_sm have in common; what the last doesn't have is 0 or empty. */
export type ShortMessage = {
  command: number;
  serviceType: string;
  sourceTon: number;
  sourceNpi: number;
  sourceAddr: string;
  destTon: number;
  destNpi: number;
  destAddr: string;
  esmClass: number;
  validityPeriod: string;
  registeredDelivery: number;
  dataCoding: number;
  /** As it came: neither a header taken off nor an alphabet decoded. */
  shortMessage: Uint8Array;
  tlvs: Tlv[];
};

/** @throws PduError if it is another PDU */
export function decodeMessage(pdu: Uint8Array): ShortMessage {
  const { command } = readHeader(pdu);
  const isData = command === COMMAND.dataSm;
  if (!isData && command !== COMMAND.submitSm && command !== COMMAND.deliverSm)
    throw new PduError(`no message in a PDU of command ${hex(command)}`);
  const body = createReader(pdu, HEADER_BYTES);
  const addressed = {
    command,
    serviceType: body.cString(),
    sourceTon: body.u8(),
    sourceNpi: body.u8(),
    sourceAddr: body.cString(),
    destTon: body.u8(),
    destNpi: body.u8(),
    destAddr: body.cString(),
    esmClass: body.u8(),
  };
  if (isData) {
    const [registeredDelivery, dataCoding] = [body.u8(), body.u8()];
    const none = { validityPeriod: "", shortMessage: new Uint8Array(0) };
    return { ...addressed, ...none, registeredDelivery, dataCoding, tlvs: body.tlvs() };
  }
  body.octets(2); // protocol_id, priority_flag
  body.cString(); // schedule_delivery_time
  const validityPeriod = body.cString();
  const registeredDelivery = body.u8();
  body.u8(); // replace_if_present_flag
  const dataCoding = body.u8();
  body.u8(); // sm_default_msg_id
  const shortMessage = body.octets(body.u8());
  return { ...addressed, validityPeriod, registeredDelivery, dataCoding, shortMessage, tlvs: body.tlvs() };
}

/**
 * What an operator sent us, a receipt or an inbound message: deliver_sm, or data_sm, whose text is in
 * message_payload.
 * @throws PduError if it is another PDU
 */
export function decodeDeliver(pdu: Uint8Array): ShortMessage {
  const message = decodeMessage(pdu);
  if (message.command === COMMAND.submitSm) throw new PduError("a submit_sm, not what an operator sends");
  return message;
}

export const hex = (value: number): string => `0x${value.toString(16).toUpperCase().padStart(2, "0")}`;

/** An answer's text, its message_id or system_id: "" if there is none, with or without a body. */
export function decodeAnswerText(pdu: Uint8Array): string {
  return createReader(pdu, HEADER_BYTES).cString();
}

/** query_sm_resp (4.8.2). An error, or an answer without a body, has state 0, which means nothing. */
export function decodeQueryAnswer(pdu: Uint8Array): { messageId: string; state: number; errorCode: number } {
  const body = createReader(pdu, HEADER_BYTES);
  const messageId = body.cString();
  body.cString(); // final_date
  return { messageId, state: body.u8(), errorCode: body.u8() };
}

/** bind_receiver, bind_transmitter, bind_transceiver. */
export function decodeBind(pdu: Uint8Array): { systemId: string; password: string; systemType: string } {
  const body = createReader(pdu, HEADER_BYTES);
  return { systemId: body.cString(), password: body.cString(), systemType: body.cString() };
}
