// One run against the foreign operator: sends the messages, cuts all links as often as wanted while they are
// on their way, waits until nothing is left to come, and compares every message and all money. Owns the order
// of these steps. Used by run.ts and by the test.
// Invariant: the folder of a run that failed keeps the operator's record and everybody's logs.

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Pool } from "../../src/platform/mysql.ts";
import { sleep } from "../../src/platform/retry.ts";
import { createClient } from "../faults/client.ts";
import { untilDrained } from "../faults/dump.ts";
import { reconciled } from "../support/launcher.ts";
import { judge, type StoredMessage, type Verdict, VIOLATIONS } from "./judge.ts";
import { moneyFaults } from "./money.ts";
import type { Peer } from "./peer.ts";
import { readRecord } from "./record.ts";
import { type Sending, startSending } from "./send.ts";
import { type PeerStack, startPeerStack } from "./stack.ts";

export type ProofOptions = {
  /** For the evidence; emptied at first. */
  folder: string;
  messages: number;
  cuts: number;
  ratePerS: number;
  report: (line: string) => void;
  progress: (line: string) => void;
};
export type ProofResult = {
  verdict: Verdict;
  /** Links that were bound when they were cut, in all. */
  linksCut: number;
  reconcile: string;
  seconds: { sending: number; all: number };
  /** Everything that makes the run fail. */
  failures: string[];
};

const CONNECTIONS = 64;
const ANSWER_MAX_MS = 15_000;
const LOOK_MS = 100;
const REST_LOOK_MS = 500;
const PROGRESS_MS = 2_000;
/** A receipt of a message whose answer was lost finds it after a minute (src/dlr/find.ts). */
const STUCK_MS = 120_000;
const JUDGE_TRIES = 10;
const JUDGE_AGAIN_MS = 2_000;
/** routes.yaml: two transceivers and a transmitter, 50 submits each. */
const UNDER_WAY_MAX = 150;
const PAGE_ROWS = 20_000;

export async function runProof(options: ProofOptions): Promise<ProofResult> {
  const { folder, messages, report } = options;
  const startedMs = performance.now();
  const s = (fromMs: number) => Math.round((performance.now() - fromMs) / 1_000);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  report("starting the operator and the gateway");
  const stack = await startPeerStack(folder);
  const { launcher, peer, pool, customers } = stack;
  let failures: string[] = ["the run broke off"];
  try {
    report(`sending ${messages} messages, cutting all links ${options.cuts} times`);
    const sendingMs = performance.now();
    const linksCut = await sendAndCut(stack, options);
    const sending = s(sendingMs);
    report(`all accepted after ${sending} s; waiting for the last receipts`);
    const left = await untilAtRest(stack, options.progress);
    const verdict = await judged(peer, pool);
    const proof = await reconciled(launcher);
    const stored = Object.values(verdict.statuses).reduce((sum, count) => sum + count, 0);
    const customerIds = customers.map(({ customerId }) => customerId);
    failures = [
      ...left,
      ...(stored === messages ? [] : [`${stored} messages are stored, ${messages} were accepted`]),
      ...(verdict.cuts === options.cuts ? [] : [`the operator was cut ${verdict.cuts} times`]),
      ...verdict.violations.map(
        ({ violation, count, examples }) => `${VIOLATIONS[violation]} × ${count}: ${examples[0]}`,
      ),
      ...(await moneyFaults(pool, customerIds)),
      ...(proof === "clean" ? [] : [`reconcile --settled: ${proof}`]),
    ];
    return {
      verdict,
      linksCut,
      reconcile: proof,
      seconds: { sending, all: s(startedMs) },
      failures,
    };
  } finally {
    await stack.stop(failures.length > 0 ? join(folder, "logs") : null);
  }
}

/** Returns how many links were cut. */
async function sendAndCut(
  { launcher, peer, customers }: PeerStack,
  { messages, cuts, ratePerS, report, progress }: ProofOptions,
): Promise<number> {
  const { apiHost: host, apiPort: port } = launcher.config;
  const client = createClient({ host, port, connections: CONNECTIONS, answerMaxMs: ANSWER_MAX_MS });
  const sending = startSending(client, customers, { host, messages, ratePerS });
  const ticker = setInterval(() => {
    const line = (taken: number, waiting: number, links: number) =>
      `  accepted ${sending.accepted()} of ${messages}, taken ${taken} parts, ` +
      `${waiting} receipts to come, ${links} links`;
    peer.count().then(
      ({ taken, waiting, links }) => progress(line(taken, waiting, links)),
      () => undefined, // its end is seen by whoever cuts or waits
    );
  }, PROGRESS_MS);
  let isOver = false;
  try {
    const [, linksCut] = await Promise.all([
      sending.done,
      cutAlong(peer, sending, { messages, cuts, report, isOver: () => isOver }),
    ]);
    return linksCut;
  } finally {
    isOver = true;
    clearInterval(ticker);
    sending.stop();
    client.close();
  }
}

/** Cuts in the middle of each of `cuts` equal pieces of the run. */
async function cutAlong(
  peer: Peer,
  sending: Sending,
  {
    messages,
    cuts,
    report,
    isOver,
  }: Pick<ProofOptions, "messages" | "cuts" | "report"> & {
    isOver: () => boolean;
  },
): Promise<number> {
  let linksCut = 0;
  for (let done = 0; done < cuts && !isOver(); ) {
    if (sending.accepted() < ((done + 0.5) * messages) / cuts) {
      await sleep(LOOK_MS);
      continue;
    }
    const links = await peer.cut();
    if (links === 0) throw new Error("a cut found no link");
    linksCut += links;
    done++;
    report(`cut ${done} of ${cuts}: ${links} links, after ${sending.accepted()} messages`);
  }
  return linksCut;
}

/**
 * Waits until every message has been submitted, every receipt is acknowledged, and every report is settled or
 * has found nothing. Returns what is left when nothing changes any more.
 */
async function untilAtRest(
  { launcher, peer, pool }: PeerStack,
  progress: (line: string) => void,
): Promise<string[]> {
  const drained = () =>
    untilDrained(pool, launcher.config.operatorPort, STUCK_MS, (now) =>
      progress(`  to come: ${JSON.stringify(now)}`),
    );
  const first = await drained();
  if (first !== null) return [`not at rest: ${JSON.stringify(first)}`];
  let least = Number.POSITIVE_INFINITY;
  for (let lessMs = performance.now(); ; await sleep(REST_LOOK_MS)) {
    const { waiting } = await peer.count();
    if (waiting === 0) break;
    if (waiting < least) [least, lessMs] = [waiting, performance.now()];
    if (performance.now() - lessMs > STUCK_MS) return [`${waiting} receipts are not acknowledged`];
    progress(`  ${waiting} receipts to come`);
  }
  const last = await drained();
  return last === null ? [] : [`not at rest: ${JSON.stringify(last)}`];
}

/** The verdict; a report that is just being settled gets a moment. */
async function judged(peer: Peer, pool: Pool): Promise<Verdict> {
  for (let tries = 1; ; tries++) {
    const verdict = judge(readRecord(peer.record), await storedMessages(pool), {
      underWayMax: UNDER_WAY_MAX,
    });
    if (verdict.violations.length === 0 || tries === JUDGE_TRIES) return verdict;
    await sleep(JUDGE_AGAIN_MS);
  }
}

async function storedMessages(pool: Pool): Promise<StoredMessage[]> {
  const messages: StoredMessage[] = [];
  for (let after = ""; ; ) {
    const rows = await pool.query<StoredMessage[]>(
      "SELECT id, reference, phone, status, parts, operator FROM messages " +
        `WHERE id > ? ORDER BY id LIMIT ${PAGE_ROWS}`,
      [after],
    );
    for (const row of rows) messages.push(row);
    if (rows.length < PAGE_ROWS) return messages;
    after = rows.at(-1)?.id ?? "";
  }
}
