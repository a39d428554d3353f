// Real relay, sender and operator processes for tests: on a test's own database and topics, on free ports,
// each ended by its pid. Leaves ingest to ingest-process.ts.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Lane } from "../../src/core/message.ts";
import type { Config } from "../../src/platform/config.ts";
import type { ProfileName } from "../../src/stack/operator-behaviour.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { sleep } from "../../src/platform/retry.ts";
import { senderGroup, topicOf } from "../../src/platform/kafka/topics.ts";
import { createTestDatabase, type TestDatabase } from "./database.ts";
import { envOf } from "./ingest-process.ts";
import { freePorts } from "./ports.ts";

export type Role = {
  pid: number;
  healthUrl: string;
  log(): string;
  /** The value of a counter in /metrics, given without its role label. */
  count(name: string): Promise<number>;
  /**
   * Sends a signal and waits for the exit; returns the exit code, or the name of the signal that ended it.
   */
  end(signal?: NodeJS.Signals): Promise<number | string>;
};
export type TopicRecord = {
  partition: number;
  key: string | null;
  value: Buffer;
  traceparent: string | null;
};
type Name = "relay" | "dlr" | "webhook" | "sender-normal" | "sender-express";
export type Downstream = {
  config: Config;
  /** Allows several statements. */
  pool: Pool;
  start(role: Name, overrides?: Partial<Config>): Promise<Role>;
  /** The same with a wall clock that is so far ahead, as on a machine of its own; doesn't wait for /ready. */
  startAhead(role: Name, aheadMs: number, overrides?: Partial<Config>): Promise<Role>;
  startOperator(name: "A" | "B" | "C", profile?: string, overrides?: Partial<Config>): Promise<Role>;
  /** From now on the operator behaves according to this profile (src/stack/operator-behaviour.ts). */
  behave(name: "A" | "B" | "C", profile: ProfileName): Promise<void>;
  /** The ids that this operator accepted, in order. */
  received(name: string): string[];
  readTopic(name: string): Promise<TopicRecord[]>;
  produce(topic: string, key: string, value: Buffer): Promise<void>;
  /** Sets the offsets of a lane's senders back to the beginning; the sender started here must have ended. */
  rewind(lane: Lane): Promise<void>;
  /** Ends what is still running and drops the database. */
  end(): Promise<void>;
};

const root = fileURLToPath(new URL("../..", import.meta.url));
const READY_WAIT_MS = 60_000;

export async function createDownstream(): Promise<Downstream> {
  const db: TestDatabase = await createTestDatabase();
  const stateFolder = mkdtempSync(join(tmpdir(), "sluice-test-"));
  const operatorPort = await freePorts(3);
  const topicPrefix = `test-${randomBytes(4).toString("hex")}.`;
  const config: Config = { ...db.config, stateFolder, operatorPort, topicPrefix };
  const pool = createPool(config, { connections: 4, multipleStatements: true });
  const running = new Set<Role>();
  const ports = new Map<string, number>();
  await run(config, ["src/main/topics.ts"]);

  const start = async (
    command: string,
    args: string[],
    changed: Partial<Config>,
    path: string,
  ): Promise<Role> => {
    const role = spawnRole(command, args, { ...config, ...changed });
    running.add(role);
    await until(() => isOk(`${role.healthUrl}${path}`), `${args.join(" ")} answers`, READY_WAIT_MS, role.log);
    return role;
  };
  // The same port each time, as under the supervisor, because it is also the sender's name in its group. A
  // second process of a role brings its own.
  const portOf = async (name: Name): Promise<number> => {
    const port = ports.get(name) ?? (await freePorts(1));
    ports.set(name, port);
    return port;
  };
  return {
    config,
    pool,
    async start(name, overrides = {}) {
      const healthPort = overrides.healthPort ?? (await portOf(name));
      return start("node", argsOf(name), { ...overrides, healthPort }, "/ready");
    },
    async startAhead(name, aheadMs, overrides = {}) {
      // Node gives what it imports to its threads, too.
      const clock = `data:text/javascript,const { now } = Date; Date.now = () => now() + ${aheadMs};`;
      const args = ["--import", clock, ...argsOf(name)];
      return start("node", args, { ...overrides, healthPort: await portOf(name) }, "/health");
    },
    startOperator(name, profile = "default", overrides = {}) {
      const port = operatorPort + "ABC".indexOf(name);
      return start(
        "bun",
        ["src/main/operator.ts", "--name", name, "--profile", profile],
        { ...overrides, healthPort: port },
        "/health",
      );
    },
    async behave(name, profile) {
      const origin = `http://${config.apiHost}:${operatorPort + "ABC".indexOf(name)}`;
      const answer = await fetch(`${origin}/behaviour`, { method: "POST", body: `profile=${profile}` });
      if (!answer.ok) throw new Error(`operator ${name}: ${answer.status}`);
    },
    received: (name) => readLines(join(stateFolder, "operators", `${name}.log`)),
    async readTopic(name) {
      const out = await run(config, ["test/support/kafka-tool.ts", "read", topicPrefix + name]);
      return out
        .split("\n")
        .filter((line) => line !== "")
        .map(
          (line) =>
            JSON.parse(line) as { partition: number; key: string; value: string; traceparent: string },
        )
        .map((record) => ({ ...record, value: Buffer.from(record.value, "base64") }));
    },
    async produce(topic, key, value) {
      await run(config, [
        "test/support/kafka-tool.ts",
        "produce",
        topicPrefix + topic,
        key,
        value.toString("base64"),
      ]);
    },
    async rewind(lane) {
      const instance = `${hostname()}-${ports.get(`sender-${lane}`)}`;
      const args = [topicOf(config, lane), senderGroup(config, lane), instance];
      await run(config, ["test/support/kafka-tool.ts", "rewind", ...args]);
    },
    async end() {
      await Promise.all([...running].map((role) => role.end("SIGKILL")));
      await pool.end();
      await db.drop();
      rmSync(stateFolder, { recursive: true, force: true });
    },
  };
}

const argsOf = (name: Name): string[] =>
  name.startsWith("sender-")
    ? ["src/main/sender.ts", "--lane", name.slice("sender-".length)]
    : [`src/main/${name}.ts`];

/**
 * Polls until `holds` returns true; throws Error saying what it was waiting for. The time is for a busy
 * machine: what a test promises to be sooner it measures itself.
 */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  mostMs = 30_000,
  detail: () => string = () => "",
): Promise<void> {
  for (const endMs = Date.now() + mostMs; ; ) {
    if (await holds()) return;
    if (Date.now() > endMs) throw new Error(`not within ${mostMs} ms: ${what}\n${detail()}`);
    await sleep(25);
  }
}

/** The value of a metric of the process with this health URL; of its first line that has this label. */
export async function metricOf(healthUrl: string, name: string, label = ""): Promise<number> {
  const text = await fetch(`${healthUrl}/metrics`).then((answer) => answer.text());
  return Number(new RegExp(`^${name}\\{[^}]*${label}[^}]*\\} (.*)$`, "m").exec(text)?.[1] ?? Number.NaN);
}

function spawnRole(command: string, args: string[], config: Config): Role {
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...envOf(config) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stdout.on("data", (chunk: Buffer) => (log += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()));
  const ended = new Promise<number | string>((resolve) => {
    child.once("exit", (code, signal) => resolve(code ?? signal ?? -1));
  });
  const healthUrl = `http://127.0.0.1:${config.healthPort}`;
  return {
    pid: child.pid as number,
    healthUrl,
    log: () => log,
    count: (name) => metricOf(healthUrl, name),
    end(signal = "SIGTERM") {
      child.kill(signal);
      return ended;
    },
  };
}

function run(config: Config, args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn("node", args, { cwd: root, env: { ...process.env, ...envOf(config) } });
    let out = "";
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.once("exit", (code) =>
      code === 0 ? resolve(out) : reject(new Error(`${args.join(" ")} ended with ${code}\n${out}`)),
    );
  });
}

const isOk = (url: string): Promise<boolean> =>
  fetch(url).then(
    (answer) => answer.ok,
    () => false,
  );

function readLines(path: string): string[] {
  try {
    return readFileSync(path, "latin1").split("\n").slice(0, -1);
  } catch {
    return [];
  }
}
