// ClickHouse as the page of the systemd units says it must be: its user has a password and exactly these
// rights. The engine is the real one, limited to them; it knows no log-in, so a server in front demands it,
// and answers as ClickHouse does.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClickhouse } from "../../src/platform/clickhouse.ts";
import { type Config, loadConfig } from "../../src/platform/config.ts";
import { migrateClickhouse } from "../../src/schema/clickhouse.ts";
import { projectRoot } from "../../src/stack/tools.ts";
import { read } from "../support/pages.ts";
import { freePort } from "../support/ports.ts";
import { until } from "../support/roles.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-test-clickhouse-"));
const PASSWORD = "it's secret";
const [, sql = ""] = /### ClickHouse.*?```sql\n(.*?)```/s.exec(read("deploy/systemd/README.md")) ?? [];
const [, user = ""] = /^CREATE USER (\w+) /m.exec(sql) ?? [];
const grants = [...sql.matchAll(/^(GRANT .*) TO (\w+);$/gm)].map(([, grant = ""]) => grant);

let config: Config;
let engine: ReturnType<typeof start>;
let front: ReturnType<typeof demandLogIn>;

/** The engine with a configuration like the local stack's, in which its one user has the page's rights. */
function start(port: number) {
  const users = join(folder, "users.xml");
  const queries = grants.map((grant) => `<query>${grant}</query>`).join("");
  writeFileSync(
    users,
    `<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default>
       <password></password><networks><ip>::/0</ip></networks><profile>default</profile>
       <quota>default</quota><grants>${queries}</grants></default></users></clickhouse>`,
  );
  const file = join(folder, "config.xml");
  const places = `<users_config>${users}</users_config>
    <user_directories><users_xml><path>${users}</path></users_xml></user_directories></clickhouse>`;
  writeFileSync(file, read("tools/clickhouse.xml").replace("</clickhouse>", places));
  const env = { ...process.env, SLUICE_STATE: folder, SLUICE_CLICKHOUSE_PORT: String(port) };
  const command = [process.execPath, join(projectRoot, "src/main/clickhouse-server.ts"), file];
  return Bun.spawn(command, { env, stdin: "ignore", stdout: "ignore", stderr: "ignore" });
}

function demandLogIn(port: number) {
  const wanted = `Basic ${btoa(`${user}:${PASSWORD}`)}`;
  return Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      const { pathname, search } = new URL(request.url);
      if (request.headers.get("authorization") === wanted)
        return fetch(`http://127.0.0.1:${port}${pathname}${search}`, request);
      const headers = { "x-clickhouse-exception-code": "516" };
      const said = `Code: 516. DB::Exception: ${user}: Authentication failed. (AUTHENTICATION_FAILED)\n`;
      return new Response(said, { status: 403, headers });
    },
  });
}

beforeAll(async () => {
  const port = await freePort();
  engine = start(port);
  front = demandLogIn(port);
  const answers = () =>
    fetch(`http://127.0.0.1:${port}/ping`).then(
      (answer) => answer.ok,
      () => false,
    );
  await until(answers, "the engine answers", 60_000);
  const environment = {
    ...process.env,
    SLUICE_CLICKHOUSE_PORT: String(front.port),
    SLUICE_CLICKHOUSE_DATABASE: "sluice",
    SLUICE_CLICKHOUSE_USER: user,
    SLUICE_CLICKHOUSE_PASSWORD: PASSWORD,
  };
  config = loadConfig(environment);
}, 90_000);
afterAll(async () => {
  await front.stop(true);
  engine.kill("SIGKILL");
  await engine.exited;
  rmSync(folder, { recursive: true, force: true });
});

test("the page's user migrates, writes, reads, and attaches a table that reads Kafka again", async () => {
  expect(grants.length).toBeGreaterThan(1);
  expect((await migrateClickhouse(config)).length).toBeGreaterThan(5);
  const moved = { ...config, kafkaHost: "k1,k2:9093", kafkaPort: 9_092 };
  expect(await migrateClickhouse(moved)).toContain("0004_kafka.sql (settings changed)");
  const clickhouse = createClickhouse(config);
  try {
    const [made] = await clickhouse.query<{ statement: string }>("SHOW CREATE TABLE kafka_status");
    expect(made?.statement).toContain("kafka_broker_list = 'k1:9092,k2:9093'");
    await clickhouse.insert("ledger_events", [
      { event_id: "1", customer_id: 1, op: "topup", amount: 5, created_at_ms: Date.now() },
    ]);
    const totals = await clickhouse.query("SELECT toString(amount) AS amount FROM mv_wallet_ledger_daily");
    expect(totals).toEqual([{ amount: "5" }]);
    await clickhouse.command("DETACH TABLE IF EXISTS kafka_ledger");
    await clickhouse.command("ATTACH TABLE IF NOT EXISTS kafka_ledger");
    const outside = await clickhouse.command("CREATE DATABASE other").then(String, String);
    expect(outside).toContain("Not enough privileges");
  } finally {
    await clickhouse.close();
  }
}, 120_000);

test("a wrong password is an error of its own, in which it doesn't appear", async () => {
  const wrong = createClickhouse({ ...config, clickhousePassword: "not that secret" });
  const said = await wrong.query("SELECT 1").then(String, (error: Error) => error);
  expect(said).toMatchObject({ code: "516" });
  expect(Bun.inspect(said)).not.toContain("not that secret");
  await wrong.close();
});
