// Which unreserved messages a claim pays for: never more than there is, never too little.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { holds } from "../../test/support/seed.ts";
import { type ClaimVerdict, decideClaims } from "./claim-credit.ts";
import type { CapRoom } from "./grant.ts";

const cap = (room: number): CapRoom => ({ cap: "daily", limit: 5_000, room, resetsAtMs: 9 });

test("messages are paid in their order, and one that costs too much doesn't stop a cheaper one behind it", () => {
  const verdicts = decideClaims({ balance: 1_000, unspent: 0 }, [500, 900, 400, 100, 1]);
  expect(verdicts).toEqual(["paid", "insufficient_balance", "paid", "paid", "insufficient_balance"]);
});

test("what leases could pay for is not refused", () => {
  const verdicts = decideClaims({ balance: 300, unspent: 400 }, [200, 500, 501]);
  expect(verdicts).toEqual(["paid", "elsewhere", "insufficient_balance"]);
});

test("a cap refuses what it has no room for, even once leases returned their credit", () => {
  expect(decideClaims({ balance: 9_000, unspent: 0, caps: [cap(500)] }, [400, 200, 100])).toEqual([
    "paid",
    "spend_cap_reached",
    "paid",
  ]);
  const held = { balance: 9_000, unspent: 300, caps: [cap(100), cap(-50)] };
  expect(decideClaims(held, [200, 250, 251, 10_000])).toEqual([
    "elsewhere",
    "elsewhere",
    "spend_cap_reached",
    "insufficient_balance",
  ]);
});

describe("whatever the wallet, its leases, its caps and the costs", () => {
  const amounts = fc.integer({ min: 0, max: 3_000 });
  const wallets = fc.record({
    balance: amounts,
    unspent: amounts,
    caps: fc.array(fc.integer({ min: -500, max: 4_000 }).map(cap), { maxLength: 2 }),
  });
  const costs = fc.array(fc.integer({ min: 1, max: 900 }), { maxLength: 12 });
  const sumOf = (verdicts: readonly ClaimVerdict[], of: readonly number[]) =>
    of.reduce((sum, cost, at) => sum + (verdicts[at] === "paid" ? cost : 0), 0);

  test("no more is paid than the wallet has and each cap leaves", () => {
    holds("claims", fc.tuple(wallets, costs), ([wallet, of]) => {
      const paid = sumOf(decideClaims(wallet, of), of);
      expect(paid).toBeLessThanOrEqual(wallet.balance);
      for (const { room } of wallet.caps) expect(paid).toBeLessThanOrEqual(Math.max(0, room));
    });
  });

  test("nothing is refused that could be paid at its turn with all that leases hold, and only that waits", () => {
    holds("claims", fc.tuple(wallets, costs), ([wallet, of]) => {
      const verdicts = decideClaims(wallet, of);
      of.forEach((cost, at) => {
        const before = sumOf(verdicts.slice(0, at), of.slice(0, at));
        const left =
          Math.min(wallet.balance, ...wallet.caps.map(({ room }) => room)) + wallet.unspent - before;
        const isRefused = verdicts[at] !== "paid" && verdicts[at] !== "elsewhere";
        expect(isRefused).toBe(cost > left);
      });
    });
  });
});
