// Cuts a stream of bytes into lines, one at a time and only when the next is asked for, so that whoever reads
// slowly slows down the sender. Lines end with LF or CRLF, the last one also with the stream; a byte order
// mark before the first is not part of it. Lines of nothing but blanks are left out. Leaves their contents to
// others.
// Invariant: how the bytes are divided into pieces makes no difference. Bounds: `bytesMax` of a line, copied
// from the pieces, which are not kept; LINES_A_TURN lines without a turn of the event loop.

import { setImmediate as turn } from "node:timers/promises";
import { SluiceError } from "./errors.ts";

/** Lines after which others get their turn: some milliseconds of work for who reads them. */
const LINES_A_TURN = 500;
const [LF, CR] = [0x0a, 0x0d];
const BLANKS: readonly number[] = [0x20, 0x09, CR];
const MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** Lines without their ends. @throws SluiceError payload_too_large, and whatever the pieces throw */
export async function* byteLines(
  pieces: AsyncIterable<Uint8Array>,
  bytesMax: number,
): AsyncGenerator<Uint8Array> {
  const cut = createCut(bytesMax);
  let lines = 0;
  for await (const piece of pieces)
    for (let from = 0; from < piece.length; ) {
      const end = piece.indexOf(LF, from);
      cut.add(piece.subarray(from, end < 0 ? piece.length : end));
      from = end < 0 ? piece.length : end + 1;
      const line = end < 0 ? null : cut.end();
      if (line !== null) yield line;
      // A piece may have a million lines, which are cut without waiting for anything.
      if (end >= 0 && ++lines % LINES_A_TURN === 0) await turn();
    }
  const last = cut.end();
  if (last !== null) yield last;
}

function createCut(bytesMax: number) {
  // Room for what is not counted: the byte order mark and the carriage return.
  const line = Buffer.alloc(bytesMax + MARK.length + 1);
  let size = 0;
  let isFirst = true;
  return {
    add(bytes: Uint8Array): void {
      if (size + bytes.length > line.length) throw tooLong(bytesMax);
      line.set(bytes, size);
      size += bytes.length;
    },
    /** The line that ends here; null if it is blank. */
    end(): Uint8Array | null {
      const isMarked = isFirst && line.subarray(0, Math.min(size, MARK.length)).equals(MARK);
      const from = isMarked ? MARK.length : 0;
      const to = size > from && line[size - 1] === CR ? size - 1 : size;
      if (to - from > bytesMax) throw tooLong(bytesMax);
      isFirst = false;
      size = 0;
      const bytes = line.subarray(from, to);
      return bytes.every((byte) => BLANKS.includes(byte)) ? null : new Uint8Array(bytes);
    },
  };
}

const tooLong = (bytesMax: number): SluiceError =>
  new SluiceError("payload_too_large", { detail: `A line has at most ${bytesMax / 1_024} KiB.` });
