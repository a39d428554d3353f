// Optional parameters (TLVs) that an operator of SMPP wants with each submit, such as the entity and template
// of India's DLT: their schema in the routes file, what is wrong with one, and the function that makes those
// of a message, compiled once for each operator.
// Invariants: an entry without a fault compiles; a submit has no tag twice, and none from here that the codec
// sets or reads itself.

import { type Static, Type } from "typebox";
import type { LaneRecord } from "../../core/lane-record.ts";
import type { Tlv } from "../../platform/smpp/octets.ts";
import { hex, TAG } from "../../platform/smpp/pdu.ts";
import type { Reading } from "../read-schema.ts";
import { type At, child, fault, itemsOf, type MapTree, textOf, valueOf } from "./entry-tree.ts";
import { compileTemplate, type Place, templateProblem } from "./template.ts";

const TLV_TYPES = ["octets", "cstring", "uint8", "uint16", "uint32"] as const;
type TlvType = (typeof TLV_TYPES)[number];

const TLVS_MAX = 200;
/** Of a value as it is in the file. */
const WRITTEN_OCTETS_MAX = 255;
/** What the length of a TLV can say (5.3.1): a template's value depends on the message. */
const OCTETS_MAX = 65_535;

const Tag = Type.Unsafe<number | string>({
  anyOf: [
    Type.Integer({ minimum: 1, maximum: 0xffff }),
    Type.String({ pattern: "^0x(?!0+$)[0-9A-Fa-f]{1,4}$" }),
  ],
  errorMessage: "must be a tag from 0x0001 to 0xFFFF, such as 0x1400",
  description: "its tag; vendors' own are 0x1400 to 0x3FFF",
});
const Value = Type.Unsafe<string | number>({
  anyOf: [Type.String({ maxLength: 2 + 2 * WRITTEN_OCTETS_MAX }), Type.Number()],
  errorMessage: `must be a whole number, or text of at most ${2 + 2 * WRITTEN_OCTETS_MAX} characters`,
  description:
    "a number, or text: a template, or octets in hex after `0x`; one that is a single placeholder without " +
    "a value leaves the TLV out",
});

export const TLV = Type.Object(
  {
    tag: Tag,
    type: Type.Enum(TLV_TYPES, {
      description: "octets: as they are; cstring: closed by a NUL; the others are numbers, big-endian",
    }),
    value: Value,
    senders: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 20 }), {
        minItems: 1,
        maxItems: 1_000,
        uniqueItems: true,
        description:
          "only for messages from one of these; for them it replaces the one of its tag without `senders`",
      }),
    ),
  },
  { additionalProperties: false },
);
type TlvSettings = Static<typeof TLV>;

export const TLVS = Type.Array(TLV, {
  minItems: 1,
  maxItems: TLVS_MAX,
  description: "optional parameters that each submit gets ([SMPP](../CONNECTORS.md#optional-parameters))",
});

// ---- compiling ----

/** Those of a message from this sender, "" if it has none; null if one can't be carried. */
export type TlvsOf = (message: LaneRecord, sender: string) => readonly Tlv[] | null;

type Made = Tlv | "none" | "unfit";
type Maker = (message: LaneRecord) => Made;

const NONE: readonly Tlv[] = [];

/** `sender`: of messages without one. @throws Error for settings that `checkTlvs` refuses */
export function compileTlvs(settings: readonly TlvSettings[] | undefined, sender?: string): TlvsOf {
  if (settings === undefined) return () => NONE;
  const tags = new Map<number, { usual: Maker | null; bySender: Map<string, Maker> }>();
  for (const each of settings) {
    const tag = Number(each.tag);
    const made = makerOf(tag, each, sender);
    const of = tags.get(tag) ?? { usual: null, bySender: new Map<string, Maker>() };
    tags.set(tag, of);
    if (each.senders === undefined) of.usual = made;
    for (const own of each.senders ?? []) of.bySender.set(own, made);
  }
  return (message, from) => {
    const tlvs: Tlv[] = [];
    for (const { usual, bySender } of tags.values()) {
      const made = (bySender.get(from) ?? usual)?.(message) ?? "none";
      if (made === "unfit") return null;
      if (made !== "none") tlvs.push(made);
    }
    return tlvs;
  };
}

const AS_IT_IS: Place = { literal: (text) => text, value: (text) => text };

function makerOf(tag: number, { type, value }: TlvSettings, sender: string | undefined): Maker {
  const fixed = typeof value === "number" ? bigEndian(type, value) : hexOctets(type, value);
  if (fixed !== null) {
    const tlv: Tlv = [tag, fixed];
    return () => tlv;
  }
  const write = compileTemplate(String(value), sender === undefined ? {} : { sender }, AS_IT_IS);
  return (message) => {
    const text = write(message);
    if (text === null) return "none";
    const octets = octetsOf(type, text);
    return octets === null || octets.length > OCTETS_MAX ? "unfit" : [tag, octets];
  };
}

/** Octets of a number; null for the types of texts. */
function sizeOf(type: TlvType): number | null {
  switch (type) {
    case "uint8":
      return 1;
    case "uint16":
      return 2;
    case "uint32":
      return 4;
    case "octets":
    case "cstring":
      return null;
  }
}

/** @throws Error for a type of texts */
function bigEndian(type: TlvType, value: number): Uint8Array {
  const size = sizeOf(type);
  if (size === null) throw new Error(`a number as ${type}`);
  const octets = Buffer.alloc(size);
  octets.writeUIntBE(value, 0, size);
  return octets;
}

/** Of octets that are written in hex; null for any other value. */
const hexOctets = (type: TlvType, value: string): Uint8Array | null =>
  type === "octets" && /^0x([0-9A-Fa-f]{2})+$/.test(value) ? Buffer.from(value.slice(2), "hex") : null;

/** Null for what SMPP can't carry: a NUL inside of a C-octet string, or what is no Latin-1. */
function octetsOf(type: TlvType, text: string): Uint8Array | null {
  if (type === "cstring") return /[^\u0001-\u00ff]/.test(text) ? null : Buffer.from(`${text}\0`, "latin1");
  return /[^\u0000-\u00ff]/.test(text) ? null : Buffer.from(text, "latin1");
}

// ---- checking ----

const OWN_TAGS = new Map<number, string>(
  Object.entries(TAG).map(([name, tag]) => [
    tag,
    name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toLowerCase(),
  ]),
);

/** Adds a fault for each TLV of an SMPP entry that its schema takes but a submit can't have. */
export function checkTlvs(reading: Reading, tree: MapTree, path: string): void {
  const seen = new Set<string>();
  for (const tlv of itemsOf(child({ tree, path }, "tlvs"))) {
    const tag = Number(valueOf(child(tlv, "tag")));
    const own = OWN_TAGS.get(tag);
    if (own !== undefined)
      fault(reading, child(tlv, "tag"), `is ${own}, which the connector sets or reads itself: remove it`);
    const problem = valueProblem(child(tlv, "type"), child(tlv, "value"));
    if (problem !== null) fault(reading, child(tlv, "value"), problem);
    checkRepeats(reading, seen, tlv);
  }
}

function valueProblem(typeAt: At | null, valueAt: At | null): string | null {
  const value = valueOf(valueAt);
  const type = TLV_TYPES.find((each) => each === textOf(typeAt));
  if (value === null || type === undefined || typeof value === "boolean") return null;
  const size = sizeOf(type);
  if (size !== null) {
    const most = 256 ** size - 1;
    const isFit = typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most;
    return isFit ? null : `must be a whole number from 0 to ${most}, as its type is ${type}`;
  }
  if (typeof value === "number") return `must be text, in quotes, as its type is ${type}`;
  const written = hexOctets(type, value);
  if (written === null && type === "octets" && value.startsWith("0x"))
    return "must be pairs of hex digits after 0x";
  const octets = written ?? octetsOf(type, value);
  if (octets === null) return "has a character that it can't carry: only Latin-1 can be sent";
  if (octets.length > WRITTEN_OCTETS_MAX)
    return `has ${octets.length} octets: at most ${WRITTEN_OCTETS_MAX} can be in this file`;
  return written === null ? templateProblem(value, { secrets: [] }) : null;
}

/** One of a tag without `senders`, and one for each sender: any more would be twice in a submit. */
function checkRepeats(reading: Reading, seen: Set<string>, tlv: At): void {
  const tag = Number(valueOf(child(tlv, "tag")));
  const senders = child(tlv, "senders");
  const repeats = (key: string): boolean => seen.size === seen.add(key).size;
  if (senders === null) {
    if (repeats(`${tag}`))
      fault(reading, child(tlv, "tag"), `is in the list already, without senders like this one: remove one`);
    return;
  }
  const own = new Set(itemsOf(senders).map(textOf));
  for (const sender of own)
    if (sender !== null && repeats(`${tag} ${sender}`))
      fault(reading, senders, `names a sender that ${hex(tag)} has a value for already: remove one`);
}
