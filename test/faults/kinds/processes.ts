// Faults of processes: killed, asked to stop, paused. The stack restarts those that died.

import { sleep } from "../../../src/platform/retry.ts";
import type { Injector } from "./context.ts";

// SIGTERM to exit 0 takes at most DRAIN_MS; a process that takes longer is killed and reported.
const STOP_MAX_MS = 15_000;
const BACK_MAX_MS = 20_000;

export const kill: Injector = async ({ stack }, { target }) => {
  // It may still be recovering from the previous fault.
  for (const endMs = performance.now() + BACK_MAX_MS; !stack.keeper.isAlive(target); ) {
    if (performance.now() > endMs) throw new Error(`${target} isn't running`);
    await sleep(50);
  }
  stack.keeper.signal(target, "SIGKILL");
  return "killed";
};

export const killAll: Injector = ({ stack }) => {
  const killed = stack.keeper.names().filter((name) => stack.keeper.signal(name, "SIGKILL"));
  return Promise.resolve(`killed ${killed.length} processes`);
};

export const restart: Injector = async ({ stack }, { target }) => {
  for (const endMs = performance.now() + BACK_MAX_MS; !(await stack.isReady(target)); ) {
    if (performance.now() > endMs) break; // a process that waits for an engine must stop too
    await sleep(100);
  }
  const startedAt = performance.now();
  if (!stack.keeper.signal(target, "SIGTERM")) return "wasn't running";
  if (await stack.keeper.untilDead(target, STOP_MAX_MS))
    return `stopped in ${Math.round(performance.now() - startedAt)} ms`;
  stack.keeper.signal(target, "SIGKILL");
  return `did NOT stop in ${STOP_MAX_MS} ms and was killed`;
};

export const pause: Injector = async ({ stack }, { target, ms }) => {
  if (!stack.keeper.signal(target, "SIGSTOP")) return "wasn't running";
  await sleep(ms);
  return stack.keeper.signal(target, "SIGCONT") ? "went on" : "was gone when it should go on";
};
