// Writes the PDUs of SMPP 3.4 that a client sends, and the answers that it and a test peer give. Leaves the
// choice of values to the callers.
// Invariant: whatever is written fits its field; text that would end its C-octet string early, or is no
// Latin-1, is an error here and not a garbled message there.

import { strict as assert } from "node:assert";
import type { Tlv } from "./octets.ts";
import { COMMAND, HEADER_BYTES, RESPONSE, type ShortMessage } from "./pdu.ts";

/** A PDU but for its sequence number, which the session gives it. */
export type Draft = { command: number; status: number; body: Uint8Array };

/** 5.2.22: what fits sm_length; more must go by message_payload. */
const SHORT_MESSAGE_BYTES_MAX = 254;

export function encodePdu({ command, status, body }: Draft, sequence: number): Uint8Array {
  const pdu = Buffer.allocUnsafe(HEADER_BYTES + body.length);
  pdu.writeUInt32BE(pdu.length, 0);
  pdu.writeUInt32BE(command, 4);
  pdu.writeUInt32BE(status, 8);
  pdu.writeUInt32BE(sequence, 12);
  pdu.set(body, HEADER_BYTES);
  return pdu;
}

const NO_BODY = new Uint8Array(0);

/** enquire_link and unbind have no body. */
export const bare = (command: number): Draft => ({ command, status: 0, body: NO_BODY });

/** The answer to a request. By 4.4.2 an error has no body; `text` is the message_id or system_id. */
export const answerTo = (command: number, status: number, text: string | null): Draft => ({
  command: (command | RESPONSE) >>> 0,
  status,
  body: text === null ? NO_BODY : cString(text),
});

export const nack = (status: number): Draft => ({ command: COMMAND.genericNack, status, body: NO_BODY });

export type BindFields = {
  systemId: string;
  password: string;
  systemType: string;
  addressRange: string;
};
type BindCommand =
  | typeof COMMAND.bindReceiver
  | typeof COMMAND.bindTransmitter
  | typeof COMMAND.bindTransceiver;

/** Peers that know only 3.4 refuse any other interface_version, so it is always 0x34. */
export function bind(command: BindCommand, fields: BindFields): Draft {
  const names = [fields.systemId, fields.password, fields.systemType].map(cString);
  const version = Uint8Array.of(0x34, 0, 0);
  return { command, status: 0, body: Buffer.concat([...names, version, cString(fields.addressRange)]) };
}

/** submit_sm or deliver_sm. */
export function message(fields: ShortMessage): Draft {
  const { shortMessage } = fields;
  assert(shortMessage.length <= SHORT_MESSAGE_BYTES_MAX, "a longer text goes by message_payload");
  const body = Buffer.concat([
    cString(fields.serviceType),
    Uint8Array.of(fields.sourceTon, fields.sourceNpi),
    cString(fields.sourceAddr),
    Uint8Array.of(fields.destTon, fields.destNpi),
    cString(fields.destAddr),
    // esm_class, protocol_id, priority_flag, schedule_delivery_time
    Uint8Array.of(fields.esmClass, 0, 0, 0),
    cString(fields.validityPeriod),
    // registered_delivery, replace_if_present_flag, data_coding, sm_default_msg_id, sm_length
    Uint8Array.of(fields.registeredDelivery, 0, fields.dataCoding, 0, shortMessage.length),
    shortMessage,
    ...fields.tlvs.map(tlvBytes),
  ]);
  return { command: fields.command, status: 0, body };
}

/** query_sm; the source address must be that of the submit. */
export const query = (messageId: string, source: { ton: number; npi: number; address: string }): Draft => ({
  command: COMMAND.querySm,
  status: 0,
  body: Buffer.concat([cString(messageId), Uint8Array.of(source.ton, source.npi), cString(source.address)]),
});

function tlvBytes([tag, value]: Tlv): Uint8Array {
  const bytes = Buffer.allocUnsafe(4 + value.length);
  bytes.writeUInt16BE(tag, 0);
  bytes.writeUInt16BE(value.length, 2);
  bytes.set(value, 4);
  return bytes;
}

const UNFIT = /[^\u0001-\u00ff]/;

function cString(text: string): Uint8Array {
  assert(!UNFIT.test(text), "a field must be Latin-1 without NUL");
  return Buffer.from(`${text}\0`, "latin1");
}
