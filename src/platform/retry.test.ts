// Work that must end: when `onLate` is called, and when not.

import { expect, test } from "bun:test";
import { sleep, watched } from "./retry.ts";

test("work that ends in time, or within the grace period after it, is not reported", async () => {
  let lates = 0;
  const work = sleep(60).then(() => "done");
  expect(await watched(work, { maxMs: 20, graceMs: 500 }, () => lates++)).toBe("done");
  const failing = Promise.reject(new Error("failed"));
  expect(await watched(failing, { maxMs: 20, graceMs: 20 }, () => lates++).catch(String)).toContain("failed");
  await sleep(80);
  expect(lates).toBe(0);
});

test("work that never ends is reported once, after both", async () => {
  let lates = 0;
  void watched(new Promise(() => undefined), { maxMs: 20, graceMs: 30 }, () => lates++);
  await sleep(30);
  expect(lates).toBe(0);
  await sleep(60);
  expect(lates).toBe(1);
});
