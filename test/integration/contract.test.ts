// A small run of schemathesis against one ingest process and the admin API: every answer is as their
// GET /openapi.json says, and the books are right after it. `make fuzz` runs 50,000 cases of all phases
// against the whole gateway.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectRoot } from "../../src/stack/tools.ts";
import { makeAdmins, makeCallers, SETTINGS } from "../fuzz/callers.ts";
import { type Count, type FuzzOptions, runSchemathesis, sumOf } from "../fuzz/schemathesis.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestEngines, type TestEngines } from "../support/engines.ts";
import { envOf, type IngestProcess, startIngest } from "../support/ingest-process.ts";
import { freePorts } from "../support/ports.ts";
import { until } from "../support/roles.ts";
import { printedSeed } from "../support/seed.ts";

const EXAMPLES = 8;
const MAX_S = 15;
const CASES_MIN = 10;
const ADMIN_MAX_S = 2;
const ADMIN_CASES_MIN = 5;
/** On a slow machine the examples may take all of that time: then other requests get as long again. */
const ROUNDS_MAX = 5;
/** Nothing listens there, and nothing calls: only ingest runs. */
const CALLBACK_URL = "http://127.0.0.1:9999";

let engines: TestEngines;
let ingest: IngestProcess;
let admin: ChildProcess;
let adminUrl = "";
const folder = mkdtempSync(join(tmpdir(), "sluice-contract-"));
/** A copy: the admin API replaces it. */
const routes = join(folder, "routes.yaml");
beforeAll(async () => {
  engines = await createTestEngines();
  // No sender runs, so express would be promised later and later, and then refused.
  ingest = await startIngest(engines.config, {
    ...SETTINGS,
    otpSecret: randomBytes(32).toString("hex"),
    expressPromiseMaxMs: 600_000,
  });
  copyFileSync(join(projectRoot, "routes.yaml"), routes);
  const adminPort = await freePorts(2);
  adminUrl = `http://127.0.0.1:${adminPort}`;
  const settings = { ...engines.config, adminPort, healthPort: adminPort + 1, routesFile: routes };
  admin = spawn("bun", [join(projectRoot, "src/main/admin.ts")], {
    env: { ...process.env, ...envOf({ ...settings, stateFolder: folder }) },
    stdio: "ignore",
  });
  const isUp = () =>
    fetch(`${adminUrl}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  await until(isUp, "the admin API answers");
}, 120_000);
afterAll(async () => {
  await ingest.end();
  admin.kill("SIGTERM");
  await new Promise((resolve) => admin.once("exit", resolve));
  rmSync(folder, { recursive: true });
  await engines.drop();
}, 120_000);

/** Runs it until `isEnough`, each time with another seed; nothing may be found. */
async function fuzz(options: FuzzOptions, isEnough: (counts: Count[]) => boolean): Promise<Count[]> {
  const all: Count[] = [];
  for (let round = 0; round < ROUNDS_MAX && !isEnough(all); round++) {
    const phases = round === 0 ? options.phases : (["fuzzing"] as const);
    const { ok, output, counts } = await runSchemathesis({ ...options, seed: options.seed + round, phases });
    if (!ok) console.log(output);
    expect(ok).toBe(true);
    all.push(...counts);
  }
  expect(isEnough(all)).toBe(true);
  return all;
}

test("valid and invalid requests are answered as documented, and no money is lost or made", async () => {
  const { keys } = await makeCallers(engines.pool, CALLBACK_URL);
  const casesOf = (counts: Count[], mode: Count["mode"]) =>
    sumOf(counts.filter((count) => count.mode === mode));
  const counts = await fuzz(
    {
      name: "customers",
      url: ingest.url,
      keys,
      callbackUrl: CALLBACK_URL,
      seed: printedSeed("contract"),
      examples: EXAMPLES,
      maxS: MAX_S,
      phases: ["examples", "fuzzing", "stateful"],
    },
    (all) => casesOf(all, "positive") > CASES_MIN && casesOf(all, "negative") > CASES_MIN,
  );
  console.log(`${casesOf(counts, "positive")} valid and ${casesOf(counts, "negative")} invalid requests`);
  await reconcileBooks(engines.pool);
}, 180_000);

test("so are those of admins, whoever has no right to is refused, and no other customer is changed", async () => {
  const others = await engines.pool.query("SELECT * FROM customers ORDER BY customer_id");
  const { tokens, revoked, customerIds } = await makeAdmins(engines.pool);
  const counts = await fuzz(
    {
      name: "admins",
      url: adminUrl,
      keys: tokens,
      callbackUrl: CALLBACK_URL,
      admin: { customers: customerIds.map(String), read: tokens.read, revoked, routes },
      seed: printedSeed("contract of admins"),
      examples: 1,
      maxS: ADMIN_MAX_S,
      phases: ["examples", "fuzzing"],
    },
    (all) => sumOf(all) > ADMIN_CASES_MIN,
  );
  console.log(`${sumOf(counts)} requests of admins`);
  const now = await engines.pool.query("SELECT * FROM customers ORDER BY customer_id LIMIT ?", [
    others.length,
  ]);
  expect(now).toEqual(others);
  await reconcileBooks(engines.pool);
}, 120_000);
