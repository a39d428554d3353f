// Inbound messages as operators send them: by the fields of their published shapes, and as PDUs.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { deliverPdu, type DeliverSpec } from "../../../test/support/deliver-pdu.ts";
import { holds } from "../../../test/support/seed.ts";
import { encodeGsm7 } from "../../core/gsm7.ts";
import type { Inbound } from "../../core/inbound.ts";
import type { RawReport } from "../../core/raw-report.ts";
import { readInbound } from "./inbound.ts";
import { DEFAULT_TERMS, ReportError, type ReportShape, type ReportTerms } from "./report.ts";

const terms = (shape: ReportShape, more: Partial<ReportTerms> = {}): ReportTerms => ({
  ...DEFAULT_TERMS,
  shape,
  ...more,
});
const mo = (body: string, contentType = "application/json", query = ""): RawReport => ({
  operator: "A",
  receivedAtMs: 7,
  via: "mo",
  contentType,
  query,
  body: Buffer.from(body),
});
const FORM = "application/x-www-form-urlencoded";
const told = ({ from, to, text, operatorMessageId }: Inbound) => [from, to, text, operatorMessageId];
const problemOf = (raw: RawReport, of: ReportTerms): string | null => {
  try {
    readInbound(raw, of);
    return null;
  } catch (error) {
    if (!(error instanceof ReportError)) throw error;
    return error.reason;
  }
};

describe("over HTTP", () => {
  const CASES: [ReportShape, RawReport][] = [
    ["generic", mo('{"from":"98912","to":"3000","text":"hi there ","id":7}')],
    ["generic", mo("from=98912&to=3000&text=hi+there+&id=7", FORM)],
    ["generic", mo("", "", "from=98912&to=3000&text=hi%20there%20&id=7")],
    ["twilio", mo("From=98912&To=3000&Body=hi+there+&MessageSid=7&SmsStatus=received&NumMedia=0", FORM)],
    ["kavenegar", mo("from=98912&to=3000&message=hi+there+&messageid=7", FORM)],
    ["vonage", mo('{"msisdn":"98912","to":"3000","text":"hi there ","messageId":"7","type":"text"}')],
    ["vonage", mo('{"from":"98912","to":"3000","text":"hi there ","message_uuid":"7","channel":"sms"}')],
    [
      "infobip",
      mo('{"results":[{"messageId":"7","from":"98912","to":"3000","text":"hi there ","keyword":"HI"}]}'),
    ],
    ["kannel", mo("", "", "from=98912&to=3000&text=hi+there+&id=7")],
    [
      "sns",
      mo(
        JSON.stringify({
          Type: "Notification",
          Message: JSON.stringify({
            originationNumber: "98912",
            destinationNumber: "3000",
            messageBody: "hi there ",
            inboundMessageId: "7",
          }),
        }),
        "text/plain",
      ),
    ],
  ];
  for (const [at, [shape, raw]] of CASES.entries())
    test(`${shape} names its fields (${at})`, () => {
      expect(readInbound(raw, terms(shape)).map(told)).toEqual([["98912", "3000", "hi there ", "7"]]);
    });

  test("an operator's own names come before those of its shape, also as paths into JSON", () => {
    const inbound = { from: "data.src", to: "data.dst", text: "data.msg", id: "data.ref", entries: "list" };
    const raw = mo('{"list":[{"data":{"src":"+98 912","dst":"3000","msg":"","ref":"r"}}]}');
    expect(readInbound(raw, terms("generic", { inbound })).map(told)).toEqual([["+98912", "3000", "", "r"]]);
  });

  test("parts say which they are; a part of one is whole", () => {
    const body = (total: number) =>
      mo(`msisdn=98912&to=3000&text=a&concat=true&concat-ref=9&concat-total=${total}&concat-part=1`, FORM);
    expect(readInbound(body(2), terms("vonage"))[0]?.part).toEqual({ reference: "9", total: 2, number: 1 });
    expect(readInbound(body(1), terms("vonage"))[0]?.part).toBeNull();
  });

  test("several in one body are read in order; one without a sender is left out", () => {
    const raw = mo(
      '[{"from":"1","to":"2","text":"a"},{"to":"2","text":"b"},{"from":"3","to":"2","text":"c"}]',
    );
    expect(readInbound(raw, terms("generic")).map(({ text }) => text)).toEqual(["a", "c"]);
  });

  test("a topic's request to be confirmed is no message", () => {
    expect(readInbound(mo('{"Type":"SubscriptionConfirmation","Token":"t"}'), terms("sns"))).toEqual([]);
  });

  test("what is no inbound message, or can't be read, is said to be so", () => {
    const generic = terms("generic");
    expect(problemOf(mo('{"id":"7","status":"DELIVRD"}'), generic)).toBe("no_fields");
    expect(problemOf(mo('{"from":'), generic)).toBe("not_json");
    expect(problemOf(mo("from=1&to=2&text=%ff", FORM), generic)).toBe("not_utf8");
    expect(problemOf(mo("{}"), terms("smpp"))).toBe("wrong_way");
  });
});

describe("over SMPP", () => {
  const pdu = (spec: DeliverSpec): RawReport => ({
    operator: "A",
    receivedAtMs: 7,
    via: "smpp",
    pdu: deliverPdu({ sourceAddr: "98912", destAddr: "3000", esmClass: 0, ...spec }),
  });
  const read = (spec: DeliverSpec, more: Partial<ReportTerms> = {}): Inbound => {
    const found = readInbound(pdu(spec), terms("smpp", more));
    expect(found).toHaveLength(1);
    return found[0] as Inbound;
  };
  const gsm = (text: string) => encodeGsm7(text) as Uint8Array;
  const ucs2 = (text: string) => Buffer.from(text, "utf16le").swap16();

  test("a text is read by its data_coding", () => {
    const CODED: [number, Uint8Array, string][] = [
      [0, gsm("Hi @ €{é}"), "Hi @ €{é}"],
      [1, Buffer.from("plain @"), "plain @"],
      [3, Buffer.from("déjà", "latin1"), "déjà"],
      [8, ucs2("سلام 😀"), "سلام 😀"],
      [0x10, gsm("flash @"), "flash @"],
      [0x18, ucs2("سلام"), "سلام"],
      [0xf0, gsm("class @"), "class @"],
      [0xf5, Buffer.from("8 bit @", "latin1"), "8 bit @"],
      [0xe0, ucs2("سلام"), "سلام"],
    ];
    for (const [dataCoding, shortMessage, text] of CODED)
      expect([dataCoding, read({ dataCoding, shortMessage }).text]).toEqual([dataCoding, text]);
  });

  test("an operator that writes Latin-1 by default is read so, and so is what GSM-7 has no character for", () => {
    const shortMessage = Buffer.from("a@b_é", "latin1");
    expect(read({ shortMessage }, { alphabet: "latin1" }).text).toBe("a@b_é");
    expect(read({ shortMessage: Buffer.from([0x41, 0xff]) }).text).toBe("Aÿ");
  });

  test("parts are known by a header of 8 or 16 bits, or by SAR parameters", () => {
    const withHeader = (header: number[], text: string) =>
      read({ esmClass: 0x40, shortMessage: Buffer.concat([Buffer.from(header), gsm(text)]) });
    expect(withHeader([5, 0, 3, 0x2a, 2, 1], "ab")).toMatchObject({
      text: "ab",
      part: { reference: "udh 42", total: 2, number: 1 },
    });
    expect(withHeader([6, 8, 4, 1, 0x2a, 3, 3], "ab")).toMatchObject({
      text: "ab",
      part: { reference: "udh 298", total: 3, number: 3 },
    });
    // A port's element before it.
    expect(withHeader([11, 5, 4, 0, 1, 0, 2, 0, 3, 7, 2, 2], "ab").part).toEqual({
      reference: "udh 7",
      total: 2,
      number: 2,
    });
    const tlvs = [
      [0x020c, Buffer.from([0, 9])],
      [0x020e, Buffer.from([2])],
      [0x020f, Buffer.from([1])],
    ] as const;
    expect(read({ shortMessage: gsm("ab"), tlvs }).part).toEqual({ reference: "sar 9", total: 2, number: 1 });
  });

  test("a header's bit without a header, and a text in message_payload", () => {
    expect(read({ esmClass: 0x40, shortMessage: gsm("zap") })).toMatchObject({ text: "zap", part: null });
    const tlvs = [[0x0424, gsm("a payload")]] as const;
    expect(read({ tlvs }).text).toBe("a payload");
    expect(read({ pdu: "data_sm", tlvs }).text).toBe("a payload");
  });

  test("what its type says is something else is no message", () => {
    for (const esmClass of [0x04, 0x08, 0x10, 0x20])
      expect(readInbound(pdu({ esmClass, shortMessage: gsm("x") }), terms("smpp"))).toEqual([]);
  });

  test("any bytes are a message or an error that says why", () => {
    const any = fc.tuple(fc.uint8Array({ maxLength: 200 }), fc.nat(255), fc.boolean());
    holds("inbound pdu", any, ([bytes, dataCoding, header]) => {
      expect(read({ dataCoding, esmClass: header ? 0x40 : 0, shortMessage: bytes }).text).toBeString();
      const raw = { operator: "A", receivedAtMs: 7, via: "smpp", pdu: bytes } as const;
      expect(problemOf(raw, terms("smpp"))).not.toBe("");
    });
  });
});
