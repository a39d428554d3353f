// A sender's worker thread that hangs, for whatever reason: the sender learns of it, instead of waiting for
// ever with its claims and partitions.

import { expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { SUBMIT_TIMEOUT_MS } from "../../src/core/limits.ts";
import type { OperatorSpec } from "../../src/operators/connectors/kinds.ts";
import { laneRecord } from "../support/messages.ts";
import { operatorTerms } from "../support/operator-terms.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** ANSWERS_MAX_MS of src/sender/submitters.ts, which a worker that slept has for its answers. */
const GRACE_MS = 2 * SUBMIT_TIMEOUT_MS + 10_000;

test("a batch ends with its outcomes and tallies; when the worker hangs it fails after the grace period, and the thread can be closed", async () => {
  let submits = 0;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => Response.json({ operator_message_id: `a-${++submits}` }),
  });
  const operator: OperatorSpec = {
    ...operatorTerms({ name: "A", window: 2 }),
    kind: "http",
    url: `http://127.0.0.1:${server.port}/submit`,
  };
  const { stdout } = await promisify(execFile)(
    "node",
    [
      "--import",
      "./test/support/blockable-threads.ts",
      "test/support/submitters-tool.ts",
      JSON.stringify(operator),
      JSON.stringify(laneRecord(7)),
    ],
    { cwd: root, timeout: GRACE_MS + 20_000 },
  );
  await server.stop(true);
  const [works, hangs] = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { tookMs: number });
  expect(works).toMatchObject({ outcomes: ["accepted"], tallies: [{ good: 1, bad: 0 }] });
  expect(hangs).toMatchObject({ outcomes: [], error: "the workers do not answer" });
  expect(hangs?.tookMs).toBeGreaterThanOrEqual(GRACE_MS - 50);
  expect(submits).toBe(1);
}, 60_000);
