// Reads what an operator posted to /mo/{operator}, or sent over SMPP without a receipt, as inbound messages.
// Each HTTP shape names its fields differently: FIELDS has them by shape, and the operator's entry may name
// its own (`reports.inbound`). Leaves whose number it is, joining and repeats to src/ledger/inbound.ts.
// Sources: Twilio "Messaging webhooks", Vonage "Inbound SMS" and Messages API, Infobip "Receive inbound SMS",
// Kavenegar "receive", Kannel's user guide (%p, %P, %a, %I), Amazon "two-way SMS".
// Invariant: what lacks a sender, a recipient or a text's field is unreadable, never guessed; fields that
// nobody knows are read over.

import { addressOf, type Inbound, inboundId, type InboundPart, partOf } from "../../core/inbound.ts";
import { INBOUND_PART_CHARS_MAX, INBOUND_TEXT_CHARS_MAX } from "../../core/inbound-limits.ts";
import type { RawReport } from "../../core/raw-report.ts";
import { entriesOf, type Fields, type HttpReport } from "./http-fields.ts";
import { readInboundPdu } from "./inbound-pdu.ts";
import { ReportError, type ReportShape, type ReportTerms } from "./report.ts";

/** Names to try, in this order. */
type Names = Readonly<Record<"from" | "to" | "text" | "id", readonly string[]>> & { entries?: string };

const FIELDS: Readonly<Record<Exclude<ReportShape, "smpp">, Names>> = {
  twilio: { from: ["From"], to: ["To"], text: ["Body"], id: ["MessageSid", "SmsSid", "SmsMessageSid"] },
  kavenegar: { from: ["from", "sender"], to: ["to", "receptor"], text: ["message"], id: ["messageid"] },
  vonage: { from: ["msisdn", "from"], to: ["to"], text: ["text"], id: ["messageId", "message_uuid"] },
  infobip: { from: ["from", "sender"], to: ["to"], text: ["text"], id: ["messageId"], entries: "results" },
  kannel: { from: ["from"], to: ["to"], text: ["text"], id: ["id"] },
  sns: {
    from: ["originationNumber"],
    to: ["destinationNumber"],
    text: ["messageBody"],
    id: ["inboundMessageId"],
  },
  generic: { from: ["from"], to: ["to"], text: ["text"], id: ["id"] },
};
/** As Vonage names them; what an operator's entry says comes first. */
const CONCAT = { ref: "concat-ref", total: "concat-total", part: "concat-part" } as const;

/**
 * The inbound messages in one delivery, in its order; none if it is something else, such as a topic's request
 * to be confirmed, or an empty text. @throws ReportError for what can't be read, now or ever
 */
export function readInbound(raw: RawReport, terms: ReportTerms): Inbound[] {
  if ((raw.via === "smpp") !== (terms.shape === "smpp"))
    throw new ReportError("wrong_way", `${raw.via}, where ${terms.shape} is expected`);
  if (raw.via === "smpp") return readInboundPdu(raw, terms);
  const report = terms.shape === "sns" ? notified(raw) : raw;
  return report === null ? [] : readHttp(report, terms);
}

function readHttp(report: HttpReport, terms: ReportTerms): Inbound[] {
  const own: Readonly<Record<string, string>> = terms.inbound ?? {};
  const known = FIELDS[terms.shape as Exclude<ReportShape, "smpp">];
  const named = (name: "from" | "to" | "text" | "id"): readonly string[] => {
    const given = own[name];
    return given === undefined ? known[name] : [given];
  };
  const entries = entriesAt(report, own.entries ?? known.entries);
  const needed = (["from", "to", "text"] as const).map(named);
  if (!entries.some((fields) => needed.every((names) => names.some((name) => fields.has(name)))))
    throw new ReportError("no_fields", `none of ${needed.flat().join(", ")} together`);
  return entries.flatMap((fields): Inbound[] => {
    const [from, to] = [fields.text(...named("from")), fields.text(...named("to"))];
    if (from === null || to === null) return [];
    const part = partIn(fields, own);
    const most = part === null ? INBOUND_TEXT_CHARS_MAX + 1 : INBOUND_PART_CHARS_MAX;
    return [
      {
        operator: report.operator,
        operatorMessageId: inboundId(fields.text(...named("id"))),
        from: addressOf(from),
        to: addressOf(to),
        text: (fields.whole(...named("text")) ?? "").slice(0, most),
        receivedAtMs: report.receivedAtMs,
        part,
        parts: 1,
        missingParts: 0,
      },
    ];
  });
}

/** Those of a list that may be missing, when the body is the one message. */
function entriesAt(report: HttpReport, path: string | undefined): Fields[] {
  try {
    return entriesOf(report, path);
  } catch (err) {
    if (!(err instanceof ReportError) || err.reason !== "no_entries") throw err;
    return entriesOf(report);
  }
}

function partIn(fields: Fields, own: Readonly<Record<string, string>>): InboundPart | null {
  const reference = fields.text(own.concat_ref ?? CONCAT.ref);
  const total = fields.text(own.concat_total ?? CONCAT.total);
  const number = fields.text(own.concat_part ?? CONCAT.part);
  return reference === null ? null : partOf(reference.slice(0, 40), Number(total), Number(number));
}

/** What a topic's envelope holds, or the bare event; null for what is no notification. */
function notified(report: HttpReport): HttpReport | null {
  const [envelope, ...more] = entriesOf(report);
  const type = envelope?.text("Type") ?? null;
  if (envelope === undefined || more.length > 0 || type === null) return report;
  if (type !== "Notification") return null;
  return { ...report, contentType: "application/json", body: Buffer.from(envelope.text("Message") ?? "") };
}
