// Applies numbered .sql files, once each and in order, for either engine. Owns reading the files, their
// checksums and their order (umzug runs them); leaves to its callers where applied files are recorded, locks,
// and running a statement.
// Invariants: forward only; a landed file never changes; a file numbered before a landed one is refused; a
// file that stopped half way continues after its last finished statement. In a file every statement ends with
// `;` at the end of a line.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Umzug } from "umzug";

export type Migration = {
  name: string;
  /** SHA-256 of the file before settings are filled in. */
  checksum: string;
  statements: string[];
  /** Settings were filled in, so what runs differs from the file. */
  templated: boolean;
};

export type AppliedMigration = { name: string; checksum: string; statementsDone: number; finished: boolean };

/** How an engine records applied files and runs a statement. */
export type MigrationTarget = {
  applied(): Promise<AppliedMigration[]>;
  run(statement: string, options: { repeated: boolean }): Promise<void>;
  /** Called before the first statement (0 done), after each one, and with `finished` after the last. */
  record(migration: AppliedMigration): Promise<void>;
};

const NAME = /^\d{4}_[a-z0-9_]+\.sql$/;

/**
 * @param render fills in placeholders after the checksum is taken, so that settings may differ between
 * installations
 */
export function readMigrations(folder: string, render: (sql: string) => string = (sql) => sql): Migration[] {
  const names = readdirSync(folder)
    .filter((name) => name.endsWith(".sql"))
    .sort();
  const numbers = new Set<string>();
  return names.map((name) => {
    if (!NAME.test(name)) throw new Error(`migration ${name}: the name must look like 0001_words.sql`);
    const number = name.slice(0, 4);
    if (numbers.has(number)) throw new Error(`two migrations have the number ${number}`);
    numbers.add(number);
    const sql = readFileSync(join(folder, name), "utf8");
    const rendered = render(sql);
    const checksum = createHash("sha256").update(sql).digest("hex");
    return { name, checksum, statements: splitStatements(rendered), templated: rendered !== sql };
  });
}

/**
 * Applies the missing files and returns their names. The caller holds a lock, so nobody else applies files at
 * the same time.
 */
export async function applyMigrations(
  migrations: readonly Migration[],
  target: MigrationTarget,
): Promise<string[]> {
  const applied = new Map((await target.applied()).map((row) => [row.name, row]));
  refuseChangedHistory(migrations, applied);
  const umzug = new Umzug({
    migrations: migrations.map((migration) => ({
      name: migration.name,
      up: () => applyOne(migration, applied.get(migration.name)?.statementsDone, target),
    })),
    storage: {
      executed: async () => [...applied.values()].filter((row) => row.finished).map((row) => row.name),
      logMigration: async () => {}, // applyOne records the last statement and the end in one write
      unlogMigration: async () => {
        throw new Error("migrations only go forward");
      },
    },
    logger: undefined,
  });
  return (await umzug.up()).map((done) => done.name);
}

async function applyOne(
  migration: Migration,
  resumeAt: number | undefined,
  target: MigrationTarget,
): Promise<void> {
  const { name, checksum, statements } = migration;
  for (let i = resumeAt ?? 0; i < statements.length; i++) {
    if (resumeAt === undefined && i === 0)
      await target.record({ name, checksum, statementsDone: 0, finished: false });
    // The statement at which it stopped may have run without being recorded, because DDL can't be rolled back
    // together with its record.
    await target.run(statements[i] as string, { repeated: i === resumeAt });
    await target.record({ name, checksum, statementsDone: i + 1, finished: i + 1 === statements.length });
  }
}

function refuseChangedHistory(
  migrations: readonly Migration[],
  applied: ReadonlyMap<string, AppliedMigration>,
): void {
  const newest = [...applied.keys()].sort().at(-1) ?? "";
  for (const { name, checksum } of migrations) {
    const landed = applied.get(name);
    if (landed === undefined && name < newest)
      throw new Error(
        `migration ${name} is numbered before ${newest}, which is already applied: give it the next number`,
      );
    if (landed !== undefined && landed.checksum !== checksum)
      throw new Error(
        `migration ${name} was changed after it was applied: restore the file and add a new migration ` +
          `instead`,
      );
  }
}

/** Splits at semicolons at the ends of lines, and removes comment lines. */
function splitStatements(sql: string): string[] {
  return sql
    .replaceAll(/^\s*--.*$/gm, "")
    .split(/;[ \t]*$/m)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== "");
}
