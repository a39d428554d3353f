// A tiny run of the bench: it must find its operator, and lose nothing.

import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";

test("bench/smpp: every submit is accepted over both binds", async () => {
  const file = fileURLToPath(new URL("smpp.ts", import.meta.url));
  const run = Bun.spawn(["node", file, "--seconds", "1", "--warmup", "0.5"], {
    stdout: "pipe",
    stderr: "inherit",
  });
  const result = JSON.parse(await new Response(run.stdout).text()) as Record<string, number>;
  expect(await run.exited).toBe(0);
  expect(result).toMatchObject({ not_accepted: 0, binds: 2 });
  expect(result.submits_per_second).toBeGreaterThan(0);
}, 60_000);
