// A price plan in memory: what a part costs by destination and lane at a moment. The longest prefix of the
// number that has a rate in force decides; of the rates of one prefix, the one that began last. Pure.
// Leaves to others: storing plans (src/customers/price-plans.ts), and what a customer pays without one.
// Invariant: a look-up walks the number's digits and allocates nothing, because it runs for every message of
// the plan's customers. Bound: RATES_MAX rates, each of at most E164_DIGITS_MAX digits.

import assert from "node:assert/strict";
import { SluiceError } from "./errors.ts";
import { E164_DIGITS_MAX } from "./limits.ts";
import type { Lane } from "./message.ts";

/** Rates of a plan, those of the future included: twice as many as there are ranges of mobile networks. */
export const RATES_MAX = 20_000;
/** Ten parts at this price stay far inside 2^53. */
export const PRICE_MAX = 1_000_000_000;

/** Minor units of a part, by lane. */
export type Prices = { normal: number; express: number };
export type Rate = {
  /** A plus and up to 15 digits. */
  prefix: string;
  /** From then on, Unix ms, until the next rate of the prefix begins. */
  validFromMs: number;
  /** null: messages to such numbers are refused. */
  prices: Prices | null;
};
/** A rate is an index into `rates`, or NO_RATE: the plan says nothing of the number. */
export type PricePlan = {
  /** The rate of an E.164 number at a moment, Unix ms. */
  rateAt(phone: string, atMs: number): number;
  rates: readonly Rate[];
};

export const NO_RATE = -1;

const DIGITS = 10;
const ZERO = 0x30;
const ROOT = 0;
const PREFIX = new RegExp(`^\\+[0-9]{0,${E164_DIGITS_MAX}}$`);

export const isPrefix = (text: string): boolean => PREFIX.test(text);

/** What a customer pays who has no plan, or one that says nothing of a number. */
export type OwnPrices = { priceNormal: number; priceExpress: number; plan?: PricePlan };

/** Minor units of a part to this E.164 number at that moment; null: the customer's plan refuses it. */
export function priceOf(payer: OwnPrices, lane: Lane, phone: string, atMs: number): number | null {
  const { plan } = payer;
  if (plan !== undefined) {
    const rate = plan.rateAt(phone, atMs);
    if (rate !== NO_RATE) return (plan.rates[rate] as Rate).prices?.[lane] ?? null;
  }
  return lane === "express" ? payer.priceExpress : payer.priceNormal;
}

/** The same by lane. */
export function pricesOf(payer: OwnPrices, phone: string, atMs: number): Prices | null {
  const normal = priceOf(payer, "normal", phone, atMs);
  const express = priceOf(payer, "express", phone, atMs);
  return normal === null || express === null ? null : { normal, express };
}

/** Whether a plan refuses a number at that moment; absent without a plan, which refuses none. */
export function refusalsOf(
  { plan }: Pick<OwnPrices, "plan">,
  now: () => number,
): ((phone: string) => boolean) | undefined {
  if (plan === undefined) return undefined;
  const atMs = now();
  return (phone) => {
    const rate = plan.rateAt(phone, atMs);
    return rate !== NO_RATE && (plan.rates[rate] as Rate).prices === null;
  };
}

/** Why a message to such a number is refused: the reason of a field error. */
export const DESTINATION_REFUSED = "goes to a destination that the customer's price plan refuses";

/** A 422 that says so. */
export const destinationRefused = (): SluiceError =>
  new SluiceError("validation_failed", { errors: [{ field: "phone", reason: DESTINATION_REFUSED }] });

/** A plan of these rates, in any order, of which no two have both prefix and time in common. */
export function createPricePlan(given: readonly Rate[]): PricePlan {
  assert(given.length <= RATES_MAX, `a plan has at most ${RATES_MAX} rates`);
  const rates = [...given].sort((a, b) => b.validFromMs - a.validFromMs);
  const nodes = 1 + rates.reduce((sum, { prefix }) => sum + prefix.length - 1, 0);
  /** By node and digit; 0, the root, is no node's child. */
  const room = new Int32Array(nodes * DIGITS);
  /** The newest rate of a node, and the next older one of each rate. */
  const newest = new Int32Array(nodes).fill(NO_RATE);
  const older = new Int32Array(rates.length).fill(NO_RATE);
  const validFrom = Float64Array.from(rates, ({ validFromMs }) => validFromMs);
  let used = 1;
  const nodeOf = (prefix: string): number => {
    let node = ROOT;
    for (let i = 1; i < prefix.length; i++) {
      const at = node * DIGITS + prefix.charCodeAt(i) - ZERO;
      if (room[at] === ROOT) room[at] = used++;
      node = room[at] as number;
    }
    return node;
  };
  // From the oldest on, so that each becomes the newest so far.
  for (let rate = rates.length - 1; rate >= 0; rate--) {
    const { prefix } = rates[rate] as Rate;
    assert(isPrefix(prefix), `not a prefix: ${prefix}`);
    const node = nodeOf(prefix);
    older[rate] = newest[node] as number;
    newest[node] = rate;
  }
  const children = room.slice(0, used * DIGITS);
  const inForce = (node: number, atMs: number): number => {
    let rate = newest[node] as number;
    while (rate !== NO_RATE && (validFrom[rate] as number) > atMs) rate = older[rate] as number;
    return rate;
  };
  return {
    rates,
    rateAt(phone, atMs) {
      let found = inForce(ROOT, atMs);
      let node = ROOT;
      for (let i = 1; i < phone.length; i++) {
        node = children[node * DIGITS + phone.charCodeAt(i) - ZERO] as number;
        if (node === ROOT) return found;
        const rate = inForce(node, atMs);
        if (rate !== NO_RATE) found = rate;
      }
      return found;
    },
  };
}
