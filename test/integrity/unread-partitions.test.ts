// A sender never stays without partitions that nobody reads: on its own broker, which loses what it knew.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { loadConfig } from "../../src/platform/config.ts";
import { createEngines } from "../../src/stack/engines.ts";
import { identify, readRecords } from "../../src/stack/process.ts";
import { startEngines, stopAll } from "../../src/stack/stack.ts";
import { testSettings } from "../../src/stack/test-env.ts";
import { findTools } from "../../src/stack/tools.ts";

const HEALED_MAX_MS = 15_000;
/** Until then, a member that ended may come back and have its partitions at once (consumer.ts). */
const SESSION_MS = 20_000;
const OFFSET = 2_400;

const env = {
  ...process.env,
  ...testSettings({
    SLUICE_TEST_PORTS: String(Number(process.env.SLUICE_TEST_PORTS ?? 10_000) + OFFSET),
    SLUICE_TEST_STATE: ".sluice-test-unread",
  }),
};
const config = loadConfig(env);
const quiet = () => undefined;
const clean = async () => {
  await stopAll(readRecords(config.stateFolder), config.stateFolder, quiet);
  rmSync(config.stateFolder, { recursive: true, force: true });
};

type Line = { way: string; ms: number; rejoins?: number; served?: boolean };
let lines: Line[] = [];
const of = (way: string) => lines.filter((line) => line.way === way);

beforeAll(async () => {
  await clean();
  const engines = createEngines(config, findTools(env), config.stateFolder);
  const kafka = engines.filter(({ name }) => name === "kafka");
  await startEngines(kafka, config.stateFolder, identify(process.pid), quiet);
  lines = await new Promise((resolve, reject) => {
    const child = spawn("node", ["test/support/ownership-tool.ts"], {
      env: { ...env, SLUICE_LOG_LEVEL: "silent" },
    });
    let out = "";
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.once("exit", (code, by) => {
      if (code !== 0) return reject(new Error(`ended by ${by ?? code}\n${out}`));
      resolve(
        out
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line) as Line),
      );
    });
  });
}, 300_000);
afterAll(clean, 30_000);

test("assigned no partitions, because its topic came back a moment later, it reads all of them within 15 s", () => {
  const rounds = of("forgotten");
  for (const { ms } of rounds) expect(ms).toBeLessThan(HEALED_MAX_MS);
  // Usually librdkafka notices that the topic was gone; the last round is one in which it did not.
  expect(rounds.at(-1)?.rejoins).toBeGreaterThan(0);
});

test("two share the partitions, both are ready, and neither asks for the other's; when one ends, the other takes over after its session", () => {
  expect(of("shared")[0]).toMatchObject({ served: true, rejoins: 0 });
  expect(of("left")[0]?.ms).toBeLessThan(SESSION_MS + HEALED_MAX_MS);
});

test("a topic recreated while the group stays is read beyond its old offsets, and so are partitions added later", () => {
  expect(of("anew")[0]?.ms).toBeLessThan(HEALED_MAX_MS);
  expect(of("added")[0]?.ms).toBeLessThan(HEALED_MAX_MS);
});
