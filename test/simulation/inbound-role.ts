// What relays do for phones that opted out, and dlr processes for long inbound messages, in a process of its
// own: only seeds that have inbound messages start it.

import { startIncomplete } from "../../src/dlr/incomplete.ts";
import { startOptOutCancels } from "../../src/relay/opt-outs.ts";
import type { Process } from "./kernel.ts";
import { logOf, metrics, type Role, type World } from "./roles.ts";

export function startInboundRoles(world: World, of: Process): Role {
  const timers = world.kernel.timersOf(of);
  const deps = { pool: world.network.pool(of, 2), timers, metrics, log: logOf(world), now: Date.now };
  const cancels = startOptOutCancels(deps);
  const incomplete = startIncomplete({ ...deps, countInbound: () => undefined });
  return { of, stop: () => Promise.all([cancels.stop(), incomplete.stop()]).then(() => undefined) };
}
