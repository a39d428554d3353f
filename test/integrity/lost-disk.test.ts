// A broker that lost its disk loses no message: the whole gateway on its own stack; its senders are paused,
// the broker is killed, its log folder with hundreds of unread records is wiped, and it is restarted.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ReconcileResult } from "../../src/reconcile/result.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { createLauncher, type Running } from "../support/launcher.ts";

const AFTER_MS = 5_000;
const BEFORE = 400;
const MEANWHILE = 100;
const SENT_MAX_MS = 90_000;

const launcher = createLauncher({
  portOffset: 11_800,
  folder: ".sluice-test-disk",
  env: {
    SLUICE_SWEEP_AFTER_MS: String(AFTER_MS),
    // Here express waits for a broker that is away, and must not expire.
    SLUICE_EXPRESS_PROMISE_MS: "600000",
    SLUICE_EXPRESS_PROMISE_MAX_MS: "600000",
  },
});
const api = `http://127.0.0.1:${launcher.config.apiPort}`;
let running: Running;
let pool: Pool;
let apiKey = "";

beforeAll(async () => {
  launcher.wipe(); // what a killed earlier run left
  running = launcher.up();
  await launcher.untilReady(running, 110_000);
  const created = launcher.run("customer", "create", "--name", "Disk", "--balance", "100000000", "--json");
  apiKey = (JSON.parse(created.stdout) as { api_key: string }).api_key;
  pool = createPool(launcher.config, { connections: 2 });
}, 120_000);
afterAll(async () => {
  await pool.end();
  process.kill(running.pid, "SIGCONT");
  process.kill(running.pid, "SIGINT");
  await running.exit;
  launcher.wipe();
}, 60_000);

const pidOf = (name: string): number => {
  const pid = launcher.status().processes.find((each) => each.name === name)?.pid;
  if (typeof pid !== "number") throw new Error(`${name} has no pid`);
  return pid;
};
const senders = ["sender-normal", "sender-express"];
const signal = (names: string[], what: NodeJS.Signals) => {
  for (const pid of names.map(pidOf)) process.kill(pid, what);
};

async function send(count: number): Promise<string[]> {
  const one = async (at: number): Promise<string> => {
    const type = at % 4 === 0 ? "express" : "normal";
    const answer = await fetch(`${api}/v1/sms/send`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-api-key": apiKey },
      body: JSON.stringify({ phone: "+989121234567", text: "hello", type }),
    });
    expect(answer.status).toBe(202);
    return ((await answer.json()) as { id: string }).id;
  };
  return Promise.all(Array.from({ length: count }, (_, at) => one(at)));
}

async function until(what: string, maxMs: number, done: () => Promise<boolean>): Promise<void> {
  for (const endMs = performance.now() + maxMs; !(await done()); await Bun.sleep(100))
    if (performance.now() > endMs) throw new Error(`${what}: not within ${maxMs} ms\n${running.output()}`);
}

const count = async (sql: string): Promise<number> =>
  Number((await pool.query<{ n: number }[]>(`SELECT COUNT(*) AS n FROM ${sql}`))[0]?.n);
const statuses = () =>
  pool.query<{ status: string; n: number }[]>("SELECT status, COUNT(*) AS n FROM messages GROUP BY status");
const taken = () =>
  ["A", "B", "C"].flatMap((name) =>
    readFileSync(join(launcher.stateFolder, "operators", `${name}.log`), "latin1")
      .split("\n")
      .slice(0, -1),
  );

test("every accepted message is sent once and charged, although the broker lost all it had acknowledged", async () => {
  const first = await send(20);
  await until("the first are sent", 20_000, async () => (await count("messages WHERE status='sent'")) === 20);

  signal(senders, "SIGSTOP");
  const before = await send(BEFORE);
  await until("all are in Kafka", 20_000, async () => (await count("outbox WHERE lane<>'events'")) === 0);
  const kafka = pidOf("kafka");
  process.kill(running.pid, "SIGSTOP"); // otherwise it restarts the broker before its disk is gone
  process.kill(kafka, "SIGKILL");
  await until("the broker is dead", 5_000, async () => !launcher.left().includes(kafka));
  rmSync(join(launcher.stateFolder, "kafka", "data"), { recursive: true });
  const meanwhile = await send(MEANWHILE);
  await Bun.sleep(AFTER_MS + 2_000);
  process.kill(running.pid, "SIGCONT");
  signal(senders, "SIGCONT");

  const all = [...first, ...before, ...meanwhile];
  await until("all are sent", SENT_MAX_MS, async () => {
    return (await count("messages WHERE status='sent'")) === all.length;
  }).catch(async (error: Error) => {
    throw new Error(`${error.message}\n${JSON.stringify(await statuses())}`);
  });
  expect(taken().toSorted()).toEqual(all.toSorted());
  // Only what was in Kafka was requeued, minus the fetch that the paused senders already had. What waited in
  // the outbox, for a broker that was away longer than AFTER_MS, was not.
  const attempts = async (ids: string[]) =>
    pool.query<{ attempt: number; n: number }[]>(
      "SELECT attempt, COUNT(*) AS n FROM messages WHERE id IN (?) GROUP BY attempt ORDER BY attempt",
      [ids],
    );
  expect(await attempts([...first, ...meanwhile])).toEqual([{ attempt: 0, n: 20 + MEANWHILE }]);
  expect((await attempts(before)).at(-1)?.attempt).toBe(1);
}, 180_000);

test("the next messages are sent and reported as before, and once the lost events are sent again the books are clean", async () => {
  const [id] = await send(1);
  // A ClickHouse table that reads nothing is reattached after 20 s, and again a minute later.
  await until("the report has it as sent", 150_000, async () => {
    const answer = await fetch(`${api}/v1/reports/messages?id=${id}`, { headers: { "x-api-key": apiKey } });
    const { messages } = (await answer.json()) as { messages?: { status: string }[] };
    return messages?.[0]?.status === "sent";
  });
  let said = "";
  await until("the books are clean", 150_000, async () => {
    const { status, stdout, stderr } = launcher.run("reconcile", "--settled", "--resend", "--json");
    said = stdout + stderr;
    if (status !== 0) await Bun.sleep(3_000);
    return status === 0;
  }).catch((error: Error) => {
    throw new Error(`${error.message}\n${said}`);
  });
  const result = JSON.parse(said) as ReconcileResult;
  expect(result).toMatchObject({
    kind: "clean",
    pending: { messages: 0, events: 0, entries: 0, statuses: 0 },
  });
}, 330_000);
