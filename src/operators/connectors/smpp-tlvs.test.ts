// An operator's own optional parameters: the entry's faults, each at its place, and what arrives at a peer
// with each submit.

import { afterEach, describe, expect, test } from "bun:test";
import { answering, endConnectors, startConnector, submitted } from "../../../test/support/smpp-connector.ts";
import { laneRecord } from "../../../test/support/smpp-operator.ts";
import { obliging } from "../../../test/support/smpp-peer.ts";
import { type ShortMessage, TAG } from "../../platform/smpp/pdu.ts";
import { faultLines, parseRoutes } from "../routes-file.ts";
import type { SmppOperator } from "./smpp.ts";
import { compileTlvs } from "./smpp-tlvs.ts";

const LONG = `${"a".repeat(153)}${"b".repeat(153)}c`;
const DLT: SmppOperator["tlvs"] = [
  { tag: 0x1400, type: "octets", value: "1101234567890123456" },
  { tag: "0x1401", type: "octets", value: "1107000000000000001" },
  { tag: 0x1401, type: "octets", value: "1107000000000000002", senders: ["BANK", "SHOP2"] },
  { tag: 0x1402, type: "cstring", value: "{phone_digits}/{id}" },
  { tag: 0x1403, type: "octets", value: "0x00ff" },
  { tag: 0x1404, type: "uint8", value: 255 },
  { tag: 0x1405, type: "uint16", value: 258 },
  { tag: 0x1406, type: "uint32", value: 4_294_967_295 },
];
const hexed = ({ tlvs }: ShortMessage) =>
  tlvs.map(([tag, value]) => [tag.toString(16), Buffer.from(value).toString("hex")]);
const hexOf = (text: string) => Buffer.from(text, "latin1").toString("hex");
const expected = (template: string) => [
  ["1400", hexOf("1101234567890123456")],
  ["1401", hexOf(template)],
  ["1402", hexOf("989121234567/01KDA0000000000000000000AA\0")],
  ["1403", "00ff"],
  ["1404", "ff"],
  ["1405", "0102"],
  ["1406", "ffffffff"],
];

afterEach(endConnectors);

describe("at a peer", () => {
  test("they come with every part of a message, beside what joins its parts", async () => {
    for (const split of ["udh", "sar", "payload"] as const) {
      const { peer, submit } = await startConnector(obliging, { split, tlvs: DLT });
      expect(await submit(LONG)).toMatchObject({ kind: "accepted" });
      const parts = submitted(peer);
      expect([split, parts.length]).toEqual([split, split === "payload" ? 1 : 3]);
      const joining = { udh: 0, sar: 3, payload: 1 }[split];
      for (const part of parts) expect(hexed(part).slice(joining)).toEqual(expected("1107000000000000001"));
    }
  });

  test("a sender's own value replaces the usual one, also where the sender is the entry's", async () => {
    const { peer, submit } = await startConnector(obliging, { tlvs: DLT, sender: "BANK" });
    await submit("hi", { from: "SHOP2" });
    await submit("hi", { from: null });
    await submit("hi", { from: "bank" });
    expect(submitted(peer).map((sent) => hexed(sent)[1])).toEqual([
      ["1401", hexOf("1107000000000000002")],
      ["1401", hexOf("1107000000000000002")],
      ["1401", hexOf("1107000000000000001")],
    ]);
  });

  test("one that only some senders have is left out for others, and so is a placeholder without a value", async () => {
    const tlvs: SmppOperator["tlvs"] = [
      { tag: 0x1500, type: "uint8", value: 1, senders: ["Bank"] },
      { tag: 0x1501, type: "octets", value: "{from}" },
    ];
    const { peer, submit } = await startConnector(obliging, { tlvs });
    await submit("hi");
    await submit("hi", { from: null });
    await submit("hi", { from: "Bank" });
    expect(submitted(peer).map(hexed)).toEqual([
      [["1501", hexOf("Shop")]],
      [],
      [
        ["1500", "01"],
        ["1501", hexOf("Bank")],
      ],
    ]);
  });

  test("a value that can't be carried refuses the message for good, and nothing is sent", async () => {
    for (const type of ["octets", "cstring"] as const) {
      const { peer, submit } = await startConnector(obliging, {
        tlvs: [{ tag: 0x1400, type, value: "{text}" }],
      });
      expect(await submit("سلام")).toEqual({
        kind: "refused",
        permanent: true,
        reason: "an optional parameter that SMPP can't carry",
      });
      expect(submitted(peer)).toEqual([]);
    }
  });

  test("its refusal of them is a refusal like any other, and can have another meaning there", async () => {
    const usual = await startConnector(answering({ 1: 0xc4, 2: 0xc3 }), { tlvs: DLT });
    for (const status of ["0xC4", "0xC3"])
      expect(await usual.submit("hi")).toEqual({
        kind: "refused",
        permanent: true,
        reason: expect.stringContaining(status),
        mayReport: true,
      });
    const own = await startConnector(answering({ 1: 0xc4, 2: 0x4ff }), {
      tlvs: DLT,
      statuses: { "0xC4": "elsewhere" },
    });
    for (let i = 0; i < 2; i++)
      expect(await own.submit("hi")).toMatchObject({ kind: "refused", permanent: false });
    expect((await own.submit("hi")).kind).toBe("accepted");
  });
});

test("an operator without any costs its messages nothing: all have the same empty list", () => {
  const tlvsOf = compileTlvs(undefined);
  expect(tlvsOf(laneRecord("hi"), "Shop")).toBe(tlvsOf(laneRecord("ho"), "") as never);
});

/** The list begins on line 7. Returns `line:column path: fault`, the path from the list on. */
function faults(tlvs: readonly string[]): string[] {
  const text = `operators:
  A:
    kind: smpp
    host: a
    system_id: us
    price: 1
    password: { env: KEY }
    tlvs:
${tlvs.map((each) => `      - ${each}\n`).join("")}`;
  const read = parseRoutes(new TextEncoder().encode(text), { env: { KEY: "hunter2" }, folder: "/" });
  if (read.kind === "ok") return [];
  return faultLines("f", read.faults).map((line) =>
    line.replace(/^f:(\d+):\d+ operators\.A\.tlvs/, (_, n: string) => String(Number(n) - 9)),
  );
}

describe("in the file", () => {
  test("tags in hex or as text, numbers, texts, hex and templates are taken", () => {
    expect(
      faults([
        "{ tag: 0x1400, type: octets, value: '1101234567890123456' }",
        "{ tag: '0x1401', type: octets, value: '{from}-{id_number}' }",
        `{ tag: 5122, type: octets, value: "0x${"00".repeat(255)}" }`,
        `{ tag: 0x1403, type: cstring, value: "${"a".repeat(254)}" }`,
        "{ tag: 0x1404, type: uint16, value: 0x0102, senders: [BANK] }",
        "{ tag: 0x1404, type: uint16, value: 65535 }",
        "{ tag: 0x0204, type: uint16, value: 0 }",
      ]),
    ).toEqual([]);
  });

  test("a tag that the codec has is refused, however it is written, and so is what is no tag", () => {
    const own = (name: string) => `is ${name}, which the connector sets or reads itself: remove it`;
    const wrong = "must be a tag from 0x0001 to 0xFFFF, such as 0x1400";
    const named = Object.values(TAG).map((tag) => faults([`{ tag: ${tag}, type: uint8, value: 1 }`])[0]);
    expect(named).toEqual(
      [
        "receipted_message_id",
        "sar_msg_ref_num",
        "sar_total_segments",
        "sar_segment_seqnum",
        "message_payload",
        "message_state",
      ].map((name) => `0[0].tag: ${own(name)}`),
    );
    expect(faults(['{ tag: "0x0424", type: octets, value: a }'])).toEqual([
      `0[0].tag: ${own("message_payload")}`,
    ]);
    for (const tag of ["0", "65536", "1.5", '"0x0000"', '"1400"', '"0x14000"', "vendor"])
      expect(faults([`{ tag: ${tag}, type: uint8, value: 1 }`])).toEqual([`0[0].tag: ${wrong}`]);
  });

  test("a value that its type can't have is refused", () => {
    const number = (most: number, type: string) =>
      `must be a whole number from 0 to ${most}, as its type is ${type}`;
    const cases: [type: string, value: string, fault: string][] = [
      ["uint8", "256", number(255, "uint8")],
      ["uint8", "-1", number(255, "uint8")],
      ["uint16", "65536", number(65_535, "uint16")],
      ["uint16", '"1"', number(65_535, "uint16")],
      ["uint32", "1.5", number(4_294_967_295, "uint32")],
      ["uint32", "4294967296", number(4_294_967_295, "uint32")],
      ["octets", "1101234567890123456", "must be text, in quotes, as its type is octets"],
      ["cstring", "7", "must be text, in quotes, as its type is cstring"],
      ["octets", '"0x0"', "must be pairs of hex digits after 0x"],
      ["octets", '"0xzz"', "must be pairs of hex digits after 0x"],
      ["octets", '"سلام"', "has a character that it can't carry: only Latin-1 can be sent"],
      ["octets", `"${"a".repeat(256)}"`, "has 256 octets: at most 255 can be in this file"],
      ["octets", `"0x${"00".repeat(256)}"`, "has 256 octets: at most 255 can be in this file"],
      ["cstring", `"${"a".repeat(255)}"`, "has 256 octets: at most 255 can be in this file"],
      ["octets", '"{phone"', 'has a "{" without its other half: for a brace itself write it twice'],
      ["octets", '"{{phone}}"', "has a placeholder in two braces: write it in one"],
    ];
    for (const [type, value, fault] of cases)
      expect([type, value, faults([`{ tag: 0x1400, type: ${type}, value: ${value} }`])[0]]).toEqual([
        type,
        value,
        `0[0].value: ${fault}`,
      ]);
    expect(faults(["{ tag: 0x1400, type: octets, value: '{nothing}' }"])[0]).toStartWith(
      "0[0].value: has a placeholder that doesn't exist",
    );
    expect(faults(["{ tag: 0x1400, type: text, value: a }"])[0]).toStartWith(
      "0[0].type: must be one of octets,",
    );
  });

  test("one tag twice for the same messages is refused", () => {
    const usual = "is in the list already, without senders like this one: remove one";
    const sender = "names a sender that 0x1400 has a value for already: remove one";
    expect(
      faults([
        "{ tag: 0x1400, type: uint8, value: 1 }",
        "{ tag: '0x1400', type: uint8, value: 2 }",
        "{ tag: 0x1400, type: uint8, value: 3, senders: [A, B] }",
        "{ tag: 5120, type: uint8, value: 4, senders: [C, B] }",
        "{ tag: 0x1401, type: uint8, value: 5, senders: [A, B] }",
      ]),
    ).toEqual([`1[1].tag: ${usual}`, `3[3].senders: ${sender}`]);
  });
});
