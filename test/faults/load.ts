// The clients of a run: requests from many customers at a fixed rate, whether or not answers come; half of
// them with an Idempotency-Key, which makes retries safe. Some are batches, which are logged as a request for
// each of their messages; some are for later, of which some are canceled. Every request and answer is logged
// before anything else is done with it. A request without a key is sent once, whatever happens. What is sent
// follows from the seed; the answers don't. Bound: LATE_MAX waiting requests; requests that become due beyond
// that are skipped and counted. A request with a key is retried until its answer is certain, or the run ends.

import { sleep } from "../../src/platform/retry.ts";
import type { RawAnswer } from "../support/raw-http.ts";
import { randomFrom } from "../support/seed.ts";
import type { Client } from "./client.ts";
import type { Answer, CapLimits, ClientLine, InBatch, Lines } from "./evidence.ts";

/** `thin`: has little money, and gets a little more now and then. `capped`: has money, and `caps`. */
export type LoadCustomer = {
  customer: string;
  apiKey: string;
  kind: "rich" | "strict" | "thin" | "capped";
  caps?: CapLimits;
};
export type LoadOptions = {
  ratePerS: number;
  seed: number;
  keys: boolean;
  host: string;
  /** Factor for all delays before retries; 1, except in tests of this file. */
  waits: number;
  now?: () => number;
};
export type LoadCounts = {
  sent: number;
  accepted: number;
  refused: number;
  unanswered: number;
  retries: number;
  replays: number;
  skipped: number;
  topups: number;
  open: number;
};
export type Load = {
  counts: LoadCounts;
  /** The longest time between two 202s. */
  longestGapMs(): number;
  /** Sends no new messages; resolves when every key and top-up has a certain answer, or after `maxMs`. */
  stop(maxMs: number): Promise<void>;
};

const TICK_MS = 5;
const LATE_MAX = 2_000;
const EXPRESS_SHARE = 0.25;
const REPLAY_SHARE = 0.03;
const THIN_SHARE = 0.04;
const STRICT_SHARE = 0.06;
const CAPPED_SHARE = 0.03;
// Phones with a meaning for the simulated operators (src/stack/operator-ends.ts).
const REFUSED_BY_ALL = { share: 0.004, phone: "+989129990001" };
const REFUSED_BY_A = { share: 0.01, phone: "+989129990002" };
const HANGS = { share: 0.000_3, phone: "+989129990003" };
/** Some are valid for a minute: during a long outage their time is over. */
const BRIEF_EVERY = 10;
const BRIEF = { valid_for: 60 };
/** Some are sent later, and half of these canceled before, unless they are in a batch. */
const LATER = { every: 9, canceledEvery: 18, at: 4, fromMs: 15_000, stepMs: 1_000, steps: 15 };
/** Nobody asks again for a message whose time has long come; it would be refused after a minute. */
const LATER_TRIED_MS = 20_000;
const CANCEL_WITHIN_MS = 5_000;
const BATCH_SHARE = 0.03;
const BATCH_MAX = 20;
/** Larger than a group commit. */
const LARGE = { share: 0.01, messages: 170 };
// In every part, so that an operator's record of a part tells which message it is of (evidence.ts).
export const nameOf = (n: number) => `Message ${n};`;
const TWO_PARTS_CHARS = 200;
const TOPUP_EVERY_MS = 2_000;
const OPENING = { rich: 1_000_000_000, strict: 100_000_000, thin: 20_000, capped: 100_000_000 } as const;
const TOPUP = { rich: 1_000, strict: 1_000, thin: 6_000, capped: 1_000 } as const;
const REPLAY_WITHIN_MS = 8_000;
const againMs = (attempt: number): number => Math.min(3_000, 150 * 2 ** attempt);
// Retried after any of these; every other answer is certain.
const AGAIN = new Set([0, 409, 429, 503]);

export async function startLoad(
  client: Client,
  log: Lines<ClientLine>,
  customers: readonly LoadCustomer[],
  { ratePerS, seed, keys, host, waits, now = Date.now }: LoadOptions,
): Promise<Load> {
  const random = randomFrom(seed);
  // Top-ups are timed by the clock, so they must not change what the messages draw.
  const topupRandom = randomFrom(seed + 1);
  // Nor must batches: their messages are what they would be if each was sent alone.
  const batchRandom = randomFrom(seed + 2);
  const rich = customers.filter((c) => c.kind === "rich");
  const strict = customers.filter((c) => c.kind === "strict");
  const thin = customers.filter((c) => c.kind === "thin");
  const capped = customers.filter((c) => c.kind === "capped");
  const one = <T>(list: readonly T[], draw = random): T => list[Math.floor(draw() * list.length)] as T;
  const counts: LoadCounts = {
    sent: 0,
    accepted: 0,
    refused: 0,
    unanswered: 0,
    retries: 0,
    replays: 0,
    skipped: 0,
    topups: 0,
    open: 0,
  };
  let acceptedAt = performance.now();
  let longestGapMs = 0;
  const sawAccepted = () => {
    longestGapMs = Math.max(longestGapMs, performance.now() - acceptedAt);
    acceptedAt = performance.now();
  };
  const work = new Set<Promise<void>>();
  let giveUp = false;
  const follow = (promise: Promise<void>) => {
    work.add(promise);
    counts.open++;
    void promise.finally(() => {
      work.delete(promise);
      counts.open--;
    });
  };
  const post = (path: string, apiKey: string, key: string | null, body: string) =>
    Buffer.from(
      `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nX-API-Key: ${apiKey}\r\nContent-Type: application/json\r\n` +
        `${key === null ? "" : `Idempotency-Key: ${key}\r\n`}` +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );

  const kindOf = (share: number) => {
    if (share < THIN_SHARE) return thin;
    if (share < THIN_SHARE + STRICT_SHARE) return strict;
    return share < THIN_SHARE + STRICT_SHARE + CAPPED_SHARE ? capped : rich;
  };
  const draw = (n: number) => {
    const share = random();
    const from = kindOf(share);
    const { customer, apiKey, kind } = one(from.length === 0 ? rich : from);
    const { phone, hangs } = phoneOf(random);
    const type = random() < EXPRESS_SHARE ? "express" : "normal";
    const text = random() < 0.1 ? nameOf(n).padEnd(TWO_PARTS_CHARS, nameOf(n)) : nameOf(n);
    const brief = n % BRIEF_EVERY === 0 ? BRIEF : {};
    const terms: Terms = n % LATER.every === LATER.at ? { ...brief, ...laterThan(now(), n) } : brief;
    const [replays, again] = [random() < REPLAY_SHARE, random()];
    const message = { phone, text, reference: `r${n}` };
    return { n, customer, apiKey, kind, message, hangs, type, terms, replays, again };
  };
  const sizeOfNext = (): number => {
    if (batchRandom() >= BATCH_SHARE) return 1;
    const drawn = batchRandom();
    return drawn < LARGE.share ? LARGE.messages : 2 + Math.floor(drawn * (BATCH_MAX - 1));
  };

  /** Sends `size` messages from the n-th on: one, or a batch on the first one's terms. */
  const send = async (first: number, size: number) => {
    const drawn = Array.from({ length: size }, (_, at) => draw(first + at));
    const { customer, apiKey, kind, type, terms, replays, again, message } = drawn[0] as (typeof drawn)[0];
    const key = keys && first % 2 === 0 ? `key-${seed}-${first}` : null;
    const partial = kind === "thin" || kind === "capped";
    const batch: InBatch | null = size === 1 ? null : { first, partial };
    const body =
      batch === null
        ? { ...message, type, ...terms }
        : { messages: drawn.map((each) => each.message), type, partial, ...terms };
    const path = batch === null ? "/v1/sms/send" : "/v1/sms/batches";
    const bytes = post(path, apiKey, key, JSON.stringify(body));
    let id: string | null = null;
    const ask = async (): Promise<number> => {
      const answer = await client.request(bytes, () => {
        for (const { n, hangs } of drawn)
          log.add({
            what: "send",
            at: Date.now(),
            n,
            customer,
            key,
            ...(hangs ? { hangs: true as const } : {}),
            ...(batch === null ? {} : { batch }),
          });
      });
      const answers = answersOf(answer, size);
      for (const [at, each] of answers.entries())
        log.add({ what: "answer", at: Date.now(), n: first + at, ...each });
      if (answer?.status === 202) sawAccepted();
      id = answers[0]?.id ?? null;
      return answer?.status ?? 0;
    };
    let status = await ask();
    count(status);
    const untilMs = terms.send_at === undefined ? Infinity : Date.parse(terms.send_at) + LATER_TRIED_MS;
    for (let attempt = 1; key !== null && AGAIN.has(status) && !giveUp; attempt++) {
      await sleep(waits * againMs(attempt) * (0.5 + again));
      if (giveUp || now() > untilMs) break;
      counts.retries++;
      status = await ask();
      if (status === 202) counts.accepted++;
    }
    if (id !== null && batch === null && first % LATER.canceledEvery === LATER.at)
      await cancel(apiKey, id, again);
    if (status !== 202 || !replays || key === null) return;
    await sleep(waits * REPLAY_WITHIN_MS * again);
    counts.replays++;
    await ask();
  };
  const cancel = async (apiKey: string, id: string, again: number) => {
    const head = `DELETE /v1/messages/${id} HTTP/1.1\r\nHost: ${host}\r\nX-API-Key: ${apiKey}`;
    const bytes = Buffer.from(`${head}\r\n\r\n`);
    await sleep(waits * CANCEL_WITHIN_MS * again);
    for (let attempt = 0; !giveUp; attempt++) {
      const status = (await client.request(bytes, () => undefined))?.status ?? 0;
      log.add({ what: "cancel", at: Date.now(), id, status });
      if (status === 409 || !AGAIN.has(status)) return;
      await sleep(waits * againMs(attempt));
    }
  };
  const count = (status: number) => {
    if (status === 202) counts.accepted++;
    else if (status === 0) counts.unanswered++;
    else counts.refused++;
  };

  const topUp = async ({ customer, apiKey }: LoadCustomer, request: string, amount: number) => {
    const body = JSON.stringify({ amount, request_id: request });
    const bytes = post("/v1/wallet/topup", apiKey, keys && topupRandom() < 0.5 ? request : null, body);
    for (let attempt = 0; !giveUp; attempt++) {
      const line = { what: "topup", at: 0, request, customer, amount } as const;
      const answer = await client.request(bytes, () => log.add({ ...line, at: Date.now() }));
      const status = answer?.status ?? 0;
      const idempotent = status === 200 ? parse(answer).idempotent === true : null;
      const replayed = isReplay(answer);
      log.add({ what: "topup-answer", at: Date.now(), request, customer, status, idempotent, replayed });
      if (!AGAIN.has(status)) return;
      await sleep(waits * againMs(attempt));
    }
  };

  for (const { customer, kind, caps } of customers) {
    const isRich = kind === "rich" || kind === "strict";
    log.add({ what: "customer", customer, rich: isRich, ...(caps === undefined ? {} : { caps }) });
  }
  await Promise.all(customers.map((c) => topUp(c, "opening", OPENING[c.kind])));

  const startedAt = performance.now();
  let n = 0;
  const timer = setInterval(() => {
    for (let size = 1; n < ((performance.now() - startedAt) * ratePerS) / 1_000; n += size) {
      size = sizeOfNext();
      if (client.waiting() > LATE_MAX) counts.skipped++;
      else {
        counts.sent++;
        follow(send(n, size));
      }
    }
  }, TICK_MS);
  const topups = setInterval(() => {
    for (const from of [rich, strict, thin, capped]) {
      if (from.length === 0) continue;
      const customer = one(from, topupRandom);
      follow(topUp(customer, `t${counts.topups++}`, TOPUP[customer.kind]));
    }
  }, TOPUP_EVERY_MS);
  return {
    counts,
    longestGapMs: () => longestGapMs,
    async stop(maxMs) {
      clearInterval(timer);
      clearInterval(topups);
      const endMs = performance.now() + maxMs;
      while (work.size > 0 && performance.now() < endMs) await sleep(50);
      giveUp = true;
      await Promise.all(work);
    },
  };
}

type Terms = { valid_for?: number; send_at?: string };
const laterThan = (nowMs: number, n: number) => ({
  send_at: new Date(nowMs + LATER.fromMs + (n % LATER.steps) * LATER.stepMs).toISOString(),
});

function phoneOf(random: () => number): { phone: string; hangs: boolean } {
  let draw = random();
  const subscriber = Math.floor(random() * 8_000_000);
  if ((draw -= HANGS.share) < 0) return { phone: HANGS.phone, hangs: true };
  if ((draw -= REFUSED_BY_ALL.share) < 0) return { phone: REFUSED_BY_ALL.phone, hangs: false };
  if ((draw -= REFUSED_BY_A.share) < 0) return { phone: REFUSED_BY_A.phone, hangs: false };
  return { phone: `+98912${String(1_000_000 + subscriber).padStart(7, "0")}`, hangs: false };
}

/** What each of a request's messages was answered; in a batch, what was rejected counts as refused. */
function answersOf(answer: RawAnswer | null, size: number): Answer[] {
  const body = parse(answer);
  const status = answer?.status ?? 0;
  const replayed = isReplay(answer);
  if (status !== 202 || answer === null) {
    const code = typeof body.code === "string" ? body.code : null;
    return Array.from({ length: size }, () => ({ status, code, id: null, cost: null, replayed, body: null }));
  }
  const hash = Bun.hash(answer.body).toString(36);
  const yes = ({ id, cost }: { id?: unknown; cost?: unknown }): Answer => ({
    status,
    code: null,
    id: typeof id === "string" ? id : null,
    cost: typeof cost === "number" ? cost : null,
    replayed,
    body: hash,
  });
  if (!Array.isArray(body.accepted)) return [yes(body)];
  const accepted = new Map(
    (body.accepted as { index: number; id?: unknown; cost?: unknown }[]).map((each) => [each.index, each]),
  );
  return Array.from({ length: size }, (_, at) => {
    const each = accepted.get(at);
    if (each !== undefined) return yes(each);
    return { status: 402, code: "insufficient_balance", id: null, cost: null, replayed, body: null };
  });
}

const isReplay = (answer: RawAnswer | null) => answer?.headers.get("idempotent-replayed") === "true";

function parse(answer: RawAnswer | null): Record<string, unknown> {
  if (answer === null) return {};
  try {
    return JSON.parse(answer.body) as Record<string, unknown>;
  } catch {
    return {}; // an answer that isn't JSON has no code and is counted by its status
  }
}
