// What an operator's entry in the routes file says about its reports: the schema, what must fit together, and
// what readers and the authorizer are made from.

import { isIP } from "node:net";
import { type Static, type TSchema, Type } from "typebox";
import type { Alphabet } from "../../platform/smpp/text.ts";
import type { Reading } from "../read-schema.ts";
import { secret } from "../secret.ts";
import type { Tree } from "../yaml-tree.ts";
import type { ReportAccess } from "./authorize.ts";
import { LAST_ERRORS, type LastErrorCode } from "./codes.ts";
import {
  DEFAULT_TERMS,
  ID_FORMS,
  REPORT_SHAPES,
  REPORT_STATUSES,
  type ReportShape,
  type ReportStatus,
  type ReportTerms,
} from "./report.ts";

const closed = { additionalProperties: false };
const record = <T>(value: TSchema, description: string) =>
  Type.Unsafe<Record<string, T>>(Type.Record(Type.String(), value, { description }));

const TimeZone = Type.Refine(
  Type.String({
    maxLength: 100,
    default: DEFAULT_TERMS.timeZone,
    description: "the clock of dates that carry no zone",
    errorMessage: "must be the IANA name of a time zone, such as Asia/Tehran",
  }),
  (name) => {
    try {
      Intl.DateTimeFormat("en", { timeZone: name });
      return true;
    } catch {
      return false; // RangeError: no such zone
    }
  },
  () => "no time zone",
);
const AddressBlock = Type.Refine(
  Type.String({
    maxLength: 100,
    errorMessage: "must be an address or a block of addresses, such as 192.0.2.7 or 192.0.2.0/24",
  }),
  (text) => {
    const [address = "", bits = "0", ...rest] = text.split("/");
    const version = isIP(address);
    const isLength = /^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128);
    return version !== 0 && isLength && rest.length === 0;
  },
  () => "no address",
);

const LookUp = Type.Refine(
  Type.String({
    maxLength: 500,
    description:
      "where a message without an answer is looked up, by {id} or {id_number}, with {secret.NAME} of an " +
      "operator of kind http; what it answers is read as a report",
    errorMessage: "must be an address such as https://sms.example/status/{id}, where {id} is our id",
  }),
  (text) => {
    const [origin] = /^https?:\/\/[^/?#{}\s]+/.exec(text) ?? [];
    if (origin === undefined || !/\{id(_number)?\}/.test(text)) return false;
    const url = URL.parse(text.replaceAll(/\{(id|id_number|secret\.\w+)\}/g, "0"));
    return url !== null && url.username === "" && url.password === "";
  },
  () => "no address with an id",
);

export const REPORTS = Type.Object(
  {
    shape: Type.Optional(
      Type.Enum(REPORT_SHAPES, {
        description: "how it writes them; not given for a kind that has its own",
      }),
    ),
    time_zone: TimeZone,
    id_form: Type.Enum(ID_FORMS, {
      default: DEFAULT_TERMS.idForm,
      description: "in which base it writes its ids in the answer to a submit, and in a report",
    }),
    plain_receipts: Type.Boolean({
      default: DEFAULT_TERMS.plainReceipts,
      description: "SMPP: receipts may come with esm_class 0, like an inbound message",
    }),
    template: Type.Optional(record<string>(Type.String({ maxLength: 200 }), "which of its fields is which")),
    inbound: Type.Optional(
      record<string>(Type.String({ maxLength: 200 }), "which field of its inbound messages is which"),
    ),
    echoes_id: Type.Boolean({
      default: DEFAULT_TERMS.echoesId,
      description: "the field `our_id` of the template holds our own id of the message",
    }),
    words: Type.Optional(
      record<ReportStatus>(Type.Enum(REPORT_STATUSES), "its own words, and their statuses"),
    ),
    error_codes: Type.Optional(
      Type.Unsafe<"map" | Record<string, LastErrorCode>>({
        description: "its own error codes, and our codes for them; `map`: they are GSM MAP errors",
        errorMessage: "must be map, or a map of its codes and ours",
        anyOf: [
          Type.Literal("map"),
          Type.Record(Type.String(), Type.Enum(Object.keys(LAST_ERRORS) as LastErrorCode[])),
        ],
      }),
    ),
    look_up: Type.Optional(LookUp),
    secret: Type.Optional(secret("it is in X-Sluice-Token, or in the query's `token`")),
    addresses: Type.Optional(
      Type.Array(AddressBlock, { minItems: 1, maxItems: 1_000, description: "it calls from one of these" }),
    ),
    basic: Type.Optional(
      Type.Object(
        {
          username: Type.String({ minLength: 1, maxLength: 200 }),
          password: secret("with the name, its Basic credentials"),
        },
        { ...closed, description: "it sends these Basic credentials" },
      ),
    ),
    twilio_auth_token: Type.Optional(secret("Twilio signs with it")),
    vonage_signature_secret: Type.Optional(secret("Vonage signs with it")),
    open: Type.Boolean({ default: false, description: "anyone may report; only for development" }),
  },
  { ...closed, description: "how its delivery reports are read, and who may send them ([dlr](dlr.md))" },
);
export type ReportSettings = Static<typeof REPORTS>;

type WithReports = {
  kind: string;
  reports?: ReportSettings | undefined;
  /** Of SMPP. */
  receipt_parts?: "each" | "first" | "last";
  alphabet?: Alphabet;
};

/** Of the kinds whose operators have one shape, which is named like the kind. */
const ownShapeOf = (kind: string): ReportShape | undefined => REPORT_SHAPES.find((shape) => shape === kind);

/** Null if it sends none that could be read. Over SMPP they come unasked. */
export function reportTermsOf({ kind, reports, receipt_parts, alphabet }: WithReports): ReportTerms | null {
  const shape = ownShapeOf(kind) ?? reports?.shape;
  if (shape === undefined || (reports === undefined && shape !== "smpp")) return null;
  const { time_zone, id_form, plain_receipts, template, echoes_id, words, error_codes } = reports ?? {};
  return {
    shape,
    timeZone: time_zone ?? DEFAULT_TERMS.timeZone,
    idForm: id_form ?? DEFAULT_TERMS.idForm,
    plainReceipts: plain_receipts ?? DEFAULT_TERMS.plainReceipts,
    template: template ?? DEFAULT_TERMS.template,
    echoesId: echoes_id ?? DEFAULT_TERMS.echoesId,
    words: words ?? null,
    errorCodes: error_codes ?? null,
    ...(reports?.inbound !== undefined && { inbound: reports.inbound }),
    ...(alphabet !== undefined && alphabet !== "gsm" && { alphabet }),
    ...(receipt_parts !== undefined && { receiptParts: receipt_parts }),
  };
}

/** Who may send reports over HTTP; nobody if nothing is said. */
export function reportAccessOf({ reports }: WithReports): ReportAccess {
  const { secret: token, addresses, basic, twilio_auth_token, vonage_signature_secret, open } = reports ?? {};
  return {
    ...(token !== undefined && { secret: token }),
    ...(addresses !== undefined && { addresses }),
    ...(basic !== undefined && { basic }),
    ...(twilio_auth_token !== undefined && { twilioAuthToken: twilio_auth_token }),
    ...(vonage_signature_secret !== undefined && { vonageSignatureSecret: vonage_signature_secret }),
    ...(open === true && { open }),
  };
}

const CONDITIONS = ["secret", "addresses", "basic", "twilio_auth_token", "vonage_signature_secret"];

/** What must fit together. `tree` is the `reports` of an operator of this kind, `path` where it is. */
export function checkReports(reading: Reading, tree: Tree, path: string, kind: string): void {
  if (tree.kind !== "map") return;
  const valueOf = (name: string): unknown => {
    const value = tree.entries.get(name)?.value;
    return value?.kind === "value" ? value.value : value;
  };
  const placeOf = (name: string) => tree.entries.get(name)?.value ?? tree;
  const shape = valueOf("shape");
  const own = ownShapeOf(kind);
  if (own !== undefined && shape !== undefined && shape !== own)
    reading.fault(placeOf("shape"), `${path}.shape`, `is ${own} for this operator: remove the line`);
  if (kind === "smpp") {
    if (valueOf("look_up") !== undefined)
      reading.fault(placeOf("look_up"), `${path}.look_up`, "is for operators of HTTP: remove the line");
    return;
  }
  if (own === undefined && (shape === undefined || shape === "smpp"))
    reading.fault(
      placeOf("shape"),
      `${path}.shape`,
      `must be one of ${REPORT_SHAPES.filter((each) => each !== "smpp").join(", ")}`,
    );
  const template = tree.entries.get("template")?.value;
  const hasOurId = template?.kind === "map" && template.entries.has("our_id");
  if (valueOf("echoes_id") === true && !hasOurId)
    reading.fault(
      placeOf("echoes_id"),
      `${path}.echoes_id`,
      "needs the field's name: give template: { our_id: … }",
    );
  if (kind !== "http" && String(valueOf("look_up")).includes("{secret."))
    reading.fault(
      placeOf("look_up"),
      `${path}.look_up`,
      "has a secret: only an operator of kind http has `secrets`",
    );
  if (valueOf("look_up") !== undefined && valueOf("echoes_id") !== true)
    reading.fault(
      placeOf("look_up"),
      `${path}.look_up`,
      "needs answers that name our id: give echoes_id: true, and template: { our_id: … }",
    );
  if (valueOf("open") !== true && !CONDITIONS.some((name) => tree.entries.has(name)))
    reading.fault(
      tree,
      path,
      `admits nobody: give one of ${CONDITIONS.join(", ")}; or, for development only, open: true`,
    );
}
