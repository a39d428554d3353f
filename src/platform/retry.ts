// Waiting and retrying. Owns backoff; every caller states its bound.

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves when `ended` does, or after `ms`: for a wait that must not delay what follows. */
export const within = async (ms: number, ended: Promise<unknown>): Promise<void> => {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([ended, late]).finally(() => clearTimeout(timer));
};

export type Backoff = { firstMs: number; mostMs: number };

/**
 * Full-jitter exponential backoff: attempt 1 waits up to firstMs; each attempt doubles that, up to mostMs.
 */
export const backoffMs = (
  { firstMs, mostMs }: Backoff,
  attempt: number,
  random: () => number = Math.random,
): number => Math.min(mostMs, firstMs * 2 ** Math.min(attempt - 1, 30)) * (0.5 + random() / 2);

/**
 * Waits for an engine: calls `attempt` until it succeeds or `signal` aborts, and `onWait` before each wait.
 * Throws the last error if aborted.
 */
export async function untilUp<T>(
  attempt: () => Promise<T>,
  onWait: (error: unknown, waitMs: number) => void,
  signal?: AbortSignal,
): Promise<T> {
  for (let n = 1; ; n++) {
    try {
      return await attempt();
    } catch (error) {
      if (signal?.aborted) throw error;
      const waitMs = backoffMs({ firstMs: 100, mostMs: 2_000 }, n);
      onWait(error, waitMs);
      await sleep(waitMs);
    }
  }
}

/**
 * Returns the same promise; calls `onLate` if it has not settled after `maxMs`, nor within another `graceMs`.
 * The grace is for a process that slept: it finds its timers overdue before it sees the answers that have
 * arrived.
 */
export function watched<T>(
  work: Promise<T>,
  { maxMs, graceMs }: { maxMs: number; graceMs: number },
  onLate: () => void,
): Promise<T> {
  let timer = setTimeout(
    () => {
      timer = setTimeout(onLate, graceMs);
    },
    Math.max(0, maxMs),
  );
  return work.finally(() => clearTimeout(timer));
}
