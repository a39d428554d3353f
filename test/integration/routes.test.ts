// Senders and their routes file, with real processes and engines: who gets a message, and what a change of
// the file under load does to messages under way and to metrics; a file that can't be used.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { envOf } from "../support/ingest-process.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { freePort } from "../support/ports.ts";
import { createDownstream, type Downstream, type Role, until } from "../support/roles.ts";

const NAMES = ["A", "B", "C"] as const;
const BALANCE = 100_000_000;

let down: Downstream;
let customers: number[];
let sender: Role;
const folder = mkdtempSync(join(tmpdir(), "sluice-test-routes-"));
const routesFile = join(folder, "routes.yaml");

/** An entry of the file, for the simulated operator `as`. */
const operator = (name: string, terms = "", as = name) =>
  `  ${name}: { kind: http, price: 1, ` +
  `url: "http://127.0.0.1:\${SLUICE_OPERATOR_PORT + ${"ABC".indexOf(as)}}/submit"${terms} }\n`;
const write = (...entries: string[]) => writeFileSync(routesFile, `operators:\n${entries.join("")}`);

beforeAll(async () => {
  down = await createDownstream();
  customers = [];
  for (let n = 0; n < 8; n++) customers.push(await insertCustomer(down.pool, BALANCE));
  await Promise.all(NAMES.map((name) => down.startOperator(name, "fast")));
  write(operator("A"), operator("B"));
  await down.start("relay");
  sender = await down.start("sender-normal", { routesFile });
}, 120_000);
afterAll(async () => {
  await down.end();
  rmSync(folder, { recursive: true });
});

async function send(count: number, fields: Partial<LaneRecord> = {}): Promise<string[]> {
  const records = Array.from({ length: count }, (_, n) =>
    laneRecord(customers[n % customers.length] as number, { cost: 1, ...fields }),
  );
  await acceptMessages(down.pool, records);
  return records.map(({ id }) => id);
}
type Row = { id: string; status: string; attempt: number; operator: string };
const rows = () => down.pool.query<Row[]>("SELECT id, status, attempt, operator FROM messages");
const untilSent = async (ids: readonly string[], mostMs = 30_000): Promise<Map<string, Row>> => {
  const wanted = new Set(ids);
  let found: Row[] = [];
  await until(
    async () => {
      found = (await rows()).filter(({ id }) => wanted.has(id));
      return found.every(({ status }) => status === "sent");
    },
    `${ids.length} are sent`,
    mostMs,
    sender.log,
  );
  return new Map(found.map((row) => [row.id, row]));
};
const takenBy = (ids: Iterable<string>): Record<string, number> => {
  const wanted = new Set(ids);
  return Object.fromEntries(
    NAMES.map((name) => [name, down.received(name).filter((id) => wanted.has(id)).length]),
  );
};
const metricsText = () => fetch(`${sender.healthUrl}/metrics`).then((answer) => answer.text());
const failures = () => sender.count("sluice_routes_reload_failed_total");
const loadedAt = () => sender.count("sluice_routes_loaded_timestamp_seconds");
async function reload(): Promise<void> {
  const before = await loadedAt();
  process.kill(sender.pid, "SIGHUP");
  await until(async () => (await loadedAt()) > before, "the file is loaded", 30_000, sender.log);
}

test("under load, ten reloads that change, remove and add operators lose, repeat and delay nothing", async () => {
  const ids: string[] = [];
  const variants = [
    [operator("A", ", weight: 9"), operator("B"), operator("C")],
    [operator("B"), operator("C", ", rate: 5000")],
    [operator("A", ", window: 2"), operator("X", "", "C")],
    [operator("A"), operator("B")],
  ];
  let isOver = false;
  const load = (async () => {
    while (!isOver) ids.push(...(await send(100)));
  })();
  for (let n = 0; n < 10; n++) {
    write(...(variants[n % variants.length] as string[]));
    await reload();
    await Bun.sleep(300);
  }
  isOver = true;
  await load;
  const sent = await untilSent(ids);
  expect(ids.length).toBeGreaterThan(500);
  const taken = NAMES.flatMap((name) => down.received(name));
  expect(taken.toSorted()).toEqual(ids.toSorted());
  // No message needed another attempt, which it would have waited for.
  expect([...sent.values()].filter(({ attempt }) => attempt > 0)).toEqual([]);
  expect(await sender.count("sluice_sender_unknown_total")).toBe(0);
}, 120_000);

test("an operator that is removed has no metrics any more; one that stays keeps its counts", async () => {
  write(operator("A"), operator("B"));
  await reload();
  await untilSent(await send(20));
  const accepted = async (name: string) =>
    Number(
      new RegExp(
        `^sluice_operator_submits_total\\{operator="${name}",answer="accepted"[^}]*\\} (.*)$`,
        "m",
      ).exec(await metricsText())?.[1] ?? Number.NaN,
    );
  const before = await accepted("B");
  expect(before).toBeGreaterThan(0);
  write(operator("B"));
  await reload();
  expect(await metricsText()).not.toContain('operator="A"');
  await untilSent(await send(7));
  expect(await accepted("B")).toBe(before + 7);
});

test("a file with faults is refused, each of them logged and the refusal counted; the old one stays in use", async () => {
  const loaded = await loadedAt();
  const failed = await failures();
  writeFileSync(
    routesFile,
    "operators:\n  A: { kind: telex }\n  B: { kind: http, url: http://b, price: free }\n" +
      "routes: { r: { operators: [Q] } }\n",
  );
  process.kill(sender.pid, "SIGHUP");
  await until(async () => (await failures()) === failed + 1, "it is refused", 30_000, sender.log);
  for (const fault of [
    `${routesFile}:2:14 operators.A.kind: must be one of http`,
    `${routesFile}:3:42 operators.B.price: must be a whole number from 0 to`,
    `${routesFile}:4:28 routes.r.operators[0]: there is no operator Q`,
    `${routesFile}:4:11 routes.r: is never used`,
  ])
    await until(() => sender.log().includes(fault), fault, 30_000, sender.log);
  rmSync(routesFile);
  process.kill(sender.pid, "SIGHUP");
  await until(async () => (await failures()) === failed + 2, "a missing file is refused too");
  expect(await loadedAt()).toBe(loaded);
  const ids = await send(5);
  await untilSent(ids);
  expect(takenBy(ids)).toEqual({ A: 0, B: 5, C: 0 });
}, 180_000);

test("a route's prefix goes to its operators by their shares, others by the operators' own terms", async () => {
  writeFileSync(
    routesFile,
    `operators:\n${operator("A")}${operator("B", ", priority: 1")}${operator("C", ", priority: 1")}` +
      'routes:\n  compare: { prefixes: ["+989121"], lanes: [normal], split: { B: 75, C: 25 } }\n',
  );
  await reload();
  const others = await send(20, { phone: "+989351234567" });
  const compared = await send(400, { phone: "+989121234567" });
  await untilSent([...others, ...compared]);
  expect(takenBy(others)).toEqual({ A: 20, B: 0, C: 0 });
  const { A, B = 0, C = 0 } = takenBy(compared);
  expect([A, B + C]).toEqual([0, 400]);
  // Five standard deviations of 400 draws.
  expect(Math.abs(B - 300)).toBeLessThan(44);
});

test("an operator's rate is kept: messages wait for it without using up an attempt", async () => {
  write(operator("A", ", rate: 20"));
  await reload();
  const startedMs = performance.now();
  const ids = await send(100);
  const sent = await untilSent(ids, 40_000);
  expect(performance.now() - startedMs).toBeGreaterThan(((100 - 20 * 0.1 - 1) / 20) * 1_000);
  expect([...sent.values()].filter(({ attempt }) => attempt > 0)).toEqual([]);
}, 120_000);

test("in a lane that no operator takes any more, messages fail at once and are refunded", async () => {
  write(operator("A", ", lanes: [express]"));
  await reload();
  const ids = await send(300);
  const refunds = `SELECT COUNT(*) AS n FROM wallet_ledger WHERE op='refund'`;
  const refunded = async () => Number((await down.pool.query<{ n: number }[]>(refunds))[0]?.n);
  await until(async () => (await refunded()) === ids.length, "all are refunded", 30_000, sender.log);
  const wanted = new Set(ids);
  const ended = (await rows()).filter(({ id }) => wanted.has(id));
  expect([...new Set(ended.map(({ status, attempt }) => `${status} ${attempt}`))]).toEqual(["failed 0"]);
}, 60_000);

test("a sender does not start with a bad file, and says why", async () => {
  const bad = join(folder, "bad.yaml");
  writeFileSync(bad, "operators: {}\n");
  const healthPort = await freePort();
  const env = { ...process.env, ...envOf({ ...down.config, routesFile: bad, healthPort }) };
  const started = spawnSync("node", ["src/main/sender.ts", "--lane", "express"], { env, encoding: "utf8" });
  expect(started.status).toBe(70);
  expect(started.stdout).toContain(`${bad}:1:12 operators: must be a map of 1 to 32 operators by name`);
}, 120_000);
