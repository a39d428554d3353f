// Whatever is killed is restarted, and a killed launcher leaves nothing behind for good: the launcher as a
// user runs it, on its own stack. The tests build on each other, in this order.

import { afterAll, expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { createLauncher, type Running } from "../support/launcher.ts";

const launcher = createLauncher({ portOffset: 11_000, folder: ".sluice-test-recovery" });
const api = `http://127.0.0.1:${launcher.config.apiPort}`;
const stopMaxMs = 30_000;
// A start takes 15 s at most on a machine that runs nothing else. Next to other tests it takes several times
// as long, and longer still where what was left is stopped, or engines recover.
const startMaxMs = 120_000;
let running: Running;

launcher.wipe(); // what a killed earlier run left
afterAll(() => launcher.wipe());

const apiKey = () => readFileSync(join(launcher.stateFolder, "demo-key"), "utf8").trim();

async function send(): Promise<number> {
  const response = await fetch(`${api}/v1/sms/send`, {
    method: "POST",
    headers: { "X-API-Key": apiKey(), "Content-Type": "application/json" },
    body: JSON.stringify({ phone: "+989121234567", text: "hello", type: "normal" }),
    signal: AbortSignal.timeout(10_000),
  });
  await response.text();
  return response.status;
}

const timed = <T>(work: () => T): { result: T; tookMs: number } => {
  const startedAtMs = performance.now();
  return { result: work(), tookMs: performance.now() - startedAtMs };
};
/** Of three times: on a busy machine one may take seconds longer than another. */
const quickest = <T>(work: () => T) =>
  [timed(work), timed(work), timed(work)].reduce((best, one) => (one.tookMs < best.tookMs ? one : best));
const pidOf = (name: string): number => {
  const pid = launcher.status().processes.find((each) => each.name === name)?.pid;
  if (pid === null || pid === undefined) throw new Error(`${name} has no pid`);
  return pid;
};

async function until(what: string, done: () => boolean, maxMs: number): Promise<void> {
  const deadlineMs = performance.now() + maxMs;
  while (!done()) {
    if (performance.now() > deadlineMs)
      throw new Error(`${what}: not after ${maxMs} ms\n${running.output()}`);
    await Bun.sleep(50);
  }
}

/** Returns the exit code, after checking the duration and that every process is gone. */
async function stopped(signalled: Running): Promise<number | null> {
  const startedAtMs = performance.now();
  const code = await signalled.exit;
  expect(performance.now() - startedAtMs).toBeLessThan(stopMaxMs);
  expect(launcher.left()).toEqual([]);
  return code;
}

test("the first start leads to a 202, and prints the API, a key that only its owner reads, and lines to paste", async () => {
  running = launcher.up();
  await launcher.untilReady(running, startMaxMs);
  expect(await send()).toBe(202);
  expect(statSync(join(launcher.stateFolder, "demo-key")).mode & 0o777).toBe(0o600);
  const lines = running.output().split("\n");
  expect(lines).toContain(`Sluice is ready: ${api}`);
  expect(lines.filter((line) => line.startsWith("curl ") && line.includes(apiKey()))).toHaveLength(6);
  expect(lines.some((line) => line.includes("+989129990001"))).toBe(true);
}, 240_000);

test("a second launcher is refused and names the first one's pid", () => {
  const { status, stderr } = launcher.run("up");
  expect(status).toBe(1);
  expect(stderr).toContain(`in use by a running ./sluice up, pid ${running.pid}`);
});

const everything = [
  "ingest-1",
  "relay",
  "sender-normal",
  "sender-express",
  "webhook",
  "operator-A",
  "operator-B",
  "operator-C",
  "mysql",
  "kafka",
  "clickhouse",
];
for (const name of everything)
  test(`${name} is restarted after a kill -9, and messages are accepted`, async () => {
    const pid = pidOf(name);
    process.kill(pid, "SIGKILL");
    await until(`${name} died`, () => running.output().includes(`${name}: died (pid ${pid})`), 30_000);
    await launcher.untilReady(running, startMaxMs);
    expect(pidOf(name)).not.toBe(pid);
    expect(await send()).toBe(202);
  }, 240_000);

test("a stopped process that hangs holds up the status for less than 2 s, and isn't ready", async () => {
  const pid = pidOf("mysql");
  const otherwise = quickest(() => launcher.status());
  process.kill(pid, "SIGSTOP");
  try {
    const { tookMs, result } = quickest(() => launcher.status());
    expect(tookMs - otherwise.tookMs).toBeLessThan(2_000);
    const { ready, processes } = result;
    expect(ready).toBe(false);
    expect(processes.find(({ name }) => name === "mysql")).toMatchObject({ pid, health: "not ready" });
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await launcher.untilReady(running, startMaxMs);
}, 240_000);

test("after a kill -9 of the launcher the next one stops what was left and keeps the data", async () => {
  const key = apiKey();
  const before = launcher.left();
  process.kill(running.pid, "SIGKILL");
  await running.exit;
  running = launcher.up();
  await launcher.untilReady(running, startMaxMs);
  expect(running.output()).toContain("stopping what a killed ./sluice up left behind");
  expect(launcher.left().filter((pid) => before.includes(pid))).toEqual([]);
  expect(apiKey()).toBe(key);
  expect(await send()).toBe(202);
}, 240_000);

test("SIGINT to the launcher alone drains and stops everything", async () => {
  process.kill(running.pid, "SIGINT");
  expect(await stopped(running)).toBe(0);
}, 240_000);

test("a later start with two ingest processes is ready, and SIGINT to its whole process group stops everything", async () => {
  running = launcher.up("--ingest", "2");
  await launcher.untilReady(running, startMaxMs);
  expect(launcher.status().processes.filter(({ role }) => role === "ingest")).toHaveLength(2);
  process.kill(-running.pid, "SIGINT");
  expect(await stopped(running)).toBe(0);
}, 240_000);

test("SIGINT while it is still starting leaves nothing", async () => {
  for (const waitMs of [100, 700, 2_500]) {
    running = launcher.up();
    await Bun.sleep(waitMs);
    process.kill(-running.pid, "SIGINT");
    await stopped(running);
  }
}, 240_000);

test("after a kill -9 of a starting launcher `down` leaves nothing", async () => {
  running = launcher.up();
  await until("engines", () => running.output().includes("mysql: ready"), startMaxMs);
  process.kill(running.pid, "SIGKILL");
  await running.exit;
  expect(launcher.left().length).toBeGreaterThan(0);
  expect(launcher.run("down").status).toBe(0);
  expect(launcher.left()).toEqual([]);
}, 240_000);

test("background engines stay when a launcher that used them ends, and `down` stops them", async () => {
  expect(launcher.run("up", "--engines-only").status).toBe(0);
  running = launcher.up();
  await launcher.untilReady(running, startMaxMs);
  process.kill(running.pid, "SIGTERM");
  await running.exit;
  const { processes } = launcher.status();
  expect(processes.filter(({ pid }) => pid !== null).map(({ name }) => name)).toEqual([
    "mysql",
    "kafka",
    "clickhouse",
  ]);
  expect(launcher.run("down").status).toBe(0);
  expect(launcher.left()).toEqual([]);
}, 240_000);
