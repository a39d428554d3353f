// Tests the client of the fault suite, because its mistakes would look like the gateway's: a request without
// a key is sent once, one with a key is retried with the same bytes, and the log is complete.

import { expect, test } from "bun:test";
import { createServer, type Socket } from "node:net";
import { sleep } from "../../src/platform/retry.ts";
import { type Client, createClient } from "./client.ts";
import { type ClientLine, readClient } from "./evidence.ts";
import { type LoadOptions, startLoad } from "./load.ts";

type Sent = { reference?: string; request_id?: string; messages?: { reference: string }[] };
type Handler = (path: string, key: string | undefined, nth: number, body: string) => number;

/** A client without a network: `handle` returns a status, 0 for no answer. */
function fakeClient(handle: Handler): { client: Client; sent: Map<string, string[]> } {
  const sent = new Map<string, string[]>();
  const client: Client = {
    async request(bytes, onSent) {
      onSent();
      const text = bytes.toString();
      const [head = "", body = ""] = text.split("\r\n\r\n");
      const path = head.split(" ")[1] ?? "";
      const key = /^idempotency-key: (.*)$/im.exec(head)?.[1];
      const { reference, request_id, messages } = JSON.parse(body === "" ? "{}" : body) as Sent;
      const single = reference ?? `${request_id} ${/^x-api-key: (.*)$/im.exec(head)?.[1]}`;
      const names = messages?.map((each) => each.reference) ?? [single];
      const [name = ""] = names;
      const before = sent.get(name) ?? [];
      for (const each of names) sent.set(each, [...before, text]);
      await sleep(1);
      const status = handle(path, key, before.length, body);
      if (status === 0) return null;
      const answer = path.endsWith("topup")
        ? { idempotent: before.length > 0 }
        : messages === undefined
          ? { id: `id of ${name}`, cost: 500 }
          : { accepted: names.map((each, index) => ({ index, id: `id of ${each}`, cost: 500 })).slice(0, 2) };
      return {
        status,
        headers: new Map(),
        body: JSON.stringify(status < 300 ? answer : { code: "unavailable" }),
      };
    },
    waiting: () => 0,
    close: () => undefined,
  };
  return { client, sent };
}

const customers = [
  { customer: "1", apiKey: "one", kind: "rich" },
  { customer: "2", apiKey: "two", kind: "strict" },
  { customer: "3", apiKey: "three", kind: "thin" },
] as const;
const options = (changed: Partial<LoadOptions> = {}): LoadOptions => ({
  ratePerS: 400,
  seed: 1,
  keys: true,
  host: "x",
  now: () => 0,
  waits: 0.05,
  ...changed,
});

async function runLoad(handle: Handler, changed: Partial<LoadOptions> = {}) {
  const lines: ClientLine[] = [];
  const { client, sent } = fakeClient(handle);
  const log = { add: (line: ClientLine) => void lines.push(line), close: () => undefined };
  const load = await startLoad(client, log, customers, options(changed));
  await sleep(400);
  await load.stop(10_000);
  return { lines, sent, counts: load.counts, ...readClient(lines) };
}

test("a request without a key is sent once, whatever was answered", async () => {
  const { requests, sent } = await runLoad((path, key) => {
    if (path.startsWith("/v1/messages/")) return 200;
    return path.endsWith("topup") || key ? 202 : 0;
  });
  const keyless = requests.filter((r) => r.key === null);
  expect(keyless.length).toBeGreaterThan(5);
  for (const { n, tries } of keyless) {
    expect(tries.map((t) => t.status)).toEqual([0]);
    expect(sent.get(`r${n}`)).toHaveLength(1);
  }
});

test("a request with a key is retried with the same bytes until its answer is certain", async () => {
  const answers = [0, 503, 409, 202];
  const { requests, sent } = await runLoad((path, key, nth) =>
    path.endsWith("topup") ? 200 : key === undefined ? 202 : (answers[nth] ?? 202),
  );
  const keyed = requests.filter((r) => r.key !== null);
  expect(keyed.length).toBeGreaterThan(5);
  for (const { n, tries } of keyed) {
    expect(tries.map((t) => t.status).slice(0, 4)).toEqual(answers);
    expect(new Set(sent.get(`r${n}`)).size).toBe(1);
  }
});

test("a refusal is certain: it is not retried", async () => {
  const { requests } = await runLoad((path) => (path.endsWith("topup") ? 200 : 402));
  for (const { tries } of requests) expect(tries.map((t) => t.status)).toEqual([402]);
});

const BUSY = { seed: 3, ratePerS: 1_500 };

test("some requests are batches: each message is logged as a request, with what the answer says of it", async () => {
  const { requests, sent } = await runLoad((path) => (path.endsWith("topup") ? 200 : 202), BUSY);
  const batches = Map.groupBy(requests, ({ batch }) => batch?.first);
  batches.delete(undefined);
  expect(batches.size).toBeGreaterThan(0);
  for (const [first, of] of batches) {
    expect(of.map(({ n }) => n)).toEqual(of.map((_, at) => Number(first) + at));
    expect(new Set(of.flatMap(({ n }) => sent.get(`r${n}`) ?? [])).size).toBe(1);
    expect(new Set(of.map(({ customer, key }) => `${customer} ${key}`)).size).toBe(1);
    const told = of.map(({ tries }) => tries[0]);
    for (const [at, answer] of told.entries())
      expect(answer).toMatchObject(
        at < 2 ? { status: 202, id: `id of r${Number(first) + at}` } : { status: 402, id: null },
      );
  }
});

test("some are for later, and a cancel is repeated until its answer is certain", async () => {
  const lines: number[] = [];
  const { sent, canceled } = await runLoad((path, _key, nth) => {
    if (!path.startsWith("/v1/messages/")) return path.endsWith("topup") ? 200 : 202;
    lines.push(nth);
    return lines.length % 2 === 1 ? 503 : 200;
  }, BUSY);
  const later = [...sent].filter(([name, texts]) => /^r\d+$/.test(name) && texts[0]?.includes('"send_at"'));
  expect(later.length).toBeGreaterThan(5);
  expect(canceled.length).toBeGreaterThan(2);
  expect(lines.length).toBeGreaterThanOrEqual(2 * canceled.length);
});

test("without keys no request has one", async () => {
  const { requests } = await runLoad((path) => (path.endsWith("topup") ? 200 : 202), { keys: false });
  expect(requests.length).toBeGreaterThan(50);
  expect(requests.every((r) => r.key === null)).toBe(true);
});

test("a top-up is retried under its request_id, and all customers get an opening one", async () => {
  const { topupRequests } = await runLoad((path, _key, nth) =>
    path.endsWith("topup") ? (nth === 0 ? 503 : 200) : 202,
  );
  const opening = topupRequests.filter((t) => t.request === "opening");
  expect(opening.map((t) => t.customer).toSorted()).toEqual(["1", "2", "3"]);
  for (const { tries } of opening) expect(tries.map((t) => t.status)).toEqual([503, 200]);
});

test("the same seed sends the same messages", async () => {
  const bodies = async () => {
    const { sent } = await runLoad((path) => (path.endsWith("topup") ? 200 : 202));
    return [...sent].filter(([name]) => /^r\d+$/.test(name)).slice(0, 50);
  };
  expect(await bodies()).toEqual(await bodies());
});

test("a lost connection means no answer, and nothing is sent twice; the next request gets a new connection", async () => {
  const received: string[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      received.push(chunk.toString());
      if (received.length === 1) socket.resetAndDestroy();
      else if (received.length > 2) socket.write("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const client = createClient({ host: "127.0.0.1", port, connections: 1, answerMaxMs: 200 });
  try {
    const ask = (text: string) => client.request(Buffer.from(text), () => undefined);
    const [reset, late, answered] = await Promise.all([ask("first"), ask("second"), ask("third")]);
    expect([reset, late]).toEqual([null, null]);
    expect(answered).toMatchObject({ status: 202, body: "ok" });
    expect(received).toEqual(["first", "second", "third"]);
    expect(sockets).toHaveLength(3);
  } finally {
    client.close();
    server.close();
  }
});
