// The requests of a load, prebuilt so that sending one costs the client only a write, and the choice of who
// sends the next: evenly, or by Zipf's law, where the customer of rank r sends 1/r^s times as much as the
// first. Everything follows from BENCH_SEED.

import { BENCH_SEED, type BenchCustomer, randomFrom } from "./harness.ts";

export type RequestOptions = {
  host: string;
  /** The share of express messages. */
  express: number;
  /** Zipf's exponent; 0: all customers send equally often. */
  zipf: number;
};

/** Returns a function that returns the load's next request. */
export function requestsOf(customers: readonly BenchCustomer[], options: RequestOptions): () => Buffer {
  const random = randomFrom(BENCH_SEED);
  const next = chooser(customers.length, options.zipf, random);
  const built = customers.map((customer, i) => ({
    normal: build(customer, i, "normal", options.host),
    express: build(customer, i, "express", options.host),
  }));
  return () => {
    const of = built[next()] as (typeof built)[number];
    return random() < options.express ? of.express : of.normal;
  };
}

/** A request that sends a batch of so many messages. */
export function batchOf({ apiKey }: BenchCustomer, size: number, host: string): Buffer {
  const phones = Array.from({ length: size }, (_, i) => `+98912${1_000_000 + i}`);
  const body = JSON.stringify({ phones, text: "Our shop is open until ten tonight." });
  return requestOf("/v1/sms/batches", apiKey, host, body);
}

// Numbers ending in 9990001 to 9990003 have a meaning for the simulated operators. Here the subscriber number
// begins with 1, so none of them occurs.
function build({ apiKey }: BenchCustomer, i: number, type: string, host: string): Buffer {
  const text = `Your order ${i} is on its way and will arrive today.`;
  const body = JSON.stringify({ phone: `+98912${1_000_000 + i}`, text, type });
  return requestOf("/v1/sms/send", apiKey, host, body);
}

const requestOf = (path: string, apiKey: string, host: string, body: string): Buffer =>
  Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nX-API-Key: ${apiKey}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );

/**
 * Draws indexes below `count`. Ranks are assigned at random, so that customers who send much were not created
 * one after the other, and so do not profit from sharing a page of an index.
 */
export function chooser(count: number, zipf: number, random: () => number): () => number {
  if (zipf === 0) return () => Math.floor(random() * count);
  const sums = new Float64Array(count);
  let sum = 0;
  for (let rank = 0; rank < count; rank++) sums[rank] = sum += 1 / (rank + 1) ** zipf;
  const ofRank = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [ofRank[i], ofRank[j]] = [ofRank[j] as number, ofRank[i] as number];
  }
  return () => {
    const drawn = random() * sum;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) > drawn) high = middle;
      else low = middle + 1;
    }
    return ofRank[low] as number;
  };
}
