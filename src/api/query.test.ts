// A query string is read completely, or refused naming what is wrong.

import { describe, expect, test } from "bun:test";
import { SluiceError } from "../core/errors.ts";
import { FIELD_ERRORS_MAX } from "../core/limits.ts";
import { readQuery } from "./query.ts";

const known = ["phone", "limit"];
const read = (query: string) => Object.fromEntries(readQuery(`http://h/v1/messages${query}`, known));
const refusalOf = (query: string): SluiceError => {
  try {
    read(query);
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error(`${query} was read`);
};

test("declared parameters are percent-decoded, with a plus as a blank", () => {
  expect(read("")).toEqual({});
  expect(read("?")).toEqual({});
  expect(read("?limit=5")).toEqual({ limit: "5" });
  expect(read("?phone=%2B45+32=1&&limit=%D8%B3&")).toEqual({ phone: "+45 32=1", limit: "س" });
});

describe("refused by name", () => {
  const cases: [string, string, string][] = [
    ["?dry_run=true", "dry_run", "is not a parameter of this route"],
    ["?Limit=5", "Limit", "is not a parameter of this route"],
    ["?=5", '""', "is not a parameter of this route"],
    ["?limit=5&limit=5", "limit", "must be given once"],
    ["?limit=5&lim%69t=6", "limit", "must be given once"],
    ["?limit=", "limit", "must not be empty"],
    ["?limit", "limit", "must not be empty"],
    ["?%1B%5B31m=1", "??31m", "is not a parameter of this route"],
  ];
  for (const [query, field, reason] of cases)
    test(query, () =>
      expect(refusalOf(query)).toMatchObject({ code: "validation_failed", errors: [{ field, reason }] }),
    );

  test("all of them at once; of thousands, the first fifty", () => {
    expect(refusalOf("?a=1&limit=&phone=1&phone=2").errors.map(({ field }) => field)).toEqual([
      "a",
      "limit",
      "phone",
    ]);
    const many = Array.from({ length: 5_000 }, (_, i) => `p${i}=1`).join("&");
    expect(refusalOf(`?${many}`).errors).toHaveLength(FIELD_ERRORS_MAX);
  });
});

test("invalid percent-encoding or UTF-8 is malformed, never read as something else", () => {
  for (const query of [
    "?limit=%zz",
    "?limit=%",
    "?limit=5%",
    "?limit=%ff",
    "?limit=%C3",
    "?limit=%ED%A0%80",
    "?%zz=1",
  ])
    expect(refusalOf(query)).toMatchObject({ code: "malformed_request", errors: [{ field: "query" }] });
});
