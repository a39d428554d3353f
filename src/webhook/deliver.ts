// Works on endpoints that are due: leases some, makes their calls, and settles what came of them, several
// endpoints in one transaction. Fairness: whoever is due longest comes first and gets a bounded share, then
// goes to the back; one endpoint has few calls at a time, and a customer few endpoints; one that fails gets a
// single call at growing intervals; slow ones, and callback_urls of an origin that isn't known yet, have
// places of their own, so all of them together hold up none of the others.
// Leaves calls to call.ts, what an answer means to outcome.ts, SQL to src/ledger/.
// Invariants: a call is made outside of any transaction, under a lease; whatever dies between call and
// settlement is called again under the same id. Bounds: WEBHOOK_QUICK_ENDPOINTS_MAX and
// WEBHOOK_SLOW_ENDPOINTS_MAX endpoints, WEBHOOK_ENDPOINT_ROWS_MAX deliveries of each in memory,
// WEBHOOK_ENDPOINT_CALLS_MAX calls to each.

import {
  WEBHOOK_CUSTOMER_ENDPOINTS_MAX,
  WEBHOOK_ENDPOINT_CALLS_MAX,
  WEBHOOK_ENDPOINT_ROWS_MAX,
  WEBHOOK_PROBE_FAILURES_MIN,
  WEBHOOK_QUICK_ENDPOINTS_MAX,
  WEBHOOK_SLOW_ENDPOINTS_MAX,
  WEBHOOK_SLOW_MS,
  WEBHOOK_START_MS,
} from "../core/webhook-limits.ts";
import { withCall } from "../core/webhook-calls.ts";
import { WALLET_LOW } from "../core/webhook-low-balance.ts";
import { ENDPOINT_PAUSED } from "../core/webhook-pause.ts";
import { findSigners } from "../customers/callback-signers.ts";
import { findSigning } from "../customers/webhooks.ts";
import { type CallOutcome, type Delivery, dueDeliveries } from "../ledger/webhook-deliveries.ts";
import {
  claimEndpoints,
  type ClaimedEndpoint,
  type Stopped,
  type Worked,
} from "../ledger/webhook-endpoints.ts";
import type { Pool } from "../platform/mysql.ts";
import type { Timers } from "../platform/timers.ts";
import type { CallAnswer, Caller } from "./call.ts";
import { type CallResult, errorOf, outcomeOf, resultOf } from "./outcome.ts";
import { settleWork, type Work } from "./settle.ts";
import { callOf, type Signing, signersIn } from "./wanted-call.ts";

/** One call that was made, for the metrics. */
export type Made = { result: CallResult; tookMs: number; attempts: number; occurredAtMs: number };
export type DeliverDeps = {
  pool: Pool;
  caller: Pick<Caller, "call">;
  timers: Timers;
  now: () => number;
  id: () => string;
  onCall: (made: Made) => void;
  onStopped: (stopped: Stopped) => void;
  /** A settlement failed; it is repeated. */
  onError: (error: unknown) => void;
};
export type Deliverer = {
  /** Begins work on whatever is due and has a place. Resolves to whether there was any. */
  claim(): Promise<boolean>;
  calls(): number;
  /** Begins no more calls, and waits until those under way are settled. */
  stop(): Promise<void>;
};

const SETTLED_AT_ONCE_MAX = 40;
const SETTLE_AGAIN_MS = 1_000;
/** An endpoint may be taken over by others from then on, so the outcomes are of no use any more. */
const SETTLE_TRIES = 10;

export function createDeliverer(deps: DeliverDeps): Deliverer {
  const { pool, timers, onError, onStopped } = deps;
  const places = { quick: WEBHOOK_QUICK_ENDPOINTS_MAX, slow: WEBHOOK_SLOW_ENDPOINTS_MAX };
  const running = new Set<Promise<void>>();
  /** How many endpoints of a customer are worked on. */
  const ofCustomer = new Map<number, number>();
  const finished: { work: Work; settled: () => void }[] = [];
  const state = { isStopping: false, calls: 0 };
  let settling: Promise<void> | null = null;

  // Whatever finishes while a settlement is under way shares the next one.
  const settleAll = async () => {
    while (finished.length > 0) {
      const batch = finished.splice(0, SETTLED_AT_ONCE_MAX);
      for (let tries = 1; ; tries++) {
        try {
          const stopped = await settleWork(
            pool,
            batch.map(({ work }) => work),
            timers.random,
          );
          for (const one of stopped) onStopped(one);
          break;
        } catch (error) {
          onError(error);
          if (tries >= SETTLE_TRIES) break;
          await timers.sleep(SETTLE_AGAIN_MS);
        }
      }
      for (const { settled } of batch) settled();
    }
    settling = null;
  };
  const settle = (work: Work) =>
    new Promise<void>((settled) => {
      finished.push({ work, settled });
      settling ??= settleAll();
    });

  const begin = (wanted: Wanted) => {
    const { isSlow, customerId } = wanted.endpoint;
    const occupy = (n: 1 | -1) => {
      places[isSlow ? "slow" : "quick"] -= n;
      const left = (ofCustomer.get(customerId) ?? 0) + n;
      if (left > 0) ofCustomer.set(customerId, left);
      else ofCustomer.delete(customerId);
    };
    occupy(1);
    const work = workOn(deps, state, wanted).then(settle, onError);
    running.add(work);
    void work.finally(() => {
      occupy(-1);
      running.delete(work);
    });
  };

  return {
    async claim() {
      if (state.isStopping) return false;
      if (places.quick + places.slow === 0) return false;
      const lease = deps.id();
      // Few at a time, because a customer may have any number of endpoints due.
      const endpoints = await claimEndpoints(pool, lease, {
        quick: Math.min(places.quick, WEBHOOK_CUSTOMER_ENDPOINTS_MAX),
        slow: Math.min(places.slow, WEBHOOK_CUSTOMER_ENDPOINTS_MAX),
        without: [...ofCustomer].flatMap(([id, n]) => (n >= WEBHOOK_CUSTOMER_ENDPOINTS_MAX ? [id] : [])),
      });
      if (endpoints.length === 0) return false;
      const customerIds = new Set(endpoints.map(({ customerId }) => customerId));
      const signing = await findSigning(pool, [...customerIds]);
      const byCustomer = new Map(signing.map((one) => [one.customerId, one]));
      const wanted = endpoints.map((one) => wantedOf(one, byCustomer.has(one.customerId)));
      const due = await dueDeliveries(pool, wanted);
      const signers = await findSigners(pool, due.flatMap(signersIn));
      endpoints.forEach((endpoint, at) => {
        const by = { webhook: byCustomer.get(endpoint.customerId), signers };
        begin({ endpoint, lease, due: due[at] ?? [], by });
      });
      return true;
    },
    calls: () => state.calls,
    async stop() {
      state.isStopping = true;
      await Promise.all(running);
    },
  };
}

const isProbed = ({ failures }: ClaimedEndpoint): boolean => failures >= WEBHOOK_PROBE_FAILURES_MIN;

/**
 * One that fails gets a single call; one that has stopped gets none. Of a customer without a webhook most
 * deliveries end without a call, so they are read all the same.
 */
function wantedOf(claimed: ClaimedEndpoint, hasWebhook: boolean) {
  const { customerId, endpoint, state } = claimed;
  const most = hasWebhook && isProbed(claimed) ? 1 : WEBHOOK_ENDPOINT_ROWS_MAX;
  return { customerId, endpoint, limit: state === "active" ? most : 0 };
}

type Wanted = {
  endpoint: ClaimedEndpoint;
  lease: string;
  due: readonly Delivery[];
  by: Signing;
};

/** Makes the calls of one lease, some at a time; ends early if they fail one after the other. */
async function workOn(
  deps: DeliverDeps,
  state: { isStopping: boolean; calls: number },
  { endpoint, lease, due, by }: Wanted,
): Promise<Work> {
  const startedMs = deps.timers.monotonicMs();
  const worked: Worked = {
    customerId: endpoint.customerId,
    endpoint: endpoint.endpoint,
    lease,
    succeeded: 0,
    failed: 0,
    isGone: false,
    isSlow: null,
    url: null,
    error: null,
  };
  const outcomes: CallOutcome[] = [];
  let [calls, tookMs, next] = [0, 0, 0];
  const mayGoOn = () =>
    !state.isStopping &&
    worked.failed < WEBHOOK_PROBE_FAILURES_MIN &&
    !worked.isGone &&
    deps.timers.monotonicMs() - startedMs < WEBHOOK_START_MS;
  const ageMs = () => deps.timers.monotonicMs() - startedMs;
  const callsMax = isProbed(endpoint) ? 1 : Number.POSITIVE_INFINITY;
  const oneAfterTheOther = async () => {
    for (let delivery = due[next++]; delivery !== undefined && mayGoOn(); delivery = due[next++]) {
      const atMs = deps.now();
      const wanted = callOf(delivery, by, atMs);
      if (typeof wanted === "string") {
        outcomes.push(unwanted(delivery, wanted));
        continue;
      }
      if (calls >= callsMax) continue;
      calls++;
      const beganMs = ageMs();
      state.calls++;
      const answer = await deps.caller.call(wanted.call);
      state.calls--;
      const callMs = ageMs() - beganMs;
      tookMs += callMs;
      const { attempts, occurredAtMs } = delivery;
      const result = resultOf(answer, wanted.peer);
      deps.onCall({ result, tookMs: callMs, attempts, occurredAtMs });
      count(worked, { result, error: errorOf(answer, wanted.peer) }, delivery);
      const leftMs = delivery.leftMs - ageMs();
      const outcome = outcomeOf(delivery, answer, leftMs, deps.timers.random, wanted.peer);
      outcome.calls = withCall(delivery.calls, { atMs, code: codeOf(answer), tookMs: callMs });
      outcomes.push(outcome);
    }
  };
  await Promise.all(Array.from({ length: WEBHOOK_ENDPOINT_CALLS_MAX }, oneAfterTheOther));
  if (calls > 0) worked.isSlow = tookMs / calls > WEBHOOK_SLOW_MS;
  return { worked, outcomes };
}

const codeOf = (answer: CallAnswer): number | null => (answer.kind === "answered" ? answer.code : null);

type Ended = { result: CallResult; error: string | null };

function count(worked: Worked, { result, error }: Ended, { type, url, form }: Delivery): void {
  if (result === "acknowledged") {
    worked.succeeded++;
    worked.failed = 0;
    // Who takes a peer's callbacks there knows no other events.
    if (form === null) worked.url = url ?? worked.url;
    return;
  }
  // A receiver that only wants to hear of messages may refuse these, and take all others.
  if (type === ENDPOINT_PAUSED || type === WALLET_LOW) return;
  // From a message's own URL, 410 is about that message.
  if (result === "gone") worked.isGone ||= url === null;
  worked.failed++;
  worked.error = error;
}

const unwanted = ({ eventId, giveUpAtMs }: Delivery, why: string): CallOutcome => ({
  eventId,
  giveUpAtMs,
  state: "failed",
  code: null,
  error: why,
  delayMs: 0,
});
