// Reads an operator's report as it came: `readReport`. Each shape is a file beside this one; here it has its
// line. Leaves finding the message to matching.ts.

import type { RawReport } from "../../core/raw-report.ts";
import type { HttpReport } from "./http-fields.ts";
import { readGeneric } from "./generic.ts";
import { readInfobip } from "./infobip.ts";
import { readKannel } from "./kannel.ts";
import { readKavenegar } from "./kavenegar.ts";
import { type Reading, ReportError, type ReportShape, type ReportTerms } from "./report.ts";
import { readSmpp } from "./smpp.ts";
import { readSns } from "./sns.ts";
import { readTwilio } from "./twilio.ts";
import { readVonage } from "./vonage.ts";

type HttpShape = Exclude<ReportShape, "smpp">;

const READERS: Record<HttpShape, (report: HttpReport, terms: ReportTerms) => Reading[]> = {
  twilio: readTwilio,
  kavenegar: readKavenegar,
  vonage: readVonage,
  infobip: readInfobip,
  kannel: readKannel,
  sns: readSns,
  generic: readGeneric,
};

/**
 * The reports in one delivery of an operator, in its order; none if it is no report at all but, say, an
 * inbound message. A report that names no message is read as well: it matches nothing.
 * @throws ReportError for what can't be read, now or ever
 */
export function readReport(raw: RawReport, terms: ReportTerms): Reading[] {
  if (raw.via === "mo" || (raw.via === "smpp") !== (terms.shape === "smpp"))
    throw new ReportError("wrong_way", `${raw.via}, where ${terms.shape} is expected`);
  return raw.via === "smpp" ? readSmpp(raw.pdu, terms) : READERS[terms.shape as HttpShape](raw, terms);
}
