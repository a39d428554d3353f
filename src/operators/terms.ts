// The terms of an operator that are common to all kinds of connectors: one table of fields, from which the
// routes file is read, its JSON Schema is published and docs/reference/operator.md is written. The settings
// of a kind are in the kind's own file.

import { type Static, Type } from "typebox";
import { OPERATOR_NAME_CHARS_MAX } from "../core/limits.ts";
import { LANES } from "../core/message.ts";
import { REPORTS } from "./reports/settings.ts";

export const ROUTES_MAX = 1_000;
const PREFIXES_MAX = 1_000;

/** Of operators and routes. Words, because they get into metrics, logs and addresses (`/dlr/NAME`). */
export const NAME_PATTERN = `^[A-Za-z][A-Za-z0-9_]{0,${OPERATOR_NAME_CHARS_MAX - 1}}$`;
export const NAME_WANTED = `must be a letter, then letters, digits and _, ${OPERATOR_NAME_CHARS_MAX} at most`;

export const Name = Type.String({ pattern: NAME_PATTERN, errorMessage: NAME_WANTED });
const Prefix = Type.String({
  pattern: "^\\+([1-9][0-9]{0,14})?$",
  errorMessage: 'must be a prefix of an international number, such as "+98912", or "+" for all numbers',
});
export const prefixes = (options: { default?: string[]; description: string }) =>
  Type.Array(Prefix, { minItems: 1, maxItems: PREFIXES_MAX, uniqueItems: true, ...options });
export const lanes = (description: string) =>
  Type.Array(Type.Enum(LANES), { uniqueItems: true, default: [...LANES], description });

export const TERMS = {
  prefixes: prefixes({
    default: ["+"],
    description: "the numbers it takes, by the beginning of their international form",
  }),
  lanes: lanes("the lanes it takes; `[]`: no new messages, while its reports are still read"),
  priority: Type.Integer({
    minimum: 0,
    maximum: 100,
    default: 0,
    description: "the lowest is asked first, whatever it costs",
  }),
  price: Type.Integer({
    minimum: 0,
    maximum: 1_000_000_000,
    description:
      "what a part costs us, only to compare operators: at one priority the cheapest is asked first",
  }),
  weight: Type.Integer({
    minimum: 1,
    maximum: 1_000,
    default: 1,
    description: "its share among operators of one priority and price",
  }),
  window: Type.Integer({
    minimum: 1,
    maximum: 10_000,
    // 3,500/s at 30 ms are 105 submits under way.
    default: 96,
    description: "submits that one sender has under way at once",
  }),
  rate: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 100_000,
      description: "parts a second that one sender submits at most; no limit unless given",
    }),
  ),
  reports: Type.Optional(REPORTS),
};

/** `name` is its key in the file. */
export type OperatorTerms = { name: string } & Static<ReturnType<typeof Type.Object<typeof TERMS>>>;
