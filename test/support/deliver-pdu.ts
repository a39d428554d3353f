// Writes deliver_sm and data_sm as an SMSC would, byte by byte and without any check, so that tests can send
// what a correct encoder refuses to write.

export type DeliverSpec = {
  pdu?: "deliver_sm" | "data_sm";
  sourceAddr?: string;
  destAddr?: string;
  esmClass?: number;
  dataCoding?: number;
  shortMessage?: Uint8Array;
  /** In order; a tag may come twice. */
  tlvs?: readonly (readonly [tag: number, value: Uint8Array])[];
  /** The whole optional part, byte by byte, instead of `tlvs`. */
  tlvBytes?: Uint8Array;
};

const COMMANDS = { deliver_sm: 0x5, data_sm: 0x103 };

export function deliverPdu(spec: DeliverSpec): Uint8Array {
  const shortMessage = spec.shortMessage ?? new Uint8Array(0);
  const pdu = spec.pdu ?? "deliver_sm";
  const flags = [spec.esmClass ?? 4];
  const body = Buffer.concat([
    cString(""), // service_type
    Buffer.from([1, 1]),
    cString(spec.sourceAddr ?? ""),
    Buffer.from([1, 1]),
    cString(spec.destAddr ?? ""),
    ...(pdu === "data_sm"
      ? [Buffer.from([...flags, 0, spec.dataCoding ?? 0])]
      : [
          Buffer.from([...flags, 0, 0]), // protocol_id, priority_flag
          cString(""), // schedule_delivery_time
          cString(""), // validity_period
          Buffer.from([0, 0, spec.dataCoding ?? 0, 0, shortMessage.length]),
          shortMessage,
        ]),
    spec.tlvBytes ?? Buffer.concat((spec.tlvs ?? []).map(([tag, value]) => tlvBytes(tag, value))),
  ]);
  const header = Buffer.alloc(16);
  header.writeUInt32BE(16 + body.length, 0);
  header.writeUInt32BE(COMMANDS[pdu], 4);
  header.writeUInt32BE(1, 12);
  return Buffer.concat([header, body]);
}

const cString = (text: string): Buffer => Buffer.from(`${text}\0`, "latin1");

function tlvBytes(tag: number, value: Uint8Array): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt16BE(tag, 0);
  header.writeUInt16BE(value.length, 2);
  return Buffer.concat([header, value]);
}
