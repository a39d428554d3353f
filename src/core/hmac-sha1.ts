// HMAC-SHA1 by the states in which SHA-1 is after the key: whoever has them can sign as the key's owner does,
// and learns nothing of the key, which may be a password as well. Node's crypto neither gives nor takes such
// states, hence SHA-1 here; signing with a key that may be kept is node:crypto's.
// Invariant: hmacBy(hmacState(key), text) is the HMAC-SHA1 of the text under the key.
// Source: RFC 2104, section 4 (the states), FIPS 180-4, section 6.1 (SHA-1).

import { createHash } from "node:crypto";

const BLOCK_BYTES = 64;
const DIGEST_BYTES = 20;
const LENGTH_BYTES = 8;
const FIRST = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0] as const;
const CONSTANTS = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6] as const;

/** 40 bytes: the states after the inner and after the outer block of the key. */
export function hmacState(key: string): Buffer {
  const bytes = Buffer.from(key);
  const block = Buffer.alloc(BLOCK_BYTES);
  (bytes.length > BLOCK_BYTES ? createHash("sha1").update(bytes).digest() : bytes).copy(block);
  const padded = (pad: number) => Buffer.from(block.map((byte) => byte ^ pad));
  const after = (pad: number) => stateBytes(compressed(FIRST, padded(pad), 0));
  return Buffer.concat([after(0x36), after(0x5c)]);
}

/** The 20 bytes that the key's owner would get. @throws RangeError for a state that is none */
export function hmacBy(state: Uint8Array, text: string): Buffer {
  if (state.length !== 2 * DIGEST_BYTES) throw new RangeError("not the states of an HMAC-SHA1");
  const bytes = Buffer.from(state);
  const inner = finished(bytes.subarray(0, DIGEST_BYTES), Buffer.from(text));
  return finished(bytes.subarray(DIGEST_BYTES), inner);
}

/** The digest of one block, after which the state is this, and of these bytes. */
function finished(state: Buffer, text: Buffer): Buffer {
  const blocks = Math.ceil((text.length + 1 + LENGTH_BYTES) / BLOCK_BYTES);
  const padded = Buffer.alloc(blocks * BLOCK_BYTES);
  text.copy(padded);
  padded[text.length] = 0x80;
  padded.writeBigUInt64BE(BigInt(8 * (BLOCK_BYTES + text.length)), padded.length - LENGTH_BYTES);
  let words: readonly number[] = Array.from({ length: 5 }, (_, at) => state.readUInt32BE(4 * at));
  for (let at = 0; at < padded.length; at += BLOCK_BYTES) words = compressed(words, padded, at);
  return stateBytes(words);
}

function stateBytes(words: readonly number[]): Buffer {
  const bytes = Buffer.alloc(DIGEST_BYTES);
  words.forEach((word, at) => bytes.writeUInt32BE(word >>> 0, 4 * at));
  return bytes;
}

const rotated = (word: number, by: number): number => (word << by) | (word >>> (32 - by));

function compressed(before: readonly number[], bytes: Buffer, from: number): number[] {
  const w = new Int32Array(80);
  const word = (at: number) => w[at] as number;
  for (let t = 0; t < 16; t++) w[t] = bytes.readInt32BE(from + 4 * t);
  for (let t = 16; t < 80; t++) w[t] = rotated(word(t - 3) ^ word(t - 8) ^ word(t - 14) ^ word(t - 16), 1);
  let [a, b, c, d, e] = before as [number, number, number, number, number];
  for (let t = 0; t < 80; t++) {
    const round = Math.floor(t / 20);
    const choice = (b & c) | (~b & d);
    const majority = (b & c) | (b & d) | (c & d);
    const f = round === 0 ? choice : round === 2 ? majority : b ^ c ^ d;
    const next = (rotated(a, 5) + f + e + (CONSTANTS[round] as number) + word(t)) | 0;
    [a, b, c, d, e] = [next, a, rotated(b, 30), c, d];
  }
  return [a, b, c, d, e].map((value, at) => ((before[at] as number) + value) | 0);
}
