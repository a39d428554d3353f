// Kavenegar: the answer of its look-ups (`entries`), and its callback, which has the same fields as a form or
// a query (https://kavenegar.com/rest.html#sms-status). The answer to a look-up by `localid` names our
// message by it.

import { entriesOf, type Fields, type HttpReport } from "./http-fields.ts";
import { mustHave, readingOf } from "./http-reading.ts";
import { type Reading, ReportError, type ReportStatus, type ReportTerms } from "./report.ts";

const STATUS: Readonly<Record<string, ReportStatus>> = {
  1: "none", // queued
  2: "none", // scheduled
  4: "none", // sent to the carrier
  5: "none", // sent to the carrier
  6: "undelivered", // failed at the carrier
  10: "delivered",
  11: "undelivered",
  13: "undelivered", // cancelled, or not sent: not charged
  14: "rejected", // the recipient refuses such messages: not charged
  100: "unknown", // no such id
};

export function readKavenegar(report: HttpReport, terms: ReportTerms): Reading[] {
  const entries = listed(report);
  mustHave(entries, terms, ["messageid", "status"]);
  return entries.flatMap((fields) => {
    if (fields.has("message") && !fields.has("status")) return []; // an inbound message
    const code = fields.text("status") ?? "";
    const status = STATUS[code] ?? "unknown";
    return readingOf(fields, terms.echoesId ? terms : withLocalid(terms), {
      ids: [fields.text("messageid")],
      status,
      error: status === "none" || status === "delivered" ? null : code,
      doneAtMs: null,
      phone: fields.text("receptor"),
    });
  });
}

const withLocalid = (terms: ReportTerms): ReportTerms => ({
  ...terms,
  echoesId: true,
  template: { our_id: "localid" },
});

/** A look-up's entries, or the one report that a callback is. */
function listed(report: HttpReport): Fields[] {
  try {
    return entriesOf(report, "entries");
  } catch (err) {
    if (!(err instanceof ReportError) || err.reason !== "no_entries") throw err;
    return entriesOf(report);
  }
}
