// While messages are accepted, sent, retried, refused and settled, a check at any moment finds no drift; and
// events that never reached ClickHouse are there after --resend.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { reconcile } from "../../src/reconcile/reconcile.ts";
import type { CustomerReconcile } from "../../src/reconcile/customer.ts";
import type { ReconcileResult } from "../../src/reconcile/result.ts";
import { setCaps } from "../../src/ledger/cap-admin.ts";
import type { Clickhouse } from "../../src/platform/clickhouse.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { sleep } from "../../src/platform/retry.ts";
import { createTestClickhouse, type TestClickhouse } from "../support/clickhouse.ts";
import {
  type IngestProcess,
  makeCustomer,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";
import { createDownstream, type Downstream, type Role, until } from "../support/roles.ts";
import { ageAll } from "../support/small-book.ts";
import { startTraffic } from "../support/traffic.ts";

let downstream: Downstream;
let events: TestClickhouse;
let clickhouse: Clickhouse;
let ingest: IngestProcess;
let relay: Role;
let pool: Pool;
beforeAll(async () => {
  downstream = await createDownstream();
  events = await createTestClickhouse(downstream.config, { kafka: true });
  clickhouse = events.clickhouse;
  const { clickhouseDatabase } = events.config;
  pool = createPool(downstream.config, { connections: 4, multipleStatements: true });
  ingest = await startIngest({ ...downstream.config, clickhouseDatabase });
  // A refuses many, is down at times and loses answers, so that the books contain retries and unknown
  // messages too.
  for (const name of ["A", "B", "C"] as const)
    await downstream.startOperator(name, name === "A" ? "flaky" : "default");
  relay = await downstream.start("relay", { clickhouseDatabase, reconcileCycleMs: 1_000 });
  for (const name of ["sender-normal", "sender-express"] as const) await downstream.start(name);
}, 120_000);
afterAll(async () => {
  await ingest.end();
  await pool.end();
  await Promise.all([downstream.end(), events.drop()]);
});

const check = (options: Parameters<typeof reconcile>[1] = {}) => reconcile({ pool, clickhouse }, options);
const kinds = (results: readonly ReconcileResult[]) => new Set(results.map(({ kind }) => kind));

test("under traffic reconcile never reports a false drift", async () => {
  const customers: TestCustomer[] = [];
  for (let i = 0; i < 3; i++) customers.push(await makeCustomer(downstream.config, 1_000_000));
  const [{ customerId, apiKey }] = customers as [TestCustomer];
  await setCaps(pool, customerId, { daily: 1_000_000, monthly: 1_000_000 });
  const traffics = customers.map((customer) =>
    startTraffic({ url: ingest.url, apiKey: customer.apiKey, clients: 4, pauseMs: 10 }),
  );
  const results: ReconcileResult[] = [];
  const proofs: (CustomerReconcile | number)[] = [];
  // At least this long, and at least this many checks of all books, however long one takes.
  const endMs = Date.now() + 8_000;
  const checksMin = 6;
  const checks = [
    async () => void results.push(await check()),
    async () => void results.push(await check({ customerId })),
    async () => {
      const answer = await fetch(`${ingest.url}/v1/wallet/reconcile`, { headers: { "x-api-key": apiKey } });
      proofs.push(answer.ok ? ((await answer.json()) as CustomerReconcile) : answer.status);
    },
  ];
  await Promise.all(
    checks.map(async (once) => {
      while (Date.now() < endMs || results.length < checksMin) {
        await once();
        await sleep(50);
      }
    }),
  );
  await Promise.all(traffics.map((traffic) => traffic.stop()));
  const accepted = traffics.reduce((sum, traffic) => sum + traffic.accepted().length, 0);
  expect(accepted).toBeGreaterThan(100);
  expect(results.filter(({ kind }) => kind !== "clean")).toEqual([]);
  expect(proofs.filter((proof) => typeof proof === "object" && !proof.ok)).toEqual([]);
  expect(proofs.filter((proof) => typeof proof === "object").length).toBeGreaterThan(0);
  console.log(
    `${accepted} accepted, ${results.length} checks, ${proofs.length} answers, ${[...kinds(results)]}`,
  );
  await until(async () => (await check({ settled: true })).kind === "clean", "all is settled", 60_000);
}, 120_000);

test("the relay's background check cycles through the same books, and finds nothing", async () => {
  const turns = () => relay.count("sluice_reconcile_cycles_total");
  await until(async () => (await turns()) > 0, "a turn", 60_000, relay.log);
  expect(await relay.count("sluice_reconcile_cycle_drifts")).toBe(0);
  expect(await relay.count("sluice_reconcile_failed_total")).toBe(0);
}, 120_000);

test("what ClickHouse lost is back after --resend", async () => {
  // Looks as if the events of the last minutes had been dropped on the way.
  await ageAll(pool);
  for (const table of ["wallet_ledger", "messages_log", "ledger_days"])
    await clickhouse.command(`TRUNCATE TABLE ${table}`);
  // The relay's background check looks for them too, and whoever finds them first sends them.
  let sent = 0;
  await until(
    async () => {
      const found = await check({ settled: true, resend: true });
      if (found.kind !== "could_not_check") sent += found.resent;
      return found.kind === "clean"; // a run may not send all
    },
    "all events are there again",
    30_000,
  );
  expect(sent + (await relay.count("sluice_reconcile_resent_total"))).toBeGreaterThan(300);
}, 120_000);
