import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { allowSlowRuns, holds } from "../../../test/support/seed.ts";
import { COMMAND, decodeDeliver, PduError } from "./pdu.ts";

allowSlowRuns();

const hexBytes = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));

/** A PDU from its command and body, with a length that is right. */
function pduOf(command: number, body: Uint8Array, status = 0): Uint8Array {
  const pdu = Buffer.alloc(16 + body.length);
  pdu.writeUInt32BE(pdu.length, 0);
  pdu.writeUInt32BE(command, 4);
  pdu.writeUInt32BE(status, 8);
  pdu.writeUInt32BE(7, 12);
  pdu.set(body, 16);
  return Uint8Array.from(pdu);
}

// service_type "", 1/1 "98912", 5/0 "Shop", esm_class 4, …, sm_length 2 "ok"
const RECEIPT = "00 0101 393839313200 0500 53686f7000 04 0000 00 00 00 00 00 00 02 6f6b";
const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");

describe("what an operator delivers", () => {
  test("a deliver_sm has its addresses, class, coding and raw octets", () => {
    const pdu = pduOf(COMMAND.deliverSm, hexBytes(RECEIPT));
    const read = decodeDeliver(pdu);
    expect(read).toMatchObject({ command: 5, sourceAddr: "98912", destAddr: "Shop", esmClass: 4 });
    expect(read).toMatchObject({ sourceTon: 1, destTon: 5, dataCoding: 0, tlvs: [] });
    expect(latin1(read.shortMessage)).toBe("ok");
  });

  test("TLVs are cut by their length, NUL or not, known or not", () => {
    const tlvs = "001e 0006 413142324333 0427 0001 02 1454 0000";
    const read = decodeDeliver(pduOf(COMMAND.deliverSm, hexBytes(RECEIPT + tlvs)));
    expect(read.tlvs.map(([tag, value]) => [tag, latin1(value)])).toEqual([
      [0x1e, "A1B2C3"],
      [0x427, "\u0002"],
      [0x1454, ""],
    ]);
  });

  test("a TLV that is longer than the PDU is dropped, the ones before it stay", () => {
    const read = decodeDeliver(pduOf(COMMAND.deliverSm, hexBytes(`${RECEIPT} 0427 0001 02 001e 00ff 4131`)));
    expect(read.tlvs.map(([tag]) => tag)).toEqual([0x427]);
  });

  test("a text that is shorter than its sm_length is what there is of it", () => {
    const cut = pduOf(COMMAND.deliverSm, hexBytes(RECEIPT).subarray(0, -1));
    expect(latin1(decodeDeliver(cut).shortMessage)).toBe("o");
  });

  test("a data_sm has no text of its own; message_payload is a TLV", () => {
    const body = "00 0101 313200 0000 353500 04 01 08 0424 0002 6f6b";
    const read = decodeDeliver(pduOf(COMMAND.dataSm, hexBytes(body)));
    expect(read).toMatchObject({ sourceAddr: "12", destAddr: "55", esmClass: 4, dataCoding: 8 });
    expect(read.registeredDelivery).toBe(1);
    expect([read.shortMessage.length, latin1((read.tlvs[0] as [number, Uint8Array])[1])]).toEqual([0, "ok"]);
  });

  test("a body that is missing reads as empty", () => {
    const read = decodeDeliver(pduOf(COMMAND.deliverSm, new Uint8Array(0)));
    expect(read).toMatchObject({ sourceAddr: "", destAddr: "", esmClass: 0, tlvs: [] });
  });

  test("other PDUs, and bytes that aren't one PDU, are refused", () => {
    for (const command of [COMMAND.submitSm, COMMAND.enquireLink, COMMAND.genericNack])
      expect(() => decodeDeliver(pduOf(command, new Uint8Array(0)))).toThrow(PduError);
    const pdu = pduOf(COMMAND.deliverSm, hexBytes(RECEIPT));
    for (const bytes of [pdu.subarray(0, 15), pdu.subarray(0, -1), Uint8Array.of(...pdu, 0)])
      expect(() => decodeDeliver(bytes)).toThrow(PduError);
  });

  test("any bytes give a result or a PduError, and nothing from outside of them", () => {
    const mutated = fc
      .tuple(
        fc.constantFrom(COMMAND.deliverSm, COMMAND.dataSm),
        fc.uint8Array({ maxLength: 80 }),
        fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }),
      )
      .map(([command, tail, changes]) => {
        const body = Uint8Array.of(...hexBytes(RECEIPT), ...tail);
        for (const [at, value] of changes) if (at < body.length) body[at] = value;
        return pduOf(command, body);
      });
    holds("decoder", fc.oneof(mutated, fc.uint8Array({ maxLength: 120 })), (bytes) => {
      // In the middle of a larger array whose other bytes would show in the result.
      const room = new Uint8Array(bytes.length + 64).fill(0xee);
      room.set(bytes, 32);
      let views: Uint8Array[] = [];
      try {
        const read = decodeDeliver(room.subarray(32, 32 + bytes.length));
        views = [read.shortMessage, ...read.tlvs.map(([, value]) => value)];
        expect(read).toEqual(decodeDeliver(Uint8Array.from(bytes)));
      } catch (error) {
        expect(error).toBeInstanceOf(PduError);
      }
      for (const view of views) {
        expect(view.byteOffset >= 32 || view.length === 0).toBe(true);
        expect(view.byteOffset + view.length).toBeLessThanOrEqual(32 + bytes.length);
      }
    });
  });
});
