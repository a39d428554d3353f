// Sends the messages of a run over the API at a steady rate, as a careful client does: each with a key, and
// again until its answer is certain. Every message has a recipient of its own, because that is how a receipt
// finds a message whose answer was lost. What is sent follows from its number.
// Bound: WAITING_MAX requests that wait for a connection; beyond that it falls behind its rate. TRIES_MAX.

import { sleep } from "../../src/platform/retry.ts";
import type { Client } from "../faults/client.ts";

export type Customer = { customerId: number; apiKey: string };
export type SendOptions = { host: string; messages: number; ratePerS: number };
export type Sending = {
  /** Messages that were answered with 202 so far. */
  accepted(): number;
  /** Resolves when all are. @throws Error at an answer that no careful client expects */
  done: Promise<void>;
  /** No new messages; `done` may never resolve. */
  stop(): void;
};

const TICK_MS = 5;
const WAITING_MAX = 200;
const TRIES_MAX = 30;
const againMs = (tries: number): number => Math.min(3_000, 100 * 2 ** tries);
/** No answer, a key still in use, over a limit, not now. */
const AGAIN = new Set([0, 409, 429, 503]);
const SUBSCRIBER_FIRST = 1_000_000;

export function startSending(
  client: Client,
  customers: readonly Customer[],
  { host, messages, ratePerS }: SendOptions,
): Sending {
  const all = Promise.withResolvers<void>();
  const startedMs = performance.now();
  let next = 0;
  let accepted = 0;
  const send = async (n: number) => {
    const request = requestOf(n, customers[n % customers.length] as Customer, host);
    for (let tries = 1; ; tries++) {
      const answer = await client.request(request, () => undefined);
      if (answer?.status === 202) break;
      if (!AGAIN.has(answer?.status ?? 0) || tries === TRIES_MAX)
        throw new Error(`message ${n} got ${answer?.status ?? "no answer"}: ${answer?.body ?? ""}`);
      await sleep(againMs(tries));
    }
    if (++accepted === messages) all.resolve();
  };
  const timer = setInterval(() => {
    const due = Math.min(messages, ((performance.now() - startedMs) * ratePerS) / 1_000);
    while (next < due && client.waiting() < WAITING_MAX)
      void send(next++).catch((error: unknown) => all.reject(error));
  }, TICK_MS);
  return {
    accepted: () => accepted,
    done: all.promise.finally(() => clearInterval(timer)),
    stop: () => clearInterval(timer),
  };
}

function requestOf(n: number, { apiKey }: Customer, host: string): Buffer {
  const body = JSON.stringify({
    phone: `+98912${SUBSCRIBER_FIRST + n}`,
    text: textOf(n),
    type: "normal",
    reference: `m${n}`,
    ...(n % 2 === 0 ? { from: "Sluice" } : {}),
  });
  return Buffer.from(
    `POST /v1/sms/send HTTP/1.1\r\nHost: ${host}\r\nX-API-Key: ${apiKey}\r\n` +
      `Content-Type: application/json\r\nIdempotency-Key: m${n}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

/**
 * Of ten messages two have several parts, in either encoding; over a thousand, each of the operator's ends
 * (the recipient's last two digits) meets each kind of text.
 */
function textOf(n: number): string {
  switch ((7 * n + 3 * Math.floor(n / 100)) % 10) {
    case 7:
      return `Message ${n}: `.padEnd(200, "your order is on its way. ");
    case 8:
      return `پیام ${n}: `.padEnd(150, "سفارش شما در راه است. ");
    case 9:
      return `پیام ${n}`;
    default:
      return `Message ${n}: your order is on its way.`;
  }
}
