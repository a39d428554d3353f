// How an operator's rate is used up: a tenth of a second's parts may go at once, so that no second gets more
// than a tenth above the rate. The sender keeps the rate between messages, a connector that submits the parts
// of a message one by one keeps it between those.

const BURST_S = 0.1;

/** Parts that may go at once, where the ones before are long gone. */
export const burstOf = (partsPerSecond: number): number => Math.max(1, partsPerSecond * BURST_S);

/** How long after the first part of a message this one (from 0) may go; at once where there is no rate. */
export const partAfterMs = (partsPerSecond: number | undefined, part: number): number =>
  partsPerSecond === undefined
    ? 0
    : Math.max(0, ((part + 1 - burstOf(partsPerSecond)) * 1_000) / partsPerSecond);
