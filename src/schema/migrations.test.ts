import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type AppliedMigration,
  applyMigrations,
  type MigrationTarget,
  readMigrations,
} from "./migrations.ts";

let folder: string;
let history: Map<string, AppliedMigration>;
let ran: string[];
let failAt: string | null;
let target: MigrationTarget;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-migrations-"));
  history = new Map();
  ran = [];
  failAt = null;
  target = {
    applied: async () => [...history.values()],
    run: async (statement, { repeated }) => {
      if (statement === failAt) throw new Error(`no luck with ${statement}`);
      ran.push(repeated ? `${statement} again` : statement);
    },
    record: async (migration) => void history.set(migration.name, migration),
  };
});
afterEach(() => rmSync(folder, { recursive: true }));

const write = (name: string, sql: string) => writeFileSync(join(folder, name), sql);
const apply = (render?: (sql: string) => string) => applyMigrations(readMigrations(folder, render), target);
const refusal = async (work: () => Promise<unknown>) => {
  const thrown = await work().catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(Error);
  return (thrown as Error).message;
};

describe("migrations", () => {
  test("run once each, in order, statement by statement, without comments", async () => {
    write("0002_b.sql", "-- two; statements;\nB1 COMMENT 'a; b';\n  -- more\nB2\n  x;\n");
    write("0001_a.sql", "A1;");
    expect(await apply()).toEqual(["0001_a.sql", "0002_b.sql"]);
    expect(ran).toEqual(["A1", "B1 COMMENT 'a; b'", "B2\n  x"]);
    write("0003_c.sql", "C1;");
    expect(await apply()).toEqual(["0003_c.sql"]);
    expect(await apply()).toEqual([]);
    expect(ran.slice(3)).toEqual(["C1"]);
  });

  test("a file changed after it was applied is refused by name, and nothing runs", async () => {
    write("0001_a.sql", "A1;");
    await apply();
    write("0001_a.sql", "A1;\n");
    write("0002_b.sql", "B1;");
    expect(await refusal(() => apply())).toContain("0001_a.sql was changed after it was applied");
    expect(ran).toEqual(["A1"]);
  });

  test("a file numbered before an applied one is refused", async () => {
    write("0002_b.sql", "B1;");
    await apply();
    write("0001_a.sql", "A1;");
    expect(await refusal(() => apply())).toContain("0001_a.sql is numbered before 0002_b.sql");
  });

  test("a file that stopped half way continues with the statement at which it stopped", async () => {
    write("0001_a.sql", "A1;\nA2;\nA3;");
    failAt = "A2";
    expect(await refusal(() => apply())).toContain("no luck with A2");
    failAt = null;
    expect(await apply()).toEqual(["0001_a.sql"]);
    expect(ran).toEqual(["A1", "A2 again", "A3"]);
    expect(await apply()).toEqual([]);
  });

  test("names and numbers are checked", async () => {
    write("1_a.sql", "A1;");
    expect(() => readMigrations(folder)).toThrow("must look like 0001_words.sql");
    rmSync(join(folder, "1_a.sql"));
    write("0001_a.sql", "A1;");
    write("0001_b.sql", "B1;");
    expect(() => readMigrations(folder)).toThrow("two migrations have the number 0001");
  });

  test("settings are filled in after the checksum is taken", async () => {
    write("0001_a.sql", "A {{x}};");
    const [plain] = readMigrations(folder);
    const [filled] = readMigrations(folder, (sql) => sql.replace("{{x}}", "1"));
    expect(filled).toMatchObject({
      checksum: plain?.checksum as string,
      statements: ["A 1"],
      templated: true,
    });
    expect(plain?.templated).toBe(false);
  });
});
