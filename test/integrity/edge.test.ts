// `./sluice up --edge`: nginx is supervised like every other process, and stops first.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { createLauncher, type Running } from "../support/launcher.ts";
import { until } from "../support/roles.ts";

const launcher = createLauncher({ portOffset: 12_500, folder: ".sluice-test-edge" });
let running: Running;

beforeAll(async () => {
  launcher.wipe();
  running = launcher.up("--edge");
  await launcher.untilReady(running, 120_000);
}, 130_000);
afterAll(() => launcher.wipe(), 60_000);

const edgeOf = () => launcher.status().processes.find(({ role }) => role === "edge");
const health = (): Promise<number> =>
  fetch(`http://127.0.0.1:${launcher.config.edgePort}/health`).then(
    ({ status }) => status,
    () => 0,
  );

test("it is in status; if its master is killed, its workers are ended too and it is restarted", async () => {
  const before = edgeOf();
  expect(before).toMatchObject({ health: "ready", port: launcher.config.edgePort });
  process.kill(before?.pid ?? 0, "SIGKILL"); // its workers keep the port until they are killed too
  await until(() => (edgeOf()?.pid ?? before?.pid) !== before?.pid, "another nginx");
  await until(async () => (await health()) === 200, "it passes requests on");
}, 120_000);

test("nobody else can read its secret and its configuration", () => {
  const edge = join(launcher.stateFolder, "edge");
  expect(readFileSync(join(edge, "nginx.conf"), "utf8")).toContain(
    readFileSync(join(edge, "secret"), "utf8"),
  );
  for (const file of ["nginx.conf", "secret", "key.pem"])
    expect([file, statSync(join(edge, file)).mode & 0o777]).toEqual([file, 0o600]);
});

test("stopping ends it before ingest, and leaves none of its workers", async () => {
  process.kill(running.pid, "SIGTERM");
  expect(await running.exit).toBe(0);
  const said = running.output();
  expect(said.indexOf("edge: stopped")).toBeGreaterThan(0);
  expect(said.indexOf("edge: stopped")).toBeLessThan(said.indexOf("ingest-1: stopped"));
  expect(launcher.left()).toEqual([]);
}, 120_000);
