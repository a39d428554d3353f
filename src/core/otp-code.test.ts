// One-time codes: drawn without bias, put into a text, and read as people type them.

import { expect, test } from "bun:test";
import { drawCode, readCode, templateProblem, withCode } from "./otp-code.ts";
import { OTP_LENGTH_MAX, OTP_LENGTH_MIN } from "./otp-limits.ts";

const bytesOf = (...given: number[]) => {
  let at = 0;
  return (count: number) => Uint8Array.from({ length: count }, () => given[at++ % given.length] as number);
};

test("each digit comes from as many bytes as any other, and bytes that would favour some are passed over", () => {
  const digits = Array.from({ length: 256 }, (_, byte) => drawCode(1, bytesOf(byte, 7)));
  const fair = digits.slice(0, 250);
  for (let digit = 0; digit < 10; digit++)
    expect(fair.filter((each) => each === String(digit))).toHaveLength(25);
  expect(digits.slice(250)).toEqual(Array.from({ length: 6 }, () => "7"));
});

test("a code has its length, with its leading zeros, however many bytes that takes", () => {
  for (let length = OTP_LENGTH_MIN; length <= OTP_LENGTH_MAX; length++)
    expect(drawCode(length, bytesOf(0))).toBe("0".repeat(length));
  let asked = 0;
  const poor = (count: number) => {
    asked++;
    return Uint8Array.from({ length: count }, (_, at) => (at === 0 ? 5 : 255));
  };
  expect(drawCode(4, poor)).toBe("5555");
  expect(asked).toBe(4);
});

test("a template has the placeholder exactly once", () => {
  expect(templateProblem("Your code is {code}.")).toBeNull();
  expect(templateProblem("{code}")).toBeNull();
  expect(templateProblem("{other} {code}")).toBeNull();
  for (const bad of ["", "Your code", "{Code}", "{ code }", "{code} {code}"])
    expect(templateProblem(bad)).toBe("must have {code} exactly once");
});

test("a code is put in as it is", () => {
  expect(withCode("a {code} $& b", "0123")).toBe("a 0123 $& b");
});

test("what was typed is read in Latin, Persian, Arabic and full-width digits, with blanks around it", () => {
  expect(readCode(" 0123456789 ")).toBe("0123456789");
  expect(readCode("۰۱۲۳۴۵۶۷۸۹")).toBe("0123456789");
  expect(readCode("٠١٢٣٤٥٦٧٨٩")).toBe("0123456789");
  expect(readCode("０１２３")).toBe("0123");
  for (const bad of ["", "123", "12345678901", "12a4", "12 34", "१२३४", "-1234", "1234.0"])
    expect(readCode(bad)).toBeNull();
});
