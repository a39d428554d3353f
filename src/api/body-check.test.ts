// A body matches its schema, or every wrong field is named with a reason that is true of it.

import { describe, expect, test } from "bun:test";
import { Type } from "typebox";
import { SluiceError } from "../core/errors.ts";
import { FIELD_ERRORS_MAX } from "../core/limits.ts";
import { checkerOf } from "./body-check.ts";

const check = checkerOf(
  Type.Object(
    {
      name: Type.String({ minLength: 1, maxLength: 3 }),
      amount: Type.Integer({ minimum: 1, maximum: 9 }),
      kind: Type.Enum(["a", "b"]),
      note: Type.Optional(Type.String({ minLength: 1 })),
      code: Type.Optional(Type.String({ minLength: 4 })),
      list: Type.Optional(Type.Array(Type.Object({ id: Type.String() }))),
    },
    { additionalProperties: false },
  ),
);
const good = { name: "x", amount: 1, kind: "a" };
const refusalOf = (body: unknown): SluiceError => {
  try {
    check(body);
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error("was let through");
};
const reasonsOf = (body: unknown) =>
  Object.fromEntries(refusalOf(body).errors.map(({ field, reason }) => [field, reason]));

test("null for an optional field means absent", () => {
  expect(check({ ...good, note: null, list: null })).toEqual(good as never);
  expect(reasonsOf({ ...good, name: null })).toEqual({ name: "must be a string" });
  expect(reasonsOf({ ...good, unknown: null })).toEqual({
    unknown: expect.stringContaining("is not a field"),
  });
});

test("every field may be optional, or there may be none", () => {
  const closed = { additionalProperties: false };
  const optional = checkerOf(Type.Object({ a: Type.Optional(Type.String()) }, closed));
  expect([optional({}), optional({ a: null }), optional({ a: "x" })]).toEqual([{}, {}, { a: "x" }]);
  expect(() => optional({ a: 1 })).toThrow(SluiceError);
  const none = checkerOf(Type.Object({}, closed));
  expect(none({})).toEqual({});
  expect(() => none({ a: 1 })).toThrow(SluiceError);
});

describe("a reason says what is wrong with this value", () => {
  const cases: [object, string, string][] = [
    [{ name: "" }, "name", "must not be empty"],
    [{ name: "abcd" }, "name", "must have at most 3 characters"],
    [{ code: "12" }, "code", "must have at least 4 characters"],
    [{ code: "" }, "code", "must have at least 4 characters"],
    [{ amount: 0 }, "amount", "must be at least 1"],
    [{ amount: 10 }, "amount", "must be at most 9"],
    [{ amount: 1.5 }, "amount", "must be a whole number"],
    [{ amount: "1" }, "amount", "must be a whole number"],
    [{ kind: "c" }, "kind", 'must be one of "a", "b"'],
    [{ kind: null }, "kind", 'must be one of "a", "b"'],
    [{ note: "" }, "note", "must not be empty"],
    [{ list: {} }, "list", "must be an array"],
    [{ list: [{ id: "1" }, { id: 2 }] }, "list.1.id", "must be a string"],
  ];
  for (const [fields, field, reason] of cases)
    test(`${JSON.stringify(fields)}: ${reason}`, () =>
      expect(reasonsOf({ ...good, ...fields })).toEqual({ [field]: reason }));
});

test("all wrong fields are named, including missing and unknown ones", () => {
  expect(reasonsOf({ amount: 0, colour: "red" })).toEqual({
    name: "is required",
    amount: "must be at least 1",
    kind: "is required",
    colour: "is not a field of this request (name, amount, kind, note, code, list)",
  });
  const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`f${i}`, 1]));
  expect(refusalOf({ ...good, ...many }).errors).toHaveLength(FIELD_ERRORS_MAX);
});

test("a body that is not an object is refused as a whole", () => {
  for (const body of [null, [], 1, "x", true])
    expect(reasonsOf(body)).toEqual({ body: "must be a JSON object" });
});

describe("a list of objects", () => {
  const entry = Type.Object(
    { id: Type.String(), note: Type.Optional(Type.String()) },
    { additionalProperties: false },
  );
  const lists = checkerOf(
    Type.Object(
      { list: Type.Optional(Type.Array(entry, { minItems: 1, maxItems: 3 })) },
      { additionalProperties: false },
    ),
  );
  const reasons = (list: unknown) => {
    try {
      lists({ list });
    } catch (error) {
      if (error instanceof SluiceError)
        return Object.fromEntries(error.errors.map(({ field, reason }) => [field, reason]));
      throw error;
    }
    throw new Error("was let through");
  };

  test("may have null for what is optional in each of them, and for nothing else", () => {
    const list = [{ id: "1", note: null }, { id: "2", note: "x" }, { id: "3" }];
    expect(lists({ list })).toEqual({ list: [{ id: "1" }, { id: "2", note: "x" }, { id: "3" }] });
    expect(lists({ list: null })).toEqual({});
    expect(reasons([{ id: null }])).toEqual({ "list.0.id": "must be a string" });
  });

  test("is refused by its length, and each entry by its place", () => {
    const one = { id: "1" };
    expect(reasons([])).toEqual({ list: "must not be empty" });
    expect(reasons([one, one, one, one])).toEqual({ list: "must have at most 3 entries" });
    expect(reasons([one, { note: "x" }])).toEqual({ "list.1.id": "is required" });
    for (const bad of [{ ...one, odd: 1 }, null, "x"])
      expect(Object.keys(reasons([one, bad])).every((field) => field.startsWith("list.1"))).toBe(true);
  });
});

test("of two fields either one is required, and both may be refused with others at once", () => {
  const Body = Type.Object(
    { a: Type.Optional(Type.String()), b: Type.Optional(Type.String()), n: Type.Integer() },
    { additionalProperties: false },
  );
  const either = checkerOf(Body, { a: "b" });
  expect([either({ a: "", n: 1 }), either({ b: "", n: 1 })]).toEqual([
    { a: "", n: 1 },
    { b: "", n: 1 },
  ]);
  const errors = (body: unknown) => {
    try {
      return either(body);
    } catch (error) {
      return (error as SluiceError).errors.map(({ field, reason }) => `${field} ${reason}`);
    }
  };
  expect(errors({ a: null, n: 1 })).toEqual(["a is required, or b"]);
  expect(errors({})).toEqual(["n is required", "a is required, or b"]);
});
