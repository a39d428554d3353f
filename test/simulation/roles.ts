// The processes of a simulated gateway: the real code of ingest, relay and sender, wired as in src/main, on
// simulated clocks, database, Kafka and operators. Leaves the requests they get to clients.ts, and their
// deaths to faults.ts.

import { monotonicFactory } from "ulid";
import { CallerGoneError, type IsGone } from "../../src/core/caller.ts";
import { SluiceError, toSluiceError } from "../../src/core/errors.ts";
import { LEASES_RETURN_MAX_MS } from "../../src/core/limits.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import type { Lane } from "../../src/core/message.ts";
import type { KeyOwner } from "../../src/customers/api-keys.ts";
import type { RawReport } from "../../src/core/raw-report.ts";
import { startDlr } from "../../src/dlr/dlr.ts";
import { createTemplateCache } from "../../src/customers/templates.ts";
import { createGroupCommit } from "../../src/ingest/group-commit.ts";
import type { Reply, Route } from "../../src/api/route.ts";
import { runRoute } from "../../src/api/run-route.ts";
import { createAcceptBatch } from "../../src/ingest/accept-batch.ts";
import { createAcceptMessage } from "../../src/ingest/accept-message.ts";
import { createIdempotency } from "../../src/ingest/idempotency.ts";
import { startKeyUpkeep } from "../../src/ingest/key-upkeep.ts";
import { startLaneWatch } from "../../src/ingest/lane-watch.ts";
import { createLeaseBook } from "../../src/ingest/lease-book.ts";
import { createOtps } from "../../src/ingest/otp.ts";
import { createBatches } from "../../src/api/routes/batches.ts";
import { createMessageCancel, createMessageChange } from "../../src/api/routes/message-schedule.ts";
import { createOtpSend, createOtpVerify } from "../../src/api/routes/otp.ts";
import { createStreams } from "../../src/api/streams.ts";
import { createSend } from "../../src/api/routes/send.ts";
import { createTopup } from "../../src/api/routes/topup.ts";
import { createTopUps } from "../../src/api/top-ups.ts";
import { type AcceptStore, createAcceptStore, type HeldLinkOf } from "../../src/ledger/accept.ts";
import { findKeys } from "../../src/ledger/idempotency.ts";
import { createInbox } from "../../src/ledger/inbox.ts";
import { createLeaseStore, type LeaseStore } from "../../src/ledger/lease.ts";
import { type Queued, requeue } from "../../src/ledger/requeue.ts";
import type { Log } from "../../src/platform/log.ts";
import type { Metrics } from "../../src/platform/metrics.ts";
import { CALLER_GONE_CODE } from "../../src/platform/ingest-metrics.ts";
import { isConnectionLost } from "../../src/platform/mysql-errors.ts";
import type { Connection, Pool } from "../../src/platform/mysql.ts";
import { startRelay } from "../../src/relay/relay.ts";
import { startSchedule } from "../../src/relay/schedule.ts";
import type { OperatorSpec } from "../../src/operators/connectors/kinds.ts";
import { createRouter, linkOf } from "../../src/operators/route.ts";
import { createFleet } from "../../src/sender/fleet.ts";
import { monotonicMs } from "../../src/sender/monotonic.ts";
import { createOffsets } from "../../src/sender/offsets.ts";
import { startSender } from "../../src/sender/sender.ts";
import { startOptOutsIf } from "./inbounds.ts";
import type { Broker } from "./kafka.ts";
import type { Kernel, Process } from "./kernel.ts";
import type { Network } from "../simulated-mysql/client.ts";
import type { Operators } from "./operators.ts";
import { OTP_RULES, OTP_SECRET } from "./otps.ts";
import { forPeers } from "./peers.ts";
import { REPORT_TERMS } from "./reporting.ts";
import { submittersOf } from "./submitters.ts";

export type World = {
  kernel: Kernel;
  network: Network;
  broker: Broker;
  operators: Operators;
  leaseTtlMs: number;
  /** Whether messages come in, and phones opt out. */
  hasInbound: boolean;
  /** The customer as a process knows it. */
  payerOf: (owner: KeyOwner, of: Process) => KeyOwner;
  /** The bounds of the senders' fair queues: small ones, so that few messages are a flood. */
  queue: { customerMax: number; totalMax: number };
  onStoring: OnStoring;
  /** Called with each message as an operator gets it. */
  onSubmit: (message: LaneRecord) => void;
};
/** Called when an ingest process begins a transaction that stores what these requests asked for. */
export type OnStoring = (of: Process, what: { traceparents: readonly string[] } | { topup: string }) => void;
export type Answer = { status: number; body: string; headers: Readonly<Record<string, string>> };
export type Request = {
  route: "send" | "topup" | "batch" | "cancel" | "change" | "otp" | "verify";
  owner: KeyOwner;
  body: Buffer;
  /** Idempotency-Key */
  key: string | null;
  /** Of the message that is canceled or changed, or of the code that is verified. */
  id?: string;
};
/**
 * One try of a request: `traceparent` identifies it; `isGone`: whether its client left, as the process knows.
 */
export type Try = { traceparent: string; isGone: IsGone };
export type Ingest = {
  of: Process;
  nodeId: string;
  handle(request: Request, by: Try): Promise<Answer>;
  /** Resolves once the report is stored, which is when its operator gets a 200. */
  report(report: RawReport): Promise<void>;
  /** The unspent credit that it believes it holds. */
  available(): number;
  /** Refuses requests, drains, returns its leases. */
  stop(): Promise<void>;
};
export type Role = {
  of: Process;
  stop(): Promise<void>;
  /** A sender reads another routes file: from now on these are the operators. */
  reload?(operators: readonly string[]): void;
};

export const TOPIC_NAMES = {
  normal: "sms.normal",
  express: "sms.express",
  status: "sms.status",
  ledger: "wallet.ledger",
} as const;

const COMMIT_CONNECTIONS = 3;
const LEDGER_CONNECTIONS = 6;
const SENDER_CONNECTIONS = 6;
const RELAY_CONNECTIONS = 8;
const EXPRESS_PROMISE_MS = 5_000;

/** Metrics that nobody reads. */
export const metrics = {
  counts: (_prefix: string, keys: readonly string[]) => Object.fromEntries(keys.map((key) => [key, 0])),
  counter: () => () => undefined,
  gauge: () => undefined,
  histogram: () => () => undefined,
} as unknown as Metrics;

export function logOf({ kernel }: World): Log {
  const line = (fields: { err?: unknown } | string, text = "") => {
    const err = typeof fields === "object" ? (fields.err as Error | undefined) : undefined;
    kernel.note("log", err === undefined ? text : `${text}: ${err.name} ${err.message.slice(0, 80)}`);
  };
  const quiet = () => undefined;
  return { trace: quiet, debug: quiet, info: quiet, warn: line, error: line, fatal: line } as never;
}

export function idsOf({ kernel }: World): () => string {
  const next = monotonicFactory(() => kernel.random.next());
  return () => next(Date.now());
}

export function startIngest(world: World, of: Process): Ingest {
  const { kernel, network, leaseTtlMs } = world;
  const log = logOf(world);
  const id = idsOf(world);
  const nodeId = id();
  const timers = kernel.timersOf(of);
  const now = Date.now;
  const ledgerPool = network.pool(of, LEDGER_CONNECTIONS);
  const readPool = network.pool(of, 2);
  const ledger = { pool: ledgerPool, id, now };
  const terms = { usualMs: EXPRESS_PROMISE_MS, largestMs: EXPRESS_PROMISE_MS };
  const router = createRouter(world.operators.specs, []);
  const links = { linkOf: (record: LaneRecord) => linkOf(router, record) };
  // Runs are short: here a customer is held as soon as it has a held row.
  const lanes = startLaneWatch({ pool: readPool, timers, metrics, log, ...links }, terms, 0);
  const leaseDeps = { ...ledger, heldLinkOf: lanes.heldLinkOf };
  const leases = leasesOf(world, of, createLeaseStore(leaseDeps, { nodeId, ttlMs: leaseTtlMs }));
  const book = createLeaseBook({ store: leases, timers, log }, { leaseTtlMs });
  const commits = createGroupCommit(
    {
      store: storeOf(world, of, lanes.heldLinkOf),
      book,
      counts: { commits_total: 0, accepted_total: 0, stored_with_grant_total: 0, in_doubt_total: 0 },
      timers,
      log,
    },
    { connections: COMMIT_CONNECTIONS, nodeId, now },
  );
  const find = (refs: Parameters<typeof findKeys>[1]) => findKeys(readPool, refs);
  const keys = createIdempotency({ find, timers, counts: { replayed_total: 0 } });
  const upkeep = startKeyUpkeep({ pool: readPool, timers, metrics, log });
  const limits = { take: () => null, giveBack: () => undefined };
  // Clients here expect every express message to be promised; what the lane's wait does to promises is pure.
  const promise = () => ({ kind: "promised", withinMs: EXPRESS_PROMISE_MS }) as const;
  const saturated = { refused: () => undefined, fallback: () => undefined };
  const optOuts = startOptOutsIf(world.hasInbound, {
    pool: readPool,
    poolOf: () => readPool,
    timers,
    metrics,
    log,
  });
  const deps = { book, commits, limits, optOuts, id, promise, saturated };
  const accept = createAcceptMessage(deps, terms);
  const acceptBatch = createAcceptBatch(deps, terms);
  const callbacks = { allowPrivate: false };
  const templates = createTemplateCache(() => readPool);
  const watched = { ...ledger, pool: watchTopups(world, of, ledgerPool) };
  const randomBytes = (count: number) => Uint8Array.from({ length: count }, () => kernel.random.int(256));
  const ofOtps = { accept, secret: OTP_SECRET, rules: OTP_RULES, id, randomBytes, log };
  const otps = { otps: createOtps({ ...ofOtps, poolOf: () => ledgerPool }), keys, callbacks, now };
  const routes: Record<Request["route"], Route> = {
    send: createSend({ accept: forPeers(accept), keys, callbacks, templates, now, room: commits }),
    batch: createBatches({ acceptBatch, optOuts, keys, callbacks, templates, now }, createStreams()),
    cancel: createMessageCancel({ schedule: () => ledger }),
    change: createMessageChange({ schedule: () => ledger }),
    otp: createOtpSend(otps),
    verify: createOtpVerify(otps),
    topup: createTopup({ topUps: createTopUps({ ledgerOf: () => watched, metrics }), keys }),
  };
  const inbox = createInbox(readPool, timers.monotonicMs);
  let refuses = false;
  return {
    of,
    nodeId,
    report: (report) =>
      kernel.inside(of, () => (refuses ? Promise.reject(new Error("stopping")) : inbox.store(report))),
    async handle({ route, owner, body, key, id: messageId = "" }, by) {
      if (refuses) throw new Error("connection refused");
      const headers = new Map([
        ["x-api-key", owner.name],
        ["content-type", "application/json"],
        ["content-length", String(body.length)],
      ]);
      if (key !== null) headers.set("idempotency-key", key);
      const request = {
        url: routes[route].path,
        headers: { get: (name: string) => headers.get(name.toLowerCase()) ?? null },
        arrayBuffer: () => Promise.resolve(new Uint8Array(body).buffer),
      } as unknown as globalThis.Request;
      const arrival = {
        request,
        requestId: "",
        ...by,
        params: { id: messageId },
        isStopping: () => false,
        explain: toSluiceError,
        clientAddress: () => "",
      };
      const payer = world.payerOf(owner, of);
      const access = {
        keys: { get: () => payer, load: () => Promise.resolve(payer), nowMs: () => Date.now() },
        noteUse: () => undefined,
        takeRequest: () => undefined,
        takeNonce: () => Promise.resolve(true),
      };
      return runRoute(access, routes[route], arrival).then(answerOf, (thrown: unknown) =>
        problemOf(world, thrown),
      );
    },
    available: () => book.stats().available,
    async stop() {
      refuses = true;
      const untilMs = timers.monotonicMs() + LEASES_RETURN_MAX_MS;
      await Promise.all([upkeep.stop(), lanes.stop(), optOuts.stop()]);
      await commits.drained();
      await book.stop(untilMs);
    },
  };
}

function storeOf({ network, onStoring }: World, of: Process, heldLinkOf: HeldLinkOf): AcceptStore {
  const store = createAcceptStore(network.pool(of, COMMIT_CONNECTIONS), heldLinkOf);
  return {
    ...store,
    accept(batch) {
      onStoring(of, { traceparents: batch.records.map((record) => record.traceparent) });
      return store.accept(batch);
    },
  };
}

function leasesOf({ onStoring }: World, of: Process, store: LeaseStore): LeaseStore {
  return {
    ...store,
    grant: (wants, { skipLocked, ride }) =>
      store.grant(wants, {
        skipLocked,
        ride(grants) {
          const riding = ride?.(grants) ?? null;
          if (riding !== null)
            onStoring(of, { traceparents: riding.records.map((record) => record.traceparent) });
          return riding;
        },
      }),
  };
}

function watchTopups({ onStoring }: World, of: Process, pool: Pool): Pool {
  return {
    ...pool,
    transaction: (body, options) =>
      pool.transaction((conn) => {
        const write: Connection["write"] = (sql, values) => {
          const [, topup] = /^INSERT INTO topups .*'(topup-\d+)'/.exec(sql) ?? [];
          if (topup !== undefined) onStoring(of, { topup });
          return conn.write(sql, values);
        };
        return body({ ...conn, write });
      }, options),
  };
}

const answerOf = ({ status, body, headers }: Reply): Answer => ({
  status,
  body: typeof body === "string" ? body : JSON.stringify(body),
  headers: headers ?? {},
});
function problemOf({ kernel }: World, thrown: unknown): Answer {
  if (thrown instanceof CallerGoneError) return { status: CALLER_GONE_CODE, body: "{}", headers: {} };
  // Maps errors as server.ts does.
  const error = isConnectionLost(thrown) ? new SluiceError("unavailable") : toSluiceError(thrown);
  if (error.code === "internal") kernel.note("log", `internal: ${(thrown as Error).stack ?? String(thrown)}`);
  return {
    status: error.status,
    body: JSON.stringify({ code: error.code, detail: error.detail, ...error.extra }),
    headers: {},
  };
}

export function startDlrRole(world: World, of: Process): Role {
  const pool = world.network.pool(of, 2);
  const termsOf = (operator: string) => REPORT_TERMS[operator];
  const timers = world.kernel.timersOf(of);
  const deps = { pool, termsOf, timers, metrics, log: logOf(world), now: Date.now };
  const dlr = startDlr(deps, { operators: Object.keys(REPORT_TERMS) });
  return { of, stop: () => dlr.stop() };
}

export function startRelayRole(world: World, of: Process): Role {
  const pool = world.network.pool(of, RELAY_CONNECTIONS);
  const producer = world.broker.producer(of);
  const relay = startRelay(
    { pool, producer, metrics, log: logOf(world), now: Date.now },
    { topics: TOPIC_NAMES },
  );
  return { of, stop: () => relay.stop() };
}

/** What relays do with scheduled messages, in a process of its own: several of them do it at once. */
export function startScheduleRole(world: World, of: Process): Role {
  const pool = world.network.pool(of, 2);
  const timers = world.kernel.timersOf(of);
  const schedule = startSchedule({ pool, timers, metrics, log: logOf(world), now: Date.now });
  return { of, stop: () => schedule.stop() };
}

/** What a relay's sweep does once it has proven a loss, in a process that may die in the meantime. */
export function requeueIn({ kernel, network }: World, of: Process, lost: Queued[]): void {
  if (!of.alive || lost.length === 0) return;
  kernel.inside(of, () => {
    const pool = network.pool(of, 1);
    // What could not be requeued will be found again by the sweep.
    requeue(pool, lost, Date.now()).then(
      ({ ids, ended }) => kernel.note("requeue", `${ids.length} queued again, ${ended.length} ended`),
      (err: unknown) => kernel.note("log", `requeue: ${String(err)}`),
    );
  });
}

export function startSenderRole(world: World, of: Process, lane: Lane): Role {
  const { kernel, network, broker, operators } = world;
  const topic = TOPIC_NAMES[lane];
  const offsets = createOffsets((partition, next) => consumer.store(partition, next));
  const consumer = broker.consumer(of, topic, (partitions) => offsets.revoked(partitions));
  const fleet = createFleet(monotonicMs);
  fleet.use(operators.specs);
  let router = createRouter(operators.specs, []);
  const submitters = submittersOf(world, of);
  const sender = startSender(
    {
      pool: network.pool(of, SENDER_CONNECTIONS),
      consumer,
      topic,
      offsets,
      linkOf: (record) => linkOf(router, record),
      submitters,
      fleet,
      rates: undefined,
      timers: kernel.timersOf(of),
      metrics,
      tracing: { sample: () => false, span: () => undefined, close: () => Promise.resolve() },
      log: logOf(world),
      id: idsOf(world),
      now: () => kernel.wallMs(of),
    },
    { lane, instance: of.name, queue: world.queue },
  );
  return {
    of,
    async stop() {
      await sender.stop();
      await consumer.close();
    },
    reload(names) {
      const present = operators.specs.filter(({ name }) => names.includes(name));
      fleet.use(present);
      router = createRouter(present, []);
      submitters.use({ operators: present as OperatorSpec[], routes: [] }, new Map());
    },
  };
}
