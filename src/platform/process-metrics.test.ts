// What a process says of itself when it stood still.

import { expect, test } from "bun:test";
import type { Log } from "./log.ts";
import { createMetrics } from "./metrics.ts";

test("a stall of seconds is logged, with the CPU time that was used in it; a short one isn't", async () => {
  const lines: { late_ms: number; cpu_ms: number }[] = [];
  createMetrics("test", { warn: (line: (typeof lines)[0]) => lines.push(line) } as unknown as Log);
  await Bun.sleep(250);
  Bun.sleepSync(500);
  await Bun.sleep(250);
  expect(lines).toEqual([]);
  Bun.sleepSync(2_300);
  await Bun.sleep(250);
  expect(lines).toHaveLength(1);
  expect(lines[0]?.late_ms).toBeGreaterThan(2_000);
  expect(lines[0]?.cpu_ms).toBeLessThan(1_500);
});
