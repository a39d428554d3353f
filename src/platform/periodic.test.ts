// Periodic jobs: one run at a time, however long it takes; failures and stops.

import { describe, expect, test } from "bun:test";
import { createFakeClock, settle } from "../../test/support/fake-clock.ts";
import { createLog } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { type Run, startPeriodic } from "./periodic.ts";

function started(run: Run, options: { firstMs?: number } = {}) {
  const clock = createFakeClock();
  const metrics = createMetrics("relay");
  const deps = { timers: clock.timers, metrics, log: createLog("test", "silent") };
  const job = startPeriodic(deps, { name: "tested", everyMs: 1_000, runMaxMs: 5_000, ...options }, run);
  const read = async (name: string) =>
    Number(new RegExp(`^${name}\\{[^}]*name="tested"[^}]*\\} (.*)$`, "m").exec(await metrics.text())?.[1]);
  return { clock, job, read };
}

describe("a periodic job", () => {
  test("runs at once, and then at each interval from the end of the last run", async () => {
    const startsMs: number[] = [];
    const { clock, job } = started(async () => {
      startsMs.push(clock.timers.monotonicMs());
      await clock.timers.sleep(300);
    });
    await clock.advance(3_000);
    expect(startsMs).toEqual([0, 1_300, 2_600]);
    const stopped = job.stop();
    await clock.advance(300);
    await stopped;
    await clock.advance(5_000);
    expect(startsMs).toHaveLength(3);
  });

  test("may choose when to run again, and may wait before its first run", async () => {
    let runs = 0;
    const { clock } = started(
      async () => {
        runs++;
        return 10_000;
      },
      { firstMs: 2_000 },
    );
    await clock.advance(1_999);
    expect(runs).toBe(0);
    await clock.advance(10_000);
    expect(runs).toBe(1);
    await clock.advance(1_000);
    expect(runs).toBe(2);
  });

  test("a run that never ends is aborted, holds up the next, and its age shows", async () => {
    let runs = 0;
    let isAborted = false;
    const { clock, read } = started((signal) => {
      runs++;
      signal.addEventListener("abort", () => (isAborted = true));
      return new Promise(() => undefined);
    });
    await clock.advance(4_999);
    expect(isAborted).toBe(false);
    await clock.advance(55_001);
    expect({ isAborted, runs }).toEqual({ isAborted: true, runs: 1 });
    expect(await read("sluice_job_age_seconds")).toBe(60);
  });

  test("a failed run is counted, and the next one follows", async () => {
    let runs = 0;
    const { clock, read } = started(async () => {
      if (++runs < 3) throw new Error("not yet");
    });
    await clock.advance(2_500);
    expect(runs).toBe(3);
    expect(await read("sluice_job_failed_total")).toBe(2);
    expect(await read("sluice_job_age_seconds")).toBe(0.5);
  });

  test("stopping ends the wait at once, and aborts and awaits the run under way", async () => {
    let isAborted = false;
    const { clock, job } = started(async (signal) => {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      isAborted = true;
    });
    await clock.advance(100);
    await job.stop();
    expect(isAborted).toBe(true);
    const idle = started(async () => {});
    await settle();
    await idle.job.stop();
  });
});
