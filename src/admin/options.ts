// Parsers of option values that raise commander's own error, which names the option.

import { InvalidArgumentError } from "commander";
import { IDEMPOTENCY_KEY_RULE, isIdempotencyKey } from "../core/idempotency-key.ts";
import { isLonger, labelProblem } from "../core/parts.ts";
import { timeOf, withSeconds } from "../core/time.ts";

/** Parses a whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number): (given: string) => number {
  return (given) => {
    const value = Number(given);
    if (!/^\d+$/.test(given) || value < min || value > max)
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    return value;
  };
}

/** The word for no amount. (Commander takes a parser's null for a missing value.) */
const NONE = "none";
export type AmountOrNone = number | typeof NONE;

/** Parses a whole number from `min` to `max`, or `none`. */
export const orNone =
  (min: number, max: number) =>
  (given: string): AmountOrNone =>
    given === NONE ? NONE : wholeNumber(min, max)(given);

/** null: none. */
export const amountOf = (given: AmountOrNone): number | null => (given === NONE ? null : given);

/** A name or an id, checked as the API checks such texts. */
export function label(charsMax: number): (given: string) => string {
  return (given) => {
    const problem =
      given === "" || isLonger(given, charsMax)
        ? `must have 1 to ${charsMax} characters`
        : labelProblem(given);
    if (given.length > 0 && given.trim() === "") throw new InvalidArgumentError("It must not be blank.");
    if (problem !== null) throw new InvalidArgumentError(`It ${problem}.`);
    return given;
  };
}

/** A key by which a change is repeated, as the header Idempotency-Key has it. */
export function idempotencyKey(given: string): string {
  if (!isIdempotencyKey(given)) throw new InvalidArgumentError(`It ${IDEMPOTENCY_KEY_RULE}.`);
  return given;
}

/** Parses a time as RFC 3339 writes it, or without seconds, into milliseconds since 1970. */
export function time(given: string): number {
  const ms = timeOf(withSeconds(given));
  if (ms === null)
    throw new InvalidArgumentError(
      "It must be a time such as 2026-01-02T15:04:05Z or 2026-01-02T15:04+03:30.",
    );
  return ms;
}

const UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Parses a span such as 90s, 15m, 24h or 7d, or 0, into milliseconds, up to `maxMs`. */
export function duration(maxMs: number): (given: string) => number {
  return (given) => {
    const [, count = "", unit = "s"] = /^(\d{1,9})([smhd])$/.exec(given) ?? /^(0)$/.exec(given) ?? [];
    const ms = Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS];
    if (count === "" || ms > maxMs)
      throw new InvalidArgumentError(
        `It must be a time such as 90s, 15m, 24h or 7d, or 0; at most ${maxMs / UNITS_MS.d}d.`,
      );
    return ms;
  };
}

/** Parses a time that is still to come. */
export function futureTime(given: string): number {
  const ms = time(given);
  if (ms <= Date.now()) throw new InvalidArgumentError("It must be a time in the future.");
  return ms;
}

/** Parses one of these words. */
export function oneOf<T extends string>(...allowed: T[]): (given: string) => T {
  return (given) => {
    const found = allowed.find((each) => each === given);
    if (found === undefined) throw new InvalidArgumentError(`It must be one of: ${allowed.join(", ")}.`);
    return found;
  };
}
