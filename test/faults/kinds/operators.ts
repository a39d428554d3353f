// Faults of operators: they accept messages and don't answer, their links are cut, or the routes file takes
// one out and in again. Operators are only observed from outside, because they belong to others.

import { readFileSync, writeFileSync } from "node:fs";
import { sleep } from "../../../src/platform/retry.ts";
import type { FaultStack } from "../stack.ts";
import type { Injector } from "./context.ts";

/** How operators behave otherwise: they also report on what they took (src/stack/operator-behaviour.ts). */
export const PROFILE = "reporting";
// Until the first message arrives: senders may still be recovering, or have open breakers.
const TAKES_MAX_MS = 12_000;
const ANSWER_MAX_MS = 1_000;
// Longer than `links` waits, shorter than a sender waits for an answer (SUBMIT_TIMEOUT_MS).
const WINDOW_MS = 1_800;
// The operator answers before it cuts.
const CUT_MS = 100;
const BACK_MAX_MS = 5_000;

export const operatorHangs: Injector = async ({ stack }, { target, ms }) => {
  const { behave, count } = operatorOf(stack, target);
  try {
    await behave("profile=hangs");
    const taken = await takesFor(count, ms);
    await behave(`profile=${PROFILE}`);
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

/** How many submits it takes from now until `ms` after the first. */
async function takesFor(count: () => Promise<number>, ms: number): Promise<number> {
  const before = await count();
  const endMs = performance.now() + TAKES_MAX_MS;
  for (let since = before; since === before && performance.now() < endMs; since = await count())
    await sleep(50);
  await sleep(ms);
  return (await count()) - before;
}

// Submits gather without an answer, then every link ends at once: their answers are lost, not what was taken.
export const links: Injector = async ({ stack }, { target, ms }) => {
  const { behave, count } = operatorOf(stack, target);
  try {
    await behave(`slow=${WINDOW_MS}ms`);
    const taken = await takesFor(count, ms);
    await behave(`profile=${PROFILE} drop-links=now`);
    const endMs = performance.now() + BACK_MAX_MS;
    await sleep(CUT_MS);
    while (performance.now() < endMs && (await count().catch(() => null)) === null) await sleep(50);
    return `cut with ${taken} submits of ${ms} ms under way`;
  } catch (error) {
    // It is still recovering from a previous fault: then its links end as those of a process that dies, which
    // begins anew with its usual profile.
    const killed = stack.keeper.signal(target, "SIGKILL");
    return `${killed ? "was killed instead" : "was away"}: ${error instanceof Error ? error.message : ""}`;
  }
};

/** What an operator is told, by the endpoint that `./sluice operator` uses, and how many submits it took. */
function operatorOf({ config }: FaultStack, target: string) {
  const url = `http://127.0.0.1:${config.operatorPort + ["A", "B", "C"].indexOf(target.slice(-1))}`;
  const ask = async (path: string, body?: string) => {
    const signal = AbortSignal.timeout(ANSWER_MAX_MS);
    const how = body === undefined ? {} : { method: "POST", body };
    const answer = await fetch(url + path, { signal, ...how });
    if (!answer.ok) throw new Error(`the operator answered ${answer.status} to ${body ?? path}`);
    return answer.json();
  };
  return {
    behave: (settings: string) => ask("/behaviour", settings),
    count: async () => ((await ask("/count")) as { count: number }).count,
  };
}

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
