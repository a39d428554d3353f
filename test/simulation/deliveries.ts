// The last part of a simulated run: all other processes have ended, and two of the webhook role come, which
// were away until now, so everything is still to be told. Kills, pauses, lost answers, a database that dies,
// endpoints that fail; then some of these fail for days; in the end all work again, and what failed is
// replayed. Leaves what must be true meanwhile to receivers.ts and told.ts.
// Bound: the events of the run, days of simulated time in a few leaps.

import { WEBHOOK_LEASE_MS } from "../../src/core/webhook-limits.ts";
import { type EndedState, replayMany } from "../../src/ledger/webhook-replay.ts";
import type { Server } from "../simulated-mysql/server.ts";
import type { Values } from "../simulated-mysql/tables.ts";
import { CUSTOMER_IDS, ORIGINS, ownUrlOf, WISHES } from "./customers.ts";
import type { Rates } from "./faults.ts";
import { hold } from "./hold.ts";
import type { Kernel, Process } from "./kernel.ts";
import { createRandom } from "./random.ts";
import type { Receivers } from "./receivers.ts";
import type { World } from "./roles.ts";
import { startWebhookRole } from "./webhook-role.ts";

export type DeliveryScene = {
  kernel: Kernel;
  world: World;
  server: Server;
  receivers: Receivers;
  seed: number;
  /**
   * Customers replay while calls are under way. The real MySQL then waits for neighbors in an index, which
   * the simulated one, having none, does not.
   */
  mayReplay: boolean;
  rates: Rates;
  /** The processes of the run so far. */
  others: readonly Process[];
  /** By the database's clock. */
  nowMs: () => number;
  /** Runs until this is reached, or a violation. */
  until: (what: string, mostMs: number, isReached: () => boolean) => void;
};

/** The share of runs in which nothing fails but endpoints. */
const CALM_SHARE = 0.15;
const KINDS = ["kill", "pause", "freeze", "database dies", "cut off", "time passes"] as const;
/** Longer than the longest interval at which a delivery is tried again. */
const LEAP_MS = 3 * 3_600_000 + 60_000;
/** More than a day, after which what fails is paused. */
const LEAPS_MAX = 12;
/** Leases of dead processes have ended by then, and all that is due at a silent endpoint has been tried. */
const REST_MOST_MS = 300_000;

export function deliverWebhooks(scene: DeliveryScene): Record<string, number> {
  const { kernel, receivers, server, until } = scene;
  const { random } = kernel;
  const rows = (table: string) => rowsOf(server, table);
  const pending = () => rows("webhook_deliveries").filter(({ state }) => state === "pending").length;
  const isIdle = () =>
    rows("webhook_events").length === 0 &&
    rows("webhook_endpoints").every(
      ({ lease, run_at }) => lease === null && (run_at === null || Number(run_at) > scene.nowMs()),
    );
  const rest = () => until("a webhook is due", REST_MOST_MS, isIdle);
  const wait = (ms: number) => kernel.run(kernel.nowMs() + ms);
  const counts: Record<string, number> = {};

  for (const of of scene.others) end(scene, of);
  wait(100); // their transactions are rolled back
  const roles = createRoles(scene);
  roles.startAll();

  // Faults. Endpoints that fail do so from some time on, before all is told.
  const faultsMs = random.between(2_000, 8_000);
  for (const url of urls())
    if (random.chance(0.4))
      kernel.after(random.between(0, faultsMs / 2), null, () => receivers.fail(url, "dead"));
  if (!random.chance(CALM_SHARE)) startFaults(scene, roles, counts, kernel.nowMs() + faultsMs);
  startReplays(scene, roles, kernel.nowMs() + faultsMs);
  wait(faultsMs);
  endFaults(scene);
  until("the database is down", REST_MOST_MS, server.isUp);
  wait(2_500); // those that were killed are back
  roles.startAll();
  roles.endAllButOne();
  kernel.leap(WEBHOOK_LEASE_MS + 1_000);
  rest();

  // Days pass: what is dead is paused.
  for (const customerId of WISHES.keys())
    if (random.chance(0.2)) receivers.fail(ownUrlOf(customerId), "gone");
  const isFailing = () =>
    rows("webhook_endpoints").some(({ state, failures }) => state === "active" && Number(failures) > 0);
  for (let leaps = 0; leaps < LEAPS_MAX && isFailing(); leaps++) {
    kernel.leap(LEAP_MS);
    rest();
  }

  // All endpoints work again. What isn't paused gets what is pending; then what failed is replayed.
  receivers.heal();
  kernel.leap(LEAP_MS);
  rest();
  const left = () => `${pending()} deliveries are pending`;
  hold(pending() === 0, "what is pending is called when its endpoint works", left);
  // If nothing was due, the last fault may still go on, and a replay is asked for once.
  until("the process is cut off", REST_MOST_MS, () => !scene.world.network.isCutOff(roles.first()));
  counts.replayed = replayFailed(scene, roles.first());
  rest();
  hold(pending() === 0, "what is replayed is called", left);
  receivers.check();
  return counts;
}

function* urls(): Iterable<string> {
  for (const customerId of CUSTOMER_IDS) {
    if (WISHES.has(customerId)) yield ownUrlOf(customerId);
    for (const origin of ORIGINS) yield `${origin}/${customerId}`;
  }
}

const rowsOf = (server: Server, table: string): Values[] =>
  [...(server.tables.get(table)?.rows.values() ?? [])].flatMap(({ committed }) =>
    committed === null ? [] : [committed],
  );

function end({ kernel, world }: DeliveryScene, of: Process): void {
  if (!of.alive) return;
  kernel.kill(of);
  world.network.processDied(of);
}

type Roles = {
  startAll(): void;
  endAllButOne(): void;
  all(): readonly Process[];
  first(): Process;
};

function createRoles(scene: DeliveryScene): Roles {
  const { kernel, world, receivers } = scene;
  let started = 0;
  const start = (): Process => {
    const of = kernel.spawn(`webhook.${++started}`);
    kernel.inside(of, () => startWebhookRole(world, of, receivers));
    return of;
  };
  let processes: Process[] = [];
  let wanted = 2;
  return {
    all: () => processes,
    first: () => processes[0] as Process,
    startAll() {
      processes = processes.filter(({ alive }) => alive);
      while (processes.length < wanted) processes.push(start());
    },
    endAllButOne() {
      wanted = 1;
      for (const of of processes.splice(1)) end(scene, of);
    },
  };
}

function startFaults(
  scene: DeliveryScene,
  roles: Roles,
  counts: Record<string, number>,
  untilMs: number,
): void {
  const { kernel, receivers, rates } = scene;
  const { random } = kernel;
  const some = (p: number, most: number) => (random.chance(p) ? random.next() * most : 0);
  rates.deadlock = some(0.5, 0.03);
  rates.statementPause = some(0.5, 0.2);
  Object.assign(rates.network, {
    lost: some(0.5, 0.02),
    answerLost: some(0.5, 0.02),
    late: some(0.5, 0.02),
    hangs: some(0.2, 0.002),
    slow: some(0.5, 0.1),
    commitFactor: 1 + random.int(8),
  });
  Object.assign(receivers.faults, {
    refused: some(0.6, 0.4),
    unheard: some(0.6, 0.3),
    unreached: some(0.4, 0.3),
    slow: some(0.5, 0.2),
  });
  const everyMs = random.pick([300, 800, 2_000]);
  const next = () => {
    if (kernel.nowMs() >= untilMs) return;
    strike(scene, roles, counts);
    kernel.after(random.between(0, 2 * everyMs), null, next);
  };
  kernel.after(random.between(0, 2 * everyMs), null, next);
}

function strike(scene: DeliveryScene, roles: Roles, counts: Record<string, number>): void {
  const { kernel, world, server } = scene;
  const { random } = kernel;
  const [kind, victim] = [random.pick(KINDS), random.pick(roles.all())];
  counts[kind] = (counts[kind] ?? 0) + 1;
  kernel.note("fault", `${kind} ${victim.name}`);
  switch (kind) {
    case "kill":
      end(scene, victim);
      return void kernel.after(random.between(50, 2_000), null, roles.startAll);
    case "pause":
    case "freeze":
      return kernel.pause(victim, random.between(20, 4_000), kind === "freeze");
    case "database dies":
      server.crash();
      world.network.serverDied();
      return void kernel.after(random.between(50, 1_500), null, server.start);
    case "cut off":
      return world.network.cutOff(victim, random.between(20, 3_000));
    case "time passes":
      return kernel.leap(random.between(10_000, 90_000));
  }
}

/** Customers replay what has ended, whatever became of it, also while it is called or settled elsewhere. */
function startReplays(scene: DeliveryScene, roles: Roles, untilMs: number): void {
  const { kernel, seed, mayReplay } = scene;
  const random = createRandom(seed + 0x4e9a);
  if (!mayReplay || random.chance(0.5)) return;
  const next = () => {
    if (kernel.nowMs() >= untilMs) return;
    const customerId = random.pick([...WISHES.keys()]);
    const of = random.pick(roles.all());
    if (of.alive) replay(scene, of, customerId, null, () => undefined);
    kernel.after(random.between(0, 600), null, next);
  };
  kernel.after(random.between(0, 600), null, next);
}

function endFaults({ rates, receivers }: DeliveryScene): void {
  rates.deadlock = 0;
  rates.statementPause = 0;
  for (const group of [rates.network, receivers.faults])
    for (const name of Object.keys(group) as never[]) (group as Record<string, number>)[name] = 0;
}

/** As the API does: `done` is told how many events are pending again. */
function replay(
  { kernel, world }: DeliveryScene,
  of: Process,
  customerId: number,
  state: EndedState | null,
  done: (replayed: number) => void,
): void {
  kernel.inside(of, () => {
    replayMany(world.network.pool(of, 1), customerId, { fromMs: null, toMs: null, state }, null).then(
      ({ replayed }) => done(replayed),
      (error: unknown) => kernel.note("log", `replay: ${String(error)}`),
    );
  });
}

/** Replays all that failed, of all customers. Returns how much that was. */
function replayFailed(scene: DeliveryScene, of: Process): number {
  const { until } = scene;
  let [open, total] = [0, 0];
  for (const customerId of CUSTOMER_IDS) {
    open++;
    replay(scene, of, customerId, "failed", (replayed) => {
      open--;
      total += replayed;
    });
    // One after the other: on a real database a scan also waits for the first row of the next customer.
    until("a replay has not ended", REST_MOST_MS, () => open === 0);
  }
  return total;
}
