// Schema parts that several routes share.

import { type TSchema, Type } from "typebox";
import { MONEY_MAX } from "../core/money.ts";

/** Refuses unknown members in bodies and undeclared members in answers. */
export const closed = { additionalProperties: false } as const;

export const Money = Type.Integer({
  minimum: 0,
  maximum: MONEY_MAX,
  description: "an amount in whole minor units",
});
export const Sum = Type.Integer({
  minimum: -MONEY_MAX,
  maximum: MONEY_MAX,
  description: "a sum or difference of amounts, in whole minor units",
});
export const Count = Type.Integer({ minimum: 0 });
export const Currency = Type.String({ pattern: "^[A-Z]{3}$", description: "ISO 4217" });
export const Ulid = Type.String({
  pattern: "^[0-9A-HJKMNP-TV-Z]{26}$",
  description: "a ULID: ids sort by time",
});
/** What core/parts.ts says of a one-line field, for the document. */
export const LABEL = { documented: { pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]*$" } } as const;
/** As a caller may write it. */
export const GivenUlid = Type.String({
  pattern: "^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$",
  description: "a ULID, in letters of any case",
});
export const CustomerId = Type.String({ pattern: "^[0-9]+$" });
export const Time = Type.String({
  format: "date-time",
  description: "RFC 3339 in UTC, with milliseconds",
});
export const Phone = Type.String({ pattern: "^\\+[1-9][0-9]{3,14}$", description: "E.164" });
export const Cursor = Type.Union([Type.String(), Type.Null()], {
  description: "`cursor` of the request for the next page; null at the end",
});
/** The body of an answer that has none, such as a 304. */
export const Nothing = Type.Literal("");

export const OrNull = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);
