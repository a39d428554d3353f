// Twilio's StatusCallback: a form, whose fields grow without notice
// (https://www.twilio.com/docs/messaging/guides/track-outbound-message-status).

import { entriesOf, type HttpReport } from "./http-fields.ts";
import { mustHave, readingOf } from "./http-reading.ts";
import type { Reading, ReportStatus, ReportTerms } from "./report.ts";
import { receiptTime } from "./times.ts";

const STATUS: Readonly<Record<string, ReportStatus>> = {
  accepted: "none",
  scheduled: "none",
  queued: "none",
  sending: "none",
  sent: "none",
  delivered: "delivered",
  read: "delivered",
  undelivered: "undelivered",
  failed: "undelivered",
  canceled: "undelivered",
};
/** An inbound message, which has the same fields. */
const INBOUND = ["receiving", "received"];

export function readTwilio(report: HttpReport, terms: ReportTerms): Reading[] {
  const entries = entriesOf(report);
  mustHave(entries, terms, ["MessageSid", "SmsSid", "MessageStatus", "SmsStatus"]);
  return entries.flatMap((fields) => {
    const word = fields.text("MessageStatus", "SmsStatus")?.toLowerCase() ?? "";
    if (INBOUND.includes(word)) return [];
    const done = fields.text("RawDlrDoneDate");
    return readingOf(fields, terms, {
      ids: [fields.text("MessageSid"), fields.text("SmsSid")],
      status: STATUS[word] ?? "unknown",
      error: fields.text("ErrorCode"),
      done,
      doneAtMs: done === null ? null : receiptTime(done, terms.timeZone),
      phone: fields.text("To"),
    });
  });
}
