// Prices as people write them: one amount, and a file of rates, comma-separated with a header:
//   prefix,valid_from,normal,express
//   +,2026-01-01,500,+200        express: 200 more than normal
//   +98912,2026-01-01T00:00Z,450,600
//   +882,,refused,refused        no valid_from: from the moment of the import
// Pure. Leaves to others: reading the file and storing the rates. Bound: RATES_MAX rates.

import type { FieldError } from "./errors.ts";
import { isPrefix, PRICE_MAX, type Prices, type Rate, RATES_MAX } from "./price-plan.ts";
import { timeOf, withSeconds } from "./time.ts";

const HEADER = "prefix,valid_from,normal,express";
export const REFUSED = "refused";
const DAY = /^\d{4}-\d\d-\d\d$/;
const AMOUNT = `a whole number from 1 to ${PRICE_MAX}`;

/** A day (from 00:00 UTC) or a time of RFC 3339, as Unix ms; null for anything else. */
export const momentOf = (text: string): number | null =>
  timeOf(DAY.test(text) ? `${text}T00:00:00Z` : withSeconds(text));

/** Both prices of a rate: amounts, `refused` for both, or an express that says how much more it is. */
export function pricesOfText(
  normal: string,
  express: string,
): { prices: Prices | null } | { errors: FieldError[] } {
  if (normal === REFUSED && express === REFUSED) return { prices: null };
  const [of, more] = [amountOf(normal), express.startsWith("+")];
  const given = amountOf(more ? express.slice(1) : express);
  const sum = more && of !== null && given !== null ? of + given : given;
  const errors: FieldError[] = [];
  if (of === null) errors.push({ field: "normal", reason: `must be ${AMOUNT}, or ${REFUSED} for both` });
  if (sum === null || sum > PRICE_MAX)
    errors.push({
      field: "express",
      reason: `must be ${AMOUNT}, the same after a + for that much more than normal, or ${REFUSED} for both`,
    });
  if (errors.length > 0 || of === null || sum === null) return { errors };
  return { prices: { normal: of, express: sum } };
}

function amountOf(text: string): number | null {
  const value = Number(text);
  return /^\d{1,10}$/.test(text) && value >= 1 && value <= PRICE_MAX ? value : null;
}

/** The rates of a file, or everything that is wrong with it, by line. */
export function parseRates(text: string, nowMs: number): { rates: Rate[] } | { errors: FieldError[] } {
  const lines = text.replace(/^\ufeff/, "").split(/\r?\n/);
  if (lines[0]?.trim() !== HEADER)
    return { errors: [{ field: "line 1", reason: `must be the header ${HEADER}` }] };
  const rates: Rate[] = [];
  const errors: FieldError[] = [];
  const seen = new Map<string, number>();
  for (const [index, line] of lines.entries()) {
    if (index === 0 || line.trim() === "" || line.startsWith("#")) continue;
    const fail = (reason: string) => errors.push({ field: `line ${index + 1}`, reason });
    const cells = line.split(",").map((cell) => cell.trim());
    const [prefix = "", from = "", normal = "", express = ""] = cells;
    if (cells.length !== 4) fail(`must have 4 fields, not ${cells.length}`);
    if (!isPrefix(prefix)) fail("prefix must be a plus and up to 15 digits");
    const validFromMs = from === "" ? nowMs : momentOf(from);
    if (validFromMs === null) fail("valid_from must be a day such as 2026-01-02, or a time with its offset");
    const read = pricesOfText(normal, express);
    if ("errors" in read) for (const { field, reason } of read.errors) fail(`${field} ${reason}`);
    else if (validFromMs !== null && isPrefix(prefix)) {
      const known = seen.get(`${prefix} ${validFromMs}`);
      if (known !== undefined) fail(`has the prefix and valid_from of line ${known}`);
      seen.set(`${prefix} ${validFromMs}`, index + 1);
      rates.push({ prefix, validFromMs, prices: read.prices });
    }
  }
  if (rates.length > RATES_MAX)
    errors.push({ field: "the file", reason: `has ${rates.length} rates; at most ${RATES_MAX} are allowed` });
  if (rates.length === 0 && errors.length === 0) errors.push({ field: "the file", reason: "has no rates" });
  return errors.length > 0 ? { errors } : { rates };
}
