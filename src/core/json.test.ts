// What JSON.parse would guess at is refused and named, all else is read as it reads it, and nothing is slow.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { holds } from "../../test/support/seed.ts";
import { SluiceError } from "./errors.ts";
import { parseJson } from "./json.ts";
import { BODY_BYTES_MAX, FIELD_ERRORS_MAX } from "./limits.ts";

const read = (text: string) => parseJson(Buffer.from(text));
const refusalOf = (text: string): SluiceError => {
  try {
    read(text);
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error(`${text.slice(0, 80)} was read`);
};
const fieldsOf = (text: string) => refusalOf(text).errors.map(({ field }) => field);

describe("a member given twice", () => {
  const cases: [string, string[]][] = [
    ['{"amount":5,"amount":7}', ["amount"]],
    ['{"amount":5,"amount":5}', ["amount"]],
    ['{"amount":5, "b":1, "amount" : 7}', ["amount"]],
    ['{"amount":5,"\\u0061mount":7}', ["amount"]],
    ['{"a":1,"a":2,"a":3,"b":1,"b":2}', ["a", "a", "b"]],
    ['{"a":{"b":1,"c":{},"b":2}}', ["a.b"]],
    ['{"messages":[{"phone":"1"},{"phone":"1","text":"x","phone":"2"}]}', ["messages.1.phone"]],
    ['[{"a":1,"a":2}]', ["0.a"]],
    ['{"__proto__":1,"__proto__":2}', ["__proto__"]],
    ['{"":1,"":2}', ['""']],
    ['{"a\\"":1,"a\\"":2}', ["a?"]],
    ['{"a\\\\":1,"a\\\\":2}', ["a?"]],
  ];
  for (const [text, fields] of cases) test(text, () => expect(fieldsOf(text)).toEqual(fields));

  test("the same name in two objects, as a value, or in another letter case is not a repetition", () => {
    for (const text of [
      '{"a":{"a":{"a":1}}}',
      '[{"a":1},{"a":1}]',
      '{"a":"a","b":"a"}',
      '{"a":["a","a"],"A":1}',
      '{"text":"\\"a\\":1,\\"a\\":2"}',
      '{"text":"\\\\","b":"\\\\\\"","c":1}',
    ])
      expect(read(text)).toEqual(JSON.parse(text));
  });

  test("gives a field error that names it", () => {
    expect(refusalOf('{"amount":5,"amount":7}')).toMatchObject({
      code: "validation_failed",
      detail: "amount is given twice.",
    });
  });
});

describe("numbers", () => {
  for (const text of [
    "0",
    "-0",
    "5",
    "1.0",
    "1e0",
    "10E-1",
    "0.1",
    "1e21",
    "9007199254740991",
    "5e-324",
    "0e999",
    "1.50",
  ])
    test(`${text} is kept as it is written`, () =>
      expect(read(`{"a":${text}}`)).toEqual({ a: Number(text) }));

  for (const text of [
    "0.99999999999999999999",
    "5.0000000000000000001",
    "12345678901234567890",
    "9007199254740993",
    "1e400",
    "-1e400",
    "1e-400",
    "1e999999999999999999999",
    "0.1000000000000000055",
    "-0.99999999999999999999",
  ])
    test(`${text} is refused`, () => expect(fieldsOf(`{"a":[1,{"b":${text}}]}`)).toEqual(["a.1.b"]));

  test("a number is exact when its digits are those that JavaScript prints", () => {
    holds("exact", fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      expect(read(JSON.stringify([value]))).toEqual(JSON.parse(JSON.stringify([value])));
    });
    holds("inexact", fc.bigInt({ min: 2n ** 53n + 1n, max: 2n ** 80n }), (value) => {
      const isExact = BigInt(Number(value)) === value && String(Number(value)) === String(value);
      if (!isExact && !value.toString().endsWith("0")) expect(fieldsOf(`[${value}]`)).toEqual(["0"]);
    });
  });
});

describe("any text", () => {
  test("is read as JSON.parse reads it, when no member repeats", () => {
    holds("any value", fc.jsonValue({ maxDepth: 4 }), (value) => {
      const text = JSON.stringify(value, null, 1);
      expect(read(text)).toEqual(JSON.parse(text));
    });
  });

  test("is refused exactly when JSON.parse refuses it or would guess; nothing else is thrown", () => {
    const pieces = fc.constantFrom(
      ...Array.from('{}[]",:\\ \n-+.eE015'),
      '"a"',
      '"a":1',
      '"b":',
      "true",
      "null",
      "\\u0061",
    );
    holds("any text", fc.array(pieces, { maxLength: 14 }), (all) => {
      const text = all.join("");
      let valid = true;
      try {
        JSON.parse(text);
      } catch {
        valid = false;
      }
      try {
        read(text);
        expect(valid).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(SluiceError);
        expect((error as SluiceError).code).toBe(valid ? "validation_failed" : "malformed_json");
      }
    });
  });

  test("malformed text is malformed, whatever repeats in it", () => {
    for (const text of ["", "{", '{"a":1,"a":2', '{"a":1,"a":2}}', "nonsense", "01", "-", '"', "[1e]"])
      expect(refusalOf(text).code).toBe("malformed_json");
  });

  test("17 levels are refused at any length, and 16 are read", () => {
    for (const [open, close] of [
      ["[", "]"],
      ['{"a":', "}"],
    ] as const) {
      const nested = (levels: number) => `${open.repeat(levels)}1${close.repeat(levels)}`;
      expect(read(nested(16))).toBeDefined();
      expect(refusalOf(nested(17)).detail).toContain("16 levels");
    }
  });

  test("of thousands of errors the first fifty are reported", () => {
    expect(fieldsOf(`{${Array<string>(5_000).fill('"a":1').join(",")}}`)).toHaveLength(FIELD_ERRORS_MAX);
  });
});

test("the largest body takes milliseconds, whatever it contains", () => {
  const filled = (piece: string, count = Math.floor(BODY_BYTES_MAX / piece.length)) => piece.repeat(count);
  const bodies = [
    `{"a":0.${filled("0")}1}`,
    `{"a":1${filled("0")}1}`,
    `{"a":1e${filled("9")}}`,
    `{"a":"${filled("\\\\")}"}`,
    `{"a":"${filled('\\"')}"}`,
    `"${filled("\\")}`,
    filled('"'),
    filled("-"),
    filled('"a":'),
    `{${Array.from({ length: 5_000 }, (_, i) => `"m${i}":1`).join(",")}}`,
    `{"a":1${filled(" ")}`,
    `["a"${filled(" ", 100)}${filled(',"a"          ', 4_000)}]`,
  ];
  for (const body of bodies) {
    const startedMs = performance.now();
    try {
      read(body);
    } catch (error) {
      expect(error).toBeInstanceOf(SluiceError);
    }
    // A quadratic step would take seconds; the rest is room for a busy machine.
    expect(performance.now() - startedMs).toBeLessThan(400);
  }
});
