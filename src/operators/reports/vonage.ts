// Vonage: the SMS API's delivery receipt (JSON, form or query) and the Messages API's status, which says the
// same in other fields (https://developer.vonage.com/messaging/sms/guides/delivery-receipts). `to` and
// `msisdn` are swapped against the send. `scts` is a carrier's local clock and not read; `message-timestamp`
// is UTC.

import { entriesOf, type Fields, type HttpReport } from "./http-fields.ts";
import { mustHave, readingOf } from "./http-reading.ts";
import type { Reading, ReportStatus, ReportTerms } from "./report.ts";
import { writtenTime } from "./times.ts";

const STATUS: Readonly<Record<string, ReportStatus>> = {
  submitted: "none",
  accepted: "none",
  buffered: "none",
  delivered: "delivered",
  read: "delivered",
  expired: "expired",
  failed: "undelivered",
  undeliverable: "undelivered",
  deleted: "undelivered",
  rejected: "rejected",
  unknown: "unknown",
};

export function readVonage(report: HttpReport, terms: ReportTerms): Reading[] {
  const entries = entriesOf(report);
  mustHave(entries, terms, ["messageId", "message_uuid", "status"]);
  return entries.flatMap((fields) => {
    if (!fields.has("status") && (fields.has("text") || fields.has("keyword"))) return []; // inbound
    const at = fields.text("message-timestamp", "timestamp");
    return readingOf(fields, terms, {
      ids: [fields.text("messageId"), fields.text("message_uuid")],
      status: STATUS[fields.text("status")?.toLowerCase() ?? ""] ?? "unknown",
      error: fields.text("err-code") ?? messagesError(fields),
      done: at,
      doneAtMs: at === null ? null : writtenTime(at, "UTC", report.receivedAtMs),
      phone: fields.text("msisdn") ?? (fields.has("message_uuid") ? fields.text("to") : null),
    });
  });
}

/** The Messages API has its code as a title, in older versions only at the end of the type's URL. */
function messagesError(fields: Fields): string | null {
  const title = fields.text("error.title", "error.code");
  if (title !== null && /^\d+$/.test(title)) return title;
  return /#(\d+)$/.exec(fields.text("error.type") ?? "")?.[1] ?? title;
}
