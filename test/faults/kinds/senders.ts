// Faults of a lane's consumer group: a second sender joins in the middle of batches and one of the two is
// killed; offsets are set back; a sender is paused until the group has given its partitions to another.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { CLAIM_ROWS_MAX } from "../../../src/core/limits.ts";
import { sleep } from "../../../src/platform/retry.ts";
import { projectRoot } from "../../../src/stack/tools.ts";
import type { FaultStack } from "../stack.ts";
import type { Context, Injector } from "./context.ts";

// The group waits for a member that was killed just before: its session time-out, and a little more.
const JOINED_MAX_MS = 25_000;
const GATHER_MS = 3_000;
const MANY_MAX_MS = 3_000;
const STOP_MAX_MS = 15_000;
const AFTER_MS = 2_000;
const REWIND_MAX_MS = 120_000;

export const rebalance: Injector = async (context, { target, ms, choice }) => {
  const { stack } = context;
  const first = `sender-${target}`;
  const second = stack.startSecondSender(target);
  const read = await untilItReads(stack, second);
  await sleep(ms);
  // Records accumulate while both are paused, so that they take whole batches afterwards.
  for (const name of [first, second]) stack.keeper.signal(name, "SIGSTOP");
  await sleep(GATHER_MS);
  for (const name of [first, second]) stack.keeper.signal(name, "SIGCONT");
  const underClaim = await untilMany(context);
  stack.keeper.signal(choice === "first" ? first : second, "SIGKILL");
  await sleep(AFTER_MS);
  await endSecond(context, second);
  return `the second read ${read} records; the ${choice} was killed with ${underClaim} messages under claims`;
};

export const senderSleeps: Injector = async (context, { target, ms }) => {
  const { stack } = context;
  const first = `sender-${target}`;
  const second = stack.startSecondSender(target);
  await untilItReads(stack, second);
  if (!stack.keeper.signal(first, "SIGSTOP")) throw new Error(`${first} isn't running`);
  await sleep(ms);
  const read = await stack.metric(second, "sluice_sender_read_total");
  const before = stack.keeper.starts()[first];
  const woke = stack.keeper.signal(first, "SIGCONT");
  await sleep(2 * AFTER_MS);
  const isNew = stack.keeper.starts()[first] !== before;
  await endSecond(context, second);
  const how = woke ? (isNew ? "woke, ended and was started anew" : "woke") : "was gone";
  return `the second read ${read} records; the first ${how}`;
};

export const rewind: Injector = async ({ stack }, { target, choice }) => {
  const name = `sender-${target}`;
  const prefix = stack.config.topicPrefix;
  // At the very beginning there is nothing yet that could come again.
  await untilItReads(stack, name);
  await sleep(AFTER_MS);
  stack.keeper.hold(name);
  stack.keeper.signal(name, "SIGKILL");
  try {
    const args = ["test/faults/rewind-tool.ts", `${prefix}sluice-sender-${target}`, `${prefix}sms.${target}`];
    const { stdout } = await promisify(execFile)(stack.node, [...args, choice], {
      cwd: projectRoot,
      env: { ...process.env, ...stack.env },
      timeout: REWIND_MAX_MS,
    });
    return `${stdout.trim()} records come again`;
  } finally {
    stack.keeper.release(name);
  }
};

async function untilMany({ inFlight }: Context): Promise<number> {
  let most = 0;
  for (const endMs = performance.now() + MANY_MAX_MS; performance.now() < endMs; ) {
    most = (await inFlight()) ?? most;
    if (most >= CLAIM_ROWS_MAX) break;
    await sleep(5);
  }
  return most;
}

async function untilItReads(stack: FaultStack, name: string): Promise<number> {
  for (const endMs = performance.now() + JOINED_MAX_MS; performance.now() < endMs; ) {
    const read = await stack.metric(name, "sluice_sender_read_total");
    if (read > 0) return read;
    await sleep(100);
  }
  return 0;
}

async function endSecond({ stack, report }: Context, name: string): Promise<void> {
  if (!stack.keeper.signal(name, "SIGTERM")) return;
  if (await stack.keeper.untilDead(name, STOP_MAX_MS)) return;
  report(`${name} did NOT stop in ${STOP_MAX_MS} ms and is killed`);
  stack.keeper.signal(name, "SIGKILL");
}
