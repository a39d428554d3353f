// Infobip: many reports in one body, `results` (https://www.infobip.com/docs/api, outbound SMS reports). The
// status's group says how a message ended, the error's id says why.

import { entriesOf, type Fields, type HttpReport } from "./http-fields.ts";
import { mustHave, readingOf } from "./http-reading.ts";
import type { Reading, ReportStatus, ReportTerms } from "./report.ts";
import { writtenTime } from "./times.ts";

const GROUP: Readonly<Record<string, ReportStatus>> = {
  0: "none",
  ACCEPTED: "none",
  1: "none",
  PENDING: "none",
  2: "undelivered",
  UNDELIVERABLE: "undelivered",
  3: "delivered",
  DELIVERED: "delivered",
  4: "expired",
  EXPIRED: "expired",
  5: "rejected",
  REJECTED: "rejected",
};

export function readInfobip(report: HttpReport, terms: ReportTerms): Reading[] {
  const entries = entriesOf(report, "results");
  mustHave(entries, terms, ["messageId", "status"]);
  return entries.flatMap((fields) => {
    if (fields.has("receivedAt") && !fields.has("status")) return []; // an inbound message
    const [doneAt, sentAt] = [fields.text("doneAt"), fields.text("sentAt")];
    const time = (text: string | null): number | null =>
      text === null ? null : writtenTime(text, terms.timeZone, report.receivedAtMs);
    return readingOf(fields, terms, {
      ids: [fields.text("messageId")],
      status: groupOf(fields),
      error: fields.text("error.id"),
      done: doneAt,
      doneAtMs: time(doneAt),
      submittedAtMs: time(sentAt),
      phone: fields.text("to"),
    });
  });
}

function groupOf(fields: Fields): ReportStatus {
  const group = fields.text("status.groupId", "status.groupName") ?? "";
  return GROUP[group.toUpperCase()] ?? "unknown";
}
