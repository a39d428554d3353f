import { expect, test } from "bun:test";
import { lineOf } from "./audit.ts";

test("a change is one line, and what people typed can't break out of it", () => {
  const entry = {
    audit_id: "7",
    created_at: "2026-01-02T03:04:05.000Z",
    via: "api",
    who: "sara",
    origin: "127.0.0.1",
    action: "wallet.adjust",
    customer_id: "1",
    subject: null,
    entry_id: null,
    amount: -500,
    reason: 'paid "twice"\n; who: nobody',
    old: { balance: 1_000 },
    new: { balance: 500 },
  } as const;
  expect(lineOf(entry)).toBe(
    "2026-01-02T03:04:05.000Z sara (api, 127.0.0.1): wallet.adjust; customer 1; amount -500; " +
      'reason "paid \\"twice\\"\\n; who: nobody"; was {"balance":1000}; is {"balance":500}',
  );
  const bare = {
    ...entry,
    customer_id: null,
    subject: "retail",
    amount: null,
    reason: null,
    old: null,
    new: null,
  };
  expect(lineOf({ ...bare, action: "plan.remove" })).toEndWith('plan.remove; "retail"');
});
