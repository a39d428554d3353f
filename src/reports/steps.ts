// All that happened to one message, step by step, with how long after the step before: its changes, with what
// was on their way (timeline.ts), the entries of its money, and the calls of its webhooks. Nothing of it is
// written for this: it is read from what is there anyway, so a step is missing where nobody noted its time,
// such as the relay's for a message that was held back.
// Invariant: changes keep their order, whatever their clocks say; what others noted comes after what happened
// before it. Bounds: those of timeline.ts, and WEBHOOK_CALLS_KEPT_MAX calls for each change.

import { callsOf } from "../core/webhook-calls.ts";
import { changeIdOf } from "../core/webhook-event.ts";
import type { LateReport } from "../ledger/late-reports.ts";
import type { Pool } from "../platform/mysql.ts";
import type { PastChange, PresentState } from "./timeline.ts";

export const STEP_NAMES = [
  "accepted",
  "reserved",
  "scheduled",
  "queued",
  "relayed",
  "claimed",
  "attempt",
  "captured",
  "refunded",
  "reported",
  "failed",
  "rejected",
  "expired",
  "canceled",
  "webhook",
] as const;
export type StepName = (typeof STEP_NAMES)[number];

export type Step = {
  step: StepName;
  at: string;
  /** Since the step before; 0 for the first, and where clocks differ. */
  after_ms: number;
  /** Null for what is about no attempt. */
  attempt: number | null;
  /** The status that was reported, or told. */
  status: string | null;
  operator: string | null;
  /** Of an attempt: accepted, refused or lost. */
  answer: string | null;
  error: string | null;
  /** Of a call: the origin of its URL; null for the customer's own. */
  endpoint: string | null;
  /** What was answered to a call; null: nothing. */
  code: number | null;
  /** How long a call took. */
  took_ms: number | null;
};

type Moment = { step: StepName; atMs: number } & Partial<Omit<Step, "step" | "at" | "after_ms">>;
type Told = PresentState & { createdAtMs: number };

export async function stepsOf(
  pool: Pick<Pool, "query">,
  message: Told,
  changes: readonly PastChange[],
  late: readonly LateReport[],
): Promise<Step[]> {
  const steps: Moment[] = [{ step: "accepted", atMs: message.createdAtMs }];
  for (const change of changes) steps.push(...leadingTo(change));
  const others = [
    ...(await moneyOf(pool, message)),
    ...late.map((report) => lateStep(report, message)),
    ...(await callsTold(pool, message, changes)),
  ];
  for (const other of others) {
    const before = steps.findLastIndex(({ atMs }) => atMs <= other.atMs);
    // Nothing is before its acceptance.
    steps.splice(Math.max(0, before) + 1, 0, other);
  }
  return steps.map((step, at) => shown(step, steps[at - 1]?.atMs ?? step.atMs));
}

const shown = ({ step, atMs, ...more }: Moment, beforeMs: number): Step => ({
  step,
  at: new Date(atMs).toISOString(),
  after_ms: Math.max(0, atMs - beforeMs),
  attempt: null,
  status: null,
  operator: null,
  answer: null,
  error: null,
  endpoint: null,
  code: null,
  took_ms: null,
  ...more,
});

/** What happened up to a change, and the change itself. */
function leadingTo(change: PastChange): Moment[] {
  const { relayedAtMs, claimedAtMs, refused } = change;
  // What led to `queued` was the attempt before.
  const attempt = change.status === "queued" && claimedAtMs !== null ? change.attempt - 1 : change.attempt;
  const steps: Moment[] = [];
  if (relayedAtMs !== null) steps.push({ step: "relayed", atMs: relayedAtMs, attempt });
  if (claimedAtMs !== null) steps.push({ step: "claimed", atMs: claimedAtMs, attempt });
  for (const { operator, error, at } of refused)
    steps.push({ step: "attempt", atMs: Date.parse(at), attempt, operator, answer: "refused", error });
  steps.push(ending(change));
  return steps;
}

function ending({ status, attempt, operator, error, at, takenAtMs }: PastChange): Moment {
  const atMs = Date.parse(at);
  switch (status) {
    case "sent":
      return { step: "attempt", atMs: takenAtMs ?? atMs, attempt, operator, answer: "accepted", error };
    case "sending":
      return { step: "claimed", atMs, attempt };
    case "unknown":
      return { step: "attempt", atMs, attempt, operator, answer: "lost", error };
    case "delivered":
    case "undelivered":
      return { step: "reported", atMs, attempt, operator, status, error };
    default:
      return { step: status as StepName, atMs, attempt, operator, error };
  }
}

const lateStep = ({ status, operator, error, receivedAtMs }: LateReport, { attempt }: Told): Moment => ({
  step: "reported",
  atMs: receivedAtMs,
  attempt: attempt + 1,
  operator,
  status,
  error,
});

const MONEY = { reserve: "reserved", capture: "captured", refund: "refunded" } as const;

async function moneyOf(pool: Pick<Pool, "query">, { customerId, id }: Told): Promise<Moment[]> {
  const rows = await pool.query<{ op: keyof typeof MONEY; created_at: Date }[]>(
    "SELECT op, created_at FROM wallet_ledger WHERE customer_id=? AND entry_id=? ORDER BY leg",
    [customerId, id],
  );
  return rows.map(({ op, created_at }) => ({ step: MONEY[op], atMs: created_at.getTime() }));
}

/** The ids of the events that tell these changes. */
export const changeIdsOf = (messageId: string, changes: readonly PastChange[]): string[] =>
  changes.map(({ sequence, at }) => changeIdOf({ messageId, sequence, occurredAtMs: Date.parse(at) }));

type ToldRow = { endpoint: string; status: string; calls: string | null };

async function callsTold(
  pool: Pick<Pool, "query">,
  { customerId, id: messageId }: Told,
  changes: readonly PastChange[],
): Promise<Moment[]> {
  const ids = changeIdsOf(messageId, changes);
  const rows = await pool.query<ToldRow[]>(
    "SELECT endpoint, status, calls FROM webhook_deliveries FORCE INDEX (PRIMARY) " +
      `WHERE customer_id=? AND event_id IN ('${ids.join("','")}') ORDER BY event_id`,
    [customerId],
  );
  return rows.flatMap(({ endpoint, status, calls }) =>
    callsOf(calls).map(({ atMs, code, tookMs }) => ({
      step: "webhook" as const,
      atMs,
      status,
      endpoint: endpoint === "" ? null : endpoint,
      code,
      took_ms: tookMs,
    })),
  );
}
