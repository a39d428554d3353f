// The cutting of a stream into PDUs: any cut gives the same PDUs, and what is no SMPP ends it early.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { allowSlowRuns, holds } from "../../../test/support/seed.ts";
import { answerTo, encodePdu } from "./encode.ts";
import { createFramer, PDU_BYTES_MAX } from "./framing.ts";
import { COMMAND, PduError } from "./pdu.ts";

allowSlowRuns();

const header = (length: number) => {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32BE(length, 0);
  return Uint8Array.from(bytes);
};

test("however a stream is cut, its PDUs are the same", () => {
  const streams = fc.tuple(
    fc.array(fc.tuple(fc.nat(0x7fff_ffff), fc.stringMatching(/^[a-z]{0,40}$/)), { maxLength: 8 }),
    fc.array(fc.nat(40), { maxLength: 60 }),
  );
  holds("framing", streams, ([answers, cuts]) => {
    const pdus = answers.map(([sequence, id]) => encodePdu(answerTo(COMMAND.submitSm, 0, id), sequence));
    let rest: Uint8Array = Buffer.concat(pdus);
    const framer = createFramer();
    const got: Uint8Array[] = [];
    for (const cut of cuts) {
      got.push(...framer.push(rest.subarray(0, cut)));
      rest = rest.subarray(cut);
    }
    got.push(...framer.push(rest));
    expect(got.map((pdu) => Buffer.from(pdu).toString("hex"))).toEqual(
      pdus.map((pdu) => Buffer.from(pdu).toString("hex")),
    );
  });
});

test("any bytes give whole PDUs of their own length or a PduError", () => {
  const plausible = fc.tuple(fc.nat(40), fc.uint8Array({ maxLength: 40 })).map(([length, rest]) => {
    const bytes = new Uint8Array(4 + rest.length);
    bytes[3] = length;
    bytes.set(rest, 4);
    return bytes;
  });
  const chunks = fc.array(fc.oneof(plausible, fc.uint8Array({ maxLength: 40 })), { maxLength: 10 });
  holds("framer", chunks, (all) => {
    const framer = createFramer();
    let given = 0;
    let taken = 0;
    try {
      for (const chunk of all) {
        given += chunk.length;
        for (const pdu of framer.push(chunk)) {
          taken += pdu.length;
          expect(Buffer.from(pdu).readUInt32BE(0)).toBe(pdu.length);
        }
      }
    } catch (error) {
      expect(error).toBeInstanceOf(PduError);
    }
    expect(taken).toBeLessThanOrEqual(given);
  });
});

test("a length is refused before anything after it is waited for", () => {
  for (const length of [0, 4, 15, PDU_BYTES_MAX + 1, 1 << 20, 0x48545450, 0xffff_ffff])
    expect(() => [...createFramer().push(header(length).subarray(0, 4))]).toThrow(PduError);
  expect([...createFramer().push(header(16))]).toHaveLength(1);
  expect([...createFramer().push(header(PDU_BYTES_MAX))]).toHaveLength(0);
});

test("PDUs before a length that is refused are given, in one piece or in two", () => {
  for (const cut of [0, 16, 20, 33]) {
    const framer = createFramer();
    const bytes = Buffer.concat([header(16), header(16), header(1 << 20)]);
    let given = 0;
    const read = () => {
      for (const piece of [bytes.subarray(0, cut), bytes.subarray(cut)])
        for (const pdu of framer.push(piece)) given += pdu.length;
    };
    expect(read).toThrow(PduError);
    expect(given).toBe(32);
  }
});

test("the longest PDU is taken, and it shares no memory with what was read", () => {
  const chunk = new Uint8Array(PDU_BYTES_MAX);
  chunk.set(header(PDU_BYTES_MAX));
  const [pdu] = createFramer().push(chunk);
  expect(pdu?.length).toBe(PDU_BYTES_MAX);
  expect(pdu?.buffer).not.toBe(chunk.buffer);
  expect(pdu?.buffer.byteLength).toBe(PDU_BYTES_MAX);
});
