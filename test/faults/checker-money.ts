// Judges the money of a run: wallets, snapshots, top-ups, adjustments and spend caps. Pure; a part of
// checker.ts, which judges the messages.

import { CAP_PERIODS, type CapPeriod, periodAt } from "../../src/core/spend-cap.ts";
import type { Say } from "./checker.ts";
import type { Answer, CapLimits, EntryRow, Evidence, Snapshot } from "./evidence.ts";

/** The statuses of messages whose cost is still reserved. */
export const OPEN: ReadonlySet<string> = new Set(["scheduled", "queued", "sending"]);
/** Answers that faults explain. */
export const EXPECTED: ReadonlySet<number> = new Set([0, 202, 402, 409, 429, 503]);

export function checkBooks({ messages, entries, wallets }: Evidence, say: Say): void {
  const sums = new Map<string, number>();
  const add = (key: string, amount: number) => sums.set(key, (sums.get(key) ?? 0) + amount);
  for (const { customer, op, amount } of entries) add(`${customer} ${op}`, amount);
  for (const { customer, status, cost, unreserved } of messages)
    if ((OPEN.has(status) && unreserved !== 1) || status === "unknown") add(`${customer} open`, cost);
  for (const { customer, balance, reserved, leases } of wallets) {
    const of = (op: string) => sums.get(`${customer} ${op}`) ?? 0;
    const adjusted = of("adjust_up") - of("adjust_down");
    const left = of("topup") + adjusted - of("grant") + of("refund") + of("release");
    const held = of("grant") - of("capture") - of("refund") - of("release");
    const isRight =
      balance === left &&
      reserved === held &&
      reserved === leases + of("open") &&
      balance >= 0 &&
      leases >= 0;
    if (!isRight)
      say(
        "books_differ",
        `customer ${customer}: balance ${balance} (entries say ${left}), reserved ${reserved} ` +
          `(entries say ${held}), leases ${leases} + open ${of("open")}`,
      );
  }
}

export function checkSnapshots(snapshots: readonly Snapshot[], atLeast: number, say: Say): void {
  if (snapshots.length < atLeast) say("snapshots_missing", `${snapshots.length}`);
  const before = new Map<string, { topups: number; captured: number }>();
  for (const { at, customers } of snapshots) {
    for (const { customer, topups, adjusted, balance, leases, open, captured } of customers) {
      const found = balance + leases + open + captured;
      const where = `customer ${customer} at ${new Date(at).toISOString()}`;
      if (topups + adjusted !== found || Math.min(balance, leases, open, captured) < 0)
        say("not_conserved", `${where}: ${topups} topped up, ${adjusted} adjusted, ${found} there`);
      const earlier = before.get(customer);
      if (earlier !== undefined && (topups < earlier.topups || captured < earlier.captured))
        say("went_back", where);
      before.set(customer, { topups, captured });
    }
  }
}

export function checkTopups({ topupRequests, topups }: Evidence, say: Say): void {
  const stored = new Map(topups.map((t) => [`${t.customer} ${t.request}`, t.amount]));
  const asked = new Set<string>();
  for (const { customer, request, amount, tries } of topupRequests) {
    const name = `${customer} ${request}`;
    asked.add(name);
    const confirmed = tries.filter((t) => t.status === 200);
    if (confirmed.length > 0 && stored.get(name) !== amount)
      say("topup_lost", `${name}: ${stored.get(name) ?? "nothing"}, not ${amount}`);
    if (confirmed.filter((t) => t.idempotent === false && !t.replayed).length > 1) say("topup_twice", name);
    for (const { status } of tries)
      if (status !== 200 && !EXPECTED.has(status)) say("strange_answer", `top-up ${name}: ${status}`);
  }
  for (const name of stored.keys()) if (!asked.has(name)) say("topup_nobody_made", name);
}

/** Answers that mean that nothing was booked by this try. */
const NOT_ADJUSTED = new Set([402, 422]);

/** Each adjustment has an amount of its own, so its entries are found without asking the audit log. */
export function checkAdjustments({ adjustments, entries }: Evidence, say: Say): void {
  const amountOf = ({ op, amount }: EntryRow) => (op === "adjust_up" ? amount : -amount);
  const made = Map.groupBy(
    entries.filter(({ op }) => op === "adjust_up" || op === "adjust_down"),
    (entry) => `${entry.customer} ${amountOf(entry)}`,
  );
  for (const { key, customer, amount, tries } of adjustments) {
    const name = `${key}: ${amount} of customer ${customer}`;
    const own = made.get(`${customer} ${amount}`) ?? [];
    made.delete(`${customer} ${amount}`);
    const confirmed = tries.filter(({ status }) => status === 201);
    if (confirmed.some(({ entry }) => own.length !== 1 || entry !== own[0]?.entry))
      say("adjustment_not_once", `${name}: ${own.length} entries, ${confirmed.map(({ entry }) => entry)}`);
    else if (confirmed.filter(({ replayed }) => !replayed).length > 1) say("adjustment_not_once", name);
    const isRefused = tries.every(({ status }) => NOT_ADJUSTED.has(status));
    if (confirmed.length === 0 && (own.length > 1 || (isRefused && own.length > 0)))
      say("adjustment_nobody_made", `${name}: ${own.length} entries`);
    for (const { status } of tries)
      if (status !== 201 && !EXPECTED.has(status)) say("strange_answer", `adjustment ${name}: ${status}`);
  }
  for (const name of made.keys()) say("adjustment_nobody_made", name);
}

/** Two parts by express: the most that any message of the load costs. */
const COST_MAX = 1_400;
/** Caps are set, and the load begins, at most so long before the first snapshot. */
const BEFORE_MS = 60_000;

/**
 * Caps are set before anything is sent. A run that goes on over midnight may spend those of both days, but
 * only together, because a message can be committed on another day than that of its id. What a cap refuses,
 * it must have no room for.
 */
export function checkCaps({ caps, snapshots, requests }: Evidence, say: Say): void {
  const [first, last] = [snapshots[0], snapshots.at(-1)];
  if (first === undefined || last === undefined || caps.size === 0) return;
  const fromMs = first.at - BEFORE_MS;
  const roomOf = (limits: CapLimits, spent: number, untilMs: number): number =>
    Math.min(
      ...CAP_PERIODS.map((cap) => (limits[cap] ?? Infinity) * periodsFrom(cap, fromMs, untilMs) - spent),
    );
  for (const { at, customers } of snapshots)
    for (const { customer, spent, leases } of customers) {
      const limits = caps.get(customer);
      const room = limits === undefined ? Infinity : roomOf(limits, spent, at);
      if (room < leases)
        say("cap_exceeded", `customer ${customer} at ${new Date(at).toISOString()}: ${room}, not ${leases}`);
    }
  if (periodsFrom("daily", fromMs, last.at) > 1) return;
  const refused = new Set(requests.flatMap(({ customer, tries }) => (tries.some(isOfCap) ? [customer] : [])));
  for (const { customer, spent } of last.customers) {
    const room = roomOf(caps.get(customer) ?? NO_CAPS, spent, last.at);
    if (refused.has(customer) && room >= COST_MAX)
      say("false_402", `customer ${customer} by a cap, with room for ${room} at the end`);
  }
}

const NO_CAPS: CapLimits = { daily: null, monthly: null };
const isOfCap = ({ code }: Answer): boolean => code === "spend_cap_reached";

/** How many such periods there are from one moment to another, both included. */
function periodsFrom(cap: CapPeriod, fromMs: number, untilMs: number): number {
  let count = 1;
  for (let { toMs } = periodAt(cap, fromMs); toMs <= untilMs; toMs = periodAt(cap, toMs).toMs) count++;
  return count;
}
