// Phones as people type them, and the fast path compared with the library on 60,000 random numbers.

import { describe, expect, test } from "bun:test";
import {
  type CountryCode,
  getCountries,
  getCountryCallingCode,
  getExampleNumber,
  parsePhoneNumberFromString,
} from "libphonenumber-js/max";
import examples from "libphonenumber-js/mobile/examples";
import { allowSlowRuns, printedSeed, randomFrom } from "../../test/support/seed.ts";
import { E164_DIGITS_MAX, PHONE_CHARS_MAX } from "./limits.ts";
import { isRegion, nationalForms, parsePhone, PHONE_REASONS } from "./phone.ts";

allowSlowRuns();

const e164 = "+989129990001";

describe("ways to write one number", () => {
  const ways = [
    "+989129990001",
    "00989129990001",
    "989129990001",
    "09129990001",
    "9129990001",
    "+98 912 999 0001",
    "0912-999-0001",
    "(0912) 999 0001",
    " 0912 999 0001 ",
    "۰۹۱۲۹۹۹۰۰۰۱",
    "٠٩١٢٩٩٩٠٠٠١",
    "+۹۸۹۱۲۹۹۹۰۰۰۱",
    "۰۰۹۸ ۹۱۲ ۹۹۹ ۰۰۰۱",
    "+98 0912 999 0001",
    "0912.999.0001",
    "+98.912.999.00.01",
    "0912/999/0001",
    "[0912] 999 0001",
    "(+98) 912 999 0001",
    "+98\u00a0912\u00a0999\u00a00001",
    "0912\u202f999\u202f0001",
    "0912\u2009999\u20050001",
    ...Array.from(
      "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u30fc\uff0d",
      (dash) => `0912${dash}999${dash}0001`,
    ),
    "０９１２９９９０００１",
    "＋９８（９１２）９９９－０００１",
    "\u202a+98 912 999 0001\u202c",
    "\u200e0912 999 0001",
    "\u2066+989129990001\u2069",
    "0912\u2060999\u200b0001",
    "\ufeff09129990001",
    "0912\u00ad999\u00ad0001",
    "tel:+98-912-999-0001",
    "TEL:09129990001",
    "Tel: 0912 999 0001",
  ];
  for (const way of ways)
    test(`${JSON.stringify(way)} is read`, () => expect(parsePhone(way)).toEqual({ e164 }));

  test("the three numbers of the demonstration are valid", () => {
    for (const last of [1, 2, 3])
      expect(parsePhone(`+98 912 999 000${last}`)).toEqual({ e164: `+98912999000${last}` });
  });

  test("numbers of other countries are accepted with their calling code", () => {
    expect(parsePhone("+1 415 555 2671")).toEqual({ e164: "+14155552671" });
    expect(parsePhone("00442071838750")).toEqual({ e164: "+442071838750" });
  });

  test("the region decides what a national number means", () => {
    expect(parsePhone("07911123456", "GB")).toEqual({ e164: "+447911123456" });
    expect(parsePhone("(415) 555-2671", "US")).toEqual({ e164: "+14155552671" });
    expect(parsePhone("(415) 555-2671", "IR")).toEqual({ e164: "+984155552671" });
    // In Israel 019 dials abroad, so this would be a number of India, and it is invalid there.
    expect(parsePhone("01991234280", "IL")).toEqual({ reason: "is not a valid phone number" });
  });
});

describe("what is no phone", () => {
  const not = [
    "",
    "+",
    " ",
    "abc",
    "12",
    "0912",
    "+98",
    "+9891299900011",
    "0912999000",
    "0912x9990001",
    "0912FLOWERS",
    "1-800-FLOWERS",
    "09129990001 or 09129990002",
    "0912*9990001",
    "tel:",
  ];
  const more = [
    "++989129990001",
    "tel:tel:+989129990001",
    "tel:912-999-0001;phone-context=+98",
    "09129990001/09129990002",
    "0912 999 0001\t",
    "0912+9990001",
    "+0989129990001",
    "９１２",
    "+999123456789",
    "0".repeat(20),
  ];
  for (const phone of [...not, ...more, "\u202a\u202c", "09129990001\0", "09129990001\n"]) {
    test(`${JSON.stringify(phone)} is refused`, () =>
      expect(parsePhone(phone)).toEqual({ reason: expect.any(String) }));
  }

  const extensions = [
    "+989129990001 ext 5",
    "+989129990001 ext. 5",
    "09129990001 x5",
    "09129990001;ext=5",
    "tel:+98-912-999-0001;ext=5",
    "0912 999 0001,,5",
    "0912 999 0001 #5",
    "+1 415 555 2671 extension 12",
    "0912~9990001",
  ];
  for (const phone of extensions) {
    test(`${JSON.stringify(phone)} is refused for its extension`, () =>
      expect(parsePhone(phone)).toEqual({ reason: PHONE_REASONS.extension }));
  }

  test("the reason distinguishes unreadable input from an invalid number", () => {
    expect(parsePhone("0912x9990001a")).toEqual({ reason: PHONE_REASONS.notTyped });
    expect(parsePhone("0912.999.000")).toEqual({ reason: PHONE_REASONS.invalid });
    for (const blank of ["", " ", "\u200e"])
      expect(parsePhone(blank)).toEqual({ reason: expect.any(String) });
  });

  test("a number of more than 15 digits is invalid, although the library accepts some", () => {
    for (const phone of [
      "+810066375082487667",
      "+6200180376490618895",
      "+4999176226374367",
      "+2347005411411307",
    ])
      expect(parsePhone(phone)).toEqual({ reason: "is not a valid phone number" });
    expect(parsePhone("+49991762263743")).toEqual({ e164: "+49991762263743" });
  });

  test("a long string is refused before it is parsed", () => {
    expect(parsePhone("0".repeat(PHONE_CHARS_MAX + 1))).toEqual({
      reason: `must be at most ${PHONE_CHARS_MAX} characters`,
    });
  });

  test("an unknown region throws: it is a fault of ours, not of the number", () => {
    expect(() => parsePhone(e164, "ZZ")).toThrow(RangeError);
    expect(isRegion("IR")).toBe(true);
    for (const no of ["ZZ", "", "ir", "__proto__", null]) expect(isRegion(no)).toBe(false);
  });
});

describe("against the library", () => {
  function truth(digits: string, region: CountryCode): string | null {
    const phone = parsePhoneNumberFromString(digits, { defaultCountry: region, extract: false });
    return phone?.isValid() && phone.number.length <= 16 ? phone.number : null;
  }

  function compare(count: number, draw: (random: () => number) => [string, CountryCode]): number {
    const random = randomFrom(printedSeed("phones"));
    let valid = 0;
    for (let i = 0; i < count; i++) {
      const [digits, region] = draw(random);
      const parsed = parsePhone(digits, region);
      const mine = "e164" in parsed ? parsed.e164 : null;
      const theirs = truth(digits, region);
      if (mine !== theirs) throw new Error(`${digits} in ${region}: ${mine}, but the library says ${theirs}`);
      if (theirs !== null) valid++;
    }
    return valid;
  }

  const regions = getCountries();
  const pick = <T>(random: () => number, from: readonly T[]): T =>
    from[Math.floor(random() * from.length)] as T;
  const digits = (random: () => number, count: number) =>
    Array.from({ length: count }, () => Math.floor(random() * 10)).join("");

  test("20,000 international numbers of all countries give the same answer", () => {
    const valid = compare(20_000, (random) => {
      const code = getCountryCallingCode(pick(random, regions));
      return [
        `${pick(random, ["+", "00", ""])}${code}${digits(random, 4 + Math.floor(random() * 9))}`,
        pick(random, ["IR", "IR", "DE", "GB"]),
      ];
    });
    expect(valid).toBeGreaterThan(1_000);
  });

  test("20,000 numbers of Iran, in every form, give the same answer", () => {
    const valid = compare(20_000, (random) => {
      const prefix = pick(random, ["+98", "0098", "98", "0", "", "+980", "00980"]);
      const area = pick(random, ["9", "91", "93", "21", "94", "96", ""]);
      return [`${prefix}${area}${digits(random, 6 + Math.floor(random() * 4))}`, "IR"];
    });
    expect(valid).toBeGreaterThan(1_000);
  });

  test("20,000 numbers close to a real one of every region, with all the prefixes people dial, give the same answer", () => {
    const valid = compare(20_000, (random) => {
      const region = pick(random, regions);
      const real = getExampleNumber(region, examples)?.nationalNumber ?? "";
      // The last digits change, and sometimes one of the first: most stay valid and so reach the fast path.
      const kept = real.slice(0, Math.max(1, real.length - 1 - Math.floor(random() * 6)));
      const near = kept + digits(random, real.length - kept.length);
      const at = Math.floor(random() * near.length);
      const national = random() < 0.3 ? near.slice(0, at) + digits(random, 1) + near.slice(at + 1) : near;
      const code = getCountryCallingCode(region);
      const idd = pick(random, ["00", "011", "0011", "810", "010", "001"]);
      // 019 and the like begin an international number in some regions and a national one in others.
      const starts = [
        "",
        "0",
        "8",
        "1",
        "9",
        "15",
        "44",
        "01",
        "06",
        "019",
        "009",
        "0018",
        digits(random, 1),
      ];
      const prefix = pick(random, starts);
      const way = pick(random, [`+${code}`, `+${code}${prefix}`, `${idd}${code}`, code, prefix, ""]);
      return [`${way}${national}`, pick(random, [region, region, "IR", pick(random, regions)])];
    });
    expect(valid).toBeGreaterThan(5_000);
  });
});

describe("typed in any way, against the library", () => {
  // Google's libphonenumber reads these; libphonenumber-js doesn't know some blanks and marks, drops the
  // full-width plus, and allows nothing before a plus.
  const known = (typed: string) =>
    typed
      .replace(/[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]/g, "")
      .replace(/[\u1680\u2000-\u200a\u202f\u205f]/g, " ")
      .replace("\uff0b", "+")
      .replace(/^[^0-9+\uff10-\uff19\u0660-\u0669\u06f0-\u06f9]*(?=\+)/, "");
  const truth = (typed: string, region: CountryCode): string | null => {
    const phone = parsePhoneNumberFromString(known(typed), { defaultCountry: region, extract: false });
    const isOne = phone?.isValid() && phone.number.length <= E164_DIGITS_MAX + 1 && phone.ext === undefined;
    return isOne ? (phone?.number ?? null) : null;
  };
  const marks = Array.from(
    "   ---../()[]\u00a0\u202f\u2009\u2010\u2013\u2212\uff0d\uff0f\u3000\u200e\u202a\u202c\u2060\ufeff",
  );
  const zeros = [0x30, 0x30, 0xff10, 0x660, 0x6f0];

  test("20,000 numbers with separators, marks and digits of four scripts anywhere give the same answer", () => {
    const random = randomFrom(printedSeed("typed"));
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
    let valid = 0;
    for (let i = 0; i < 20_000; i++) {
      const region = pick<CountryCode>([
        "IR",
        "IR",
        "IR",
        "DE",
        "GB",
        "US",
        "IT",
        "AR",
        "MX",
        "BR",
        "TR",
        "KZ",
      ]);
      const real = getExampleNumber(region, examples)?.nationalNumber ?? "";
      const national = real.slice(0, -3) + String(Math.floor(random() * 1_000)).padStart(3, "0");
      const code = getCountryCallingCode(region);
      const prefix = pick([
        `+${code}`,
        `00${code}`,
        code,
        "0",
        "",
        `+${code}0`,
        `+${code}(0)`,
        "8",
        "\uff0b" + code,
      ]);
      const typed = Array.from(prefix + national, (c) => {
        const digit = c >= "0" && c <= "9" ? String.fromCharCode(pick(zeros) + Number(c)) : c;
        return (random() < 0.2 ? pick(marks) : "") + digit;
      }).join("");
      const where = pick<CountryCode>([region, region, "IR"]);
      const parsed = parsePhone(typed, where);
      const mine = "e164" in parsed ? parsed.e164 : null;
      if (typed.length <= PHONE_CHARS_MAX && mine !== truth(typed, where))
        throw new Error(
          `${JSON.stringify(typed)} in ${where}: ${mine}, but the library says ${truth(typed, where)}`,
        );
      if (mine !== null) valid++;
    }
    expect(valid).toBeGreaterThan(5_000);
  });
});

test("within its country a number has the trunk prefix that is dialled there, its significant number has none", () => {
  for (const [number, dialled, significant] of [
    ["+989121234567", "09121234567", "9121234567"],
    ["+447911123456", "07911123456", "7911123456"],
    ["+12133734253", "2133734253", "2133734253"],
    ["+390612345678", "0612345678", "0612345678"],
    ["+79161234567", "89161234567", "9161234567"],
  ] as const)
    expect(nationalForms(number)).toEqual({ dialled, significant });
});

test("the usual number takes the fast path, many times faster than the library", () => {
  const library = () => parsePhoneNumberFromString("09129990001", { defaultCountry: "IR", extract: false });
  // The best of several rounds: other work on the machine can only make a round slower.
  const bestMs = (run: () => unknown) => {
    const rounds = Array.from({ length: 20 }, () => {
      const start = performance.now();
      for (let i = 0; i < 1_000; i++) run();
      return performance.now() - start;
    });
    return Math.min(...rounds);
  };
  expect(bestMs(() => parsePhone("09129990001"))).toBeLessThan(bestMs(library) / 5);
});
