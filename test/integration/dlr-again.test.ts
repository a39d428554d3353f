// Delivery reports on MySQL that belong to no message, or to none yet: what they cost while they wait. When
// they are tried again: src/dlr/again.test.ts.

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { INBOX_ROW_REPORTS_MAX } from "../../src/core/limits.ts";
import { type RawReport, unpackReports } from "../../src/core/raw-report.ts";
import { takeReports } from "../../src/dlr/take.ts";
import { storeReports } from "../../src/ledger/inbox-rows.ts";
import { DEFAULT_TERMS, type ReportTerms } from "../../src/operators/reports/report.ts";
import { type Connection, createPool, type Pool } from "../../src/platform/mysql.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

const TERMS: ReportTerms = { ...DEFAULT_TERMS, shape: "generic" };

let db: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 2, multipleStatements: true });
});
beforeEach(() => pool.query("DELETE FROM inbox;DELETE FROM waiting_ends"));
afterAll(async () => {
  await pool.end();
  await db.drop();
});

let statements = 0;
/** The same pool, which counts what is sent over it. */
const counting: Pick<Pool, "use"> = {
  use: (body) =>
    pool.use((conn) => {
      const counted: Connection = {
        ...conn,
        query: (sql, values) => {
          statements++;
          return conn.query(sql, values);
        },
        write: (sql, values) => {
          statements++;
          return conn.write(sql, values);
        },
      };
      return body(counted);
    }),
};
const take = () => takeReports({ pool: counting, termsOf: () => TERMS, now: Date.now });
const report = (name: string, receivedAtMs: number, bytes = 0): RawReport => ({
  operator: "C",
  receivedAtMs,
  via: "http",
  contentType: "application/json",
  query: "",
  body: Buffer.from(JSON.stringify({ id: name, status: "DELIVRD", padding: " ".repeat(bytes) })),
});
async function waiting(): Promise<RawReport[][]> {
  const rows = await pool.query<{ payload: Buffer }[]>("SELECT payload FROM inbox ORDER BY id");
  return rows.map(({ payload }) => unpackReports(payload));
}

test("reports without a message are put back together, and keep when they came", async () => {
  const cameMs = Date.now() - 10_000; // none gets older than 16 s here
  const given = Array.from({ length: 200 }, (_, at) => report(`nobodys-${at}`, cameMs + at));
  for (let at = 0; at < given.length; at += 10) await storeReports(pool, given.slice(at, at + 10));
  for (let times = 0; times < 2; times++) {
    statements = 0;
    const { results } = await take();
    expect(new Set(results.map(({ result }) => result))).toEqual(new Set(["unmatched"]));
    expect(statements).toBeLessThanOrEqual(10);
    expect((await waiting()).map(({ length }) => length)).toEqual([
      INBOX_ROW_REPORTS_MAX,
      INBOX_ROW_REPORTS_MAX,
    ]);
    expect((await waiting()).flat()).toEqual(given);
    expect(await take()).toMatchObject({ rows: 0 });
    await pool.query("UPDATE inbox SET run_at=NOW(3)");
  }
});

test("a row that they share has no more bytes than any other; a report that is larger has one of its own", async () => {
  const sizes = [150_000, 150_000, 90_000, 600_000, 10];
  const nowMs = Date.now();
  for (const [at, bytes] of sizes.entries()) await storeReports(pool, [report(`large-${at}`, nowMs, bytes)]);
  await take();
  expect((await waiting()).map(({ length }) => length)).toEqual([1, 2, 1, 1]);
});

test("of different ages each waits by its own", async () => {
  const nowMs = Date.now();
  const ages = [1_500, 100_000, 1_600];
  await storeReports(
    pool,
    ages.map((ageMs) => report(`aged-${ageMs}`, nowMs - ageMs)),
  );
  await take();
  const rows = await pool.query<{ laterS: number }[]>(
    "SELECT TIMESTAMPDIFF(SECOND, NOW(3), run_at) AS laterS FROM inbox ORDER BY run_at",
  );
  expect(rows).toHaveLength(2);
  expect(Number(rows[0]?.laterS)).toBeLessThanOrEqual(8);
  expect(Number(rows[1]?.laterS)).toBeGreaterThan(50);
});
