// What an operator's delivery report is: as it came, what the operator's terms say about it, and what was
// read from it. Leaves the reading of each shape to the files beside it, finding the message to matching.ts,
// what becomes of the message to whoever settles it. Invariant: nothing here or beside it knows a clock, a
// table or a network.

import { REPORT_ID_CHARS_MAX } from "../../core/limits.ts";
import type { Alphabet } from "../../platform/smpp/text.ts";
import type { LastErrorCode } from "./codes.ts";

export const REPORT_SHAPES = [
  "smpp",
  "twilio",
  "kavenegar",
  "vonage",
  "infobip",
  "kannel",
  "sns",
  "generic",
] as const;
export type ReportShape = (typeof REPORT_SHAPES)[number];

/** In which bases an operator writes its ids: the answer to a submit, and its report. */
export const ID_FORMS = ["same", "hex_in_response", "hex_in_report"] as const;
export type IdForm = (typeof ID_FORMS)[number];

/** What an operator's entry in the routes file says about its reports. */
export type ReportTerms = {
  shape: ReportShape;
  /** IANA name: the clock of dates that carry no zone. */
  timeZone: string;
  idForm: IdForm;
  /** Reports may come with esm_class 0, like an inbound message. */
  plainReceipts: boolean;
  /**
   * Which field is which, where the operator's customer names them (`generic`, `kannel`): id, status, error,
   * done_at, phone, reply, entries; those not named have their shape's names. A name may be a path into JSON,
   * `a.b`. For every HTTP shape: our_id.
   */
  template: Readonly<Record<string, string>> | null;
  /** The field `our_id` of the template holds our own id of the message. */
  echoesId: boolean;
  /** The operator's own status words, in any letter case, beside or over those of words.ts. */
  words?: Readonly<Record<string, ReportStatus>> | null;
  /** What the operator's error codes mean, beside or over codes.ts; "map": they are GSM MAP errors. */
  errorCodes?: "map" | Readonly<Record<string, LastErrorCode>> | null;
  /**
   * Which field of an inbound message is which, beside or over those of its shape: from, to, text, id,
   * entries, concat_ref, concat_total, concat_part.
   */
  inbound?: Readonly<Record<string, string>> | null;
  /** SMPP: how the operator writes a text that isn't UCS-2; gsm unless given. */
  alphabet?: Alphabet;
  /** Of a message of several submits: on which of them it reports; each unless given. */
  receiptParts?: "each" | "first" | "last";
};

/** What holds for an operator unless its entry says otherwise. */
export const DEFAULT_TERMS = {
  timeZone: "UTC",
  idForm: "same",
  plainReceipts: false,
  template: null,
  echoesId: false,
} as const satisfies Omit<ReportTerms, "shape">;

export const REPORT_STATUSES = [
  "delivered",
  "undelivered",
  "expired",
  "rejected",
  "unknown",
  "none",
] as const;
/** `none` is an intermediate notice, which ends nothing; `unknown`: the operator doesn't know either. */
export type ReportStatus = (typeof REPORT_STATUSES)[number];

/** One report, read. */
export type Reading = {
  /** In the order in which to try them; empty if the report names none. */
  operatorMessageIds: string[];
  /** Our own id, if the operator echoes it. */
  ourId: string | null;
  status: ReportStatus;
  /** The operator's own code as it came; null if absent or all zeros. */
  error: string | null;
  /** null if absent or no real date */
  doneAtMs: number | null;
  /** The last moment that its date can mean, if that isn't the same: it may have no seconds. */
  doneByMs?: number;
  /** When the operator says that it took the message; only tells messages with one id apart. */
  submittedAtMs: number | null;
  /** The recipient as the report has it; only tells messages with one id apart. */
  phone: string | null;
  /** The report names two statuses that contradict each other; `status` is the one that counts. */
  disagrees: boolean;
};

/** Why a report can't be read. */
export type Unreadable =
  | "not_pdu"
  | "not_utf8"
  | "not_json"
  | "wrong_way"
  | "no_entries"
  | "no_fields"
  | "too_many_entries";

/** A report that can't be read, now or later: it is kept as a dead letter, never tried again. */
export class ReportError extends Error {
  override name = "ReportError";
  readonly reason: Unreadable;

  constructor(reason: Unreadable, detail: string, options?: ErrorOptions) {
    super(`${reason}: ${detail}`, options);
    this.reason = reason;
  }
}

/** The ids that can be ids, each once. */
export function idsOf(...found: readonly (string | null)[]): string[] {
  const ids = found.filter((id) => id !== null && id !== "" && id.length <= REPORT_ID_CHARS_MAX);
  return [...new Set(ids as string[])];
}

/** An error code as it came; null if absent or all zeros, which say that there was none. */
export function errorOf(code: string | null): string | null {
  const text = code?.trim() ?? "";
  return text === "" || /^0+$/.test(text) ? null : text;
}
