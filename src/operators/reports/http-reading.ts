// What the shapes of HTTP reports have in common: the reading of an entry whose fields were found, and our
// own id where the operator echoes it, as it is or as the number that is made of it.

import { idNumber, isUlid } from "../../core/id.ts";
import type { Fields } from "./http-fields.ts";
import { errorOf, idsOf, type Reading, ReportError, type ReportStatus, type ReportTerms } from "./report.ts";
import { lastMomentOf } from "./times.ts";

type Found = {
  ids: readonly (string | null)[];
  status: ReportStatus;
  error: string | null;
  doneAtMs: number | null;
  /** As it is written. */
  done?: string | null;
  submittedAtMs?: number | null;
  phone?: string | null;
  disagrees?: boolean;
};

export function readingOf(fields: Fields, terms: ReportTerms, found: Found): Reading {
  const { doneAtMs, done = null } = found;
  return {
    operatorMessageIds: idsOf(...found.ids),
    ourId: ourIdOf(fields, terms),
    status: found.status,
    error: errorOf(found.error),
    doneAtMs,
    ...(doneAtMs === null || done === null ? {} : { doneByMs: lastMomentOf(done, doneAtMs) }),
    submittedAtMs: found.submittedAtMs ?? null,
    phone: found.phone ?? null,
    disagrees: found.disagrees ?? false,
  };
}

/**
 * The parameter that a look-up adds to the query of its answer: the message that was asked about. No id can
 * be made of its number, so an answer that names the number is read with it.
 */
export const ASKED_ID = "asked_id";

/** Our id of the message, in the field that the template names; null if it is no id of ours. */
function ourIdOf(fields: Fields, terms: ReportTerms): string | null {
  if (!terms.echoesId) return null;
  const named = fields.text(terms.template?.our_id);
  const id = named?.toUpperCase();
  if (isUlid(id)) return id;
  const asked = fields.text(ASKED_ID);
  return isUlid(asked) && idNumber(asked) === named ? asked : null;
}

/**
 * Which field is which: as the template says, and by default what it doesn't name. A field that it gives
 * another meaning loses its own: our id in `id` is not the operator's.
 */
export function namesOf(
  { template }: ReportTerms,
  defaults: Readonly<Record<string, string>>,
): Record<string, string | undefined> {
  const given = template ?? {};
  const taken = new Set(Object.values(given));
  const others = Object.entries(defaults).filter(([, name]) => !taken.has(name));
  return { ...Object.fromEntries(others), ...given };
}

/**
 * Makes sure that these are reports at all: entries of which none has a field that could name a message or a
 * status are another shape, or garbage. A bad entry among good ones is a report that names no message.
 * @throws ReportError no_fields
 */
export function mustHave(
  entries: readonly Fields[],
  terms: ReportTerms,
  names: readonly (string | undefined)[],
): void {
  const wanted = [...names, terms.template?.our_id].filter((name) => name !== undefined);
  if (entries.length > 0 && !entries.some((fields) => wanted.some((name) => fields.has(name))))
    throw new ReportError("no_fields", `none of ${wanted.join(", ")}`);
}
