// What `./sluice` needs where the local stack isn't: on a machine with the runtimes, but without engines and
// without anything that could install them.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { loadConfig } from "../platform/config.ts";
import { createEngines } from "./engines.ts";
import { createRoles } from "./launcher/roles.ts";
import { findTools, projectRoot } from "./tools.ts";

const USED = "bash cat cut dirname flock grep head id mkdir readlink sed sha256sum tail tr uname".split(" ");
const TEST_MAX_MS = 60_000; // a command takes a second or two on a busy machine
const folder = mkdtempSync(join(tmpdir(), "sluice-test-tools-"));
const programs = join(folder, "bin");
const cache = join(folder, "cache");
const env = {
  PATH: programs,
  HOME: folder,
  SLUICE_STATE: join(folder, "state"),
  SLUICE_MYSQL_PORT: "1", // nothing answers there
};
beforeAll(() => {
  for (const each of [programs, cache, join(folder, "empty")]) mkdirSync(each);
  for (const name of USED) symlinkSync(Bun.which(name) as string, join(programs, name));
  const toolchain = join(findTools(process.env).node, "../../../..");
  symlinkSync(toolchain, join(cache, basename(toolchain)));
});
afterAll(() => rmSync(folder, { recursive: true }));

const run = (args: string[], from = cache) => {
  const options = { env: { ...env, SLUICE_CACHE: from }, encoding: "utf8" } as const;
  const { status, stderr } = spawnSync(
    join(programs, "bash"),
    [join(projectRoot, "sluice"), ...args],
    options,
  );
  return { code: status, stderr };
};

test("only the engines of the local stack need them installed", () => {
  const tools = findTools({ ...env, SLUICE_CACHE: cache });
  const config = loadConfig({});
  expect(createRoles(config, tools, folder, { ingest: 1, operators: "" })).not.toBeEmpty();
  expect(() => createEngines(config, tools, folder)).toThrow("MySQL is not installed");
  expect(() => tools.kafkaJars()).toThrow("Kafka is not installed");
});

test(
  "a command does its work without the local stack",
  () => {
    expect(run(["--help"])).toEqual({ code: 0, stderr: "" });
    expect(run(["up", "--help"])).toEqual({ code: 0, stderr: "" });
    expect(run(["status"])).toEqual({ code: 3, stderr: "" });
    const listed = run(["customer", "list"]);
    expect(listed).toMatchObject({ code: 1, stderr: expect.stringContaining("MySQL does not answer") });
  },
  TEST_MAX_MS,
);

test(
  "`up` needs it, unless its engines are containers",
  () => {
    for (const args of [[], ["--engines-only"], ["--stack", "local"]]) {
      const { code, stderr } = run(["up", ...args]);
      expect([code, stderr]).toEqual([69, expect.stringContaining("install: error: the Kafka broker needs")]);
    }
    for (const args of [["--engines-only", "--stack", "compose"], ["--stack=compose"]]) {
      const { code, stderr } = run(["up", ...args]);
      expect([code, stderr]).toEqual([1, expect.stringContaining("docker cannot be run")]);
    }
    expect(existsSync(join(env.SLUICE_STATE, "launcher.json"))).toBe(false); // the launcher's lock
    const edge = run(["up", "--edge", "--stack", "compose"]);
    expect(edge).toMatchObject({ code: 69, stderr: expect.stringContaining("no nginx here") });
  },
  TEST_MAX_MS,
);

test(
  "a failed installation has an exit code of its own: 1 and 2 of `reconcile` say something else",
  () => {
    const { code, stderr } = run(["reconcile"], join(folder, "empty"));
    expect([code, stderr]).toEqual([69, expect.stringContaining("install: error: the runtimes needs npm")]);
  },
  TEST_MAX_MS,
);
