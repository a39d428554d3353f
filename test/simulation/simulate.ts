// One simulated run, from a seed: a gateway of several processes, clients, and faults of the kinds that this
// seed has; then the faults end, and everything must come to rest: every message has ended, all leases of
// dead processes are back, every wallet can be spent to its last unit. At last customers are told of it all,
// with faults of their own (deliveries.ts).
// Bound: SEED_EVENTS_MAX events.

import type { Lane } from "../../src/core/message.ts";
import { MYSQL_ANSWER_MAX_MS, RETRY_DELAY_MAX_MS } from "../../src/core/limits.ts";
import { createAdjusts } from "./adjusts.ts";
import { createAsyncs, KNOWN_MS } from "./asyncs.ts";
import { createBatches } from "./batches.ts";
import { createCaps } from "./caps.ts";
import { createClients, type Stats } from "./clients.ts";
import { createFaults } from "./faults.ts";
import { createBroker } from "./kafka.ts";
import { createKernel, type Kernel, type Process } from "./kernel.ts";
import { hold, Violation } from "./hold.ts";
import { createModel, isFinal, type Message, type Model } from "./model.ts";
import { createNetwork } from "../simulated-mysql/client.ts";
import { createServer, type JournalEntry, type Server } from "../simulated-mysql/server.ts";
import { makeCustomers } from "./customers.ts";
import { deliverWebhooks } from "./deliveries.ts";
import { createOperators } from "./operators.ts";
import { createReceivers } from "./receivers.ts";
import { createReporting } from "./reporting.ts";
import { createInbounds } from "./inbounds.ts";
import { startInboundRoles } from "./inbound-role.ts";
import { createOtps } from "./otps.ts";
import { createSchedules, createSuspend } from "./schedules.ts";
import { dueIn, leasesOf, rowsLeft, unspentOf } from "./waiting-rows.ts";
import {
  type Ingest,
  type Role,
  startDlrRole,
  startIngest,
  startRelayRole,
  startScheduleRole,
  startSenderRole,
} from "./roles.ts";
import { TOPIC_NAMES, type World } from "./roles.ts";
import { createEvents } from "./events.ts";
import { createTimes } from "./times.ts";
import { createTold } from "./told.ts";
import { startTraffic } from "./traffic.ts";
import { readSchema, SqlError, type TableSpec } from "../simulated-mysql/tables.ts";

export type Result = {
  seed: number;
  /** null: all invariants held. */
  violation: { invariant: string; detail: string } | null;
  hash: string;
  trace: string[];
  events: number;
  stats: Stats;
};

const SEED_EVENTS_MAX = 400_000;
const REST_MOST_MS = 40_000;
const HOUR_MS = 3_600_000;
const LOOK_EVERY_MS = 25;
/** The longest time in which a sender finds what has expired and sends what is due. */
const LEAP_REST_MS = 5_000;
/** Longer than the lifetime of a claim and the delays of some attempts; then longer than any delay. */
const LEAP_MS = 61_000;
const LEAP_MOST_MS = RETRY_DELAY_MAX_MS + 1_000;

let schema: TableSpec[] | undefined;

/** Ways to observe a run. */
export type Watch = {
  onNote?: (line: string) => void;
  journal?: (entry: JournalEntry) => void;
  /** Receives the tables of the simulated database when nothing is running any more. */
  atEnd?: (tables: Server["tables"]) => void;
};

function simulate(seed: number, watch: Watch = {}): Result {
  schema ??= readSchema(new URL("../../sql/mysql/", import.meta.url));
  const kernel = createKernel(seed, watch.onNote);
  const stats: Stats = {};
  let violation: Result["violation"] = null;
  try {
    kernel.within(() => runSeed(kernel, seed, { specs: schema as TableSpec[], stats, watch }));
  } catch (error) {
    violation =
      error instanceof Violation
        ? { invariant: error.invariant, detail: error.message }
        : { invariant: "nothing breaks", detail: (error as Error).stack ?? String(error) };
  }
  const { trace, hash, events } = kernel;
  return { seed, violation, hash: hash(), trace: trace(), events: events(), stats };
}

/** A run, including errors thrown where nothing awaited them: a real process would have died of those. */
export async function simulateAll(seed: number, watch: Watch = {}): Promise<Result> {
  let thrown: unknown;
  const keep = (error: unknown) => {
    thrown ??= error;
  };
  process.on("unhandledRejection", keep);
  try {
    const result = simulate(seed, watch);
    await new Promise((resolve) => setImmediate(resolve));
    if (thrown === undefined) return result;
    const detail = `nothing breaks: ${(thrown as Error).stack ?? JSON.stringify(thrown)}`;
    return { ...result, violation: result.violation ?? { invariant: "nothing breaks", detail } };
  } finally {
    process.off("unhandledRejection", keep);
  }
}

type Run = { specs: readonly TableSpec[]; stats: Stats; watch: Watch };

function runSeed(kernel: Kernel, seed: number, { specs, stats, watch }: Run): void {
  const { random } = kernel;
  const faults = createFaults(random);
  const { rates } = faults;
  const databaseClock = { offsetMs: 0 };
  const nodes = new Map<object | null, string>();
  const operators = createOperators(kernel, rates.operator, ({ id, operator, submits, submittedAtMs }) => {
    model.onTaken(id);
    times.onTaken(id, submittedAtMs);
    schedules.onTaken(id, databaseNowMs());
    reporting.onTaken(id, operator, submits);
  });
  const reporting = createReporting(kernel, rates.report, {
    ingests: () => gateway.ingests,
    statusOf: (id) => model.messages.get(id)?.status ?? "",
    phoneOf: (id) => String(model.messages.get(id)?.values.phone),
  });
  const databaseNowMs = () => Math.floor(kernel.wallMs(null) + databaseClock.offsetMs); // NOW(3)
  const told = createTold(() => server.tables);
  const receivers = createReceivers(kernel, told, { tables: () => server.tables, nowMs: databaseNowMs });
  // Express of a customer who wants that, if its first answer was lost.
  const mayHaveTwo = (id: string): boolean => {
    const { customerId, values } = model.messages.get(id) as Message;
    const by = operators.taken.get(id) ?? [];
    const isWanted = owners.some((owner) => owner.customerId === customerId && owner.resendsUnknown);
    return isWanted && values.lane === "express" && by.length === 2 && by[0] !== by[1];
  };
  const model = createModel({ ...operators, reportOf: reporting.firstOf, mayHaveTwo });
  const times = createTimes();
  const batches = createBatches(kernel, seed);
  const caps = createCaps(kernel, seed);
  caps.arrange();
  const ingests = () => gateway.ingests;
  const schedules = createSchedules(kernel, seed, { model, ingests, isCalm: faults.isCalm });
  const inbounds = createInbounds(kernel, seed, { model, ingests, tables: () => server.tables });
  const adjusts = createAdjusts(kernel, seed, { network: () => network, model });
  const otps = createOtps(kernel, seed, { model, ingests, isCalm: faults.isCalm });
  const asyncs = createAsyncs(kernel, seed, { model, network: () => network, ingests, caps });
  const server = createServer(specs, {
    ...(watch.journal === undefined ? {} : { journal: watch.journal }),
    after: (delayMs, run) => void kernel.after(delayMs, null, run),
    nowMs: () => otps.onNow(databaseNowMs()),
    pauseMs: () => (kernel.nowMs() > 0 && random.chance(rates.statementPause) ? random.between(0.05, 3) : 0),
    fault: (statement) => {
      const locks = statement.k === "select" ? statement.lock : /^(insert|update|delete)$/.test(statement.k);
      return locks && kernel.nowMs() > 0 && random.chance(rates.deadlock)
        ? new SqlError(1213, "deadlock")
        : null;
    },
    onLock: asyncs.onLock,
    onRefused: ({ errno, message }, by) =>
      hold(
        errno !== 3819 || !nodes.has(by) || !message.includes("wallet_accounts"),
        "no process asks for more than a wallet holds",
        () => message,
      ),
    onCommit(changes, by, begunAfter) {
      kernel.note("commit", changes.map((c) => `${c.table}:${c.key}`).join(" "));
      const nowMs = kernel.wallMs(null) + databaseClock.offsetMs;
      reporting.onCommit(changes);
      told.onCommit(changes);
      receivers.onCommit(changes, by, nowMs);
      model.onCommit(changes, { node: nodes.get(by) ?? null, nowMs });
      times.onCommit(changes);
      batches.onCommit(changes);
      caps.onCommit(changes, model, nowMs);
      asyncs.onCommit(changes);
      schedules.onCommit(changes, nowMs, begunAfter);
      inbounds.onCommit(changes);
      otps.onCommit(changes);
      adjusts.onCommit(changes);
      for (const { nodeId, of, available } of gateway.ingests) {
        if (!of.alive || model.reaped.has(nodeId)) continue;
        const [held, unspent] = [available(), unspentOf(server, nodeId)];
        hold(
          held <= unspent,
          "a process never holds more credit than its leases",
          () => `${of.name} holds ${held} of ${unspent}`,
        );
      }
    },
  });
  const network = createNetwork(kernel, server, rates.network);
  const events = createEvents();
  const lanes = [TOPIC_NAMES.normal, TOPIC_NAMES.express];
  const broker = createBroker(kernel, lanes, rates.kafka, (_, value) => events.take(value));
  const world: World = {
    kernel,
    network,
    broker,
    operators,
    leaseTtlMs: random.pick([2_000, 3_000, 5_000]),
    hasInbound: inbounds.has,
    payerOf: asyncs.payerOf,
    queue: random.pick([
      { customerMax: 1, totalMax: 3 },
      { customerMax: 4, totalMax: 20 },
      { customerMax: 1_000, totalMax: 4_000 },
    ]),
    onStoring: (of, what) => clients.onStoring(of, what),
    onSubmit: otps.onSubmit,
  };
  const gateway = startGateway(world, nodes, schedules.has || inbounds.has ? 2 : 0);
  const owners = makeCustomers(kernel, server);
  caps.start(server, owners);
  asyncs.arrange(server, owners);
  inbounds.arrange(server);
  const clients = createClients(kernel, model, () => gateway.ingests, {
    triesMax: 6,
    isCalm: faults.isCalm,
    onCapped: caps.onRefused,
    faults: rates.client,
  });
  const wait = (ms: number) => kernel.run(kernel.nowMs() + ms);
  const until = (what: string, mostMs: number, isReached: () => boolean) => {
    kernel.note("until not", `${what} (${kernel.events()} events)`);
    const limitMs = kernel.nowMs() + mostMs;
    while (!isReached() && kernel.nowMs() < limitMs) wait(LOOK_EVERY_MS);
    const left = () => `${what}, after ${mostMs} ms without faults; ${openWork(model, server)}`;
    hold(isReached(), "everything comes to rest", left);
    hold(kernel.events() < SEED_EVENTS_MAX, "everything comes to rest", left);
  };

  // Traffic and faults.
  const trafficMs = random.between(800, 2_800);
  startTraffic(kernel, clients, owners, trafficMs);
  batches.start(clients, owners, trafficMs);
  schedules.start(clients, owners, trafficMs, createSuspend(world));
  inbounds.start(clients, owners, trafficMs);
  otps.start(owners, trafficMs);
  adjusts.start(owners, trafficMs);
  caps.spend(clients, owners);
  asyncs.start(owners, trafficMs);
  faults.start({ kernel, world, server, gateway, databaseClock }, trafficMs);
  wait(trafficMs);
  faults.end();
  gateway.startAll();
  until("a client waits", REST_MOST_MS, () => clients.isIdle() && otps.isIdle() && server.isUp());
  until("an admin waits", 10 * REST_MOST_MS, adjusts.isIdle);
  wait(500);
  until("an outbox row waits", REST_MOST_MS, () => due(server, databaseClock, kernel) === 0);

  // Statements that hung during the faults reach their time limit; a refill among them drops its lease.
  wait(Math.max(0, trafficMs + MYSQL_ANSWER_MAX_MS + 500 - kernel.nowMs()));
  // Leases that no process has any more expire, without any clock being set.
  const isHeld = () =>
    gateway.ingests.every((one) => unspentOf(server, one.nodeId) === one.available()) &&
    [...leasesOf(server)].every(({ node_id }) => gateway.ingests.some((i) => i.nodeId === node_id));
  until("a lease is in nobody's memory", 3 * world.leaseTtlMs + 5_000, isHeld);

  until("an inbound message is not told", REST_MOST_MS, inbounds.isIdle);
  inbounds.sendToOptedOut(clients, owners);
  until("a client waits", REST_MOST_MS, () => clients.isIdle());

  // Time limits pass: claims, retries, leases, then messages that are unknown.
  const isUnderWay = () => hasStatus(model, ["scheduled", "queued", "sending"]);
  const sendAll = () => {
    for (let leaps = 0; leaps < 12 && isUnderWay(); leaps++) {
      kernel.leap(leaps < 6 ? LEAP_MS : LEAP_MOST_MS);
      for (let ms = 0; ms < LEAP_REST_MS && isUnderWay(); ms += LOOK_EVERY_MS) wait(LOOK_EVERY_MS);
    }
  };
  sendAll();
  const stuck = () => openWork(model, server);
  const settleReports = () => {
    until("a report is not acknowledged", REST_MOST_MS, reporting.isIdle);
    // Those that came before their submit's answer wait for as long as they are old, an hour at most.
    databaseClock.offsetMs += HOUR_MS + LEAP_MS;
    until("a report waits", REST_MOST_MS, () => dueIn(server, "inbox", databaseClock, kernel) === 0);
  };
  settleReports();
  hold(!hasStatus(model, ["scheduled", "queued", "sending"]), "every message ends, or is unknown", stuck);
  databaseClock.offsetMs += 24 * HOUR_MS + LEAP_MS;
  until("a message is unknown", REST_MOST_MS, () => !hasStatus(model, ["unknown"]));
  for (const m of model.messages.values())
    hold(isFinal(m.status) || m.status === "sent", "every message ends", () => `${m.id} is ${m.status}`);

  // All credit can be spent, wherever it is.
  caps.end(server);
  if (asyncs.end(server, owners)) wait(KNOWN_MS + 500);
  const steady = random.chance(0.15) ? random.pick(owners) : null;
  for (const owner of owners) {
    const messages = owner === steady ? 200 : random.int(random.pick([3, 20]));
    clients.topUp(owner, 1 + messages * owner.priceNormal + random.int(3), false);
  }
  until("a client waits", REST_MOST_MS, () => clients.isIdle());
  let drained = 0;
  for (const owner of owners) clients.drain(owner, owner === steady, () => drained++);
  until("a wallet is not empty", 4 * REST_MOST_MS, () => drained === owners.length);
  for (const owner of owners) {
    const left = model.spendable(owner.customerId);
    hold(
      left < owner.priceNormal,
      "the whole balance can be spent",
      () => `${left} of ${owner.name} are left`,
    );
  }
  sendAll();
  settleReports();
  until(
    "an outbox row waits",
    REST_MOST_MS,
    () => rowsLeft(server, "outbox") + rowsLeft(server, "outbox_held") === 0,
  );
  until("a request has not ended", REST_MOST_MS, () => clients.isServed());
  clients.check();
  reporting.check(model.messages);
  events.check(model, server);
  inbounds.check();
  otps.check();
  const others = [...gateway.ingests.map((one) => one.of), ...gateway.roles.map(({ role }) => role.of)];
  const mayReplay = watch.journal === undefined;
  const scene = {
    kernel,
    seed,
    mayReplay,
    world,
    server,
    receivers,
    rates,
    others,
    nowMs: databaseNowMs,
    until,
  };
  const webhooks = deliverWebhooks(scene);
  watch.atEnd?.(server.tables);
  Object.assign(stats, clients.stats, faults.counts, reporting.counts, told.counts, receivers.counts);
  Object.assign(stats, batches.counts, caps.counts, schedules.counts, inbounds.counts, otps.counts);
  Object.assign(stats, adjusts.counts, asyncs.counts);
  for (const [what, n] of Object.entries(webhooks)) stats[`webhook ${what}`] = n;
}

export type Gateway = {
  ingests: Ingest[];
  roles: { role: Role; start: () => Role }[];
  /** Starts every process that is dead. */
  startAll(): void;
};

function startGateway(world: World, nodes: Map<object | null, string>, schedules: number): Gateway {
  const { kernel } = world;
  let starts = 0;
  const begin = <T>(name: string, make: (of: Process) => T): T => {
    const of = kernel.spawn(`${name}.${++starts}`);
    return kernel.inside(of, () => make(of));
  };
  const sender = (lane: Lane) => () => begin(`sender-${lane}`, (of) => startSenderRole(world, of, lane));
  const dlr = () => begin("dlr", (of) => startDlrRole(world, of));
  const relay = () => begin("relay", (of) => startRelayRole(world, of));
  const ingest = () => {
    const one = begin("ingest", (of) => startIngest(world, of));
    nodes.set(one.of, one.nodeId);
    return one;
  };
  const schedule = () => begin("schedule", (of) => startScheduleRole(world, of));
  const kinds = [relay, sender("normal"), sender("normal"), sender("express"), dlr, dlr];
  for (let n = 0; n < schedules; n++) kinds.push(schedule);
  if (world.hasInbound) kinds.push(() => begin("inbound", (of) => startInboundRoles(world, of)));
  const gateway: Gateway = {
    ingests: [],
    roles: kinds.map((start) => ({ role: start(), start })),
    startAll() {
      gateway.ingests = gateway.ingests.map((one) => (one.of.alive ? one : ingest()));
      for (const one of gateway.roles) if (!one.role.of.alive) one.role = one.start();
    },
  };
  gateway.ingests = Array.from({ length: 2 + kernel.random.int(2) }, ingest);
  return gateway;
}

// Rows that must be produced now; rows of retries wait for their time.
const due = (server: Server, clock: { offsetMs: number }, kernel: Kernel): number =>
  dueIn(server, "outbox", clock, kernel);

const hasStatus = (model: Model, statuses: readonly string[]): boolean =>
  [...model.messages.values()].some((m) => statuses.includes(m.status));

function openWork(model: Model, server: Server): string {
  const open = [...model.messages.values()].filter((m) => !isFinal(m.status) && m.status !== "sent");
  const some = open.slice(0, 3).map((m) => `${m.id} ${m.status} ${m.attempt}`);
  const rows = (table: string) => rowsLeft(server, table);
  return (
    `${open.length} messages open (${some.join(", ")}), ${rows("claims")} claims, ` +
    `${rows("outbox")} outbox rows, ${rows("outbox_held")} held rows, ` +
    `${rows("credit_leases")} leases, ${server.open()} transactions open`
  );
}
