// Phones: whatever a person types → E.164, or the reason why not.
// libphonenumber-js/max is the truth; its own national patterns, compiled once, answer the usual case in a
// fraction of a microsecond instead of 8. Leaves to others: whether an operator serves a number.
// Invariant: the fast path only ever says "valid", and only where the library says so too (phone.test.ts
// compares them).

import type { CountryCallingCode, CountryCode } from "libphonenumber-js/max";
import { getCountryCallingCode, isSupportedCountry, parsePhoneNumberFromString } from "libphonenumber-js/max";
import metadata from "libphonenumber-js/metadata.max";
import { E164_DIGITS_MAX, PHONE_CHARS_MAX } from "./limits.ts";

/** ISO 3166-1 alpha-2: where a number without a calling code belongs. */
export type Region = CountryCode;

export type ParsedPhone = { e164: string } | { reason: string };

// Rows of libphonenumber-js metadata, version 4, are arrays; these are the places used here (its
// source/metadata.js).
const IDD = 1;
const PATTERN = 2;
const NATIONAL_PREFIX = 5;
const PREFIX_FOR_PARSING = 7;
const LEADING_DIGITS = 10;
const TYPES = 11;

type Country = {
  /** Digits that claim a number for this country of a shared calling code; null when only validity does. */
  leading: RegExp | null;
  valid: RegExp;
};

type Plan = {
  callingCode: string;
  /** In the order in which the library asks them; most codes have one. */
  countries: Country[];
  /** Starts that the library would strip or rewrite first: such numbers are left to it. */
  rewritten: RegExp | null;
};

type RegionPlan = {
  plan: Plan;
  /** The first country of its calling code, whose rules the library uses for the code as a whole. */
  isMain: boolean;
  /** What dials abroad where it is not 00 alone: numbers that begin so are left to the library. */
  dials: RegExp | null;
  /** National numbers are dialled with a plain 0. */
  dials0: boolean;
  /** The pattern of any national number, valid or not. */
  national: RegExp;
};

const PLAIN = /^\+?[0-9]+$/;
// Spaces, dashes and brackets; digits are ASCII, Arabic-Indic (U+0660) and the Persian ones (U+06F0).
const TYPED = /^[ ()-]*\+?[ ()\-0-9\u0660-\u0669\u06f0-\u06f9]+$/;
const SEPARATORS = /[ ()-]/g;
const EASTERN_DIGITS = /[\u0660-\u0669\u06f0-\u06f9]/g;

const plans = new Map<string, Plan>();
for (const [callingCode, regions] of Object.entries(metadata.country_calling_codes)) {
  if (!Object.hasOwn(metadata.nonGeographic, callingCode))
    plans.set(callingCode, toPlan(callingCode, regions));
}
const regionPlans = new Map<string, RegionPlan>();

/**
 * E.164 of a number as typed in `region`. 0.1 µs for the plain digits of a valid number, about 10 µs for what
 * is not one.
 * @throws RangeError when there is no such region
 */
export function parsePhone(input: string, region = "IR"): ParsedPhone {
  if (!isRegion(region)) throw new RangeError(`no such region: ${region}`);
  if (input.length > PHONE_CHARS_MAX) return { reason: `must be at most ${PHONE_CHARS_MAX} characters` };
  let digits = input;
  if (!PLAIN.test(input)) {
    if (!TYPED.test(input)) return { reason: "must be a phone number: digits, with an optional leading +" };
    digits = input.replace(SEPARATORS, "").replace(EASTERN_DIGITS, asciiDigit);
  }
  const e164 = fastE164(digits, region) ?? slowE164(digits, region);
  // The library calls some longer ones valid, such as toll-free numbers that are dialled within one country.
  if (e164 === null || e164.length > E164_DIGITS_MAX + 1) return { reason: "is not a valid phone number" };
  return { e164 };
}

/** Whether numbers can be read as typed in this region. */
export function isRegion(value: unknown): value is Region {
  return typeof value === "string" && isSupportedCountry(value);
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
  // Below, the library reads by the rules of the region; a plan holds those of its calling code's main
  // country.
  if (!here.isMain || here.dials?.test(digits)) return null;
  const { plan } = here;
  if (digits.startsWith(plan.callingCode)) {
    // Could also be a national number that happens to start so: the library prefers that.
    if (here.national.test(digits) || plan.rewritten?.test(digits)) return null;
    return here.national.test(digits.slice(plan.callingCode.length)) ? international(digits) : null;
  }
  const national = here.dials0 && digits.charCodeAt(0) === 0x30 ? digits.slice(1) : digits;
  return isValid(plan, national) ? `+${plan.callingCode}${national}` : null;
}

function international(digits: string): string | null {
  // No calling code is the start of another, so the first that exists is the one.
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
      // The library skips the leading digits when a code has one country only.
      const leading = regions.length > 1 ? textAt(region, LEADING_DIGITS) : null;
      return {
        leading: leading === null ? null : new RegExp(`^(?:${leading})`),
        valid: validPattern(region),
      };
    }),
  };
}

// A valid number matches its country's general pattern and the one of some type: fixed line, mobile, …
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

function asciiDigit(c: string): string {
  const code = c.charCodeAt(0);
  return String(code - (code >= 0x06f0 ? 0x06f0 : 0x0660));
}
