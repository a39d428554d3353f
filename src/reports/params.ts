// Query parameters of the read routes: parsed once, every bad one named. Owns the words and bounds of from,
// to, status, type, phone, id, limit and cursor; leaves what they select to each report. Invariant: a
// parameter that isn't known, is given twice or is empty is refused, never ignored. A cursor belongs to the
// filters it was made with.

import { createHash } from "node:crypto";
import { type FieldError, SluiceError } from "../core/errors.ts";
import { isUlid, ULID_TIME_MAX_MS } from "../core/id.ts";
import { CURSOR_CHARS_MAX, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX } from "../core/limits.ts";
import { isLane, isStatus, LANES, type Lane, STATUSES, type Status } from "../core/message.ts";
import { parsePhone } from "../core/phone.ts";

/** What a cursor carries: where the next page begins. */
export type CursorValues = readonly (string | number)[];

export type Params = {
  status(): Status | null;
  type(): Lane | null;
  /** As E.164, whichever way it was written. */
  phone(region: string): string | null;
  id(): string | null;
  /**
   * Unix milliseconds; a finer fraction is rounded up, which keeps `from <= t < to` true for times in
   * milliseconds.
   */
  time(name: string): number | null;
  limit(): number;
  /** The values of a cursor that `nextCursor` made with the same filters; null when none was given. */
  cursor(isSound: (values: CursorValues) => boolean): CursorValues | null;
  nextCursor(values: CursorValues): string;
  fail(field: string, reason: string): void;
  /** @throws SluiceError validation_failed that names everything refused so far */
  check(): void;
};

const CURSOR_VERSION = 1;
const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/;

export function readParams(query: URLSearchParams, known: readonly string[]): Params {
  const errors: FieldError[] = [];
  const fail = (field: string, reason: string): null => {
    errors.push({ field, reason });
    return null;
  };
  for (const name of new Set(query.keys())) {
    if (!known.includes(name)) fail(name.slice(0, 100), "is not a parameter of this route");
    else if (query.getAll(name).length > 1) fail(name, "must be given once");
    else if (query.get(name) === "") fail(name, "must not be empty");
  }
  const refused = new Set(errors.map(({ field }) => field));
  const given = (name: string): string | null => (refused.has(name) ? null : query.get(name));
  const read = <T>(name: string, parse: (text: string) => T | null): T | null => {
    const text = given(name);
    return text === null ? null : parse(text);
  };
  const filters = filtersOf(query);

  return {
    status: () =>
      read("status", (s) => (isStatus(s) ? s : fail("status", `must be one of ${STATUSES.join(", ")}`))),
    type: () => read("type", (s) => (isLane(s) ? s : fail("type", `must be one of ${LANES.join(", ")}`))),
    phone: (region) =>
      read("phone", (s) => {
        const parsed = parsePhone(s, region);
        return "e164" in parsed ? parsed.e164 : fail("phone", parsed.reason);
      }),
    id: () => read("id", (s) => (isUlid(s) ? s : fail("id", "must be a message id: 26 characters"))),
    time: (name) => read(name, (s) => timeOf(s) ?? fail(name, "must be a time such as 2026-01-31T09:30:00Z")),
    limit: () =>
      read("limit", (s) => {
        const limit = /^\d{1,4}$/.test(s) ? Number(s) : 0;
        if (limit >= 1 && limit <= LIST_LIMIT_MAX) return limit;
        return fail("limit", `must be a whole number from 1 to ${LIST_LIMIT_MAX}`);
      }) ?? LIST_LIMIT_DEFAULT,
    cursor: (isSound) =>
      read("cursor", (s) => {
        const values = decodeCursor(s, filters);
        if (values !== null && isSound(values)) return values;
        return fail("cursor", "must be the next_cursor of a page with the same filters");
      }),
    nextCursor: (values) => encodeCursor(values, filters),
    fail,
    check: () => {
      if (errors.length > 0) throw new SluiceError("validation_failed", { errors });
    },
  };
}

/** RFC 3339, section 5.6, with seconds. Null when it is something else or a date that doesn't exist. */
function timeOf(text: string): number | null {
  const match = RFC_3339.exec(text.replace(" ", "+")); // a plus that wasn't escaped arrives as a space
  if (match === null) return null;
  const [whole, fraction = ""] = match;
  const seconds = Date.parse(whole.replace(fraction, "").toUpperCase());
  if (Number.isNaN(seconds) || !dayExists(whole)) return null;
  const timeMs = seconds + Math.ceil(Number(`0${fraction || ".0"}`) * 1000);
  return timeMs >= 0 && timeMs <= ULID_TIME_MAX_MS ? timeMs : null;
}

// Date.parse takes 30 February for 2 March.
function dayExists(text: string): boolean {
  const [year = 0, month = 0, day = 0] = text.slice(0, 10).split("-").map(Number);
  return day <= new Date(Date.UTC(year, month, 0)).getUTCDate();
}

/** Everything that decides which rows there are; a cursor only moves through them. */
function filtersOf(query: URLSearchParams): string {
  const kept = [...query]
    .filter(([name]) => name !== "cursor" && name !== "limit")
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256").update(JSON.stringify(kept)).digest("base64url").slice(0, 8);
}

function encodeCursor(values: CursorValues, filters: string): string {
  return Buffer.from(JSON.stringify([CURSOR_VERSION, filters, ...values])).toString("base64url");
}

function decodeCursor(text: string, filters: string): CursorValues | null {
  if (text.length > CURSOR_CHARS_MAX) return null;
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
  } catch {
    return null;
  }
  if (!Array.isArray(value) || value[0] !== CURSOR_VERSION || value[1] !== filters) return null;
  const values = value.slice(2) as unknown[];
  const sound = values.every((v) => typeof v === "string" || Number.isSafeInteger(v));
  return sound ? (values as CursorValues) : null;
}

/** Soundness of a cursor that is one id. */
export const isIdCursor = (values: CursorValues): boolean => values.length === 1 && isUlid(values[0]);
