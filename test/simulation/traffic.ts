// What most customers of a simulated run do: they send messages one by one, and top up.

import type { KeyOwner } from "../../src/customers/api-keys.ts";
import type { Clients } from "./clients.ts";
import type { Kernel } from "./kernel.ts";

export function startTraffic(
  kernel: Kernel,
  clients: Clients,
  owners: readonly KeyOwner[],
  forMs: number,
): void {
  const { random } = kernel;
  for (const owner of owners) {
    const size = random.pick([3, 60, 1_000]);
    clients.topUp(owner, owner.priceNormal * (1 + random.int(size)), random.chance(0.5));
    const everyMs = random.pick([50, 150, 400]);
    const keyedShare = random.pick([0, 0.5, 1]);
    const next = () => {
      if (kernel.nowMs() > forMs) return;
      const burst = random.chance(0.1) ? 1 + random.int(10) : 1;
      for (let i = 0; i < burst; i++)
        clients.send(owner, {
          keyed: random.chance(keyedShare),
          express: random.chance(0.2),
          parts: random.chance(0.1) ? 2 : 1,
          isBrief: random.chance(0.2),
        });
      if (random.chance(0.06))
        clients.topUp(owner, owner.priceNormal * (1 + random.int(40)), random.chance(0.5));
      kernel.after(random.between(0, 2 * everyMs) * (burst > 1 ? 4 : 1), null, next);
    };
    kernel.after(random.between(5, 500), null, next);
  }
}
