// The check as a customer sees it (GET /v1/wallet/reconcile): its own wallet, entries, messages and report,
// in the terms of its statement. A customer never sees leases: their unspent credit counts as balance, and
// grants and releases are left out. Invariants: one snapshot of MySQL; nothing of another customer is read;
// while ClickHouse is away only the comparison with it is missing. Bounds: CUSTOMER_MAX_MS; one at a time for
// a customer, SLOTS in all.

import { SluiceError } from "../core/errors.ts";
import { LEASE_OPS, type LedgerOp } from "../core/ledger.ts";
import type { Clickhouse } from "../platform/clickhouse.ts";
import type { Connection } from "../platform/mysql.ts";
import { inSnapshot, type ReconcileDeps } from "./reconcile.ts";
import { type Books, type CustomerBooks, type DaySum, openOf, readBooks } from "./books.ts";
import { checkBooks } from "./check.ts";
import { checkEvents, type EventsCheck } from "./events.ts";
import { type Drift, type DriftEntry, driftOf, type Invariant } from "./result.ts";

export type Equation = { equation: string; left: number; right: number; ok: boolean };
export type CustomerDrift = Omit<Drift, "invariant" | "customer_id"> & { invariant: string };
/** The number of rows and their sum on one side. */
export type DaySide = { count: number; amount: number };
export type ReportDay = {
  day: string;
  entries: { ledger: DaySide; report: DaySide };
  messages: { stored: DaySide; report: DaySide };
  by_status: Record<string, { stored: number; report: number }>;
};
export type CustomerReconcile = {
  customer_id: string;
  /** When the snapshot was taken. */
  as_of: string;
  currency: string;
  /** No drift in anything that could be compared. */
  ok: boolean;
  balance: number;
  reserved: number;
  topped_up: number;
  /** By corrections of whoever runs Sluice; below 0 if more was taken than given. */
  adjusted: number;
  captured: number;
  refunded: number;
  open_reserves: { messages: number; amount: number };
  equations: Equation[];
  drifts: CustomerDrift[];
  /** `pending`: the number of events still on their way to the report. */
  report:
    | { state: "compared"; pending: number; days: ReportDay[] }
    | { state: "unreachable"; pending: null; days: null };
};

/**
 * Enough for two or three million messages on two busy cores (bench/reconcile.ts); with ClickHouse after it,
 * still within the 30 s after which the server closes a silent connection.
 */
export const CUSTOMER_MAX_MS = 15_000;
/** Reported to the customer as one rule, in its own terms. */
const OF_THE_WALLET: readonly Invariant[] = [
  "balance_equals_entries",
  "reserved_equals_entries",
  "reserved_equals_leases_and_messages",
  "never_negative",
  "lease_has_node",
];

/**
 * `begun` is called when it has its snapshot, from which on its time counts.
 * @throws AlreadyRunningError, TablesBusyError, TookTooLongError, SluiceError not_found
 */
export function customerReconcile(
  { pool, clickhouse }: ReconcileDeps,
  customerId: number,
  { maxMs = CUSTOMER_MAX_MS, begun }: { maxMs?: number | undefined; begun?: () => void } = {},
): Promise<CustomerReconcile> {
  const options = { maxMs, waitS: 0, alone: `reconcile-${customerId}` };
  return inSnapshot(pool, options, async (conn) => {
    begun?.();
    const deadlineMs = performance.now() + maxMs;
    const books = await readBooks(conn, { low: customerId, high: customerId });
    const c = books.customers.get(customerId);
    const [customer] = await conn.query<{ currency: string }[]>(
      "SELECT currency FROM customers WHERE customer_id = ?",
      [customerId],
    );
    if (c === undefined || customer === undefined) throw new SluiceError("not_found");
    const drifts = await checkBooks(conn, books);
    const events = await eventsOf(conn, books, { pool, clickhouse: until(clickhouse, deadlineMs) });
    return answerOf(books, c, [...drifts, ...(events?.drifts ?? [])], events, customer.currency);
  });
}

async function eventsOf(conn: Connection, books: Books, deps: ReconcileDeps): Promise<EventsCheck | null> {
  try {
    return await checkEvents({ ...deps, conn }, books, { hidden: LEASE_OPS });
  } catch (error) {
    if (error instanceof SluiceError && error.code === "reports_unavailable") return null;
    throw error;
  }
}

const until = (clickhouse: Clickhouse, deadlineMs: number): Clickhouse => ({
  ...clickhouse,
  query(sql, params) {
    if (performance.now() < deadlineMs) return clickhouse.query(sql, params);
    throw new SluiceError("reports_unavailable");
  },
});

function answerOf(
  books: Books,
  c: CustomerBooks,
  drifts: readonly Drift[],
  events: EventsCheck | null,
  currency: string,
): CustomerReconcile {
  const of = (op: LedgerOp) => c.entries.get(op)?.amount ?? 0;
  const balance = c.balance + c.unspent;
  const reserved = c.reserved - c.unspent;
  const [topped_up, captured, refunded] = [of("topup"), of("capture"), of("refund")];
  const adjusted = of("adjust_up") - of("adjust_down");
  const open = openOf(c);
  const equations = [
    equation(
      "balance = topped_up + adjusted - captured - reserved",
      balance,
      topped_up + adjusted - captured - reserved,
    ),
    equation(
      "reserved = reserve entries - captured - refunded",
      reserved,
      of("reserve") - captured - refunded,
    ),
    equation("reserved = cost of messages not settled", reserved, open.amount),
    equation("topped_up = sum of top-ups", topped_up, c.topups.amount),
  ];
  const shown = customerDrifts(drifts);
  return {
    customer_id: String(books.scope.low),
    as_of: new Date(books.nowMs).toISOString(),
    currency,
    ok: shown.length === 0 && equations.every(({ ok }) => ok),
    balance,
    reserved,
    topped_up,
    adjusted,
    captured,
    refunded,
    open_reserves: { messages: open.count, amount: open.amount },
    equations,
    drifts: shown,
    report:
      events === null
        ? { state: "unreachable", pending: null, days: null }
        : {
            state: "compared",
            pending: events.pending.entries + events.pending.statuses,
            days: daysOf(books, events),
          },
  };
}

const equation = (text: string, left: number, right: number): Equation => ({
  equation: text,
  left,
  right,
  ok: left === right,
});

function customerDrifts(drifts: readonly Drift[]): CustomerDrift[] {
  const isWallet = ({ invariant }: Drift) => OF_THE_WALLET.includes(invariant);
  const isShown = ({ op }: DriftEntry) => !LEASE_OPS.includes(op as LedgerOp);
  const wallet = drifts.filter(isWallet);
  const shown = drifts
    .filter((drift) => !isWallet(drift))
    .map((drift) => ({ ...drift, entries: drift.entries.filter(isShown) }));
  const all = wallet.length === 0 ? shown : [...shown, walletDrift(wallet.length)];
  return all.map(({ customer_id: _, ...drift }) => ({
    ...drift,
    invariant: drift.invariant.replace("clickhouse_", "report_"),
    detail: drift.detail
      .replace("in ClickHouse", "in the report")
      .replace("ClickHouse", "the report")
      .replace("MySQL", "the ledger"),
  }));
}

function walletDrift(found: number): Omit<Drift, "invariant"> & { invariant: string } {
  const drift = driftOf("balance_equals_entries", 0, "the wallet and what it was made from", 0, found);
  return { ...drift, invariant: "wallet_equals_entries" };
}

function daysOf(books: Books, events: EventsCheck): ReportDay[] {
  const days = new Map<string, ReportDay>();
  const dayFor = (day: string): ReportDay => {
    let found = days.get(day);
    if (found === undefined) {
      const none = () => ({ count: 0, amount: 0 });
      const entries = { ledger: none(), report: none() };
      found = { day, entries, messages: { stored: none(), report: none() }, by_status: {} };
      days.set(day, found);
    }
    return found;
  };
  const add = (side: DaySide, { count, amount }: DaySum) => {
    side.count += count;
    side.amount += amount;
  };
  const addStatus = (sum: DaySum, where: "stored" | "report") => {
    const day = dayFor(sum.day);
    add(day.messages[where], sum);
    const status = (day.by_status[sum.what] ??= { stored: 0, report: 0 });
    status[where] += sum.count;
  };
  const isShown = ({ what }: DaySum) => !LEASE_OPS.includes(what as LedgerOp);
  for (const sum of books.entryDays.filter(isShown)) add(dayFor(sum.day).entries.ledger, sum);
  for (const sum of events.entryDays.filter(isShown)) add(dayFor(sum.day).entries.report, sum);
  for (const sum of books.statusDays) addStatus(sum, "stored");
  for (const sum of events.statusDays) addStatus(sum, "report");
  return [...days.values()].sort((a, b) => (a.day < b.day ? 1 : -1));
}
