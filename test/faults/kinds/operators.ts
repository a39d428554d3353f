// Faults of operators: they accept messages and don't answer, or the routes file takes one out and in again.
// Operators are only observed from outside, because they belong to others.

import { readFileSync, writeFileSync } from "node:fs";
import { sleep } from "../../../src/platform/retry.ts";
import type { Injector } from "./context.ts";

/** How operators behave otherwise: they also report on what they took (src/stack/operator.ts). */
export const PROFILE = "reporting";
// Until the first message arrives: senders may still be recovering, or have open breakers.
const TAKES_MAX_MS = 12_000;

export const operatorHangs: Injector = async ({ stack }, { target, ms }) => {
  const url = `http://127.0.0.1:${stack.config.operatorPort + ["A", "B", "C"].indexOf(target.slice(-1))}`;
  const behave = async (profile: string) =>
    (await fetch(`${url}/profile`, { method: "POST", body: profile, signal: AbortSignal.timeout(1_000) })).ok;
  const count = async () => ((await (await fetch(`${url}/count`)).json()) as { count: number }).count;
  try {
    if (!(await behave("hangs"))) throw new Error("the operator refused");
    const before = await count();
    const endMs = performance.now() + TAKES_MAX_MS;
    for (let since = before; since === before && performance.now() < endMs; since = await count())
      await sleep(50);
    await sleep(ms);
    const taken = (await count()) - before;
    await behave(PROFILE);
    return `took ${taken} messages without an answer`;
  } catch (error) {
    // It is still recovering from a previous fault: then it is stopped, so that it hangs as a stopped process
    // does.
    const stopped = stack.keeper.signal(target, "SIGSTOP");
    await sleep(ms);
    stack.keeper.signal(target, "SIGCONT");
    return `${stopped ? "stood still instead" : "was away"}: ${error instanceof Error ? error.message : ""}`;
  }
};

export const routes: Injector = async ({ stack }, { target, ms, choice }) => {
  const file = stack.config.routesFile;
  const whole = readFileSync(file, "utf8");
  const without = whole.replace(new RegExp(`^  ${choice}:\n`, "m"), "$&    lanes: []\n");
  if (without === whole) throw new Error(`the routes file has no ${choice}`);
  const loadedAt = () => stack.metric(target, "sluice_routes_loaded_timestamp_seconds");
  const before = await loadedAt();
  writeFileSync(file, without);
  stack.keeper.signal(target, "SIGHUP");
  await sleep(ms);
  const between = await loadedAt();
  writeFileSync(file, whole);
  stack.keeper.signal(target, "SIGHUP");
  const did = between > before ? "used" : "did not read";
  return `${did} a file in which ${choice} takes nothing, for ${ms} ms`;
};
