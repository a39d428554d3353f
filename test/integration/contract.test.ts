// A small run of schemathesis against one ingest process: every answer is as GET /openapi.json says, and the
// books are right after it. `make fuzz` runs 50,000 cases of all phases against the whole gateway.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { makeCallers, SETTINGS } from "../fuzz/callers.ts";
import { type Count, runSchemathesis, sumOf } from "../fuzz/schemathesis.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestEngines, type TestEngines } from "../support/engines.ts";
import { type IngestProcess, startIngest } from "../support/ingest-process.ts";
import { printedSeed } from "../support/seed.ts";

const EXAMPLES = 8;
const MAX_S = 10;
/** Nothing listens there, and nothing calls: only ingest runs. */
const CALLBACK_URL = "http://127.0.0.1:9999";

let engines: TestEngines;
let ingest: IngestProcess;
beforeAll(async () => {
  engines = await createTestEngines();
  // No sender runs, so express would be promised later and later, and then refused.
  ingest = await startIngest(engines.config, {
    ...SETTINGS,
    otpSecret: randomBytes(32).toString("hex"),
    expressPromiseMaxMs: 600_000,
  });
}, 60_000);
afterAll(async () => {
  await ingest.end();
  await engines.drop();
}, 30_000);

test("valid and invalid requests are answered as documented, and no money is lost or made", async () => {
  const { keys } = await makeCallers(engines.pool, CALLBACK_URL);
  const { ok, output, counts } = await runSchemathesis({
    name: "customers",
    url: ingest.url,
    keys,
    callbackUrl: CALLBACK_URL,
    seed: printedSeed("contract"),
    examples: EXAMPLES,
    maxS: MAX_S,
    phases: ["examples", "fuzzing", "stateful"],
  });
  if (!ok) console.log(output);
  expect(ok).toBe(true);
  const casesOf = (mode: Count["mode"]) => sumOf(counts.filter((count) => count.mode === mode));
  console.log(`${casesOf("positive")} valid and ${casesOf("negative")} invalid requests`);
  for (const mode of ["positive", "negative"]) expect(casesOf(mode)).toBeGreaterThan(10);
  await reconcileBooks(engines.pool);
}, 120_000);
