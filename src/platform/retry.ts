// Waiting and trying again. Owns backoff; every use names its bound.

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

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
