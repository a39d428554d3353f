// GET /v1/wallet/reconcile: runs src/reconcile/customer.ts for the caller's own books. Owns how often that
// may be done. Bounds: RUNNING_MAX at once in this process (its pool has as many connections), one at a time
// for a customer across all processes, and after a slow one a pause of REST_FACTOR times its duration.

import { Type } from "typebox";
import { SluiceError } from "../../core/errors.ts";
import {
  AlreadyRunningError,
  type ReconcileDeps,
  TablesBusyError,
  TookTooLongError,
} from "../../reconcile/reconcile.ts";
import { CUSTOMER_MAX_MS, customerReconcile } from "../../reconcile/customer.ts";
import type { About } from "../about.ts";
import { type Route, route } from "../route.ts";
import { closed, Count, Currency, CustomerId, Money, OrNull, Sum, Time } from "../shapes.ts";

const Side = Type.Object({ count: Count, amount: Sum }, closed);
const Day = Type.Object(
  {
    day: Type.String({ format: "date" }),
    entries: Type.Object({ ledger: Side, report: Side }, closed),
    messages: Type.Object({ stored: Side, report: Side }, closed),
    by_status: Type.Record(Type.String(), Type.Object({ stored: Count, report: Count }, closed)),
  },
  closed,
);
const DriftEntry = Type.Object(
  {
    entry_id: Type.String(),
    op: OrNull(Type.String()),
    amount: OrNull(Type.Integer()),
    detail: Type.String(),
  },
  closed,
);
/** A sum or a status; null where something is missing. */
const DriftValue = Type.Union([Type.Integer(), Type.String(), Type.Null()]);
const Drift = Type.Object(
  {
    invariant: Type.String(),
    detail: Type.String(),
    expected: DriftValue,
    found: DriftValue,
    entries: Type.Array(DriftEntry),
    entries_total: Count,
  },
  closed,
);
const Proof = Type.Object(
  {
    customer_id: CustomerId,
    as_of: Time,
    currency: Currency,
    ok: Type.Boolean(),
    balance: Money,
    reserved: Money,
    topped_up: Money,
    adjusted: Sum,
    captured: Money,
    refunded: Money,
    open_reserves: Type.Object({ messages: Count, amount: Money }, closed),
    equations: Type.Array(
      Type.Object({ equation: Type.String(), left: Sum, right: Sum, ok: Type.Boolean() }, closed),
    ),
    drifts: Type.Array(Drift),
    report: Type.Union([
      Type.Object({ state: Type.Literal("compared"), pending: Count, days: Type.Array(Day) }, closed),
      Type.Object({ state: Type.Literal("unreachable"), pending: Type.Null(), days: Type.Null() }, closed),
    ]),
  },
  closed,
);

const ABOUT: About = {
  operationId: "reconcile",
  tag: "Wallet",
  summary: "Prove that the wallet adds up, and that the report agrees with it",
  description: `\`ok\` is true when there is no drift and every equation holds. While the reporting database
is away, \`report\` is \`unreachable\` and the rest is as ever. One check at a time; after one that took a
second or more, the next has to wait four times as long.`,
  answers: {
    200: {
      customer_id: "1",
      as_of: "2026-09-21T14:13:30.000Z",
      currency: "IRR",
      ok: true,
      balance: 99_300,
      reserved: 0,
      topped_up: 100_000,
      adjusted: 0,
      captured: 700,
      refunded: 0,
      open_reserves: { messages: 0, amount: 0 },
      equations: [
        {
          equation: "balance = topped_up + adjusted - captured - reserved",
          left: 99_300,
          right: 99_300,
          ok: true,
        },
      ],
      drifts: [],
      report: {
        state: "compared",
        pending: 0,
        days: [
          {
            day: "2026-09-21",
            entries: { ledger: { count: 3, amount: 101_400 }, report: { count: 3, amount: 101_400 } },
            messages: { stored: { count: 1, amount: 700 }, report: { count: 1, amount: 700 } },
            by_status: { sent: { stored: 1, report: 1 } },
          },
        ],
      },
    },
  },
};

export type ReconcileRouteDeps = ReconcileDeps & {
  monotonicMs: () => number;
  /** Of a check; CUSTOMER_MAX_MS unless given. */
  maxMs?: number;
};

/** Each one occupies a core of MySQL while it runs. */
export const RUNNING_MAX = 2;
/** A server that hangs must not occupy a place for ever. */
export const ANSWER_MAX_MS = CUSTOMER_MAX_MS + 5_000;
/** A check quicker than this costs no more than a report. */
const CHEAP_MS = 1_000;
const REST_FACTOR = 4;
const RESTING_MAX = 1_000;
const RETRY_AFTER_S = 5;

export function createReconcileRoute({ monotonicMs, maxMs, ...deps }: ReconcileRouteDeps): Route {
  let running = 0;
  const restsUntil = new Map<number, number>();

  const rest = (customerId: number, tookMs: number) => {
    if (tookMs < CHEAP_MS) return;
    const nowMs = monotonicMs();
    if (restsUntil.size >= RESTING_MAX)
      for (const [other, untilMs] of restsUntil) if (untilMs <= nowMs) restsUntil.delete(other);
    if (restsUntil.size < RESTING_MAX) restsUntil.set(customerId, nowMs + tookMs * REST_FACTOR);
  };

  return route({
    method: "GET",
    path: "/v1/wallet/reconcile",
    access: "read",
    query: [],
    body: null,
    answers: { 200: Proof },
    errors: ["check_too_long"],
    about: ABOUT,
    async handle({ owner: { customerId } }) {
      const leftMs = (restsUntil.get(customerId) ?? 0) - monotonicMs();
      if (leftMs > 0) throw tooOften(leftMs / 1_000);
      if (running >= RUNNING_MAX) throw busy();
      running++;
      let begunMs: number | null = null;
      const begun = () => {
        begunMs = monotonicMs();
      };
      const tookMs = () => (begunMs === null ? 0 : monotonicMs() - begunMs);
      try {
        return { status: 200, body: await customerReconcile(deps, customerId, { maxMs, begun }) };
      } catch (error) {
        throw refusalOf(error, tookMs() * REST_FACTOR);
      } finally {
        running--;
        rest(customerId, tookMs());
      }
    },
  });
}

function refusalOf(error: unknown, restMs: number): unknown {
  if (error instanceof AlreadyRunningError) return tooOften(RETRY_AFTER_S);
  if (error instanceof TablesBusyError) return busy();
  if (error instanceof TookTooLongError)
    return new SluiceError("check_too_long", { cause: error, retryAfterS: restMs / 1_000 });
  return error;
}

const tooOften = (retryAfterS: number) =>
  new SluiceError("rate_limited", {
    detail: "A check of these books is running, or ended only a moment ago.",
    retryAfterS,
  });
const busy = () =>
  new SluiceError("overloaded", {
    detail: "The maximum number of checks is already running.",
    retryAfterS: RETRY_AFTER_S,
  });
