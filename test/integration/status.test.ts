// `./sluice status` where the local stack doesn't run: roles that somebody else started, and engines at other
// addresses than this machine's usual one. Here another machine's address is 127.0.0.2, on which nothing
// listens that was started for 127.0.0.1.

import { afterAll, afterEach, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { connect, createServer } from "node:net";
import { loadConfig } from "../../src/platform/config.ts";
import { releaseLock, takeLock } from "../../src/stack/launcher/lock.ts";
import { createRoles } from "../../src/stack/launcher/roles.ts";
import type { StackStatus } from "../../src/stack/launcher/status.ts";
import { identify, type Identity, recordChild } from "../../src/stack/process.ts";
import { findTools } from "../../src/stack/tools.ts";
import { launcher, testCli } from "../support/cli.ts";
import { freePorts } from "../support/ports.ts";

const OTHER_HOST = "127.0.0.2";
const { settings, stateFolder } = await testCli();
const ports = await freePorts(80);
Object.assign(settings, {
  SLUICE_HEALTH_PORT: String(ports),
  SLUICE_OPERATOR_PORT: String(ports + 2),
  SLUICE_EDGE_PORT: String(ports + 5),
});
const config = loadConfig(settings);
const elsewhere = {
  SLUICE_MYSQL_HOST: OTHER_HOST,
  SLUICE_KAFKA_HOST: OTHER_HOST,
  SLUICE_CLICKHOUSE_HOST: OTHER_HOST,
};

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});
const lasting: (() => unknown)[] = [];
afterAll(() => lasting.forEach((close) => close()));

const answer = (port: number, hostname = "127.0.0.1"): (() => unknown) => {
  const server = Bun.serve({ hostname, port, fetch: () => new Response("ok") });
  return () => server.stop(true);
};
for (const { role, healthPort } of createRoles(config, findTools(settings), "", { ingest: 1, operators: "" }))
  if (role !== "operator") lasting.push(answer(healthPort));

const enginesElsewhere = () =>
  Promise.all(
    [config.mysqlPort, config.kafkaPort, config.clickhousePort].map(
      (port) =>
        new Promise<void>((listening) => {
          const server = createServer((client) => {
            const engine = connect({ host: "127.0.0.1", port });
            client.pipe(engine).pipe(client);
            for (const [one, other] of [[client, engine] as const, [engine, client] as const])
              one.on("error", () => other.destroy());
          });
          closers.push(() => server.close());
          server.listen(port, OTHER_HOST, listening);
        }),
    ),
  );

/** Asks until it is ready: a busy machine may take longer to answer than `status` waits. */
async function readyStatus(env: Record<string, string> = {}): ReturnType<typeof status> {
  for (let tries = 1; ; tries++) {
    const found = await status(env);
    if (found.ready || tries === 20) return found;
  }
}

/** Beside this process, which answers for the roles. */
async function status(env: Record<string, string> = {}): Promise<{ code: number | null } & StackStatus> {
  const child = spawn(launcher, ["status", "--json"], {
    env: { ...settings, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  child.stdout.on("data", (bytes: Buffer) => (said += bytes.toString()));
  const code = await new Promise<number | null>((ended) => child.on("close", ended));
  return { code, ...(JSON.parse(said) as StackStatus) };
}

const healthOf = ({ processes }: StackStatus, role: string) =>
  processes.filter((each) => each.role === role).map(({ health }) => health);

test("it is ready without simulated operators, with engines on other machines", async () => {
  await enginesElsewhere();
  const found = await readyStatus(elsewhere);
  expect(found).toMatchObject({ code: 0, ready: true });
  expect(healthOf(found, "operator")).toEqual([]);
});

test("engines are asked at their configured addresses, and MySQL as its configured user", async () => {
  const found = await status(elsewhere);
  expect(found).toMatchObject({ code: 3, ready: false });
  for (const engine of ["mysql", "kafka", "clickhouse"]) expect(healthOf(found, engine)).toEqual(["down"]);
  await enginesElsewhere();
  const locked = await status({ ...elsewhere, SLUICE_MYSQL_PASSWORD: "wrong" });
  expect(locked).toMatchObject({ code: 3, ready: false });
  expect(healthOf(locked, "mysql")).toEqual(["down"]);
});

test("simulated operators count where one answers, and one of them is enough", async () => {
  closers.push(answer(config.operatorPort + 1));
  const found = await readyStatus();
  expect(found).toMatchObject({ code: 0, ready: true });
  expect(healthOf(found, "operator")).toEqual(["down", "ready", "down"]);
});

test("where a launcher runs, it is not ready without its operators", async () => {
  const own = takeLock(stateFolder);
  closers.push(() => releaseLock(stateFolder, own));
  const found = await status();
  expect(found).toMatchObject({ code: 3, ready: false });
  expect(healthOf(found, "operator")).toEqual(["down", "down", "down"]);
});

test("an edge is asked at its configured address", async () => {
  closers.push(recordChild("edge", process.pid, stateFolder, identify(process.pid) as Identity));
  closers.push(answer(config.edgePort, OTHER_HOST));
  expect(healthOf(await status(), "edge")).toEqual(["not ready"]);
  const found = await readyStatus({ SLUICE_EDGE_HOST: OTHER_HOST });
  expect(found).toMatchObject({ code: 0, ready: true });
  expect(healthOf(found, "edge")).toEqual(["ready"]);
});
