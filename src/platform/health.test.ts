import { expect, test } from "bun:test";
import { freePort } from "../../test/support/ports.ts";
import type { Log } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { type Readiness, serveHealth } from "./health.ts";

const log = { warn: () => undefined } as unknown as Log;

async function withServer(
  ready: () => Promise<Readiness>,
  use: (base: string) => Promise<void>,
): Promise<void> {
  const metrics = createMetrics("test");
  const counts = metrics.counts("sluice_sender", ["read_total"]);
  counts.read_total = 41;
  counts.read_total++;
  const port = await freePort();
  const server = await serveHealth({ log, metrics, ready }, { host: "127.0.0.1", port });
  try {
    await use(`http://127.0.0.1:${port}`);
  } finally {
    await server.close();
  }
}

test("health, ready and metrics answer; plain counts appear when scraped", async () => {
  await withServer(
    async () => ({ ready: true, checks: { mysql: "ok", kafka: "degraded" } }),
    async (base) => {
      expect((await fetch(`${base}/health`)).status).toBe(200);
      const ready = await fetch(`${base}/ready`);
      expect(ready.status).toBe(200);
      expect(await ready.json()).toEqual({ status: "degraded", checks: { mysql: "ok", kafka: "degraded" } });
      const text = await (await fetch(`${base}/metrics`)).text();
      expect(text).toContain('sluice_sender_read_total{role="test"} 42\n');
      expect(text).toContain('sluice_ready{role="test"} 1\n');
      expect(text).toContain('sluice_ready_check{check="mysql",role="test"} 1\n');
      expect(text).toContain('sluice_ready_check{check="kafka",role="test"} 0\n');
      expect((await fetch(`${base}/nothing`)).status).toBe(404);
      expect((await fetch(`${base}/health`, { method: "POST" })).status).toBe(405);
    },
  );
});

test("a check that throws, or never ends, is not ready", async () => {
  await withServer(
    () => Promise.reject(new Error("no")),
    async (base) => expect((await fetch(`${base}/ready`)).status).toBe(503),
  );
  await withServer(
    () => new Promise(() => undefined),
    async (base) => expect((await fetch(`${base}/ready`)).status).toBe(503),
  );
});

test("a taken port is refused with an error that names the settings", async () => {
  const deps = { log, metrics: createMetrics("test"), ready: () => ({ ready: true, checks: {} }) };
  const port = await freePort();
  const first = await serveHealth(deps, { host: "127.0.0.1", port });
  try {
    const said = await serveHealth(
      { ...deps, metrics: createMetrics("test") },
      { host: "127.0.0.1", port },
    ).then(
      () => "",
      (error: unknown) => String(error),
    );
    expect(said).toContain(`127.0.0.1:${port}: see SLUICE_HEALTH_HOST, SLUICE_HEALTH_PORT`);
    expect(said).toMatch(/EADDRINUSE|in use/);
  } finally {
    await first.close();
  }
});
