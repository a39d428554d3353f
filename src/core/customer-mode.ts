// How a customer's messages are paid.

/**
 * `lease`: credit is also granted ahead of need. `strict`: only the costs that wait are granted, so
 * `balance_after` is exact. `async`: messages are accepted without credit, and reserved when they are claimed
 * (ledger/unreserved.ts); what a process asks for that doesn't know of it yet is granted as in `strict`.
 */
export const CUSTOMER_MODES = ["lease", "strict", "async"] as const;
export type CustomerMode = (typeof CUSTOMER_MODES)[number];
