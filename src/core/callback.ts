// What a customer wants to be told about a message: which statuses, and where. It is settled when the message
// is accepted, and travels with its record and its row, so a message that nobody wants to hear of costs
// nothing. Leaves to others: which URLs are allowed (callback-url.ts), and the calls (src/webhook/).
// Invariant: the bit of a status never changes, because masks are stored.

import { eventStatus, STATUSES, type Status } from "./message.ts";

/**
 * `url` is null for the customer's own; `statuses` has a bit for each status wanted; `form` is absent for
 * Sluice's own, and otherwise a peer's (peers/form.ts).
 */
export type Callback = { url: string | null; statuses: number; form?: string };
/** What a customer has set; `hasUrl`: whether messages without a callback_url are told too. */
export type CallbackWish = { statuses: number; hasUrl: boolean };

/** The statuses that an event may have: `sending` is never one (core/message.ts). */
export const TOLD_STATUSES: readonly Status[] = STATUSES.filter((status) => eventStatus(status) === status);

// Appended to, never reordered; callback.test.ts holds them to their numbers.
const BITS: Readonly<Record<Status, number>> = {
  scheduled: 0,
  queued: 1,
  sending: 2,
  unknown: 3,
  sent: 4,
  delivered: 5,
  undelivered: 6,
  failed: 7,
  rejected: 8,
  expired: 9,
  canceled: 10,
};

export const maskOf = (statuses: readonly Status[]): number =>
  statuses.reduce((mask, status) => mask | (1 << BITS[status]), 0);

export const statusesOf = (mask: number): Status[] => TOLD_STATUSES.filter((status) => wants(mask, status));

export const wants = (mask: number, status: Status): boolean => (mask & (1 << BITS[status])) !== 0;

/** All statuses that can be told. */
export const ALL_STATUSES = maskOf(TOLD_STATUSES);

/** What is wanted of a message that comes with this callback_url; undefined: nothing. */
export function callbackOf(wish: CallbackWish | undefined, url: string | null): Callback | undefined {
  if (wish === undefined || (url === null && !wish.hasUrl)) return undefined;
  return { url, statuses: wish.statuses };
}
