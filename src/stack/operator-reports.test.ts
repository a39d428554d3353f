// What the simulated operator's record has when its reports leave: it may be killed at any moment.

import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createBehaviour, PROFILES } from "./operator-behaviour.ts";
import { FIXED_PHONES } from "./operator-ends.ts";
import { startOperator } from "./operator.ts";

// Fewer than the 256 requests that Bun makes at once, so that reports get through. Each is reported within
// two seconds, one in forty before the record would be written anyway.
const SUBMITS = 200;

test("a message is in the operator's record before it is reported, also if its submit is never answered", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-operator-reports-"));
  const unrecorded: string[] = [];
  let reported = 0;
  const gateway = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const recorded = new Set(readFileSync(join(folder, "A.log"), "latin1").split("\n"));
      const { reports } = (await request.json()) as { reports: { our_id: string }[] };
      reported += reports.length;
      unrecorded.push(...reports.map((report) => report.our_id).filter((id) => !recorded.has(id)));
      return new Response("ok");
    },
  });
  const reportsUrl = `http://127.0.0.1:${gateway.port}`;
  const behaviour = createBehaviour(PROFILES.reporting, 1);
  const options = { name: "A", behaviour, host: "127.0.0.1", port: 0, echoesId: true } as const;
  const operator = await startOperator({ ...options, folder, reportsUrl });
  const ended = new AbortController();
  const submit = (id: string) =>
    fetch(`http://127.0.0.1:${operator.port}/submit`, {
      method: "POST",
      body: JSON.stringify({
        id,
        phone: FIXED_PHONES.hangs,
        text: "x",
        encoding: "gsm7",
        parts: 1,
        valid_until: new Date(Date.now() + 60_000).toISOString(),
      }),
      signal: ended.signal,
    }).catch(() => undefined);
  const all: Promise<unknown>[] = [];
  for (let n = 0; n < SUBMITS; n++) {
    all.push(submit(`m${n}`));
    await Bun.sleep(5); // spreads them over the times at which it would be
  }
  await Bun.sleep(2_200);
  ended.abort();
  await Promise.all(all);
  await operator.stop();
  await gateway.stop(true);
  rmSync(folder, { recursive: true });
  expect(reported).toBeGreaterThan(SUBMITS / 2);
  expect(unrecorded).toEqual([]);
});
