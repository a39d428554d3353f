// The messages of bench/usage.ts: several customers with prices of their own, one of whom pays when a message
// is sent and can't pay for all; both lanes, six calling codes, one part or two, phones that occur again,
// and references that CSV has to quote. All of it follows from a seed. Sends them in batches, each with an
// Idempotency-Key, so that whatever isn't answered or is refused for now is sent again.
// Bound: TRIES_MAX of a batch.

import { FIXED_PHONES } from "../src/stack/operator-ends.ts";
import type { Pool } from "../src/platform/mysql.ts";
import { sleep } from "../src/platform/retry.ts";
import { type BenchCustomer, createBenchCustomers, progressOf, randomFrom } from "./harness.ts";

/** Of a part: normal, express. */
const PRICES = [
  [500, 700],
  [90, 131],
  [1, 3],
  [12_345, 23_457],
  [777, 999],
] as const;
/** By calling code: how its numbers begin, and what the rest counts from. */
const NUMBERS = [
  { prefix: "+98", begin: "+98912", from: 1_000_000 },
  { prefix: "+98", begin: "+98935", from: 1_000_000 },
  { prefix: "+964", begin: "+964790", from: 1_000_000 },
  { prefix: "+7", begin: "+7916", from: 1_000_000 },
  { prefix: "+1", begin: "+1415", from: 2_000_000 },
  { prefix: "+44", begin: "+447400", from: 100_000 },
  { prefix: "+351", begin: "+351912", from: 100_000 },
] as const;
/** More phones than that would make the shortest numbers above too long. */
const PHONES_MAX = 800_000;
const REFUSED_SHARE = 0.05;
const EXPRESS_SHARE = 0.1;
const ODD_SHARE = 0.05;
const TRIES_MAX = 100;
const RETRY_MAX_S = 5;

export const prefixOf = (phone: string): string => {
  const found = NUMBERS.find(({ prefix }) => phone.startsWith(prefix));
  if (found === undefined) throw new Error(`${phone} is no phone of this bench`);
  return found.prefix;
};

/**
 * The last of them has mode async, and credit for about half of what it sends, if it sends its part of
 * `messages`.
 */
export async function createUsageCustomers(
  pool: Pool,
  count: number,
  messages: number,
): Promise<BenchCustomer[]> {
  const pricesOf = (at: number) => PRICES[at % PRICES.length] ?? PRICES[0];
  const half = Math.ceil((messages / count / 2) * pricesOf(count - 1)[0]);
  const customers = [
    ...(await createBenchCustomers(pool, count - 1)),
    ...(await createBenchCustomers(pool, 1, half)),
  ];
  for (const [at, { customerId }] of customers.entries())
    await pool.write(
      "UPDATE customers SET price_normal = ?, price_express = ?, mode = ? WHERE customer_id = ?",
      [...pricesOf(at), at === count - 1 ? "async" : "lease", customerId],
    );
  return customers;
}

export type Load = {
  origin: string;
  customers: readonly BenchCustomer[];
  messages: number;
  /** Messages of a batch. */
  size: number;
  connections: number;
  seed: number;
  say: (line: string) => void;
};
/** `repeated`: batches that were sent more than once. */
export type Sent = { accepted: number; express: number; repeated: number };

/** @throws Error if a batch is refused, a message of it rejected, or nothing answers for long */
export async function sendAll(load: Load): Promise<Sent> {
  const next = batchesOf(load);
  const progress = progressOf(load.say);
  const sent: Sent = { accepted: 0, express: 0, repeated: 0 };
  const caller = async () => {
    for (let batch = next(); batch !== null; batch = next()) {
      const { type, accepted, rejected } = await sendOne(load.origin, batch, () => sent.repeated++);
      if (rejected.length > 0)
        throw new Error(`${rejected.length} messages were rejected: ${JSON.stringify(rejected[0])}`);
      sent.accepted += accepted.length;
      if (type === "express") sent.express += accepted.length;
      progress(() => `${sent.accepted} of ${load.messages} messages are accepted`);
    }
  };
  await Promise.all(Array.from({ length: load.connections }, caller));
  return sent;
}

type OneBatch = { apiKey: string; key: string; body: string };

/** Returns a function that returns the next batch, and null after the last. */
function batchesOf({ customers, messages, size, seed }: Load): () => OneBatch | null {
  const random = randomFrom(seed);
  const below = (count: number) => Math.floor(random() * count);
  const phones = Math.min(PHONES_MAX, Math.max(10, Math.ceil(messages / 20)));
  const messageOf = (n: number) => {
    const { begin, from } = NUMBERS[below(NUMBERS.length)] ?? NUMBERS[0];
    const phone = random() < REFUSED_SHARE ? FIXED_PHONES.refusedByAll : `${begin}${from + below(phones)}`;
    const text = TEXTS[below(TEXTS.length)] ?? "";
    return { phone, text: `${text} ${n}`, reference: random() < ODD_SHARE ? `=${n}, "odd"` : `order-${n}` };
  };
  let made = 0;
  return () => {
    if (made >= messages) return null;
    const first = made;
    made = Math.min(messages, made + size);
    const { apiKey } = customers[Math.floor(first / size) % customers.length] as BenchCustomer;
    const list = Array.from({ length: made - first }, (_, at) => messageOf(first + at));
    const lane = random() < EXPRESS_SHARE ? { type: "express", fallback: "normal" } : { type: "normal" };
    return { apiKey, key: `usage-${first}`, body: JSON.stringify({ messages: list, ...lane }) };
  };
}

// One part each, but the last two: two parts of GSM 7-bit, and of UCS-2.
const TEXTS = [
  "Your order is on its way:",
  "Your code is",
  "سفارش شما در راه است:",
  "Thank you for your order. ".repeat(8),
  "سفارش شما در راه است و امروز می‌رسد. ".repeat(3),
];

type Answer = { type: string; accepted: unknown[]; rejected: unknown[] };

async function sendOne(
  origin: string,
  { apiKey, key, body }: OneBatch,
  onRepeat: () => void,
): Promise<Answer> {
  let last = "";
  for (let tries = 1; tries <= TRIES_MAX; tries++) {
    if (tries === 2) onRepeat();
    const answer = await post(`${origin}/v1/sms/batches`, { apiKey, key, body });
    if (answer.status === 202) return JSON.parse(answer.text) as Answer;
    last = `${answer.status}: ${answer.text.slice(0, 500)}`;
    if (!AGAIN.has(answer.status)) break;
    await sleep(1_000 * Math.min(RETRY_MAX_S, answer.retryAfterS));
  }
  throw new Error(`a batch was answered ${last}`);
}

const NO_ANSWER = 0;
const AGAIN: ReadonlySet<number> = new Set([NO_ANSWER, 409, 429, 503]);

async function post(url: string, { apiKey, key, body }: OneBatch) {
  try {
    const headers = { "content-type": "application/json", "x-api-key": apiKey, "idempotency-key": key };
    const answer = await fetch(url, { method: "POST", headers, body });
    const retryAfterS = Number(answer.headers.get("retry-after") ?? 1);
    return { status: answer.status, text: await answer.text(), retryAfterS };
  } catch (error) {
    return { status: NO_ANSWER, text: String(error), retryAfterS: 1 };
  }
}
