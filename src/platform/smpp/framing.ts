// Cuts a TCP stream into whole PDUs. Owns the limit on a PDU's length; leaves the fields to pdu.ts.
// Bound: holds at most one unfinished PDU of PDU_BYTES_MAX and the chunk just read. A length that can't be
// right is seen in the first 4 octets, so HTTP, TLS or a length of 10^9 on the port costs no memory.

import { HEADER_BYTES, PduError } from "./pdu.ts";

/** message_payload may have 65,535 octets (3.2.4.1); half of that again for everything else. */
export const PDU_BYTES_MAX = 98_304;

const LENGTH_BYTES = 4;

export type Framer = {
  /**
   * Adds what was read and yields the PDUs that are whole now, each with memory of its own.
   * @throws PduError, after those before it, if what follows is no SMPP: nothing can be read from the stream
   * any more
   */
  push(chunk: Uint8Array): Generator<Uint8Array>;
};

export function createFramer(): Framer {
  // Chunks of an unfinished PDU are joined only when it is complete: one that trickles in costs no copies.
  let pieces: Uint8Array[] = [];
  let held = 0;
  let length: number | null = null;
  return {
    *push(chunk) {
      pieces.push(chunk);
      held += chunk.length;
      while (held >= (length ?? LENGTH_BYTES)) {
        const joined = pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces, held);
        if (length === null) {
          pieces = [joined];
          length = lengthOf(joined);
          continue;
        }
        const pdu = new Uint8Array(joined.subarray(0, length));
        pieces = [joined.subarray(length)];
        held -= length;
        length = null;
        yield pdu;
      }
    },
  };
}

function lengthOf(bytes: Uint8Array): number {
  const length = Buffer.from(bytes.buffer, bytes.byteOffset, LENGTH_BYTES).readUInt32BE(0);
  if (length >= HEADER_BYTES && length <= PDU_BYTES_MAX) return length;
  throw new PduError(`a command_length of ${length}: no SMPP, or a PDU that is too long`);
}
