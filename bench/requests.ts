// Requests of a load, built beforehand so that sending one costs the client a write, and the choice of who
// sends the next: evenly, or by Zipf's law, where the customer of rank r sends 1/r^s as much as the first.
// Everything follows from BENCH_SEED.

import { BENCH_SEED, type BenchCustomer, randomFrom } from "./harness.ts";

export type RequestOptions = {
  host: string;
  /** Share of express messages. */
  express: number;
  /** Zipf's exponent; 0: every customer sends as much as any other. */
  zipf: number;
};

/** The next request of the load, each time it is called. */
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

// Subscriber numbers that end in 1 to 3 after 9990 have a meaning for the simulated operators; these begin
// with 1.
function build({ apiKey }: BenchCustomer, i: number, type: string, host: string): Buffer {
  const text = `Your order ${i} is on its way and will arrive today.`;
  const body = JSON.stringify({ phone: `+98912${1_000_000 + i}`, text, type });
  return Buffer.from(
    `POST /v1/sms/send HTTP/1.1\r\nHost: ${host}\r\nX-API-Key: ${apiKey}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

/**
 * Draws indexes below `count`. Ranks are dealt out by chance: customers who send much need not have been
 * created one after the other, and share no page of an index because of it.
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
