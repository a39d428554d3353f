// What operators deliver reaches the main thread, and its answer comes back; over real message ports.

import { afterEach, expect, test } from "bun:test";
import { MessageChannel } from "node:worker_threads";
import { createWorkerPort, serveWorkerPort, type StoreReport } from "./worker-port.ts";

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

function start(store: StoreReport | null, close: () => Promise<unknown> = () => Promise.resolve()) {
  const { port1, port2 } = new MessageChannel();
  ends.push(() => port1.close());
  const asked = Promise.withResolvers<unknown>();
  const lookUp = (...what: unknown[]) => asked.resolve(what);
  const drained = Promise.withResolvers<void>();
  const deliver = createWorkerPort(port1, { close, lookUp, drain: drained.resolve });
  return { deliver, asked: asked.promise, drained: drained.promise, ...serveWorkerPort(port2, store) };
}
const pdu = (n: number) => Uint8Array.of(0, 0, 0, 16, n);

test("a delivery is answered as it was stored, with its operator and octets, each for itself", async () => {
  const stored: [string, number[]][] = [];
  const { deliver } = start(async (operator, bytes) => {
    // The later, the sooner: answers are out of order.
    await new Promise((resolve) => setTimeout(resolve, 30 - 10 * (bytes[4] as number)));
    stored.push([operator, Array.from(bytes)]);
    return bytes[4] !== 1;
  });
  const answers = await Promise.all([deliver("A", pdu(0)), deliver("B", pdu(1)), deliver("A", pdu(2))]);
  expect(answers).toEqual([true, false, true]);
  expect(stored).toEqual([
    ["A", [0, 0, 0, 16, 2]],
    ["B", [0, 0, 0, 16, 1]],
    ["A", [0, 0, 0, 16, 0]],
  ]);
});

test("without anyone who stores, and when storing fails, the answer is no", async () => {
  expect(await start(null).deliver("A", pdu(0))).toBe(false);
  const failing = start(() => Promise.reject(new Error("no database")));
  expect(await failing.deliver("A", pdu(0))).toBe(false);
});

test("a look-up reaches the worker with its operator and what is asked", async () => {
  const { lookUp, asked } = start(null);
  const what = { operatorMessageIds: ["a", "b"], phone: "+989121234567", from: null };
  lookUp("A", what);
  expect(await asked).toEqual(["A", what]);
});

test("a worker is told when the sender stops", async () => {
  const { drain, drained } = start(null);
  drain();
  await drained;
});

test("closing waits for the worker's connections, but not for ever", async () => {
  let closed = 0;
  await start(null, async () => void closed++).close();
  expect(closed).toBe(1);
  await start(null, () => Promise.reject(new Error("a bug"))).close();
  const startedMs = performance.now();
  await start(null, () => new Promise(() => undefined)).close();
  expect(performance.now() - startedMs).toBeLessThan(5_000);
});
