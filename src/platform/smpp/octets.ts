// Reads and writes the field types of SMPP 3.4 (clause 3.1) in one PDU: integers, C-octet strings, octet
// strings, optional parameters (TLVs). Leaves to others: which fields a PDU has (pdu.ts).
// Invariant: a reader never reads outside of its bytes. Peers leave out bodies, last fields and NULs, so what
// isn't there reads as 0 or empty instead of being an error.

/** An optional parameter as it came; its meaning, if any, is the reader's. */
export type Tlv = [tag: number, value: Uint8Array];

const TLV_HEADER_BYTES = 4;

export type Reader = {
  u8(): number;
  /** Up to its NUL, or to the end of the PDU if there is none; Latin-1, which keeps every octet. */
  cString(): string;
  /** As many of the octets as there are. */
  octets(length: number): Uint8Array;
  /** The rest as TLVs. One that is longer than what is left is dropped: its value isn't all there. */
  tlvs(): Tlv[];
};

/** Views of `bytes`, not copies. */
export function createReader(bytes: Uint8Array, from: number): Reader {
  const buf = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = Math.min(from, buf.length);
  const octets = (length: number): Uint8Array => {
    const start = at;
    at = Math.min(buf.length, at + length);
    return bytes.subarray(start, at);
  };
  return {
    u8: () => (at < buf.length ? (buf[at++] as number) : 0),
    cString() {
      const nul = buf.indexOf(0, at);
      const end = nul < 0 ? buf.length : nul;
      const text = buf.toString("latin1", at, end);
      at = Math.min(buf.length, end + 1);
      return text;
    },
    octets,
    tlvs() {
      const tlvs: Tlv[] = [];
      while (at + TLV_HEADER_BYTES <= buf.length) {
        const tag = buf.readUInt16BE(at);
        const length = buf.readUInt16BE(at + 2);
        at += TLV_HEADER_BYTES;
        if (at + length > buf.length) break;
        tlvs.push([tag, octets(length)]);
      }
      return tlvs;
    },
  };
}
