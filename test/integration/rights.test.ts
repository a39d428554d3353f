// What the page of the systemd units says MySQL must be, on the real server: its users are made with exactly
// its statements, then one migrates and the roles run as the other. Its settings exist under these names.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { endIdleTransactions } from "../../src/ledger/idle-transactions.ts";
import { type Config, loadConfig } from "../../src/platform/config.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { migrateMysql } from "../../src/schema/mysql.ts";
import { ensurePartitions } from "../../src/schema/partitions.ts";
import { projectRoot } from "../../src/stack/tools.ts";
import { dropDatabase } from "../support/database.ts";
import { envOf, makeCustomer, post, startIngest } from "../support/ingest-process.ts";
import { read } from "../support/pages.ts";
import { freePort } from "../support/ports.ts";
import { createDownstream, until } from "../support/roles.ts";

const readme = read("deploy/systemd/README.md");
const block = (kind: string): string => new RegExp(`\`\`\`${kind}\n(.*?)\`\`\``, "s").exec(readme)?.[1] ?? "";
/** Simulated operators report that it was delivered. */
const DELIVERED = "09129990004";
const DAY_MS = 86_400_000;
const IDLE_MS = 2_000;
const TRUST = "log_bin_trust_function_creators";

const base = loadConfig(process.env);
const root = createPool(base, { connections: 2, database: null });
const suffix = randomBytes(4).toString("hex");
const user = { roles: `test_roles_${suffix}`, migrate: `test_migrate_${suffix}` };
const login = (name: string) => ({ mysqlUser: name, mysqlPassword: `secret of ${name}` });

/** Makes the page's users, under names of their own, for this database. */
async function createUsers(database: string): Promise<void> {
  const sql = block("sql")
    .replaceAll("CREATE USER sluice", "CREATE USER IF NOT EXISTS sluice")
    .replaceAll(/\bsluice_migrate@/g, `${user.migrate}@`)
    .replaceAll(/\bsluice@/g, `${user.roles}@`)
    .replaceAll(/ON sluice\./g, `ON ${database}.`)
    .replaceAll(/(test_\w+)@('[^']*') IDENTIFIED BY '[^']*'/g, "$1@$2 IDENTIFIED BY 'secret of $1'");
  for (const statement of sql.split(";").filter((text) => text.trim() !== "")) await root.query(statement);
}

const migrated: Config = { ...base, mysqlDatabase: `sluice_test_rights_${suffix}` };
let trusted: number;
beforeAll(async () => {
  const [row] = await root.query<{ trusted: number }[]>(`SELECT @@GLOBAL.${TRUST} AS trusted`);
  trusted = Number(row?.trusted);
});
afterAll(async () => {
  await root.query(`SET GLOBAL ${TRUST}=${trusted}`);
  await root.query(`DROP USER IF EXISTS ${user.roles}@'%', ${user.migrate}@'%'`);
  await dropDatabase(base, migrated.mysqlDatabase);
  await root.end();
});

test("migrate's user makes the database and all in it; where it can't make triggers, it is told why", async () => {
  await createUsers(migrated.mysqlDatabase);
  const config = { ...migrated, ...login(user.migrate) };
  await root.query(`SET GLOBAL ${TRUST}=0`);
  const { status, stderr } = spawnSync("bun", [join(projectRoot, "src/main/migrate.ts")], {
    env: { ...process.env, ...envOf(config) },
    encoding: "utf8",
  });
  expect({ status, stderr }).toMatchObject({ status: 1 });
  expect(stderr).toContain(`set ${TRUST}=1`);
  await root.query(`SET GLOBAL ${TRUST}=1`);
  const { applied, partitions } = await migrateMysql(config);
  expect(applied[0]).toBe("0028_admin.sql"); // it continues with the file that has triggers
  expect(partitions.kind).toBe("done");
  expect((await migrateMysql(config)).applied).toEqual([]);
}, 120_000);

test("the roles' user has what the roles need, and can't touch the audit log", async () => {
  const down = await createDownstream();
  await createUsers(down.config.mysqlDatabase);
  const own = { ...login(user.roles), apiPort: await freePort() };
  const ingest = await startIngest(down.config, own);
  const pool = createPool({ ...down.config, ...own }, { connections: 4, multipleStatements: true });
  try {
    const { apiKey, customerId } = await makeCustomer({ ...down.config, ...own }, 10_000);
    await Promise.all((["A", "B", "C"] as const).map((name) => down.startOperator(name, "default", own)));
    const roles = await Promise.all(
      (["relay", "sender-normal", "dlr", "webhook"] as const).map((name) => down.start(name, own)),
    );
    const sent = await post(`${ingest.url}/v1/sms/send`, apiKey, {
      phone: DELIVERED,
      text: "hello",
      type: "normal",
    });
    expect(sent.status).toBe(202);
    const delivered = "SELECT 1 FROM messages WHERE status='delivered'";
    await until(async () => (await pool.query(delivered)).length === 1, "it is delivered", 60_000);
    await endsTheirs(pool, customerId);
    await keepsPartitions(pool);
    await leavesTheAuditLog(pool);
    for (const process of [ingest, ...roles]) expect(process.log()).not.toMatch(/denied/i);
  } finally {
    await pool.end();
    await ingest.end("SIGKILL");
    await down.end();
  }
}, 180_000);

async function endsTheirs(pool: Pool, customerId: number): Promise<void> {
  const sleeper = pool.use(async (conn) => {
    await conn.query(`BEGIN; SELECT balance FROM wallet_accounts WHERE customer_id=${customerId} FOR UPDATE`);
    await until(async () => (await endIdleTransactions(pool, IDLE_MS)) === 1, "it is ended");
    return conn.query("COMMIT");
  });
  expect(await sleeper.then(String, () => "its connection was lost")).toBe("its connection was lost");
}

async function keepsPartitions(pool: Pool): Promise<void> {
  const partitions = async () => {
    const sql =
      "SELECT COUNT(*) AS n FROM information_schema.PARTITIONS " +
      "WHERE TABLE_SCHEMA=DATABASE() AND PARTITION_NAME=?";
    const today = `p${new Date().toISOString().slice(0, 10).replaceAll("-", "")}`;
    return Number((await pool.query<{ n: number }[]>(sql, [today]))[0]?.n);
  };
  expect(await partitions()).toBe(5);
  const done = await ensurePartitions(pool, { nowMs: Date.now() + 60 * DAY_MS });
  expect(done).toMatchObject({ kind: "done" });
  expect(await partitions()).toBe(2); // those of messages and entries are never dropped
}

async function leavesTheAuditLog(pool: Pool): Promise<void> {
  await pool.query(
    "INSERT INTO audit_log (via,who,origin,action) VALUES ('cli','test','here','customer.create')",
  );
  const attempts = [
    ["UPDATE audit_log SET who='nobody'", "append-only"],
    ["DELETE FROM audit_log", "append-only"],
    ["TRUNCATE audit_log", "denied"],
    ["DROP TABLE audit_log", "denied"],
    ["ALTER TABLE audit_log MODIFY who VARCHAR(61)", "denied"],
    ["DROP TRIGGER audit_log_never_changes", "denied"],
    ["CREATE TABLE other (x INT)", "denied"],
  ] as const;
  for (const [sql, why] of attempts) {
    const said = await pool.query(sql).then(String, (error: Error) => error.message);
    expect(`${sql}: ${said}`).toContain(why);
  }
}

test("each setting of the page is one of MySQL's", async () => {
  const names = [...block("ini").matchAll(/^([a-z-]+) = /gm)].map(([, name = ""]) =>
    name.replaceAll("-", "_"),
  );
  expect(names.length).toBeGreaterThan(10);
  const rows = await root.query<{ Variable_name: string }[]>("SHOW GLOBAL VARIABLES");
  const known = new Set(rows.map(({ Variable_name }) => Variable_name));
  // `mysqlx` loads a plugin, whose variables are its own.
  expect(
    names.filter((name) => !known.has(name) && name !== "mysqlx" && name !== "default_time_zone"),
  ).toEqual([]);
});
