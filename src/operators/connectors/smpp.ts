// The connector to an operator's SMPP 3.4 interface: its settings, and one message as the submits of its
// parts. Leaves the connections to platform/smpp/binds.ts, what a status means to platform/smpp/status.ts.
// The first part goes alone, because most refusals meet it, and a refused message is clean: nothing of it was
// taken. When it is taken, the others follow before other messages: at once, or at the operator's rate; those
// that the operator puts off are repeated for as long as the message may take.
// Invariants: "accepted" once every part is taken; a message of which any part may be taken is never
// "refused" or "not-connected"; no part is submitted again unless the operator said that it did not take it.
// Bound: as many messages as dispatch lets in, TEXT_PARTS_MAX parts each.

import { type Static, Type } from "typebox";
import type { LaneRecord } from "../../core/lane-record.ts";
import { LATE_ANSWER_MAX_MS, SUBMIT_TIMEOUT_MS } from "../../core/limits.ts";
import { submitByOf, validUntilOf } from "../../core/retries.ts";
import { type BindAs, WAITS, type Waits } from "../../platform/smpp/binds.ts";
import {
  classOf,
  mayBeReported,
  STATUS_CLASSES,
  type StatusClass,
  type StatusOverrides,
  statusText,
} from "../../platform/smpp/status.ts";
import { createReferences, RECEIPT_PARTS, SPLITS, submitDrafts } from "../../platform/smpp/submit.ts";
import { ALPHABETS, smppText } from "../../platform/smpp/text.ts";
import { partAfterMs } from "../pace.ts";
import { secret } from "../secret.ts";
import type { OperatorTerms } from "../terms.ts";
import type { Connector, OnReport, OperatorLink } from "./connector.ts";
import { ADDRESS_FORMS, type AddressTypes, destinationOf, sourceOf } from "./smpp-address.ts";
import { submitParts } from "./smpp-parts.ts";
import { querySubmits } from "./smpp-query.ts";
import { shareBinds } from "./smpp-shared.ts";
import { compileTlvs, TLVS, type TlvsOf } from "./smpp-tlvs.ts";
import { createWarning } from "./warning.ts";

const octet = { minimum: 0, maximum: 255 };
const closed = { additionalProperties: false };
const Address = Type.Object({ ton: Type.Integer(octet), npi: Type.Integer(octet) }, closed);
/** C-octet strings: Latin-1 without NUL. */
const octets = (maxLength: number, description: string) =>
  Type.String({ maxLength, pattern: "^[\\u0001-\\u00ff]*$", description });

export const SMPP_SETTINGS = {
  host: Type.String({ minLength: 1, maxLength: 253, description: "name or address of its SMSC" }),
  port: Type.Integer({ minimum: 1, maximum: 65_535, default: 2775, description: "its port" }),
  tls: Type.Boolean({
    default: false,
    description: "TLS from the start; its certificate is always verified",
  }),
  ca: Type.Optional(
    Type.String({ maxLength: 65_536, description: "in PEM, trusted instead of the machine's authorities" }),
  ),
  system_id: octets(64, "our account"),
  // By the specification 8 characters; some operators hand out longer ones.
  password: secret("the account's password", 64),
  system_type: Type.Optional(octets(64, "sent with the bind; some operators require a certain one")),
  address_range: Type.Optional(
    octets(64, "sent with the bind; some operators need it to send anything to us"),
  ),
  mode: Type.Enum(["transceiver", "tx_rx"], {
    default: "transceiver",
    description: "one bind for both directions, or a transmitter and a receiver for each of `binds`",
  }),
  window: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 10_000,
      description: "as above; unless given, what its binds take: `binds` × `bind_window`",
    }),
  ),
  binds: Type.Integer({ minimum: 1, maximum: 16, default: 1, description: "binds of each sender thread" }),
  bind_window: Type.Integer({
    minimum: 1,
    maximum: 1_000,
    default: 10,
    description: "submits without an answer on one bind; ask the operator, nothing negotiates it",
  }),
  enquire_s: Type.Integer({
    minimum: 1,
    maximum: 300,
    default: 25,
    description: "seconds of silence before an enquire_link; less than the operator's idle limit",
  }),
  sender: Type.Optional(
    octets(20, "the source address of messages without a `from`; none: the operator's own"),
  ),
  addresses: Type.Optional(
    Type.Object(
      Object.fromEntries(ADDRESS_FORMS.map((form) => [form, Type.Optional(Address)])) as Record<
        (typeof ADDRESS_FORMS)[number],
        ReturnType<typeof Type.Optional<typeof Address>>
      >,
      { ...closed, description: "TON and NPI by the form of an address, where the usual ones don't suit" },
    ),
  ),
  alphabet: Type.Enum(ALPHABETS, { default: "gsm", description: "how it reads a text that isn't UCS-2" }),
  data_coding: Type.Optional(
    Type.Integer({
      ...octet,
      description: "for texts in `alphabet`: 0 for gsm and ascii, 3 for latin1 unless given",
    }),
  ),
  split: Type.Enum(SPLITS, { default: "udh", description: "how the parts of a long message are joined" }),
  receipt_parts: Type.Enum(RECEIPT_PARTS, {
    default: "each",
    description: "the parts of a long message for which a receipt is asked",
  }),
  registered_delivery: Type.Integer({
    ...octet,
    default: 1,
    description: "the receipts that are asked for: 1 final ones, 17 intermediate ones too, 0 none",
  }),
  validity: Type.Enum(["absolute", "off"], {
    default: "absolute",
    description: "whether it is told until when a message is worth delivering; some refuse any value",
  }),
  tlvs: Type.Optional(TLVS),
  query_sm: Type.Boolean({
    default: true,
    description:
      "whether it is asked by query_sm about messages whose answer was lost; one that doesn't know the " +
      "command is asked no more",
  }),
  statuses: Type.Optional(
    Type.Unsafe<Record<string, StatusClass>>(
      Type.Record(Type.String({ pattern: "^0x[0-9A-Fa-f]{1,8}$" }), Type.Enum(STATUS_CLASSES), {
        description: "its own meaning of a command_status, such as `0x45: elsewhere`",
      }),
    ),
  ),
};
export type SmppOperator = OperatorTerms & { kind: "smpp" } & Static<
    ReturnType<typeof Type.Object<typeof SMPP_SETTINGS>>
  >;

/** How long a bind that is asked for a sign of life may take. */
const ENQUIRE_ANSWER_MS = 10_000;
/** With its NUL it fills the field of a bind (4.1.1). */
const PASSWORD_CHARS_MAX = 8;
/** Recipients whose last reference is remembered, some 100 B each. */
const RECIPIENTS_MAX = 20_000;

export function createSmppConnector(
  operator: SmppOperator,
  onReport: OnReport,
  link: OperatorLink,
  waits: Waits = WAITS,
): Connector {
  const { host, port, tls, ca, system_id, password, system_type = "", address_range = "" } = operator;
  const binds = shareBinds(
    operator.name,
    {
      binds: bindsOf(operator),
      session: {
        host,
        port,
        tls: tls ? (ca === undefined ? {} : { ca }) : null,
        login: { systemId: system_id, password, systemType: system_type, addressRange: address_range },
        window: operator.bind_window,
        lateMs: LATE_ANSWER_MAX_MS,
        enquireMs: operator.enquire_s * 1_000,
        enquireAnswerMs: ENQUIRE_ANSWER_MS,
      },
      waits,
    },
    link,
  );
  const making: Making = {
    referenceFor: createReferences(RECIPIENTS_MAX, Math.random),
    tlvsOf: compileTlvs(operator.tlvs, operator.sender),
  };
  const overrides = overridesOf(operator);
  const warn = createWarning(link);
  if (password.length > PASSWORD_CHARS_MAX)
    link.onNote({
      level: "warn",
      text:
        `the password has more than ${PASSWORD_CHARS_MAX} characters: it is sent as it is, but SMPP has ` +
        "room for no more, and only some operators take it",
    });
  let isAsked = operator.query_sm;
  const unsupported = () => {
    if (isAsked) link.onNote({ level: "info", text: "doesn't know query_sm: it is asked no more" });
    isAsked = false;
  };
  const kindOf = (status: number) => {
    const kind = classOf(status, overrides);
    if (kind === "elsewhere") warn(statusText(status));
    return kind;
  };
  const mayReport = (status: number) => mayBeReported(status, overrides);
  return {
    spanMs: (parts) => partAfterMs(operator.rate, parts - 1),
    submit(message, done, leftMs) {
      const drafts = draftsOf(operator, message, making);
      if (typeof drafts === "string") return done({ kind: "refused", permanent: true, reason: drafts });
      const firstMs = submitByOf(message) - link.now();
      const endMs = leftMs + 2 * SUBMIT_TIMEOUT_MS;
      // No part of express begins after its promise.
      const restMs = Math.min(endMs, firstMs + SUBMIT_TIMEOUT_MS);
      const afterMs = (part: number) => partAfterMs(operator.rate, part);
      const times = { timeoutMs: SUBMIT_TIMEOUT_MS, firstMs, restMs, endMs, afterMs };
      submitParts({ binds, kindOf, mayReport, ...times }, drafts, {
        done,
        late: (answer) => onReport(message, answer),
      });
    },
    lookUp(asked) {
      const source = sourceOf(asked.from ?? operator.sender ?? "", operator.addresses ?? {});
      const deliver = (receipt: Uint8Array) => void link.onDeliver(receipt);
      if (source === null || !isAsked) return;
      querySubmits({ binds, timeoutMs: SUBMIT_TIMEOUT_MS, deliver, unsupported }, source, asked);
    },
    retire: () => binds.retire(),
    close: () => binds.close(),
  };
}

/** More at once would only wait here, where no other operator gets them. */
export const windowOf = ({ binds, bind_window }: Pick<SmppOperator, "binds" | "bind_window">): number =>
  binds * bind_window;

function bindsOf({ mode, binds }: SmppOperator): BindAs[] {
  const each: BindAs[] = mode === "transceiver" ? ["transceiver"] : ["transmitter", "receiver"];
  return each.flatMap((as) => Array.from({ length: binds }, () => as));
}

const overridesOf = ({ statuses = {} }: SmppOperator): StatusOverrides =>
  new Map(Object.entries(statuses).map(([status, kind]) => [Number(status), kind]));

type Making = { referenceFor: (phone: string) => number; tlvsOf: TlvsOf };

/** The submits of a message, or why this operator can't get it. */
function draftsOf(operator: SmppOperator, message: LaneRecord, { referenceFor, tlvsOf }: Making) {
  const { alphabet, data_coding, split, receipt_parts, registered_delivery, validity } = operator;
  const types: AddressTypes = operator.addresses ?? {};
  const sender = message.from ?? operator.sender ?? "";
  const source = sourceOf(sender, types);
  if (source === null) return "a sender that SMPP can't carry";
  const text = smppText(message.text, alphabet, data_coding);
  if (text === null) return `a text that ${alphabet} can't carry`;
  const tlvs = tlvsOf(message, sender);
  if (tlvs === null) return "an optional parameter that SMPP can't carry";
  const dest = destinationOf(message.phone, types);
  return submitDrafts(
    text,
    {
      serviceType: "",
      sourceTon: source.ton,
      sourceNpi: source.npi,
      sourceAddr: source.address,
      destTon: dest.ton,
      destNpi: dest.npi,
      destAddr: dest.address,
      validityPeriod: validity === "off" ? "" : absoluteTime(validUntilOf(message)),
      registeredDelivery: registered_delivery,
    },
    // Only a message of several parts needs a reference.
    {
      split,
      receiptParts: receipt_parts,
      reference: text.parts.length > 1 ? referenceFor(message.phone) : 0,
      tlvs,
    },
  );
}

/** YYMMDDhhmmsstnnp in UTC (7.1.1); relative times are refused by some operators. */
function absoluteTime(ms: number): string {
  const digits = new Date(ms).toISOString().replaceAll(/\D/g, "");
  return `${digits.slice(2, 14)}000+`;
}
