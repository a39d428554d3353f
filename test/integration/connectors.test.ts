// A submit on the wire, and how it can fail there: connectors on Node, as senders run them, against servers
// that speak their protocol.

import { expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { SUBMIT_TIMEOUT_MS } from "../../src/core/limits.ts";
import type { Answer } from "../../src/operators/connectors/connector.ts";
import type { OperatorSpec } from "../../src/operators/connectors/kinds.ts";
import { operatorTerms } from "../support/operator-terms.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

const message: LaneRecord = {
  id: "01M7YBCH59Z4D8R94AWEAQ1Q8T",
  customerId: 7,
  phone: "+989121234567",
  text: "سلام",
  from: "shop",
  reference: "order-1",
  lane: "express",
  encoding: "ucs2",
  parts: 2,
  cost: 1_400,
  createdAtMs: Date.UTC(2026, 0, 2, 3, 4, 5, 6),
  attempt: 0,
  guaranteedByMs: null,
  validUntilMs: null,
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
};
type Said = Answer | { report: Answer };
async function said(port: number, fields: Partial<LaneRecord> = {}): Promise<Said[]> {
  const operator: OperatorSpec = {
    ...operatorTerms({ name: "A", window: 2 }),
    kind: "http",
    url: `http://127.0.0.1:${port}/submit`,
  };
  const own = JSON.stringify({ ...message, ...fields });
  const args = ["test/support/submit-tool.ts", JSON.stringify(operator), own];
  const { stdout } = await promisify(execFile)("node", args, { cwd: root });
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Said);
}

test("an operator gets what it needs to send the message: text, encoding, parts, sender, validity; nothing more", async () => {
  const heard: { body: unknown; traceparent: string | null }[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      heard.push({ body: await request.json(), traceparent: request.headers.get("traceparent") });
      return Response.json({ operator_message_id: "a-1" });
    },
  });
  expect(await said(server.port as number)).toEqual([{ kind: "accepted", operatorMessageIds: ["a-1"] }]);
  await server.stop(true);
  expect(heard).toEqual([
    {
      body: {
        id: message.id,
        phone: "+989121234567",
        text: "سلام",
        from: "shop",
        encoding: "ucs2",
        parts: 2,
        valid_until: "2026-01-05T03:04:05.006Z",
      },
      traceparent: message.traceparent,
    },
  ]);
});

test("a failed connection is distinguished from a lost answer", async () => {
  const closed = Bun.listen({ port: 0, hostname: "127.0.0.1", socket: { data: () => undefined } });
  const { port } = closed;
  closed.stop(true);
  expect(await said(port)).toEqual([{ kind: "not-connected", reason: "ECONNREFUSED" }]);
  const silent = Bun.listen({
    port: 0,
    hostname: "127.0.0.1",
    socket: { data: (socket) => void socket.end() },
  });
  expect(await said(silent.port)).toMatchObject([{ kind: "lost" }]);
  silent.stop(true);
});

test("express is not begun once its answer could come after the promise, although the connection is there", async () => {
  let heard = 0;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch() {
      heard++;
      return Response.json({ operator_message_id: "a-1" });
    },
  });
  const port = server.port as number;
  expect(await said(port, { guaranteedByMs: Date.now() + SUBMIT_TIMEOUT_MS - 1 })).toEqual([
    { kind: "not-connected", reason: "no connection in time for its promise" },
  ]);
  expect(heard).toBe(0);
  expect(await said(port, { guaranteedByMs: Date.now() + 60_000 })).toMatchObject([{ kind: "accepted" }]);
  await server.stop(true);
});

test("an answer that comes after the submit was given up is a report: accepted or refused", async () => {
  for (const [status, body, report] of [
    [200, { operator_message_id: "a-1" }, { kind: "accepted", operatorMessageIds: ["a-1"] }],
    [503, { code: "busy" }, { kind: "refused", permanent: false, reason: "503 busy" }],
  ] as const) {
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      async fetch() {
        await Bun.sleep(SUBMIT_TIMEOUT_MS + 500);
        return Response.json(body, { status });
      },
    });
    expect<unknown>(await said(server.port as number)).toEqual([
      { kind: "lost", reason: "no answer in time" },
      { report },
    ]);
    await server.stop(true);
  }
}, 20_000);
