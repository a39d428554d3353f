// One part of a run: starts its own stack, carries out a plan under load, drains everything, takes and judges
// the evidence. Owns the order of these steps; leaves each to its file. Used by run.ts and by the tests.
// Invariant: whatever happens, the stack is stopped; the folder of a run with a violation is kept.

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createIdFactory } from "../../src/core/id.ts";
import { createKey } from "../../src/customers/api-keys.ts";
import { createCustomer } from "../../src/customers/customers.ts";
import { addNumber } from "../../src/customers/numbers.ts";
import { setWebhook } from "../../src/customers/webhooks.ts";
import { listLetters } from "../../src/ledger/dead-letters.ts";
import { setCaps } from "../../src/ledger/cap-admin.ts";
import { setMode } from "../../src/ledger/lease-admin.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { sleep } from "../../src/platform/retry.ts";
import type { ProfileName } from "../../src/stack/operator-behaviour.ts";
import { projectRoot } from "../../src/stack/tools.ts";
import { makeAdmin, startAdjustments } from "./adjustments.ts";
import { check, type Verdict } from "./checker.ts";
import { createClient } from "./client.ts";
import { startDoors } from "./doors.ts";
import { dump, tryReportsAgain, untilDrained } from "./dump.ts";
import {
  type CapLimits,
  type ClientLine,
  type FaultRecord,
  files,
  openLines,
  readEvidence,
} from "./evidence.ts";
import { type Snapshot } from "./evidence.ts";
import { INJECTORS } from "./kinds/all.ts";
import { PROFILE } from "./kinds/operators.ts";
import { inboundNumberOf, startInbound } from "./inbound.ts";
import { type Load, type LoadCustomer, startLoad } from "./load.ts";
import { describe, type Fault, LONG, touches } from "./plan.ts";
import { startSnapshots, takeSnapshot } from "./snapshots.ts";
import { type FaultStack, startStack } from "./stack.ts";
import { startUploads } from "./uploads.ts";
import { startWebhooks, type Webhooks } from "./webhooks.ts";

export type PartOptions = {
  /** The folder for the evidence. */
  folder: string;
  seed: number;
  plan: readonly Fault[];
  messages: number;
  ratePerS: number;
  keys: boolean;
  diskMb: number | null;
  /** How the operators behave, but for faults. */
  operators?: ProfileName;
  /** One in so many customers of each kind has a webhook. */
  toldEvery?: number;
  env: Readonly<Record<string, string>>;
  report: (line: string) => void;
  progress: (line: string) => void;
  /** Also keep all processes' logs; those of a failed run are always kept. */
  keepLogs: boolean;
};
export type PartResult = {
  verdict: Verdict;
  /** The faults that were carried out, by kind; and those that could not be. */
  done: Record<string, number>;
  notDone: string[];
  reconcile: string;
  seconds: { load: number; drain: number; all: number };
  longestGapMs: number;
  starts: Record<string, number>;
  endedByThemselves: Record<string, number>;
  /** Everything that makes the part fail. */
  failures: string[];
};

/** Time limits shortened so that they are reached repeatedly within a run. */
export const STACK_SETTINGS: Readonly<Record<string, string>> = {
  SLUICE_POLL_INTERVAL_MS: "155000", // the least allowed; `poll-limit` sleeps longer
  SLUICE_SWEEP_AFTER_MS: "10000",
  SLUICE_EXPRESS_PROMISE_MS: "10000", // so that some express is late and some is not
  SLUICE_WEBHOOK_ALLOW_PRIVATE: "1",
  SLUICE_DOORS: "kannel,twilio",
  SLUICE_EXPRESS_PROMISE_MAX_MS: "60000",
  SLUICE_CUSTOMER_QUEUE_MAX: "3", // so that much is held
};

const STATE_FOLDER = ".sluice-test-faults";
// Different from the gateway's own ports and those of other tests; with other values two runs can go on at
// once.
const PORT_OFFSET = Number(process.env.SLUICE_FAULT_PORTS ?? 13_000);
const INGEST = 2;
const CUSTOMERS = { rich: 24, strict: 2, thin: 2, capped: 3 } as const;
/** Of the rich, the thin and the capped ones these are of mode `async`: they send a fifth of all messages. */
const isAsync = (kind: LoadCustomer["kind"], i: number): boolean =>
  (kind === "rich" && i % 4 === 0) || ((kind === "thin" || kind === "capped") && i === 1);
/** Of the capped ones, in minor units: the first two reach theirs in a short run, too. */
const CAPS: readonly CapLimits[] = [
  { daily: 40_000, monthly: null },
  { daily: null, monthly: 40_000 },
  { daily: 500_000, monthly: 300_000 },
];
/** In minor units, to all customers. */
const PRICES = { priceNormal: 500, priceExpress: 700 } as const;
/** How many of each kind upload, and as many send through doors. */
const SENDING_OTHERWISE = { rich: 4, strict: 1, thin: 1, capped: 1 } as const;
/** And how many have their wallets adjusted: those of the thin ones are mostly in leases. */
const ADJUSTED = { rich: 2, strict: 1, thin: 2, capped: 1 } as const;
const TOLD_EVERY = 6;
const CONNECTIONS = 400;
const ANSWER_MAX_MS = 4_000;
const KEYS_MAX_MS = 90_000;
// Nothing may shrink during a claim's lifetime plus the last retry's delay; after twice that the run is
// stuck.
const STUCK_MS = 200_000;
const READY_MAX_MS = 120_000;
const RECONCILE_TRIES = 20;
const LETTERS_NAMED_MAX = 5;
const PROGRESS_MS = 2_000;

export async function runPart(options: PartOptions): Promise<PartResult> {
  const { folder, report } = options;
  const startedAt = performance.now();
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const stack = await startStack({
    folder: STATE_FOLDER,
    portOffset: PORT_OFFSET,
    ingest: INGEST,
    diskMb: options.diskMb,
    operators: options.operators ?? PROFILE,
    env: options.env,
    report,
  });
  const pool = createPool(stack.config, { connections: 6 });
  const failures: string[] = [];
  const webhooks = await startWebhooks(folder, options.seed);
  try {
    const client = createClient({
      host: stack.config.apiHost,
      port: stack.config.apiPort,
      connections: CONNECTIONS,
      answerMaxMs: ANSWER_MAX_MS,
    });
    const log = openLines<ClientLine>(folder, files.client);
    const snapshotLines = openLines<Snapshot>(folder, files.snapshots);
    const customers = await makeCustomers(pool, webhooks, options.toldEvery ?? TOLD_EVERY);
    const load = await startLoad(client, log, customers, {
      ...options,
      host: stack.config.apiHost,
      waits: 1,
    });
    const url = `http://${stack.config.apiHost}:${stack.config.apiPort}`;
    const numbered = customers.map(({ customer }) => customer);
    const otherwise = someOf(customers, SENDING_OTHERWISE);
    const uploads = startUploads(log, { url, customers: otherwise, seed: options.seed });
    const doors = startDoors(log, {
      client,
      host: stack.config.apiHost,
      customers: otherwise,
      origin: webhooks.origin,
      price: PRICES.priceNormal,
      keys: options.keys,
      seed: options.seed,
      waits: 1,
    });
    const adjustments = startAdjustments(folder, {
      url: `http://${stack.config.adminHost}:${stack.config.adminPort}`,
      token: await makeAdmin(pool),
      customers: someOf(customers, ADJUSTED).map(({ customer }) => customer),
      seed: options.seed,
    });
    const inbound = startInbound(folder, { url, customers: numbered, seed: options.seed });
    const snapshots = startSnapshots(pool, snapshotLines);
    const loadAt = performance.now();
    const { done, notDone } = await doPlan(stack, pool, load, options);
    report("no new messages; waiting for what is under way");
    await Promise.all([load, inbound, uploads, doors, adjustments].map((each) => each.stop(KEYS_MAX_MS)));
    const drainAt = performance.now();
    await stack.untilReady(READY_MAX_MS);
    const drained = () =>
      untilDrained(pool, stack.config.operatorPort, STUCK_MS, (now) =>
        options.progress(`  draining: ${JSON.stringify(now)}`),
      );
    let left = await drained();
    if (left === null) {
      await tryReportsAgain(pool, STUCK_MS);
      left = await drained();
    }
    if (left !== null) failures.push(`not drained: ${JSON.stringify(left)}`);
    const letters = await listLetters(pool, { source: null, limit: LETTERS_NAMED_MAX });
    for (const { source, place, reason } of letters)
      failures.push(`a dead letter, though nothing sent garbage: ${source} ${place}: ${reason}`);
    await snapshots.stop();
    snapshotLines.add(await takeSnapshot(pool));
    snapshotLines.close();
    log.close();
    client.close();
    const checkAt = performance.now();
    const proof = await reconcile(stack);
    if (proof !== "clean") failures.push(`reconcile --settled: ${proof}`);
    await webhooks.stop();
    failures.push(...(await unsigned(webhooks, report)));
    await dump(stack, pool, folder);
    const verdict = check(readEvidence(folder));
    for (const { violation, count, examples } of verdict.violations)
      failures.push(`${violation} × ${count}: ${examples[0]}`);
    if (notDone.length > 0) failures.push(`${notDone.length} faults could not be done: ${notDone[0]}`);
    const all = performance.now();
    const s = (from: number, to: number) => Math.round((to - from) / 1_000);
    return {
      verdict,
      done,
      notDone,
      reconcile: proof,
      seconds: { load: s(loadAt, drainAt), drain: s(drainAt, checkAt), all: s(startedAt, all) },
      longestGapMs: Math.round(load.longestGapMs()),
      starts: stack.keeper.starts(),
      endedByThemselves: stack.keeper.endedByThemselves(),
      failures,
    };
  } catch (error) {
    failures.push(String(error));
    throw error;
  } finally {
    await webhooks.stop();
    await pool.end();
    if (failures.length > 0 || options.keepLogs)
      cpSync(join(stack.stateFolder, "logs"), join(folder, "logs"), { recursive: true });
    await stack.stop();
  }
}

/** What is wrong with the signatures of the calls that came. */
async function unsigned(webhooks: Webhooks, report: (line: string) => void): Promise<string[]> {
  try {
    const { calls, verified } = await webhooks.signatures();
    if (verified === null) {
      report("LEFT OUT: the webhooks' signatures (scripts/clients.sh --install installs their verifier)");
      return [];
    }
    report(`${verified} of ${calls} webhooks verify by Python's standardwebhooks`);
    return verified === calls ? [] : [`${calls - verified} webhooks don't verify`];
  } catch (error) {
    return [`a webhook doesn't verify: ${String(error)}`];
  }
}

/** Some of each kind want to be told everything, one in `toldEvery`. */
async function makeCustomers(pool: Pool, webhooks: Webhooks, toldEvery: number): Promise<LoadCustomer[]> {
  const id = createIdFactory({ now: Date.now });
  const customers: LoadCustomer[] = [];
  for (const [kind, count] of Object.entries(CUSTOMERS) as [LoadCustomer["kind"], number][])
    for (let i = 0; i < count; i++) {
      const name = `faults ${kind} ${i}`;
      const customerId = await createCustomer(pool, { name, ...PRICES, rateLimit: null });
      if (kind === "strict") await setMode(pool, customerId, "strict");
      const caps = kind === "capped" ? CAPS[i] : undefined;
      if (caps !== undefined) await setCaps(pool, customerId, caps);
      if (isAsync(kind, i)) await setMode(pool, customerId, "async");
      const { apiKey } = await createKey({ pool, id }, customerId);
      webhooks.addKey(String(customerId), apiKey);
      if (i % toldEvery === 0) {
        const secret = await setWebhook(pool, customerId, { url: webhooks.url }, { allowPrivate: true });
        webhooks.addSecret(String(customerId), secret ?? "");
      }
      await addNumber(pool, customerId, inboundNumberOf(String(customerId)), null);
      const customer = String(customerId);
      customers.push({ customer, apiKey, kind, ...(caps === undefined ? {} : { caps }) });
    }
  return customers;
}

/** The first ones of each kind. */
const someOf = (customers: readonly LoadCustomer[], counts: Readonly<Record<LoadCustomer["kind"], number>>) =>
  Object.entries(counts).flatMap(([kind, count]) =>
    customers.filter((each) => each.kind === kind).slice(0, count),
  );

/** Carries out the plan, and goes on until enough messages are accepted. */
async function doPlan(
  stack: FaultStack,
  pool: Pool,
  load: Load,
  { plan, messages, folder, report, progress }: PartOptions,
): Promise<{ done: Record<string, number>; notDone: string[] }> {
  const records = openLines<FaultRecord>(folder, files.faults);
  const done: Record<string, number> = {};
  const notDone: string[] = [];
  const startedAt = performance.now();
  let at = 0;
  let lastInFlight = 0;
  const running = new Set<{ touches: string[]; over: Promise<void> }>();
  const ticker = setInterval(() => {
    const { accepted, unanswered, refused, retries, open } = load.counts;
    const seconds = Math.round((performance.now() - startedAt) / 1_000);
    progress(
      `  ${seconds} s, fault ${at}/${plan.length}, accepted ${accepted} of ${messages} ` +
        `(${Math.round(accepted / seconds)}/s), ` +
        `refused ${refused}, unanswered ${unanswered}, retries ${retries}, open ${open}`,
    );
  }, PROGRESS_MS);
  const doOne = async (fault: Fault) => {
    const begun = performance.now();
    lastInFlight = (await claimedNow(pool)) ?? lastInFlight;
    const record = { at: Date.now(), index: fault.index, kind: fault.kind, inFlight: lastInFlight };
    const inFlight = async () => {
      const now = await claimedNow(pool);
      record.inFlight = Math.max(record.inFlight, now ?? 0);
      return now;
    };
    try {
      const what = await INJECTORS[fault.kind]({ stack, report, inFlight }, fault);
      done[fault.kind] = (done[fault.kind] ?? 0) + 1;
      report(`${describe(fault)}: ${what}`);
      records.add({ ...record, what, tookMs: Math.round(performance.now() - begun) });
    } catch (error) {
      notDone.push(`${describe(fault)}: ${String(error)}`);
      report(`${describe(fault)}: NOT DONE: ${String(error)}`);
      records.add({ ...record, what: "not done", tookMs: Math.round(performance.now() - begun) });
    }
  };
  try {
    for (const fault of plan) {
      await sleep(fault.afterMs);
      const mine = touches(fault);
      for (const other of running)
        if (mine.includes("*") || other.touches.some((each) => mine.includes(each))) await other.over;
      at++;
      if (!LONG.includes(fault.kind)) await doOne(fault);
      else {
        const over = doOne(fault).finally(() => running.delete(entry));
        const entry = { touches: mine, over };
        running.add(entry);
      }
    }
    for (const { over } of running) await over;
    while (load.counts.accepted < messages) await sleep(PROGRESS_MS / 4);
  } finally {
    clearInterval(ticker);
    records.close();
  }
  return { done, notDone };
}

const LOOK_MAX_MS = 500;
const ULID_AND_COMMA = 27;

/** The number of messages under a claim; null if MySQL doesn't answer at once. */
async function claimedNow(pool: Pool): Promise<number | null> {
  const look = pool
    .query<{ n: number | null }[]>(
      `SELECT CAST(SUM((LENGTH(ids) + 1) DIV ${ULID_AND_COMMA}) AS SIGNED) AS n FROM claims ` +
        "WHERE kind = 'sending'",
    )
    .then(
      ([row]) => Number(row?.n ?? 0),
      () => null,
    );
  return Promise.race([look, sleep(LOOK_MAX_MS).then(() => null)]);
}

/** `clean`, or its last other output. */
async function reconcile({ env }: FaultStack): Promise<string> {
  let said = "";
  for (let n = 0; n < RECONCILE_TRIES; n++) {
    const done = spawnSync(join(projectRoot, "sluice"), ["reconcile", "--settled", "--json"], {
      env: { ...process.env, ...env },
      encoding: "utf8",
      timeout: 120_000,
    });
    if (done.status === 0) return "clean";
    said = `${done.stdout}${done.stderr}`.slice(0, 2_000);
    await sleep(2_000);
  }
  return said;
}
