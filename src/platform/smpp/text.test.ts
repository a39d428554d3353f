// Texts as octets: as many parts as were paid for, whatever the operator's alphabet; and the submits of
// parts.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { allowSlowRuns, holds } from "../../../test/support/seed.ts";
import { countParts, textProblem } from "../../core/parts.ts";
import type { Draft } from "./encode.ts";
import { encodePdu } from "./encode.ts";
import { decodeMessage, type ShortMessage, TAG } from "./pdu.ts";
import { createReferences, submitDrafts, type SubmitOptions } from "./submit.ts";
import { ALPHABETS, type SmppText, smppText } from "./text.ts";

allowSlowRuns();

const octets = (text: SmppText | null) =>
  (text?.parts ?? []).map((part) => Buffer.from(part).toString("hex"));

describe("octets", () => {
  test("@, _, $ and an extension character have their GSM-7 codes, one septet an octet", () => {
    expect(smppText("@_$€", "gsm")).toMatchObject({ dataCoding: 0 });
    expect(octets(smppText("@_$€", "gsm"))).toEqual(["0011021b65"]);
  });

  test("the same in Latin-1 or ASCII, under the data_coding that is usual or set", () => {
    expect([octets(smppText("@_$é", "latin1")), smppText("é", "latin1")?.dataCoding]).toEqual([
      ["405f24e9"],
      3,
    ]);
    expect(smppText("é", "latin1", 0)?.dataCoding).toBe(0);
    expect([octets(smppText("@_$", "ascii")), smppText("@", "ascii")?.dataCoding]).toEqual([["405f24"], 0]);
  });

  test("other texts are UTF-16, big-endian, under data_coding 8, which no setting changes", () => {
    for (const alphabet of ALPHABETS) {
      expect(octets(smppText("سa😀", alphabet, 1))).toEqual(["06330061d83dde00"]);
      expect(smppText("س", alphabet, 1)?.dataCoding).toBe(8);
    }
  });

  test("what an operator's alphabet lacks goes as UCS-2 if that takes no more parts, and not at all else", () => {
    expect(smppText("10 €", "latin1")).toMatchObject({ dataCoding: 8 });
    expect(smppText("é", "ascii")).toMatchObject({ dataCoding: 8 });
    expect(smppText(`${"a".repeat(70)}Ω`, "latin1")).toBeNull();
    expect(smppText(`${"a".repeat(160)}Ω`, "ascii")).toBeNull();
    expect(smppText(`${"a".repeat(159)}Ω`, "gsm")).toMatchObject({ dataCoding: 0 });
  });

  test("any text has the parts that were paid for, and each fits a short message with its header", () => {
    const pieces = fc.array(fc.constantFrom("a", "€", "@", "é", "Ω", "س", "😀", "{", "\n"), {
      minLength: 1,
      maxLength: 6,
    });
    const texts = fc.tuple(pieces, fc.integer({ min: 1, max: 700 })).map(([of, length]) => {
      let text = "";
      for (let i = 0; text.length < length; i++) text += of[i % of.length] as string;
      return text;
    });
    holds("smpp text", fc.tuple(texts, fc.constantFrom(...ALPHABETS)), ([text, alphabet]) => {
      if (textProblem(text) !== null) return;
      const { parts, encoding } = countParts(text);
      const sent = smppText(text, alphabet);
      if (sent === null) return expect([alphabet === "gsm", encoding]).toEqual([false, "gsm7"]);
      expect(sent.parts).toHaveLength(parts);
      const [single, each] = sent.dataCoding === 8 ? [140, 134] : [160, 153];
      for (const part of sent.parts) {
        expect(part.length).toBeLessThanOrEqual(parts === 1 ? single : each);
        // No escape at the end of a part: its character would be in the next one.
        if (alphabet === "gsm" && sent.dataCoding === 0) expect(part.at(-1)).not.toBe(0x1b);
      }
      const joined = Buffer.concat(sent.parts);
      if (sent.dataCoding === 8) expect(joined.swap16().toString("utf16le")).toBe(text);
      if (sent.dataCoding === 3) expect(joined.toString("latin1")).toBe(text);
    });
  });
});

const FIELDS = {
  serviceType: "",
  sourceTon: 5,
  sourceNpi: 0,
  sourceAddr: "Shop",
  destTon: 1,
  destNpi: 1,
  destAddr: "989121234567",
  validityPeriod: "261104081000000+",
  registeredDelivery: 1,
};
const read = (drafts: readonly Draft[]): ShortMessage[] =>
  drafts.map((draft) => decodeMessage(encodePdu(draft, 1)));
const submits = (text: string, options: Partial<SubmitOptions> = {}) =>
  read(
    submitDrafts(smppText(text, "gsm") as SmppText, FIELDS, {
      split: "udh",
      receiptParts: "each",
      reference: 0xab,
      tlvs: [],
      ...options,
    }),
  );
const LONG = "a".repeat(153) + "b".repeat(153) + "c";
const asText = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");

describe("submits", () => {
  test("a short text is one submit, without a header, however long ones are split", () => {
    for (const split of ["udh", "sar", "payload"] as const) {
      const [only, ...others] = submits("hi", { split });
      expect(only).toMatchObject({ ...FIELDS, esmClass: 0, dataCoding: 0, tlvs: [] });
      expect([asText((only as ShortMessage).shortMessage), others]).toEqual(["hi", []]);
    }
  });

  test("by UDH each part begins with its header, and the header bit is set", () => {
    const parts = submits(LONG);
    expect(parts.map(({ shortMessage }) => Array.from(shortMessage.subarray(0, 6)))).toEqual(
      [1, 2, 3].map((n) => [5, 0, 3, 0xab, 3, n]),
    );
    expect(parts.map(({ shortMessage }) => asText(shortMessage.subarray(6))).join("")).toBe(LONG);
    for (const part of parts) expect(part).toMatchObject({ ...FIELDS, esmClass: 0x40, tlvs: [] });
  });

  test("by SAR each part has its numbers in TLVs, and no header", () => {
    const parts = submits(LONG, { split: "sar" });
    expect(
      parts.map(({ tlvs }) => tlvs.map(([tag, value]) => [tag, Buffer.from(value).toString("hex")])),
    ).toEqual(
      [1, 2, 3].map((n) => [
        [TAG.sarMsgRefNum, "00ab"],
        [TAG.sarTotalSegments, "03"],
        [TAG.sarSegmentSeqnum, `0${n}`],
      ]),
    );
    expect(parts.map(({ shortMessage }) => asText(shortMessage)).join("")).toBe(LONG);
    expect(parts.map(({ esmClass }) => esmClass)).toEqual([0, 0, 0]);
  });

  test("by payload all is in one submit, whose short_message is empty", () => {
    const [only, ...others] = submits(LONG, { split: "payload" });
    const { shortMessage, tlvs } = only as ShortMessage;
    expect([shortMessage.length, others]).toEqual([0, []]);
    expect(tlvs.map(([tag, value]) => [tag, asText(value)])).toEqual([[TAG.messagePayload, LONG]]);
  });

  test("receipts are asked for each part, or for the first or last only", () => {
    const asked = (receiptParts: SubmitOptions["receiptParts"]) =>
      submits(LONG, { receiptParts }).map(({ registeredDelivery }) => registeredDelivery);
    expect([asked("each"), asked("first"), asked("last")]).toEqual([
      [1, 1, 1],
      [1, 0, 0],
      [0, 0, 1],
    ]);
  });

  test("a recipient's references differ 256 times in a row, and only so many recipients are remembered", () => {
    const referenceFor = createReferences(2, () => 0.999);
    const seen = Array.from({ length: 256 }, () => referenceFor("+1"));
    expect(new Set(seen).size).toBe(256);
    expect([seen[0], referenceFor("+1")]).toEqual([0, 0]);
    referenceFor("+2");
    referenceFor("+3");
    expect(referenceFor("+1")).toBe(0); // begins anew
  });
});
