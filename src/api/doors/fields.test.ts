// Fields of queries and forms, and texts in the character sets of the doors' clients.

import { expect, test } from "bun:test";
import { CHARSETS, fieldsOf, queryOf, utf8Of, wholeNumber, withPlus } from "./fields.ts";

const read = (encoded: string) =>
  fieldsOf(Buffer.from(encoded)).map(({ name, bytes }) => [name, bytes?.toString("latin1")]);

test("names and values are unescaped, in the order of the request, whatever their bytes", () => {
  expect(read("a=1+2&b%3D=%00%ff&&c&d==&a=x")).toEqual([
    ["a", "1 2"],
    ["b=", "\u0000\u00ff"],
    ["c", ""],
    ["d", "="],
    ["a", "x"],
  ]);
  expect(read("")).toEqual([]);
  expect(fieldsOf(Buffer.from("t=سلام")).map(({ bytes }) => utf8Of(bytes))).toEqual(["سلام"]);
});

test("a percent sign that begins no escape is no byte", () => {
  expect(read("a=100%&b=%4&c=%zz&d=%41")).toEqual([
    ["a", undefined],
    ["b", undefined],
    ["c", undefined],
    ["d", "A"],
  ]);
});

test("the query is what follows the first question mark", () => {
  expect(utf8Of(queryOf("http://x/send?a=?b"))).toBe("a=?b");
  expect(queryOf("http://x/send")).toHaveLength(0);
});

test("each character set decodes its own bytes, and no others", () => {
  const decoded = (charset: string, hex: string) => CHARSETS[charset]?.(Buffer.from(hex, "hex"));
  expect(decoded("UTF-8", "d8b3")).toBe("س");
  expect(decoded("UTF-8", "ff")).toBeUndefined();
  expect(decoded("US-ASCII", "4142")).toBe("AB");
  expect(decoded("US-ASCII", "80")).toBeUndefined();
  expect(decoded("ISO-8859-1", "e9")).toBe("é");
  expect(decoded("ISO-8859-5", "bf")).toBe("П");
  expect(decoded("ISO-8859-8", "e0")).toBe("א");
  expect(decoded("WINDOWS-1252", "80")).toBe("€");
  expect(decoded("UTF-16BE", "0633d83dde00")).toBe("س😀");
  expect(decoded("UTF-16BE", "06")).toBeUndefined();
  expect(decoded("UTF-16BE", "d83d")).toBeUndefined();
});

test("a whole number has digits only, and is within its bounds", () => {
  expect(wholeNumber("60", 60, 100)).toBe(60);
  for (const text of ["", "59", "101", "6 0", "60x", "-60", "6e1", "9".repeat(16)])
    expect(wholeNumber(text, 60, 100)).toBeUndefined();
});

test("a blank before digits is a lost plus", () => {
  expect(withPlus(" 989121234567")).toBe("+989121234567");
  expect(withPlus("09121234567")).toBe("09121234567");
  expect(withPlus(" Sluice")).toBe(" Sluice");
});
