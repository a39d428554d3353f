// Parses the values of the read routes' query parameters, and names every bad one. Owns the names and bounds
// of all of them, from `from` to `cursor`; leaves to a route's declaration which of them it takes, and to
// each report what they select. Invariant: a cursor is only valid with the filters it was made for.

import { createHash } from "node:crypto";
import { Type } from "typebox";
import { ADMIN_NAME_CHARS_MAX, AUDIT_ACTIONS, type AuditAction } from "../core/audit.ts";
import { type FieldError, SluiceError } from "../core/errors.ts";
import { isUlid, readUlid } from "../core/id.ts";
import {
  CURSOR_CHARS_MAX,
  LIST_LIMIT_DEFAULT,
  LIST_LIMIT_MAX,
  OPERATOR_MESSAGE_ID_CHARS_MAX,
  OPERATOR_NAME_CHARS_MAX,
} from "../core/limits.ts";
import { isLane, isStatus, LANES, type Lane, STATUSES, type Status } from "../core/message.ts";
import { senderProblem } from "../core/parts.ts";
import { parsePhone } from "../core/phone.ts";
import { timeOf } from "../core/time.ts";
import { DELIVERY_STATES, type DeliveryState } from "../ledger/webhook-deliveries.ts";

/** Parameters by name, each given once and not empty (src/api/query.ts). */
export type Query = ReadonlyMap<string, string>;

const INTERVALS = ["minute", "hour", "day"] as const;
export type Interval = (typeof INTERVALS)[number];
const FORMATS = ["csv", "ndjson"] as const;
/** In which an export is written. */
export type Format = (typeof FORMATS)[number];
/** By what customers can be compared. */
export const TOP_ORDERS = ["cost", "parts", "messages"] as const;
export type TopOrder = (typeof TOP_ORDERS)[number];
const USAGE_KEYS = ["status", "lane", "prefix"] as const;
/** What the usage report can tell apart within a period. */
export type UsageKey = (typeof USAGE_KEYS)[number];
const KEY = `(${USAGE_KEYS.join("|")})`;

const OPERATOR = new RegExp(`^[A-Za-z][A-Za-z0-9_]{0,${OPERATOR_NAME_CHARS_MAX - 1}}$`);
const CURSOR = /^[A-Za-z0-9_-]+$/;

/** Every parameter, as the reference describes it; they are parsed below. */
export const PARAMS = {
  from: Type.String({
    format: "date-time",
    description: "RFC 3339 with seconds and an offset: only what was created at that time or later",
    examples: ["2026-01-31T09:30:00Z"],
  }),
  to: Type.String({
    format: "date-time",
    description: "RFC 3339 with seconds and an offset: only what was created before",
    examples: ["2026-01-31T10:30:00Z"],
  }),
  status: Type.Enum(STATUSES, { description: "only messages at this status", examples: ["delivered"] }),
  type: Type.Enum(LANES, { description: "only messages of this lane", examples: ["normal"] }),
  phone: Type.String({
    minLength: 1,
    description: "only what is about this number, written as in a send; a leading blank is a lost `+`",
    examples: ["+989121234567"],
  }),
  sender: Type.String({
    minLength: 1,
    description: "only opt-outs of this sender: a send's `from`; a leading blank is a lost `+`",
    examples: ["3000123"],
  }),
  id: Type.String({
    pattern: "^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$",
    description: "only the message with this id; without `from` and `to`, whenever it was created",
    examples: ["01M7YBCG2N0V4QK5A1T8P6WJ3D"],
  }),
  state: Type.Enum(DELIVERY_STATES, { description: "only deliveries in this state", examples: ["failed"] }),
  interval: Type.Enum(INTERVALS, {
    default: "hour",
    description: "the length of a period; periods begin with the minute, hour or day of UTC",
    examples: ["hour"],
  }),
  by: Type.String({
    pattern: `^(none|${KEY}(,${KEY})*)$`,
    default: "status",
    description:
      "what has rows of its own within a period: `status`, `lane`, `prefix`, or several of them, with " +
      "commas between; `none` for one row a period",
    examples: ["lane,status"],
  }),
  format: Type.Enum(FORMATS, {
    description:
      "the whole list instead of a page, as a file of any length: `csv` or `ndjson`. Each row has a " +
      "`cursor`, after which a request goes on; `limit` is refused",
    examples: ["csv"],
  }),
  who: Type.String({
    minLength: 1,
    maxLength: ADMIN_NAME_CHARS_MAX,
    description: "only changes by this user: the name of an admin token, or of the operating system's user",
    examples: ["sara"],
  }),
  action: Type.Enum(AUDIT_ACTIONS, { description: "only changes of this kind", examples: ["wallet.adjust"] }),
  customer: Type.String({
    pattern: "^[1-9][0-9]{0,14}$",
    description: "only what concerns the customer with this id",
    examples: ["1"],
  }),
  operator: Type.String({
    pattern: OPERATOR.source,
    description: "the name of an operator, as the routes file has it or had it",
    examples: ["A"],
  }),
  operator_message_id: Type.String({
    minLength: 1,
    maxLength: OPERATOR_MESSAGE_ID_CHARS_MAX,
    description: "the id that the operator gave to a message, or to a part of it",
    examples: ["7f3a"],
  }),
  order: Type.Enum(TOP_ORDERS, {
    default: "cost",
    description: "what the largest of comes first",
    examples: ["parts"],
  }),
  limit: Type.Integer({
    minimum: 1,
    maximum: LIST_LIMIT_MAX,
    default: LIST_LIMIT_DEFAULT,
    description: "rows of a page",
    examples: [LIST_LIMIT_DEFAULT],
  }),
  cursor: Type.String({
    maxLength: CURSOR_CHARS_MAX,
    pattern: CURSOR.source,
    description: "`next_cursor` of the page before, with the same filters",
    examples: ["WzEsIjQ3REVRcGo4IiwiMDFNN1lCQ0cyTjBWNFFLNUExVDhQNldKM0QiXQ"],
  }),
};
export type ParamName = keyof typeof PARAMS;

/** The contents of a cursor: where the next page begins. */
export type CursorValues = readonly (string | number)[];

export type Params = {
  status(): Status | null;
  type(): Lane | null;
  /** In E.164, however it was written. */
  phone(region: string): string | null;
  /** As a send's `from`. */
  sender(): string | null;
  id(): string | null;
  /** Of a webhook delivery. */
  state(): DeliveryState | null;
  who(): string | null;
  action(): AuditAction | null;
  /** A customer's id. */
  customer(): number | null;
  operator(): string | null;
  operatorMessageId(): string | null;
  /** `cost` unless given. */
  order(): TopOrder;
  /** `hour` unless given. */
  interval(): Interval;
  /** In the order given; `status` unless given. */
  by(): readonly UsageKey[];
  /**
   * Unix milliseconds. A finer fraction is rounded up, so that `from <= t < to` stays true for times in
   * milliseconds.
   */
  time(name: string): number | null;
  limit(): number;
  /** Null: a page of JSON. @see src/reports/exports.ts */
  format(): Format | null;
  /** The values of a cursor that `nextCursor` made with the same filters; null if none was given. */
  cursor(isSound: (values: CursorValues) => boolean): CursorValues | null;
  nextCursor(values: CursorValues): string;
  fail(field: string, reason: string): void;
  /** @throws SluiceError validation_failed naming everything refused so far */
  check(): void;
};

const CURSOR_VERSION = 1;
// A plus that wasn't escaped arrives as a blank; without its plus, +45… would be another country's number.
const LOST_PLUS = /^ /;

export function readParams(query: Query): Params {
  const errors: FieldError[] = [];
  const fail = (field: string, reason: string): null => {
    errors.push({ field, reason });
    return null;
  };
  const read = <T>(name: string, parse: (text: string) => T | null): T | null => {
    const text = query.get(name);
    return text === undefined ? null : parse(text);
  };
  const filters = filtersOf(query);

  return {
    status: () =>
      read("status", (s) => (isStatus(s) ? s : fail("status", `must be one of ${STATUSES.join(", ")}`))),
    type: () => read("type", (s) => (isLane(s) ? s : fail("type", `must be one of ${LANES.join(", ")}`))),
    phone: (region) =>
      read("phone", (s) => {
        const parsed = parsePhone(s.replace(LOST_PLUS, "+"), region);
        return "e164" in parsed ? parsed.e164 : fail("phone", parsed.reason);
      }),
    sender: () =>
      read("sender", (s) => {
        const from = s.replace(LOST_PLUS, "+");
        const problem = senderProblem(from);
        return problem === null ? from : fail("sender", problem);
      }),
    id: () => read("id", (s) => readUlid(s) ?? fail("id", "must be a message id, as a send answers it")),
    state: () =>
      read("state", (s) => {
        const found = DELIVERY_STATES.find((state) => state === s);
        return found ?? fail("state", `must be one of ${DELIVERY_STATES.join(", ")}`);
      }),
    who: () =>
      read("who", (s) => {
        // As JSON Schema counts, by code points.
        if (Array.from(s).length <= ADMIN_NAME_CHARS_MAX) return s;
        return fail("who", `must have at most ${ADMIN_NAME_CHARS_MAX} characters`);
      }),
    action: () =>
      read("action", (s) => {
        const found = AUDIT_ACTIONS.find((action) => action === s);
        return found ?? fail("action", `must be one of ${AUDIT_ACTIONS.join(", ")}`);
      }),
    customer: () =>
      read("customer", (s) =>
        /^[1-9]\d{0,14}$/.test(s) ? Number(s) : fail("customer", "must be a customer's id"),
      ),
    operator: () =>
      read("operator", (s) => (OPERATOR.test(s) ? s : fail("operator", "must be an operator's name"))),
    operatorMessageId: () =>
      read("operator_message_id", (s) => {
        // As JSON Schema counts, by code points.
        if (Array.from(s).length <= OPERATOR_MESSAGE_ID_CHARS_MAX) return s;
        const reason = `must have at most ${OPERATOR_MESSAGE_ID_CHARS_MAX} characters`;
        return fail("operator_message_id", reason);
      }),
    order: () =>
      read("order", (s) => {
        const found = TOP_ORDERS.find((order) => order === s);
        return found ?? fail("order", `must be one of ${TOP_ORDERS.join(", ")}`);
      }) ?? "cost",
    interval: () =>
      read("interval", (s) => {
        const found = INTERVALS.find((interval) => interval === s);
        return found ?? fail("interval", `must be one of ${INTERVALS.join(", ")}`);
      }) ?? "hour",
    by: () =>
      read("by", (s) => {
        const reason = `must be none, or some of ${USAGE_KEYS.join(", ")}, each once, with commas between`;
        return usageKeysOf(s) ?? fail("by", reason);
      }) ?? ["status"],
    time: (name) =>
      read(name, (s) => {
        const timeMs = timeOf(s.replace(" ", "+")); // a plus that wasn't escaped
        return timeMs ?? fail(name, "must be a time from 1970 on, such as 2026-01-31T09:30:00Z");
      }),
    limit: () =>
      read("limit", (s) => {
        const limit = /^\d{1,4}$/.test(s) ? Number(s) : 0;
        if (limit >= 1 && limit <= LIST_LIMIT_MAX) return limit;
        return fail("limit", `must be a whole number from 1 to ${LIST_LIMIT_MAX}`);
      }) ?? LIST_LIMIT_DEFAULT,
    format: () =>
      read("format", (s) => {
        if (query.has("limit")) return fail("limit", "can't be given together with format");
        const found = FORMATS.find((format) => format === s);
        return found ?? fail("format", `must be one of ${FORMATS.join(", ")}`);
      }),
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

/** Refuses a window of no time, `from >= to`, given what was asked for. */
export function failEmptyWindow(params: Params, asked: { from: number | null; to: number | null }): void {
  if (asked.from === null) params.fail("to", "must be after 1970-01-01T00:00:00Z");
  else if (asked.to === null) params.fail("from", "must be in the past, unless `to` is given");
  else params.fail("from", "must be before `to`");
}

function usageKeysOf(text: string): UsageKey[] | null {
  if (text === "none") return [];
  const names = text.split(",");
  const keys = USAGE_KEYS.filter((key) => names.includes(key));
  // As many known names as names: none is unknown, and none is there twice.
  if (keys.length !== names.length) return null;
  return keys.toSorted((a, b) => names.indexOf(a) - names.indexOf(b));
}

/** All parameters that select rows; a cursor only moves through the selection. */
function filtersOf(query: Query): string {
  const kept = [...query]
    .filter(([name]) => name !== "cursor" && name !== "limit")
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256").update(JSON.stringify(kept)).digest("base64url").slice(0, 8);
}

function encodeCursor(values: CursorValues, filters: string): string {
  return Buffer.from(JSON.stringify([CURSOR_VERSION, filters, ...values])).toString("base64url");
}

function decodeCursor(text: string, filters: string): CursorValues | null {
  if (text.length > CURSOR_CHARS_MAX || !CURSOR.test(text)) return null;
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

/** Validates a cursor that consists of one row's number. */
export const isNumberCursor = ([number, ...rest]: CursorValues): boolean =>
  typeof number === "number" && number > 0 && rest.length === 0;

/** Validates a cursor that consists of one id. */
export const isIdCursor = (values: CursorValues): boolean => values.length === 1 && isUlid(values[0]);
