// Amazon: events of its SMS service (End User Messaging), published to a topic that has our address as its
// subscriber, bare or in the topic's envelope; and the delivery logs of SNS, as a log subscription forwards
// them (https://docs.aws.amazon.com/sns/latest/dg/sms_stats_cloudwatch.html, .../end-user-messaging/,
// "Messaging Events"). A topic's own signature needs its certificate from the network; such reports are
// admitted by secret.

import { entriesOf, type Fields, type HttpReport } from "./http-fields.ts";
import { mustHave, readingOf } from "./http-reading.ts";
import type { Reading, ReportStatus, ReportTerms } from "./report.ts";
import { writtenTime } from "./times.ts";

/** messageStatus, which is eventType without TEXT_. */
const EVENT: Readonly<Record<string, ReportStatus>> = {
  QUEUED: "none",
  PENDING: "none",
  SENT: "none",
  DELIVERED: "delivered",
  SUCCESSFUL: "delivered", // taken by the carrier; which of the two comes depends on the country
  TTL_EXPIRED: "expired",
  UNREACHABLE: "undelivered",
  CARRIER_UNREACHABLE: "undelivered",
  INVALID: "undelivered",
  INVALID_MESSAGE: "rejected",
  BLOCKED: "rejected",
  CARRIER_BLOCKED: "rejected",
  PROTECT_BLOCKED: "rejected",
  SPAM: "rejected",
  UNKNOWN: "unknown",
};
const LOG: Readonly<Record<string, ReportStatus>> = { SUCCESS: "delivered", FAILURE: "undelivered" };

export function readSns(report: HttpReport, terms: ReportTerms): Reading[] {
  const [envelope, ...more] = entriesOf(report);
  const type = envelope?.text("Type") ?? null;
  if (envelope === undefined || more.length > 0 || type === null) return readEvents(report, terms);
  // A subscription to be confirmed, or to end: whoever runs the gateway does that, not a report.
  if (type !== "Notification") return [];
  return readEvents({ ...report, body: Buffer.from(envelope.text("Message") ?? "") }, terms);
}

function readEvents(report: HttpReport, terms: ReportTerms): Reading[] {
  const entries = entriesOf(report);
  mustHave(entries, terms, ["messageId", "eventType", "notification.messageId"]);
  return entries.map((fields) => {
    const isLog = fields.has("notification");
    const status = isLog ? LOG[fields.text("status") ?? ""] : eventStatus(fields);
    const isFailure = status !== "delivered" && status !== "none";
    return readingOf(fields, terms, {
      ids: [fields.text("messageId"), fields.text("notification.messageId")],
      status: status ?? "unknown",
      error: isFailure ? fields.text("delivery.providerResponse", "messageStatus", "eventType") : null,
      doneAtMs: isLog ? loggedAt(fields, report) : timeOf(fields.text("eventTimestamp"), report),
      submittedAtMs: timeOf(fields.text("messageRequestTimestamp"), report),
      phone: fields.text("destinationPhoneNumber", "delivery.destination"),
    });
  });
}

function eventStatus(fields: Fields): ReportStatus | undefined {
  const status = EVENT[(fields.text("messageStatus", "eventType") ?? "").replace(/^TEXT_/, "")];
  // What is delivered for now, but not finally, is still on its way.
  return status === "delivered" && fields.text("isFinal") === "false" ? "none" : status;
}

/** A log has the time of the send, and how long it took from there to the phone's acknowledgement. */
function loggedAt(fields: Fields, report: HttpReport): number | null {
  const sentAtMs = timeOf(fields.text("notification.timestamp"), report);
  const tookMs = Number(fields.text("delivery.dwellTimeMsUntilDeviceAck", "delivery.dwellTimeMs"));
  return sentAtMs === null || !Number.isSafeInteger(tookMs) ? sentAtMs : sentAtMs + tookMs;
}

const timeOf = (text: string | null, report: HttpReport): number | null =>
  text === null ? null : writtenTime(text, "UTC", report.receivedAtMs);
