// The shape that most national providers offer: JSON, a form or a query whose fields the operator's template
// names (id, status, error, done_at, phone, entries), with words like those of SMPP receipts or the
// operator's own (terms.words).

import { entriesOf, type HttpReport } from "./http-fields.ts";
import { mustHave, namesOf, readingOf } from "./http-reading.ts";
import type { Reading, ReportTerms } from "./report.ts";
import { writtenTime } from "./times.ts";
import { knownWord } from "./words.ts";

const DEFAULT_NAMES = { id: "id", status: "status", error: "error", done_at: "done_at" };

export function readGeneric(report: HttpReport, terms: ReportTerms): Reading[] {
  const names = namesOf(terms, DEFAULT_NAMES);
  const entries = entriesOf(report, names.entries);
  mustHave(entries, terms, [names.id, names.status]);
  return entries.map((fields) => {
    const word = fields.text(names.status);
    const doneAt = fields.text(names.done_at);
    return readingOf(fields, terms, {
      ids: [fields.text(names.id)],
      status: (word === null ? null : knownWord(word, terms.words)) ?? "unknown",
      error: fields.text(names.error),
      done: doneAt,
      doneAtMs: doneAt === null ? null : writtenTime(doneAt, terms.timeZone, report.receivedAtMs),
      phone: fields.text(names.phone),
    });
  });
}
