// A Kannel between us and an SMSC: its dlr-url, whose parameters the operator's template names: `status` for
// %d, `id` for %F or our own id, `reply` for %A (user guide, "Delivery Reports" and escape codes).
// Kannel turns every way to fail into one bit, so the SMSC's own words in the reply say more.

import { entriesOf, type Fields, type HttpReport } from "./http-fields.ts";
import { mustHave, namesOf, readingOf } from "./http-reading.ts";
import { receiptFields, receiptText } from "./receipt-text.ts";
import type { Reading, ReportStatus, ReportTerms } from "./report.ts";
import { receiptTime } from "./times.ts";
import { knownWord } from "./words.ts";

const DEFAULT_NAMES = { status: "status", id: "id", reply: "reply" };

/** Bits of %d (gw/dlr.h), of which a report has one. */
const BITS: readonly [bit: number, status: ReportStatus][] = [
  [1, "delivered"],
  [2, "undelivered"],
  [16, "rejected"], // refused by the SMSC
  [4, "none"], // buffered
  [8, "none"], // taken by the SMSC
];

export function readKannel(report: HttpReport, terms: ReportTerms): Reading[] {
  const names = namesOf(terms, DEFAULT_NAMES);
  const entries = entriesOf(report);
  mustHave(entries, terms, [names.status, names.id, names.reply]);
  return entries.map((fields) => {
    const reply = replyOf(fields, names.reply);
    const receipt = receiptFields(reply);
    const word = receipt.stat === null ? null : knownWord(receipt.stat, terms.words);
    const bit = bitOf(fields.text(names.status));
    // Under "failed" Kannel reports what expired, was rejected, or is unknown to the SMSC.
    const isFailure = bit === "undelivered" && word !== null && word !== "delivered" && word !== "none";
    return readingOf(fields, terms, {
      ids: [fields.text(names.id), receipt.id],
      status: (isFailure ? word : bit) ?? word ?? "unknown",
      error: receipt.err ?? /^NACK\/([^/\s]+)/.exec(reply)?.[1] ?? null,
      done: receipt.doneDate,
      doneAtMs: receipt.doneDate === null ? null : receiptTime(receipt.doneDate, terms.timeZone),
      submittedAtMs: receipt.submitDate === null ? null : receiptTime(receipt.submitDate, terms.timeZone),
      phone: fields.text(names.phone),
      disagrees: bit !== null && word !== null && bit !== word && !isFailure,
    });
  });
}

/**
 * The escaped receipt echoes the message's text in any encoding, so its bytes are read, not its characters.
 */
function replyOf(fields: Fields, name: string | undefined): string {
  const bytes = fields.bytes(name);
  return bytes === null ? "" : receiptText(bytes, false);
}

/** null if it is no number with one of the bits */
function bitOf(text: string | null): ReportStatus | null {
  if (text === null || !/^\d{1,3}$/.test(text)) return null;
  return BITS.find(([bit]) => (Number(text) & bit) !== 0)?.[1] ?? null;
}
