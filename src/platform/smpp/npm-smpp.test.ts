// Our codec against npm `smpp`: each reads what the other writes. And what a fuzz run does to both
// (docs/decisions tells what followed from it).

import { expect, test } from "bun:test";
import fc from "fast-check";
import { npmSmpp } from "../../../test/support/npm-smpp.ts";
import { allowSlowRuns, holds, printedSeed, randomFrom } from "../../../test/support/seed.ts";
import { answerTo, bare, bind, type Draft, encodePdu, message, nack, query } from "./encode.ts";
import {
  COMMAND,
  decodeAnswerText,
  decodeBind,
  decodeMessage,
  decodeQueryAnswer,
  PduError,
  readHeader,
  RESPONSE,
  TAG,
} from "./pdu.ts";

allowSlowRuns();

const { PDU } = npmSmpp;
const readByNpm = (draft: Draft, sequence = 7) => new PDU(Buffer.from(encodePdu(draft, sequence)));
const byNpm = (command: string, fields: Record<string, unknown>) =>
  Uint8Array.from(new PDU(command, fields).toBuffer());

const octet = fc.nat(255);
const word = (most: number) =>
  fc.string({ unit: fc.constantFrom(...Array.from("abcXYZ019_-. +^")), maxLength: most });
const fields = fc.record({
  serviceType: word(5),
  sourceTon: octet,
  sourceNpi: octet,
  sourceAddr: word(20),
  destTon: octet,
  destNpi: octet,
  destAddr: word(20),
  // Without the header bit, whose meaning it reads into the text.
  esmClass: fc.constantFrom(0, 4, 8, 0x20),
  validityPeriod: fc.constantFrom("", "261104081000000+"),
  registeredDelivery: octet,
  shortMessage: fc.uint8Array({ maxLength: 254 }),
});

test("it reads our submit_sm and deliver_sm as they were written", () => {
  const any = fc.tuple(fields, fc.constantFrom(COMMAND.submitSm, COMMAND.deliverSm), fc.nat(0x7fff_ffff));
  holds("ours to npm", any, ([own, command, sequence]) => {
    // Under data_coding 4 it leaves the octets alone.
    const pdu = readByNpm(message({ ...own, command, dataCoding: 4, tlvs: [] }), sequence);
    expect(pdu).toMatchObject({
      command: command === COMMAND.submitSm ? "submit_sm" : "deliver_sm",
      command_status: 0,
      sequence_number: sequence,
      service_type: own.serviceType,
      source_addr_ton: own.sourceTon,
      source_addr_npi: own.sourceNpi,
      source_addr: own.sourceAddr,
      dest_addr_ton: own.destTon,
      dest_addr_npi: own.destNpi,
      destination_addr: own.destAddr,
      esm_class: own.esmClass,
      registered_delivery: own.registeredDelivery,
      data_coding: 4,
    });
    expect(Buffer.from(pdu.short_message?.message as Buffer)).toEqual(Buffer.from(own.shortMessage));
  });
});

test("we read its submit_sm, deliver_sm and data_sm as it wrote them", () => {
  const any = fc.tuple(fields, fc.constantFrom("submit_sm", "deliver_sm", "data_sm"), fc.nat(0x7fff_ffff));
  holds("npm to ours", any, ([own, command, sequence]) => {
    const isData = command === "data_sm";
    const bytes = byNpm(command, {
      sequence_number: sequence,
      service_type: own.serviceType,
      source_addr_ton: own.sourceTon,
      source_addr_npi: own.sourceNpi,
      source_addr: own.sourceAddr,
      dest_addr_ton: own.destTon,
      dest_addr_npi: own.destNpi,
      destination_addr: own.destAddr,
      esm_class: own.esmClass,
      registered_delivery: own.registeredDelivery,
      data_coding: 4,
      receipted_message_id: "id-1",
      message_state: 2,
      ...(isData
        ? { message_payload: Buffer.from(own.shortMessage) }
        : { short_message: Buffer.from(own.shortMessage) }),
    });
    expect(readHeader(bytes).sequence).toBe(sequence);
    const read = decodeMessage(bytes);
    const { shortMessage, ...same } = own;
    // It was not told of a validity period.
    expect(read).toMatchObject({ ...same, validityPeriod: "", dataCoding: 4 });
    const tlvs = new Map(read.tlvs.map(([tag, value]) => [tag, Buffer.from(value)]));
    expect(isData ? tlvs.get(TAG.messagePayload) : Buffer.from(read.shortMessage)).toEqual(
      Buffer.from(shortMessage),
    );
    expect(tlvs.get(TAG.receiptedMessageId)?.toString("latin1")).toBe("id-1\0");
    expect(tlvs.get(TAG.messageState)?.[0]).toBe(2);
  });
});

test("it reads our other PDUs", () => {
  const login = { systemId: "us", password: "secret", systemType: "OTA", addressRange: "^98" };
  for (const [command, name] of [
    [COMMAND.bindTransceiver, "bind_transceiver"],
    [COMMAND.bindReceiver, "bind_receiver"],
    [COMMAND.bindTransmitter, "bind_transmitter"],
  ] as const)
    expect(readByNpm(bind(command, login))).toMatchObject({
      command: name,
      system_id: "us",
      password: "secret",
      system_type: "OTA",
      interface_version: 0x34,
      address_range: "^98",
    });
  expect(readByNpm(query("id-1", { ton: 5, npi: 0, address: "Shop" }))).toMatchObject({
    command: "query_sm",
    message_id: "id-1",
    source_addr_ton: 5,
    source_addr: "Shop",
  });
  const deliverAnswer = readByNpm(answerTo(COMMAND.deliverSm, 0, ""));
  expect(deliverAnswer).toMatchObject({ command: "deliver_sm_resp", command_status: 0, message_id: "" });
  expect(readByNpm(answerTo(COMMAND.submitSm, 0x58, null))).toMatchObject({ command_status: 0x58 });
  for (const [draft, command] of [
    [bare(COMMAND.enquireLink), "enquire_link"],
    [bare(COMMAND.unbind), "unbind"],
    [answerTo(COMMAND.enquireLink, 0, null), "enquire_link_resp"],
    [nack(3), "generic_nack"],
  ] as const)
    expect(readByNpm(draft)).toMatchObject({ command, sequence_number: 7 });
});

test("we read its other PDUs", () => {
  const login = { system_id: "us", password: "secret", system_type: "OTA" };
  expect(decodeBind(byNpm("bind_transceiver", login))).toEqual({
    systemId: "us",
    password: "secret",
    systemType: "OTA",
  });
  const answer = byNpm("submit_sm_resp", { message_id: "id-1", sequence_number: 9 });
  expect(readHeader(answer)).toMatchObject({ command: (COMMAND.submitSm | RESPONSE) >>> 0, sequence: 9 });
  expect(decodeAnswerText(answer)).toBe("id-1");
  expect(decodeAnswerText(byNpm("submit_sm_resp", { command_status: 0x58 }))).toBe("");
  const queried = byNpm("query_sm_resp", { message_id: "id-1", message_state: 5, error_code: 27 });
  expect(decodeQueryAnswer(queried)).toEqual({ messageId: "id-1", state: 5, errorCode: 27 });
});

test("a fuzz run: whatever it is, we read it or refuse it as a PduError; npm smpp throws at a part of it", () => {
  const random = randomFrom(printedSeed("npm smpp fuzz"));
  const below = (n: number) => Math.floor(random() * n);
  const receipt = byNpm("deliver_sm", {
    source_addr: "98912",
    destination_addr: "Shop",
    esm_class: 4,
    short_message: Buffer.from(
      "id:1 sub:001 dlvrd:001 submit date:2611040810 done date:2611040811 stat:DELIVRD",
    ),
    receipted_message_id: "1",
    message_state: 2,
  });
  const runs = process.env.SLUICE_MUTANTS === "1" ? 500 : 5_000;
  let thrown = 0;
  for (let run = 0; run < runs; run++) {
    const length = 16 + below(receipt.length - 15);
    const pdu = Buffer.from(receipt.subarray(0, length));
    pdu.writeUInt32BE(length, 0);
    for (let changes = below(4); changes > 0; changes--)
      pdu[16 + below(Math.max(1, length - 16))] = below(256);
    const whole = pdu.subarray(0, length);
    try {
      decodeMessage(whole);
    } catch (error) {
      if (!(error instanceof PduError)) throw error;
    }
    try {
      new PDU(Buffer.from(whole));
    } catch {
      thrown++;
    }
  }
  console.log(`of ${runs} cut or changed receipts npm smpp threw at ${thrown}, we at none`);
  // Each of these would leave a session of its own deaf, with its socket open.
  expect(thrown).toBeGreaterThan(0);
});
