// The calls of a delivery, as its row remembers them: when each began, what was answered, how long it took.
// Invariant: whatever a row holds, what is no call is left out, so the text can be put into SQL. Bound: the
// last WEBHOOK_CALLS_KEPT_MAX calls.

import { WEBHOOK_CALLS_KEPT_MAX } from "./webhook-limits.ts";

/** `code`: the answer's status; null: there was none. */
export type PastCall = { atMs: number; code: number | null; tookMs: number };

const CALL = /^(\d{1,15}):(\d{1,3}):(\d{1,9})$/;

/** The text with one call more. */
export function withCall(calls: string | null, { atMs, code, tookMs }: PastCall): string {
  const before = (calls ?? "").split(" ").filter((text) => CALL.test(text));
  const added = [...before, `${atMs}:${code ?? 0}:${Math.round(tookMs)}`];
  return added.slice(-WEBHOOK_CALLS_KEPT_MAX).join(" ");
}

export function callsOf(calls: string | null): PastCall[] {
  return (calls ?? "").split(" ").flatMap((text) => {
    const [, at, code, took] = CALL.exec(text) ?? [];
    if (at === undefined) return [];
    return [{ atMs: Number(at), code: Number(code) || null, tookMs: Number(took) }];
  });
}
