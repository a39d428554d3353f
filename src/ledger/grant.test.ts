// Who is given how much, apart from any database.

import { expect, test } from "bun:test";
import { decideGrant, grantSize, type LeaseState, type Want, type WalletState } from "./grant.ts";

const NODE = "01ARZ3NDEKTSV4RRFFQ69G5FA1";
const OTHER = "01ARZ3NDEKTSV4RRFFQ69G5FA2";
const want = (fields: Partial<Want> = {}): Want => ({
  customerId: 7,
  epoch: 3,
  held: false,
  costs: [],
  target: 0,
  unit: 0,
  ...fields,
});
const size = (balance: number, costs: number[], target: number, unit = 0) =>
  grantSize(balance, want({ costs, target, unit }));
const wallet = (balance: number, leases: LeaseState[] = [], mode: WalletState["mode"] = "lease") => ({
  customerId: 7,
  balance,
  mode,
  leases,
});
const lease = (nodeId: string, epoch: number, unspent: number): LeaseState => ({ nodeId, epoch, unspent });

test("a grant covers what waits, and an eighth of the rest at most ahead of it", () => {
  expect(size(10_000, [500, 500], 4_000)).toBe(1_000 + 1_125);
  expect(size(10_000, [500], 100)).toBe(600);
  expect(size(10_000, [500], 100.7)).toBe(600);
});
test("a wallet that can't cover all that waits gives exactly the costs that fit, in order", () => {
  expect(size(1_200, [500, 500, 500], 0)).toBe(1_000);
  expect(size(1_200, [500, 900, 500], 0)).toBe(1_000);
  expect(size(500, [500], 0)).toBe(500);
  expect(size(499, [500], 0)).toBe(0);
});
test("a small wallet gives exactly what waits: less than 16 messages ahead are none", () => {
  expect(size(500 + 8 * 16 * 500, [500], 1_000_000, 500)).toBe(500 + 16 * 500);
  expect(size(500 + 8 * 16 * 500 - 1, [500], 1_000_000, 500)).toBe(500);
  expect(size(10_000_000, [500], 15 * 500, 500)).toBe(500);
});
test("a strict wallet gives exactly what waits, whatever it holds", () => {
  const given = decideGrant(wallet(1_000_000, [], "strict"), want({ costs: [500], target: 9_000 }), NODE);
  expect(given).toMatchObject({ granted: 500, balance: 999_500, mode: "strict" });
});
test("total counts the wallet and every lease, the asking one included", () => {
  const leases = [lease(NODE, 3, 40), lease(NODE, 2, 5), lease(OTHER, 3, 100)];
  const grant = decideGrant(wallet(1_000, leases), want({ held: true, costs: [700] }), NODE);
  expect(grant).toEqual({
    customerId: 7,
    granted: 700,
    balance: 300,
    elsewhere: 105,
    total: 1_145,
    mode: "lease",
    fenced: false,
    recall: false,
  });
});
test("credit is recalled when something waits that the wallet can't give and others hold some", () => {
  const others = [lease(OTHER, 1, 1)];
  const recall = (balance: number, costs: number[], leases: LeaseState[]) =>
    decideGrant(wallet(balance, leases), want({ costs }), NODE).recall;
  expect(recall(100, [500], others)).toBe(true);
  expect(recall(500, [500, 500], others)).toBe(true);
  expect(recall(500, [500], others)).toBe(false);
  expect(recall(100, [500], [lease(OTHER, 1, 0)])).toBe(false);
  expect(recall(100, [500], [lease(NODE, 3, 9_000)])).toBe(false);
});
test("a lease that should be there and isn't was reaped: it gets nothing under its old epoch", () => {
  const grant = decideGrant(wallet(1_000, [lease(NODE, 2, 5)]), want({ held: true, costs: [500] }), NODE);
  expect(grant).toMatchObject({ granted: 0, balance: 1_000, total: 1_005, fenced: true, recall: false });
  expect(decideGrant(wallet(1_000), want({ costs: [500] }), NODE).fenced).toBe(false);
});
