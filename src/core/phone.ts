// Phones: turns whatever a person types into E.164, or into the reason why it can't.
// libphonenumber-js/max decides; its own national patterns, compiled once, answer the usual case in a
// fraction of a microsecond instead of 8. Leaves to others: whether an operator serves a number.
// Invariant: the fast path only ever answers "valid", and only where the library does too (phone.test.ts
// compares them).

import type { CountryCallingCode, CountryCode } from "libphonenumber-js/max";
import { getCountryCallingCode, isSupportedCountry, parsePhoneNumberFromString } from "libphonenumber-js/max";
import metadata from "libphonenumber-js/metadata.max";
import { E164_DIGITS_MAX, PHONE_CHARS_MAX } from "./limits.ts";

/** ISO 3166-1 alpha-2: the country of a number without a calling code. */
export type Region = CountryCode;

export type ParsedPhone = { e164: string } | { reason: string };

// Rows of libphonenumber-js metadata, version 4, are arrays; these are the indexes used here (from its
// source/metadata.js).
const IDD = 1;
const PATTERN = 2;
const NATIONAL_PREFIX = 5;
const PREFIX_FOR_PARSING = 7;
const LEADING_DIGITS = 10;
const TYPES = 11;

type Country = {
  /** Leading digits that assign a number to this country of a shared calling code; null if it has none. */
  leading: RegExp | null;
  valid: RegExp;
};

type Plan = {
  callingCode: string;
  /** In the library's order of precedence; most codes have one country. */
  countries: Country[];
  /** Prefixes that the library would strip or rewrite first: such numbers are left to it. */
  rewritten: RegExp | null;
};

type RegionPlan = {
  plan: Plan;
  /** The main country of its calling code, whose rules the library applies to the code as a whole. */
  isMain: boolean;
  /** International prefixes where they are not just 00: numbers that begin so are left to the library. */
  dials: RegExp | null;
  /** National numbers are dialled with a leading 0. */
  dials0: boolean;
  /** Matches any national number, valid or not. */
  national: RegExp;
};

const PLAIN = /^\+?[0-9]+$/;
// The characters in numbers copied from contacts and documents. Digits are ASCII, full-width, Arabic-Indic
// and Persian; skipped are libphonenumber's punctuation (its source/constants.js), every kind of blank and
// the invisible marks of bidirectional text. Its tilde is not skipped: followed by digits the library takes
// it for an extension.
const DIGITS = "0-9\uff10-\uff19\u0660-\u0669\u06f0-\u06f9";
const DASHES = "\\-\u2010-\u2015\u2212\u30fc\uff0d";
const DOTS_SLASHES_BRACKETS = ".\uff0e/\uff0f()\uff08\uff09\\[\\]\uff3b\uff3d";
const BLANKS = " \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000";
const INVISIBLE = "\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff";
const READ_OVER = DASHES + DOTS_SLASHES_BRACKETS + BLANKS + INVISIBLE;
const TYPED = new RegExp(`^[${READ_OVER}]*[+\uff0b]?[${READ_OVER}${DIGITS}]+$`);
const ZEROS = [0x30, 0x0660, 0x06f0, 0xff10];
const PLUSES = [0x2b, 0xff0b];
/** RFC 3966, as used in contacts and links. */
const TEL = /^tel:/i;

export const PHONE_REASONS = {
  tooLong: `must be at most ${PHONE_CHARS_MAX} characters`,
  notTyped:
    "must be a phone number: digits, optionally after a +, with only blanks, dashes, dots, slashes and " +
    "brackets between them",
  extension: "must not have an extension: a message can't be sent to an extension",
  invalid: "is not a valid phone number",
} as const;

/** The calling codes that exist (ITU-T E.164): 1 to 3 digits, and none begins with another. */
export const CALLING_CODES: readonly string[] = Object.keys(metadata.country_calling_codes);

const plans = new Map<string, Plan>();
for (const [callingCode, regions] of Object.entries(metadata.country_calling_codes)) {
  if (!Object.hasOwn(metadata.nonGeographic, callingCode))
    plans.set(callingCode, toPlan(callingCode, regions));
}
const regionPlans = new Map<string, RegionPlan>();

/**
 * E.164 of a number as typed in `region`. Takes 0.1 µs for the plain digits of a valid number, about 10 µs
 * for an invalid one.
 * @throws RangeError when there is no such region
 */
export function parsePhone(input: string, region = "IR"): ParsedPhone {
  if (!isRegion(region)) throw new RangeError(`no such region: ${region}`);
  if (input.length > PHONE_CHARS_MAX) return { reason: PHONE_REASONS.tooLong };
  let digits = input;
  if (!PLAIN.test(input)) {
    const typed = input.replace(TEL, "");
    if (!TYPED.test(typed))
      return { reason: hasExtension(typed, region) ? PHONE_REASONS.extension : PHONE_REASONS.notTyped };
    digits = compact(typed);
  }
  const e164 = fastE164(digits, region) ?? slowE164(digits, region);
  // The library calls some longer ones valid, such as toll-free numbers dialled within one country.
  if (e164 === null || e164.length > E164_DIGITS_MAX + 1) return { reason: PHONE_REASONS.invalid };
  return { e164 };
}

/** The digits by which a region's numbers begin in E.164; "" when there is no such region. */
export const callingCodeOf = (region: string): string =>
  isRegion(region) ? getCountryCallingCode(region) : "";

/** Whether this is a region whose numbers can be parsed. */
export function isRegion(value: unknown): value is Region {
  return typeof value === "string" && isSupportedCountry(value);
}

/**
 * Of a valid E.164 number, in digits: as it is dialled within its country, with the trunk prefix there is
 * ("0912…"), and its national significant number, without it. Takes some 10 µs.
 */
export function nationalForms(e164: string): { dialled: string; significant: string } {
  const phone = parsePhoneNumberFromString(e164, { extract: false });
  if (phone === undefined) return { dialled: e164.slice(1), significant: e164.slice(1) };
  return {
    dialled: phone.formatNational().replaceAll(/\D/g, ""),
    significant: String(phone.nationalNumber),
  };
}

function slowE164(digits: string, region: Region): string | null {
  const phone = parsePhoneNumberFromString(digits, { defaultCountry: region, extract: false });
  return phone?.isValid() ? phone.number : null;
}

// Null means "ask the library", never "invalid".
function fastE164(digits: string, region: Region): string | null {
  if (digits.charCodeAt(0) === 0x2b) return international(digits.slice(1));
  const here = regionPlan(region);
  if (here.dials === null && digits.startsWith("00")) return international(digits.slice(2));
  // Otherwise the library applies the rules of the region, while a plan holds those of its calling code's
  // main country.
  if (!here.isMain || here.dials?.test(digits)) return null;
  const { plan } = here;
  if (digits.startsWith(plan.callingCode)) {
    // This could also be a national number that begins with the calling code: the library prefers that.
    if (here.national.test(digits) || plan.rewritten?.test(digits)) return null;
    return here.national.test(digits.slice(plan.callingCode.length)) ? international(digits) : null;
  }
  const national = here.dials0 && digits.charCodeAt(0) === 0x30 ? digits.slice(1) : digits;
  return isValid(plan, national) ? `+${plan.callingCode}${national}` : null;
}

function international(digits: string): string | null {
  // No calling code is a prefix of another, so the first match is the only one.
  for (let length = 1; length <= 3; length++) {
    const plan = plans.get(digits.slice(0, length));
    if (plan !== undefined) return isValid(plan, digits.slice(length)) ? `+${digits}` : null;
  }
  return null;
}

function isValid(plan: Plan, national: string): boolean {
  if (plan.rewritten?.test(national)) return false;
  for (const country of plan.countries) {
    if (country.leading === null ? country.valid.test(national) : country.leading.test(national)) {
      return country.leading === null || country.valid.test(national);
    }
  }
  return false;
}

function toPlan(callingCode: string, regions: Region[]): Plan {
  const [main] = regions;
  if (main === undefined) throw new Error(`no country has calling code ${callingCode}`);
  const prefix = textAt(main, PREFIX_FOR_PARSING) ?? textAt(main, NATIONAL_PREFIX);
  return {
    callingCode,
    rewritten: prefix === null ? null : new RegExp(`^(?:${prefix})`),
    countries: regions.map((region) => {
      // For a code with a single country the library ignores the leading digits.
      const leading = regions.length > 1 ? textAt(region, LEADING_DIGITS) : null;
      return {
        leading: leading === null ? null : new RegExp(`^(?:${leading})`),
        valid: validPattern(region),
      };
    }),
  };
}

// A valid number matches its country's general pattern and that of some type: fixed line, mobile, …
function validPattern(region: Region): RegExp {
  const general = textAt(region, PATTERN) ?? "";
  const types = rowOf(region)[TYPES];
  const patterns = Array.isArray(types) ? types.map((type) => (Array.isArray(type) ? type[0] : "")) : [];
  const ofTypes = patterns.filter((pattern) => typeof pattern === "string" && pattern !== "").join("|");
  return new RegExp(ofTypes === "" ? `^(?:${general})$` : `^(?=(?:${general})$)(?:${ofTypes})$`);
}

function regionPlan(region: Region): RegionPlan {
  const known = regionPlans.get(region);
  if (known !== undefined) return known;
  const plan = plans.get(getCountryCallingCode(region));
  if (plan === undefined) throw new RangeError(`no numbering plan for region ${region}`);
  const idd = textAt(region, IDD) ?? "";
  const made: RegionPlan = {
    plan,
    isMain: metadata.country_calling_codes[plan.callingCode as CountryCallingCode]?.[0] === region,
    dials: idd === "00" ? null : new RegExp(`^(?:${idd})`),
    dials0: textAt(region, NATIONAL_PREFIX) === "0" && textAt(region, PREFIX_FOR_PARSING) === null,
    national: new RegExp(`^(?:${textAt(region, PATTERN)})$`),
  };
  regionPlans.set(region, made);
  return made;
}

function textAt(region: Region, place: number): string | null {
  const value = rowOf(region)[place];
  return typeof value === "string" && value !== "" ? value : null;
}

function rowOf(region: Region): readonly unknown[] {
  return metadata.countries[region] as unknown as readonly unknown[];
}

// Only for the reason given: an extension is refused whether or not the number before it is valid.
function hasExtension(typed: string, region: Region): boolean {
  return parsePhoneNumberFromString(typed, { defaultCountry: region, extract: false })?.ext !== undefined;
}

/** The plus and the digits among the characters that TYPED allows, in ASCII. */
function compact(typed: string): string {
  let digits = "";
  for (let i = 0; i < typed.length; i++) {
    const code = typed.charCodeAt(i);
    for (const zero of ZEROS) if (code >= zero && code <= zero + 9) digits += String(code - zero);
    if (PLUSES.includes(code)) digits += "+";
  }
  return digits;
}
