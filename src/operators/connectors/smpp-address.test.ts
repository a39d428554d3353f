// TON and NPI by the form of an address.

import { expect, test } from "bun:test";
import { destinationOf, sourceOf } from "./smpp-address.ts";

const SOURCES: [string, number, number, string][] = [
  ["", 0, 0, ""],
  ["+989121234567", 1, 1, "989121234567"],
  ["12345", 3, 0, "12345"],
  ["12345678", 3, 0, "12345678"],
  ["09121234567", 0, 1, "09121234567"],
  ["Shop", 5, 0, "Shop"],
  ["24-7_x", 5, 0, "24-7_x"],
];
for (const [from, ton, npi, address] of SOURCES)
  test(`${JSON.stringify(from)} is ${ton}/${npi}`, () =>
    expect(sourceOf(from, {})).toEqual({ ton, npi, address }));

test("a name that isn't ASCII, or has @, can't be sent", () => {
  for (const from of ["me@shop", "Ünal", "ΩΩ", "€"]) expect(sourceOf(from, {})).toBeNull();
});

test("a phone is international without its plus sign", () => {
  expect(destinationOf("+989121234567", {})).toEqual({ ton: 1, npi: 1, address: "989121234567" });
});

test("an operator's own types replace the usual ones of their form", () => {
  const types = { name: { ton: 5, npi: 1 }, international: { ton: 2, npi: 1 } };
  expect(sourceOf("Shop", types)).toMatchObject({ ton: 5, npi: 1 });
  expect(sourceOf("123", types)).toMatchObject({ ton: 3, npi: 0 });
  expect(destinationOf("+98", types)).toMatchObject({ ton: 2, npi: 1 });
});
