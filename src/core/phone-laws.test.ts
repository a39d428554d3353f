// Laws of phones, for any string: every spelling of a number gives that number, the result parses to itself,
// and nothing throws. phone.test.ts has examples and the comparison with the library.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type CountryCode, getCountries, getExampleNumber } from "libphonenumber-js/max";
import examples from "libphonenumber-js/mobile/examples";
import { holds, allowSlowRuns } from "../../test/support/seed.ts";
import { E164_DIGITS_MAX, PHONE_CHARS_MAX } from "./limits.ts";
import { parsePhone, PHONE_REASONS } from "./phone.ts";

allowSlowRuns();

const digitsOf = (length: number) =>
  fc
    .array(fc.integer({ min: 0, max: 9 }), { minLength: length, maxLength: length })
    .map((all) => all.join(""));

/** Iranian mobile numbers without prefix, such as 9129990001; the library knows only some of the ranges. */
const mobiles = fc
  .tuple(fc.constantFrom("90", "91", "92", "93", "99"), digitsOf(8))
  .map(([range, rest]) => range + rest)
  .filter((national) => "e164" in parsePhone(`+98${national}`));

const e164Of = (input: string, region?: string): string | null => {
  const parsed = parsePhone(input, region);
  return "e164" in parsed ? parsed.e164 : null;
};

const SCRIPTS = [0x30, 0x660, 0x6f0, 0xff10];
/** The same digits, each in a randomly chosen script (ASCII, Arabic-Indic, Persian, full-width). */
const inScripts = (digits: string, scripts: readonly number[]): string =>
  Array.from(digits, (c, i) => {
    const zero = SCRIPTS[(scripts[i % scripts.length] ?? 0) % SCRIPTS.length] as number;
    return c >= "0" && c <= "9" ? String.fromCharCode(zero + Number(c)) : c;
  }).join("");

describe("spellings", () => {
  const spelling = fc.record({
    national: mobiles,
    prefix: fc.constantFrom("+98", "0098", "98", "0", ""),
    scripts: fc.array(fc.nat(3), { minLength: 1, maxLength: 20 }),
    gaps: fc.array(
      fc.constantFrom(
        "",
        "",
        "",
        " ",
        "-",
        "(",
        ")",
        ".",
        "/",
        "\u00a0",
        "\u202f",
        "\u2011",
        "\u200e",
        "\u2060",
      ),
      { minLength: 20, maxLength: 20 },
    ),
  });

  test("every prefix, digits of four scripts and separators anywhere give the same E.164", () => {
    holds("spellings", spelling, ({ national, prefix, scripts, gaps }) => {
      const digits = inScripts(prefix + national, scripts);
      // Separators stand before, between and after digits; only separators may stand before the plus.
      const typed = Array.from(digits, (c, i) => (gaps[i] ?? "") + c).join("") + gaps[19];
      expect(e164Of(typed)).toBe(`+98${national}`);
    });
  });

  test("a spelling with + or 00 is the same number whatever the customer's region", () => {
    const regions = fc.constantFrom<CountryCode>("IR", "DE", "GB", "TR", "AE", "IQ");
    holds("regions", fc.tuple(spelling, regions), ([{ national }, region]) => {
      expect(e164Of(`+98${national}`, region)).toBe(`+98${national}`);
      expect(e164Of(`0098${national}`, region)).toBe(`+98${national}`);
    });
  });

  test("a number with a digit too many or too few is not an Iranian mobile number", () => {
    holds("length", fc.tuple(mobiles, digitsOf(1)), ([national, digit]) => {
      expect(e164Of(`+98${national}${digit}`)).toBeNull();
      expect(e164Of(`+98${national.slice(0, -1)}`)).toBeNull();
    });
  });
});

describe("any string", () => {
  const countries = getCountries();
  const near = fc
    .tuple(fc.constantFrom(...countries), digitsOf(3))
    .map(([country, end]) => `${getExampleNumber(country, examples)?.number ?? "+98912"}`.slice(0, -3) + end);
  const typed = fc
    .array(
      fc.constantFrom(
        ...Array.from("00112233445566778899+ -()۰۱۲۳۹٠١٢٩xe,;.~/#\u00a0\u202f\u2013\u200e\ufeff\uff0b\uff19"),
      ),
      { maxLength: 45 },
    )
    .map((all) => all.join(""));
  const any = fc.oneof(
    typed,
    near,
    fc.string({ unit: "binary", maxLength: 45 }),
    fc.string({ maxLength: 45 }),
  );
  const region = fc.constantFrom<CountryCode>("IR", "IR", ...countries);

  test("gives E.164 or a reason; nothing throws, and no reason repeats the input", () => {
    holds("any string", fc.tuple(any, region), ([input, where]) => {
      const parsed = parsePhone(input, where);
      if ("e164" in parsed) {
        expect(parsed.e164).toMatch(/^\+[1-9][0-9]{3,14}$/);
        expect(parsed.e164.length - 1).toBeLessThanOrEqual(E164_DIGITS_MAX);
        expect(input.length).toBeLessThanOrEqual(PHONE_CHARS_MAX);
      } else {
        expect(Object.values<string>(PHONE_REASONS)).toContain(parsed.reason);
      }
    });
  });

  test("a parsed number parses to itself, in every region", () => {
    let read = 0;
    holds("idempotent", fc.tuple(fc.oneof(near, typed), region, region), ([input, where, elsewhere]) => {
      const e164 = e164Of(input, where);
      if (e164 === null) return;
      read++;
      expect(e164Of(e164, where)).toBe(e164);
      expect(e164Of(e164, elsewhere)).toBe(e164);
    });
    expect(read).toBeGreaterThan(50);
  });

  test("digits of another script give the same result, valid or not", () => {
    const scripts = fc.array(fc.nat(3), { minLength: 1, maxLength: 20 });
    const plain = fc.tuple(
      fc.constantFrom("", "+", "00", "0"),
      fc.integer({ min: 6, max: 14 }).chain(digitsOf),
    );
    holds("scripts", fc.tuple(plain, scripts), ([[prefix, digits], of]) => {
      expect(e164Of(inScripts(prefix + digits, of))).toBe(e164Of(prefix + digits));
    });
  });
});
