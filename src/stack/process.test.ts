import { afterAll, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { getPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { allowedCpus } from "./own-cpus.ts";
import {
  clearRemains,
  ended,
  identify,
  isAlive,
  logBytesMax,
  type Identity,
  type ProcessRecord,
  type ProcessSpec,
  prioritise,
  readRecords,
  recordChild,
  shortenLog,
  startProcess,
  stopProcess,
} from "./process.ts";
import { clearOrphans, refuseTakenPort, sortRecords } from "./stack.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-process-"));
afterAll(() => rmSync(folder, { recursive: true }));

const spec = (name: string, script: string, stopMaxMs = 5_000): ProcessSpec => ({
  role: "ingest",
  name,
  port: null,
  command: ["bash", "-c", script],
  cwd: folder,
  env: process.env,
  logFile: join(folder, "logs", `${name}.log`),
  nice: 3,
  stopMaxMs,
});
const self = identify(process.pid);

test("a started process is recorded with its identity, and stopping it removes the record", async () => {
  const record = startProcess(spec("a", "echo hello; exec sleep 60"), folder, self);
  expect(readRecords(folder)).toEqual([record]);
  expect(isAlive(record)).toBe(true);
  const log = () => readFileSync(join(folder, "logs/a.log"), "utf8");
  for (let i = 0; i < 100 && log() === ""; i++) await Bun.sleep(50);
  expect(log()).toBe("hello\n");
  expect(await stopProcess(record, folder)).toBe(true);
  expect(isAlive(record)).toBe(false);
  expect(readRecords(folder)).toEqual([]);
});

test("a child that its launcher waits for is ended by the next command if the launcher was killed", async () => {
  const child = spawn("sleep", ["60"], { detached: true, stdio: "ignore" });
  const launcher = spawn("sleep", ["60"], { stdio: "ignore" });
  const owner = identify(launcher.pid ?? 0);
  const forget = recordChild("migrate", child.pid ?? 0, folder, owner as Identity);
  await clearOrphans(folder, () => undefined);
  const [record] = readRecords(folder) as [ProcessRecord];
  expect([record.pid, isAlive(record)]).toEqual([child.pid as number, true]);
  launcher.kill("SIGKILL");
  await ended(owner as Identity, 5_000);
  await clearOrphans(folder, () => undefined);
  expect([isAlive(record), readRecords(folder)]).toEqual([false, []]);
  forget();
});

test("a process starts as important as its launcher; later it and its children are less important", async () => {
  const record = startProcess(spec("e", "sleep 60 & echo $!; nice; exec sleep 60"), folder, self);
  const log = () => readFileSync(join(folder, "logs/e.log"), "utf8").split("\n");
  for (let i = 0; i < 100 && log().length < 3; i++) await Bun.sleep(50);
  const [child, nice] = log().map(Number);
  expect(nice).toBe(getPriority());
  prioritise(record.pid, 3);
  expect([getPriority(record.pid), getPriority(child)]).toEqual([3, 3]);
  const group = `/proc/${record.pid}/autogroup`;
  if (existsSync(group)) expect(readFileSync(group, "utf8")).toEndWith("nice 3\n");
  prioritise(record.pid, -5);
  expect(getPriority(record.pid)).toBe(process.getuid?.() === 0 ? -5 : 3);
  process.kill(-record.pid, "SIGKILL");
  await stopProcess(record, folder);
  prioritise(record.pid, 3); // it has ended: nothing to do
});

test("one that has a CPU of its own runs on no other", async () => {
  const cpu = allowedCpus().at(-1) ?? 0;
  const record = startProcess(
    { ...spec("f", "grep Cpus_allowed_list /proc/self/status"), cpu },
    folder,
    self,
  );
  await ended(record, 5_000);
  expect(readFileSync(join(folder, "logs/f.log"), "utf8")).toBe(`Cpus_allowed_list:\t${cpu}\n`);
  await stopProcess(record, folder);
});

test("one that ignores SIGTERM is killed after its time, with its children, and reported", async () => {
  const record = startProcess(
    spec("b", "trap '' TERM; sleep 61 & echo $!; while :; do sleep 0.05; done", 200),
    folder,
    self,
  );
  await Bun.sleep(150);
  const child = Number(readFileSync(join(folder, "logs/b.log"), "utf8"));
  expect(identify(child)).not.toBeNull();
  expect(await stopProcess(record, folder)).toBe(false);
  await Bun.sleep(50);
  const left = identify(child);
  expect(left === null || !isAlive(left)).toBe(true);
});

test("what a dead process left behind is ended before its name is used again", async () => {
  const record = startProcess(spec("left", "sleep 62 & echo $!; exec sleep 63"), folder, self);
  await Bun.sleep(150);
  const child = Number(readFileSync(join(folder, "logs/left.log"), "utf8"));
  process.kill(record.pid, "SIGKILL");
  await ended(record, 5_000);
  await Bun.sleep(50); // until its parent, this process, has taken note of its end
  expect(identify(child)).not.toBeNull();
  clearRemains(folder, "left");
  await Bun.sleep(50);
  const left = identify(child);
  expect(left === null || !isAlive(left)).toBe(true);
});

test("a pid that belongs to another process by now is not mistaken for ours", () => {
  if (self === null) throw new Error("no /proc");
  expect(isAlive(self)).toBe(true);
  expect(isAlive({ ...self, startTicks: self.startTicks - 1 })).toBe(false);
  expect(isAlive({ ...self, boot: "another" })).toBe(false);
});

test("what a dead launcher left behind is stopped; background and supervised processes are not", async () => {
  if (self === null) throw new Error("no /proc");
  const orphan = startProcess(spec("orphan", "exec sleep 60"), folder, { ...self, startTicks: 1 });
  const background = startProcess(spec("background", "exec sleep 60"), folder, null);
  const supervised = startProcess(spec("supervised", "exec sleep 60"), folder, self);
  const said: string[] = [];
  await clearOrphans(folder, (line) => said.push(line));
  expect([orphan, background, supervised].map(isAlive)).toEqual([false, true, true]);
  expect(said[0]).toContain(`orphan (pid ${orphan.pid})`);
  expect(sortRecords(folder)).toEqual({ background: [background], supervised: [supervised], orphans: [] });
  await Promise.all([background, supervised].map((record) => stopProcess(record, folder)));
});

test("a log that has grown too long is rotated when its process starts", async () => {
  const { logFile } = spec("d", "");
  writeFileSync(logFile, "");
  truncateSync(logFile, logBytesMax + 1);
  const record = startProcess(spec("d", "echo new"), folder, self);
  await ended(record, 5_000);
  expect(readFileSync(logFile, "utf8")).toBe("new\n");
  expect(statSync(`${logFile}.1`).size).toBe(logBytesMax + 1);
  await stopProcess(record, folder);
});

test("a log that has grown too long under a running process is copied and goes on in the emptied file", async () => {
  const { logFile } = spec("long", "");
  const record = startProcess(
    spec("long", "echo first; until [ -e go ]; do sleep 0.05; done; echo second; exec sleep 60"),
    folder,
    self,
  );
  const log = () => readFileSync(logFile, "utf8");
  const until = async (text: string) => {
    for (let i = 0; i < 600 && log() !== text; i++) await Bun.sleep(50);
    expect(log()).toBe(text);
  };
  await until("first\n");
  shortenLog(logFile);
  expect(log()).toBe("first\n"); // not long yet
  truncateSync(logFile, logBytesMax + 1);
  shortenLog(logFile);
  expect(statSync(`${logFile}.1`).size).toBe(logBytesMax + 1);
  writeFileSync(join(folder, "go"), "");
  await until("second\n");
  await stopProcess(record, folder);
}, 60_000);

test("a command that can't be run is an error at once, and leaves no record", () => {
  const missing = { ...spec("c", ""), nice: 0, command: ["/nowhere/engine"] };
  expect(() => startProcess(missing, folder, self)).toThrow("c did not start");
  expect(readRecords(folder)).toEqual([]);
});

test("a port in use is refused with the pid that listens on it; a free one is not", async () => {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const port = server.port ?? 0;
  expect(() => refuseTakenPort({ name: "ingest-1", port })).toThrow(
    `ingest-1: port ${port} is taken by pid ${process.pid}`,
  );
  await server.stop(true);
  expect(() => refuseTakenPort({ name: "ingest-1", port })).not.toThrow();
});
