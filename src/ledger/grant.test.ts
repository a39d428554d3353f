// The size of grants, without a database: by example, and by laws that hold for any wallet.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { holds, allowSlowRuns } from "../../test/support/seed.ts";
import {
  type CapRoom,
  decideGrant,
  elsewhereOf,
  type Grant,
  grantable,
  grantSize,
  type LeaseState,
  refusalOf,
  type Want,
  type WalletState,
} from "./grant.ts";

allowSlowRuns();

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

test("a grant covers what waits, and beyond that at most an eighth of the rest", () => {
  expect(size(10_000, [500, 500], 4_000)).toBe(1_000 + 1_125);
  expect(size(10_000, [500], 100)).toBe(600);
  expect(size(10_000, [500], 100.7)).toBe(600);
});
test("a wallet that can't cover everything that waits grants exactly the costs that fit, in order", () => {
  expect(size(1_200, [500, 500, 500], 0)).toBe(1_000);
  expect(size(1_200, [500, 900, 500], 0)).toBe(1_000);
  expect(size(500, [500], 0)).toBe(500);
  expect(size(499, [500], 0)).toBe(0);
});
test("a small wallet, an eighth of which pays for fewer than 16 messages, grants exactly what waits", () => {
  expect(size(500 + 8 * 16 * 500, [500], 1_000_000, 500)).toBe(500 + 16 * 500);
  expect(size(500 + 8 * 16 * 500 - 1, [500], 1_000_000, 500)).toBe(500);
  expect(size(10_000_000, [500], 100, 500)).toBe(600);
});
test("a strict wallet grants exactly what waits, whatever it holds", () => {
  const given = decideGrant(wallet(1_000_000, [], "strict"), want({ costs: [500], target: 9_000 }), NODE);
  expect(given).toMatchObject({ granted: 500, balance: 999_500, mode: "strict" });
});
test("a wallet of mode async grants what waits, and nothing ahead of need", () => {
  const given = decideGrant(wallet(1_000_000, [], "async"), want({ costs: [500], target: 9_000 }), NODE);
  expect(given).toMatchObject({ granted: 500, balance: 999_500, mode: "async" });
});
test("the same wallet in lease mode also grants ahead of need", () => {
  const given = decideGrant(wallet(1_000_000), want({ costs: [500], target: 9_000 }), NODE);
  expect(given).toMatchObject({ granted: 9_500, balance: 990_500, mode: "lease" });
});
test("beyond a lease, its customer could spend the wallet, and, in lease mode, what other leases hold", () => {
  const of = (mode: Grant["mode"]) => elsewhereOf({ mode, balance: 7, elsewhere: 3 } as Grant);
  expect([of("lease"), of("strict"), of("async")]).toEqual([10, 7, 7]);
});

test("total counts the wallet and every lease, the asking one included", () => {
  const leases = [lease(NODE, 3, 40), lease(NODE, 2, 5), lease(OTHER, 3, 100)];
  const grant = decideGrant(wallet(1_000, leases), want({ held: true, costs: [700] }), NODE);
  expect(grant).toEqual({
    customerId: 7,
    granted: 700,
    own: 40,
    balance: 300,
    elsewhere: 105,
    total: 1_145,
    mode: "lease",
    fenced: false,
    recall: false,
  });
});
test("nobody can pay for a message that costs more than wallet and leases hold together", () => {
  const grant = decideGrant(wallet(300, [lease(NODE, 3, 40), lease(OTHER, 1, 160)]), want(), NODE);
  expect(refusalOf(grant, 500)).toBeNull();
  expect(refusalOf(grant, 501)?.code).toBe("insufficient_balance");
});
test("credit is recalled when something waits that the wallet can't grant while others hold credit", () => {
  const others = [lease(OTHER, 1, 1)];
  const recall = (balance: number, costs: number[], leases: LeaseState[]) =>
    decideGrant(wallet(balance, leases), want({ costs }), NODE).recall;
  expect(recall(100, [500], others)).toBe(true);
  expect(recall(500, [500, 500], others)).toBe(true);
  expect(recall(500, [500], others)).toBe(false);
  expect(recall(100, [500], [lease(OTHER, 1, 0)])).toBe(false);
  expect(recall(100, [500], [lease(NODE, 3, 9_000)])).toBe(false);
});
test("a lease that should exist but doesn't was reaped: it gets nothing under its old epoch", () => {
  const grant = decideGrant(wallet(1_000, [lease(NODE, 2, 5)]), want({ held: true, costs: [500] }), NODE);
  expect(grant).toMatchObject({ granted: 0, balance: 1_000, total: 1_005, fenced: true, recall: false });
  expect(decideGrant(wallet(1_000), want({ costs: [500] }), NODE).fenced).toBe(false);
});

describe("spend caps", () => {
  const cap = (name: "daily" | "monthly", room: number) => ({ cap: name, limit: 5_000, room, resetsAtMs: 9 });
  const decide = (balance: number, caps: CapRoom[], leases: LeaseState[] = [], costs = [500]) =>
    decideGrant({ ...wallet(balance, leases), caps }, want({ costs, target: 100_000, unit: 1 }), NODE);
  const codeOf = (grant: ReturnType<typeof decide>, cost: number) => {
    const { code, extra } = refusalOf(grant, cost) ?? {};
    return [code, extra?.cap, extra?.left];
  };

  test("a grant is as large as the lowest cap has room, as if the wallet held no more", () => {
    expect(decide(10_000, [cap("daily", 1_200), cap("monthly", 900)]).granted).toBe(500 + 50);
    expect(decide(10_000, [cap("daily", 120)]).granted).toBe(0);
    expect(decide(10_000, [cap("daily", -3)]).granted).toBe(0);
    expect(decide(400, [cap("daily", 1_200)]).granted).toBe(50);
    expect(decide(100, [cap("daily", 1_200)]).granted).toBe(0);
  });
  test("what leases could still spend counts as left of a cap, and refuses nothing", () => {
    const grant = decide(10_000, [cap("daily", 100)], [lease(OTHER, 1, 300), lease(NODE, 2, 100)]);
    expect(grant).toMatchObject({ granted: 0, recall: true });
    expect(refusalOf(grant, 500)).toBeNull();
    expect(codeOf(grant, 501)).toEqual(["spend_cap_reached", "daily", 500]);
    const own = decide(10_000, [cap("daily", 100)], [lease(OTHER, 1, 300), lease(NODE, 3, 100)]);
    expect(own).toMatchObject({ own: 100, elsewhere: 300 });
    expect(codeOf(own, 501)).toEqual(["spend_cap_reached", "daily", 500]);
    expect(refusalOf(own, 500)).toBeNull();
  });
  test("a wallet that can't pay is the reason, whatever the caps say; of two caps the one that ends later", () => {
    expect(codeOf(decide(400, [cap("daily", 0)]), 500)).toEqual([
      "insufficient_balance",
      undefined,
      undefined,
    ]);
    const both = [cap("daily", 100), cap("monthly", 200)];
    expect(codeOf(decide(10_000, both), 500)).toEqual(["spend_cap_reached", "monthly", 200]);
    expect(codeOf(decide(10_000, both), 150)).toEqual(["spend_cap_reached", "daily", 100]);
    expect(refusalOf(decide(10_000, both), 100)).toBeNull();
  });
  test("after a grant less can be granted, and as much is left as before", () => {
    const grant = decide(10_000, [cap("daily", 700)]);
    expect([grant.granted, grantable(grant)]).toEqual([525, 175]);
    expect(grant.caps).toEqual([{ ...cap("daily", 175), left: 700 }]);
  });
});

describe("laws of a grant", () => {
  const amount = fc.integer({ min: 0, max: 5_000 });
  const leases = fc.array(
    fc.record({
      nodeId: fc.constantFrom(NODE, OTHER),
      epoch: fc.integer({ min: 1, max: 4 }),
      unspent: amount,
    }),
    { maxLength: 4 },
  );
  const cases = fc.record({
    balance: fc.integer({ min: 0, max: 20_000 }),
    mode: fc.constantFrom("lease" as const, "strict" as const),
    leases,
    want: fc.record({
      customerId: fc.constant(7),
      epoch: fc.integer({ min: 1, max: 4 }),
      held: fc.boolean(),
      costs: fc.array(fc.integer({ min: 1, max: 4_000 }), { maxLength: 8 }),
      // Derived from a rate, so not a whole number. (fc.double draws almost nothing between 1 and 1,000.)
      target: fc.integer({ min: 0, max: 80_000 }).map((eighths) => eighths / 8),
      unit: fc.integer({ min: 0, max: 100 }),
    }),
  });
  const decide = ({
    balance,
    mode,
    leases: of,
    want: wanted,
  }: typeof cases extends fc.Arbitrary<infer T> ? T : never) =>
    decideGrant({ customerId: 7, balance, mode, leases: of }, wanted, NODE);
  const sum = (of: readonly number[]): number => of.reduce((a, b) => a + b, 0);

  test("no credit appears or disappears: a grant leaves the balance, in whole units, and never exceeds it", () => {
    holds("grant conserves", cases, (c) => {
      const grant = decide(c);
      expect(Number.isSafeInteger(grant.granted)).toBe(true);
      expect(grant.granted).toBeGreaterThanOrEqual(0);
      expect(grant.balance).toBeGreaterThanOrEqual(0);
      expect(grant.balance + grant.granted).toBe(c.balance);
      expect(grant.total).toBe(c.balance + sum(c.leases.map((l) => l.unspent)));
    });
  });

  test("the first that waits gets its credit if the wallet holds enough, and all do if it holds enough for all", () => {
    holds("grant serves", cases, (c) => {
      const { granted, fenced } = decide(c);
      const [first] = c.want.costs;
      if (fenced) return;
      if (first !== undefined && first <= c.balance) expect(granted).toBeGreaterThanOrEqual(first);
      if (sum(c.want.costs) <= c.balance) expect(granted).toBeGreaterThanOrEqual(sum(c.want.costs));
    });
  });

  test("at most an eighth of the rest is granted ahead of need, and nothing in strict mode or from a small wallet", () => {
    holds("grant ahead", cases, (c) => {
      const { granted, fenced } = decide(c);
      const need = fenced ? 0 : grantSize(c.balance, { ...c.want, target: 0 });
      const ahead = granted - need;
      expect(ahead).toBeLessThanOrEqual((c.balance - need) / 8);
      expect(ahead).toBeLessThanOrEqual(c.want.target);
      if (c.mode === "strict" || fenced) expect(ahead).toBe(0);
      if (ahead > 0) expect((c.balance - need) / 8).toBeGreaterThanOrEqual(16 * c.want.unit);
    });
  });

  test("credit is recalled when a message waits in vain while others hold credit, and only then", () => {
    holds("grant recalls", cases, (c) => {
      const { granted, recall, fenced, elsewhere } = decide(c);
      const own = (l: LeaseState) => l.nodeId === NODE && l.epoch === c.want.epoch;
      expect(elsewhere).toBe(sum(c.leases.filter((l) => !own(l)).map((l) => l.unspent)));
      expect(fenced).toBe(c.want.held && !c.leases.some(own));
      expect(recall).toBe(!fenced && granted < sum(c.want.costs) && elsewhere > 0);
    });
  });
});
