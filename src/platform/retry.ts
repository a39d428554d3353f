// Waiting and trying again. Owns backoff; every use names its bound.

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves when `ended` does, or after `ms`: a wait that must not hold up what comes next. */
export const within = async (ms: number, ended: Promise<unknown>): Promise<void> => {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([ended, late]).finally(() => clearTimeout(timer));
};

export type Backoff = { firstMs: number; mostMs: number };

/** Full-jitter exponential backoff: attempt 1 waits up to firstMs, doubling, never more than mostMs. */
export const backoffMs = (
  { firstMs, mostMs }: Backoff,
  attempt: number,
  random: () => number = Math.random,
): number => Math.min(mostMs, firstMs * 2 ** Math.min(attempt - 1, 30)) * (0.5 + random() / 2);

/**
 * Waits for an engine: calls `attempt` until it succeeds or `signal` aborts, telling `onWait` each time it
 * has to wait.
 * Throws the last error when aborted.
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
 * The same work; `onLate` is called when it has not ended `maxMs` after now, and then not within `graceMs`
 * either: a process that slept finds its timers overdue before it hears of the answers that came meanwhile.
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
