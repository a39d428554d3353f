// The output of `lease list`.

import { expect, test } from "bun:test";
import { asTable } from "./leases.ts";

const lease = (customerId: number, unspent: number, recall = false) => ({
  customer_id: String(customerId),
  node_id: "01ARZ3NDEKTSV4RRFFQ69G5FA1",
  epoch: 3,
  granted: unspent + 500,
  spent: 500,
  unspent,
  expires_in_ms: 15_250,
  recall,
});

test("leases are listed under their headings, with a sum below", () => {
  expect(asTable([lease(7, 1_000), lease(12_345_678_9, 20, true)], 1_000).split("\n")).toEqual([
    " customer  node                        epoch  granted  spent  unspent  expires in",
    "        7  01ARZ3NDEKTSV4RRFFQ69G5FA1      3     1500    500     1000  15.3 s",
    "123456789  01ARZ3NDEKTSV4RRFFQ69G5FA1      3      520    500       20  15.3 s, recalled",
    "2 leases of 1 processes hold 1020 unspent",
  ]);
});

test("a truncated list says so, and so does an empty one", () => {
  expect(asTable([lease(7, 1_000)], 1)).toContain("(the first 1: --limit shows more)");
  expect(asTable([], 1)).toBe("no leases: no process holds credit");
});
