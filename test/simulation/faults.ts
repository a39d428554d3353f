// Decides which faults a seed has and when they strike: each run has some kinds at some rates, so every kind
// also occurs in runs without the others. `end` ends them all.

import type { ClientFaults } from "./clients.ts";
import type { KafkaFaults } from "./kafka.ts";
import type { Kernel, Process } from "./kernel.ts";
import type { NetworkFaults } from "../simulated-mysql/client.ts";
import type { Server } from "../simulated-mysql/server.ts";
import type { OperatorFaults } from "./operators.ts";
import type { Random } from "./random.ts";
import type { ReportFaults } from "./reporting.ts";
import { requeueIn, TOPIC_NAMES, type World } from "./roles.ts";
import type { Gateway } from "./simulate.ts";

export type Rates = {
  statementPause: number;
  deadlock: number;
  network: NetworkFaults;
  kafka: KafkaFaults;
  operator: OperatorFaults;
  report: ReportFaults;
  client: ClientFaults;
};
type Scene = {
  kernel: Kernel;
  world: World;
  server: Server;
  gateway: Gateway;
  databaseClock: { offsetMs: number };
};
export type Faults = {
  /** Nothing goes wrong in this run until the time limits are forced to pass. */
  isCalm(): boolean;
  rates: Rates;
  start(scene: Scene, forMs: number): void;
  end(): void;
  counts: Record<string, number>;
};

/** The share of runs without any fault, in which no client may be told to retry. */
const CALM_SHARE = 0.08;
const KINDS = [
  "kill",
  "pause",
  "freeze",
  "stop",
  "database dies",
  "all at once",
  "operators busy",
  "routes",
  "cut off",
  "slow line",
  "kafka away",
  "rebalance",
  "rewind",
  "wall clock",
  "database clock",
  "time passes",
] as const;
type Kind = (typeof KINDS)[number];

export function createFaults(random: Random): Faults {
  const calm = random.chance(CALM_SHARE);
  const some = (p: number, most: number) => (!calm && random.chance(p) ? random.next() * most : 0);
  const rates: Rates = {
    statementPause: some(0.5, 0.2),
    deadlock: some(0.4, 0.02),
    network: {
      lost: some(0.4, 0.01),
      answerLost: some(0.4, 0.01),
      late: some(0.4, 0.01),
      hangs: some(0.15, 0.001),
      slow: some(0.5, 0.1),
      commitFactor: 1 + random.int(12),
    },
    kafka: { failed: some(0.3, 0.1), ackLost: some(0.5, 0.1), late: some(0.4, 0.1) },
    client: { leaves: some(0.5, 0.5), withinMs: random.pick([3, 30, 400]) },
    operator: {
      refusedForNow: some(0.6, 0.4),
      refusedForGood: some(0.4, 0.2),
      notConnected: some(0.4, 0.3),
      takenSilently: some(0.5, 0.2),
      lostBefore: some(0.4, 0.1),
      late: some(0.7, 1),
      slow: some(0.4, 0.1),
    },
    // Not faults: these come in calm runs too.
    report: {
      missing: random.pick([0, 0.5, 1]),
      late: random.pick([0, 0.8]),
      undelivered: random.pick([0, 0.3]),
      twice: random.pick([0, 0.3]),
      contradicted: random.pick([0, 0.2]),
      isSoon: true,
    },
  };
  const kinds = KINDS.filter(() => !calm && random.chance(0.35));
  rates.report.isSoon = !kinds.includes("database clock");
  const sweepMs = some(0.5, 600);
  const counts: Record<string, number> = calm ? { calm: 1 } : {};
  let ended = false;

  const strike = (kind: Kind, scene: Scene): void => {
    const { kernel, world, server, gateway, databaseClock } = scene;
    const all = [...gateway.ingests.map((i) => i.of), ...gateway.roles.map((r) => r.role.of)];
    const victim = random.pick(all);
    counts[kind] = (counts[kind] ?? 0) + 1;
    kernel.note("fault", `${kind} ${victim.name}`);
    switch (kind) {
      case "kill":
        return kill(scene, victim);
      case "pause":
      case "freeze":
        return kernel.pause(victim, random.between(20, 1.6 * world.leaseTtlMs), kind === "freeze");
      case "stop":
        return stop(scene);
      case "database dies":
        server.crash();
        world.network.serverDied();
        return void kernel.after(random.between(50, 1_500), null, () => server.start());
      case "all at once":
        server.crash();
        world.network.serverDied();
        kernel.after(random.between(50, 1_500), null, () => server.start());
        for (const one of all)
          if (random.chance(0.4)) kernel.after(random.between(0, 500), null, () => kill(scene, one));
        return;
      case "operators busy":
        // Records come again while their messages wait for the next attempt.
        if (random.chance(0.5))
          for (const topic of [TOPIC_NAMES.normal, TOPIC_NAMES.express])
            kernel.after(random.between(300, 1_200), null, () => world.broker.rewind(topic, 30));
        return world.operators.busy(random.between(100, 1_500));
      case "routes": {
        const names = world.operators.specs.map(({ name }) => name);
        const present = names.filter(() => random.chance(0.6));
        for (const { role } of gateway.roles)
          if (role.of.alive && random.chance(0.7))
            kernel.inside(role.of, () => role.reload?.(present.length > 0 ? present : [random.pick(names)]));
        return;
      }
      case "cut off":
        return world.network.cutOff(victim, random.between(20, 3_000));
      case "slow line":
        return world.network.slow(random.pick(gateway.ingests).of, random.between(200, 1_500));
      case "kafka away":
        return world.broker.away(random.between(100, 4_000));
      case "rebalance":
        return world.broker.rebalance(random.pick([TOPIC_NAMES.normal, TOPIC_NAMES.express]));
      case "rewind":
        return world.broker.rewind(random.pick([TOPIC_NAMES.normal, TOPIC_NAMES.express]), 30);
      case "wall clock":
        victim.wallOffsetMs += random.between(-5_000, 5_000);
        return;
      case "time passes":
        // No fault, but whatever waits may have no time left afterwards.
        return kernel.leap(random.between(20_000, 120_000));
      case "database clock":
        databaseClock.offsetMs += random.chance(0.5)
          ? random.between(-500, 500)
          : random.between(0, random.pick([3_000, 40_000]));
    }
  };

  // Does to any queued messages what the sweep does to those it has proven lost: a record that still exists
  // must be skipped.
  const requeueSome = ({ world, server, gateway }: Scene) => {
    const queued = [...(server.tables.get("messages")?.rows.values() ?? [])].flatMap(({ committed }) =>
      committed?.status === "queued" && random.chance(0.5)
        ? [{ id: String(committed.id), attempt: Number(committed.attempt) }]
        : [],
    );
    if (queued.length === 0) return;
    counts.requeue = (counts.requeue ?? 0) + 1;
    requeueIn(world, random.pick(gateway.roles).role.of, queued.slice(0, 20));
  };

  const kill = ({ kernel, world, gateway }: Scene, victim: Process) => {
    if (!victim.alive) return;
    kernel.kill(victim);
    world.network.processDied(victim);
    kernel.after(random.between(50, 2_000), null, () => gateway.startAll());
  };
  // Sends SIGTERM to an ingest process; another one replaces it.
  const stop = ({ kernel, world, gateway, databaseClock }: Scene) => {
    const one = random.pick(gateway.ingests);
    let inMs = 0;
    // Its leases may be gone by then, because it slept too long or the database's clock jumped ahead.
    if (random.chance(0.4))
      kernel.pause(one.of, random.between(1, 1.6) * world.leaseTtlMs, random.chance(0.5));
    else if (random.chance(0.6)) {
      databaseClock.offsetMs += world.leaseTtlMs + 1_000;
      inMs = random.between(100, 1_300);
    }
    const end = () => {
      if (!one.of.alive) return;
      kernel.kill(one.of);
      world.network.processDied(one.of);
      kernel.after(random.between(5, 500), null, () => gateway.startAll());
    };
    kernel.after(inMs, one.of, () => void one.stop().then(() => kernel.after(0.1, null, end)));
    kernel.after(15_000, null, end);
  };

  return {
    rates,
    counts,
    isCalm: () => calm && !ended,
    start(scene, forMs) {
      const everyMs = random.pick([200, 600, 1_500]);
      const next = () => {
        if (ended || kinds.length === 0) return;
        strike(random.pick(kinds), scene);
        scene.kernel.after(random.between(0, 2 * everyMs), null, next);
      };
      scene.kernel.after(random.between(100, forMs / 2), null, next);
      const sweep = () => {
        if (ended) return;
        requeueSome(scene);
        scene.kernel.after(50 + random.between(0, 2 * sweepMs), null, sweep);
      };
      if (sweepMs > 0) scene.kernel.after(random.between(0, 2 * sweepMs), null, sweep);
    },
    end() {
      ended = true;
      rates.deadlock = 0;
      for (const group of [rates.network, rates.kafka, rates.operator, rates.client])
        for (const name of Object.keys(group) as never[]) (group as Record<string, number>)[name] = 0;
    },
  };
}
