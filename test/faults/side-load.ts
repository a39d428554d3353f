// What runs beside the load of a fault run: something begins again and again, and each goes on until it is
// done, or until the run waits no longer.

import { sleep } from "../../src/platform/retry.ts";

export type SideLoad = {
  /** Begins nothing new; resolves when all is done, or after `maxMs`. */
  stop(maxMs: number): Promise<void>;
};

/** `begin` returns what it began; that ends soon once `isOver`. `closed` comes after all of it. */
export function startSideLoad(
  everyMs: number,
  begin: (isOver: () => boolean) => readonly Promise<void>[],
  closed: () => void = () => undefined,
): SideLoad {
  const work = new Set<Promise<void>>();
  let over = false;
  const timer = setInterval(() => {
    for (const one of begin(() => over)) {
      work.add(one);
      void one.finally(() => work.delete(one));
    }
  }, everyMs);
  return {
    async stop(maxMs) {
      clearInterval(timer);
      const endMs = performance.now() + maxMs;
      while (work.size > 0 && performance.now() < endMs) await sleep(50);
      over = true;
      await Promise.all(work);
      closed();
    },
  };
}
