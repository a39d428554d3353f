// Faults of engines beyond a kill: Kafka away for long, MySQL's disk full.

import { statfsSync } from "node:fs";
import { sleep } from "../../../src/platform/retry.ts";
import { resize } from "../disk.ts";
import type { Injector } from "./context.ts";

// mysqld checks once a minute whether there is room for its binlog again.
const HEAL_MAX_MS = 75_000;
const BACK_MAX_MS = 90_000;
// The space left on a "full" disk: less than one group commit writes.
const LEFT_KB = 16;
const FILL_TRIES_MAX = 50;

export const kafkaOutage: Injector = async ({ stack }, { ms }) => {
  stack.keeper.hold("kafka");
  stack.keeper.signal("kafka", "SIGKILL");
  await sleep(ms);
  stack.keeper.release("kafka");
  const startedAt = performance.now();
  while (!(await stack.isReady("kafka"))) {
    if (performance.now() - startedAt > BACK_MAX_MS) throw new Error("Kafka didn't come back");
    await sleep(100);
  }
  return `down for ${ms} ms, back in ${Math.round(performance.now() - startedAt)} ms`;
};

export const diskFull: Injector = async ({ stack, report }, { ms, choice }) => {
  const { disk } = stack;
  if (disk === null) throw new Error("MySQL has no disk of its own here");
  const { blocks, bsize } = statfsSync(disk);
  const starts = () => stack.keeper.starts().mysql ?? 0;
  const before = starts();
  fill(disk);
  try {
    await sleep(ms);
    if (choice === "kill") stack.keeper.signal("mysql", "SIGKILL");
    if (choice === "kill") await sleep(1_000); // it starts on the full disk, or tries to
  } finally {
    resize(disk, (blocks * bsize) / 1024);
  }
  const healedAt = performance.now();
  // A server waiting for room is restarted, as an administrator would do, or left to recover, which takes a
  // minute.
  if (choice === "restart") stack.keeper.signal("mysql", "SIGKILL");
  while (!(await stack.isReady("mysql")) || (choice === "leave" && !(await writes(stack.metric)))) {
    if (performance.now() - healedAt > HEAL_MAX_MS) {
      report("MySQL doesn't write although its disk has room again");
      break;
    }
    await sleep(200);
  }
  return (
    `full for ${ms} ms, mysqld started ${starts() - before} times, ` +
    `writes ${Math.round(performance.now() - healedAt)} ms after there was room`
  );
};

// Repeated when MySQL wrote more than LEFT_KB since the look: a disk can't become smaller than what it holds.
function fill(disk: string): void {
  for (let tries = 1; ; tries++) {
    const { blocks, bfree, bsize } = statfsSync(disk);
    try {
      return resize(disk, Math.ceil(((blocks - bfree) * bsize) / 1024) + LEFT_KB);
    } catch (error) {
      if (tries === FILL_TRIES_MAX) throw error;
    }
  }
}

type Metric = (name: string, metric: string) => Promise<number>;
let acceptedBefore = Number.NaN;
/** Whether anything was accepted between two looks. */
async function writes(metric: Metric): Promise<boolean> {
  const accepted = await metric("ingest-1", "sluice_ingest_accepted_total");
  const more = accepted > acceptedBefore;
  acceptedBefore = accepted;
  return more;
}
