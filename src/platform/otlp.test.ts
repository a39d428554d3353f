// Export to a collector on a real HTTP socket, and no export without an address.

import { expect, test } from "bun:test";
import { createTracing } from "./otlp.ts";
import { newTraceparent, traceIdOf } from "./trace.ts";

async function collect(use: (url: string) => Promise<void>): Promise<string[]> {
  const bodies: string[] = [];
  const server = Bun.serve({
    port: 0,
    fetch: async (request) => {
      bodies.push(await request.text());
      return Response.json({});
    },
  });
  try {
    await use(`http://127.0.0.1:${server.port}/v1/traces`);
  } finally {
    await server.stop(true);
  }
  return bodies;
}

test("a sampled span is exported under its message's trace, an unsampled one isn't", async () => {
  const [kept, left] = [newTraceparent(true), newTraceparent(false)];
  const bodies = await collect(async (url) => {
    const tracing = await createTracing({ url, role: "test", sampleEvery: 1 });
    tracing.span("accept", kept, 1_000, 1_005, { status: "queued" });
    tracing.span("accept", left, 1_000, 1_005, {});
    await tracing.close();
  });
  const text = bodies.join("\n");
  expect(text).toContain(traceIdOf(kept));
  expect(text).toContain("sluice-test");
  expect(text).not.toContain(traceIdOf(left));
});

test("one new trace in `sampleEvery` is sampled, and none without an address", async () => {
  const off = await createTracing({ url: "", role: "test", sampleEvery: 1 });
  expect(off.sample()).toBe(false);
  await collect(async (url) => {
    const tracing = await createTracing({ url, role: "test", sampleEvery: 3 });
    expect([1, 2, 3, 4].map(() => tracing.sample())).toEqual([true, false, false, true]);
    await tracing.close();
  });
});
