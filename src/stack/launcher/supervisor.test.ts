import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { identify, logBytesMax, type ProcessRecord } from "../process.ts";
import { createSupervisor, logLookMs, restartMostMs, steadyMs, type Supervised } from "./supervisor.ts";

// A process is either this test itself (alive) or has an impossible start time (dead).
function harness(logFile = "relay.log") {
  const self = identify(process.pid);
  if (self === null) throw new Error("no /proc");
  const state = { nowMs: 0, starts: [] as number[], ready: true, failing: false, lines: [] as string[] };
  let record: ProcessRecord;
  const spec: Supervised = {
    role: "relay",
    name: "relay",
    port: 1,
    command: ["relay"],
    cwd: ".",
    env: {},
    logFile,
    nice: 0,
    stopMaxMs: 1,
    ready: () => Promise.resolve(state.ready),
  };
  const supervisor = createSupervisor({
    start: () => {
      state.starts.push(state.nowMs);
      if (state.failing) return Promise.reject(new Error("no such file"));
      record = { ...self, role: "relay", name: "relay", port: 1, stopMaxMs: 1, owner: null };
      return Promise.resolve(record);
    },
    report: (line) => state.lines.push(line),
    monotonicMs: () => state.nowMs,
  });
  supervisor.add(spec);
  const tick = async () => {
    await supervisor.tick();
    await Promise.resolve();
    await Promise.resolve();
  };
  const kill = () => {
    record.startTicks = -1;
  };
  return { state, supervisor, tick, kill };
}

test("the first death is followed by a restart at once, each later one by twice the wait, bounded", async () => {
  const { state, supervisor, tick, kill } = harness();
  await tick();
  const waits: number[] = [];
  for (let deaths = 0; deaths < 8; deaths++) {
    kill();
    const diedAtMs = state.nowMs;
    const starts = state.starts.length;
    while (state.starts.length === starts) {
      await tick();
      if (state.starts.length === starts) state.nowMs += 500;
    }
    waits.push(state.nowMs - diedAtMs);
  }
  expect(waits).toEqual([0, 1_000, 2_000, 4_000, 8_000, 16_000, restartMostMs, restartMostMs]);
  expect(supervisor.views()[0]?.restarts).toBe(8);
  expect(state.lines.filter((line) => line.includes("restarting it now"))).toHaveLength(1);
});

test("after a steady time a death counts as the first again", async () => {
  const { state, tick, kill } = harness();
  await tick();
  kill();
  await tick();
  state.nowMs += steadyMs + 1;
  kill();
  await tick();
  expect(state.starts).toHaveLength(3);
});

test("a process that lives but isn't ready is not restarted, and both changes are reported", async () => {
  const { state, supervisor, tick } = harness();
  await tick();
  expect(supervisor.views()[0]?.state).toBe("ready");
  state.ready = false;
  await tick();
  expect(supervisor.views()[0]?.state).toBe("unready");
  state.ready = true;
  await tick();
  expect(state.starts).toHaveLength(1);
  expect(state.lines.map((line) => line.replace(/\d+/, "N"))).toEqual([
    "relay: ready (pid N)",
    "relay: running, but not ready (pid N)",
    "relay: ready (pid N)",
  ]);
});

test("a failed start counts as a death: its reason is reported, and it is retried later", async () => {
  const { state, supervisor, tick } = harness();
  state.failing = true;
  await tick();
  expect(supervisor.views()[0]).toMatchObject({ state: "down", pid: null });
  expect(state.lines[0]).toContain("could not be started: no such file");
  state.failing = false;
  await tick();
  expect(supervisor.views()[0]?.state).toBe("ready");
});

test("a log that has grown too long is shortened within a minute", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-supervisor-"));
  const logFile = join(folder, "relay.log");
  writeFileSync(logFile, "");
  const { state, tick } = harness(logFile);
  await tick();
  truncateSync(logFile, logBytesMax + 1);
  state.nowMs += logLookMs;
  await tick();
  expect(statSync(logFile).size).toBe(0);
  expect(statSync(`${logFile}.1`).size).toBe(logBytesMax + 1);
  rmSync(folder, { recursive: true });
});
