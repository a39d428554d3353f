// Schema parts that several routes share.

import { type TSchema, Type } from "typebox";
import { MONEY_MAX } from "../core/money.ts";

/** Refuses unknown members in bodies and undeclared members in answers. */
export const closed = { additionalProperties: false } as const;

/** An amount in minor units */
export const Money = Type.Integer({ minimum: 0, maximum: MONEY_MAX });
/** A sum or difference of amounts, in minor units */
export const Sum = Type.Integer({ minimum: -MONEY_MAX, maximum: MONEY_MAX });
export const Count = Type.Integer({ minimum: 0 });
export const Currency = Type.String({ pattern: "^[A-Z]{3}$" });
export const Ulid = Type.String({ pattern: "^[0-9A-HJKMNP-TV-Z]{26}$" });
export const CustomerId = Type.String({ pattern: "^[0-9]+$" });
/** RFC 3339 in UTC, with milliseconds */
export const Time = Type.String({ format: "date-time" });
export const Phone = Type.String({ pattern: "^\\+[1-9][0-9]{3,14}$" });
export const Cursor = Type.Union([Type.String(), Type.Null()]);

export const OrNull = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);
