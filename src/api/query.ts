// Reads the query string of a request strictly: a parameter that can't be decoded, is not declared by the
// route, is given twice or is empty is refused, never ignored. An ignored parameter would do something else
// than the client wanted: POST /v1/sms/send?dry_run=true would charge. Leaves values to
// src/reports/params.ts.

import { type FieldError, fieldName, SluiceError } from "../core/errors.ts";
import { FIELD_ERRORS_MAX } from "../core/limits.ts";
import type { Query } from "../reports/params.ts";

const NONE: Query = new Map();

/** The query parameters of a URL. @throws SluiceError malformed_request, validation_failed */
export function readQuery(url: string, known: readonly string[]): Query {
  const cut = url.indexOf("?");
  if (cut < 0) return NONE;
  const query = new Map<string, string>();
  const errors = new Map<string, string>();
  for (const pair of url.slice(cut + 1).split("&")) {
    if (pair === "" || errors.size >= FIELD_ERRORS_MAX) continue;
    const equals = pair.indexOf("=");
    const name = decoded(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? "" : decoded(pair.slice(equals + 1));
    if (!known.includes(name)) errors.set(fieldName(name), "is not a parameter of this route");
    else if (query.has(name)) errors.set(name, "must be given once");
    else if (value === "") errors.set(name, "must not be empty");
    query.set(name, value);
  }
  if (errors.size > 0) throw new SluiceError("validation_failed", { errors: listed(errors) });
  return query;
}

const listed = (errors: ReadonlyMap<string, string>): FieldError[] =>
  [...errors].map(([field, reason]) => ({ field, reason }));

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch (cause) {
    const errors = [
      { field: "query", reason: "must be percent-encoded UTF-8 (a percent sign itself is %25)" },
    ];
    throw new SluiceError("malformed_request", { errors, cause });
  }
}
