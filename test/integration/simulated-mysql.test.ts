// Compares the simulated MySQL with the real one: everything that seeded runs of the simulator did to it,
// with their faults, is repeated on a real server, and every result and row must be the same. SEED=… SEEDS=…
// bun test …: other runs than those of `make test`.

import { afterAll, expect, test } from "bun:test";
import { createPool } from "../../src/platform/mysql.ts";
import { testEnv } from "../../src/stack/test-env.ts";
import { replay } from "../simulated-mysql/replay.ts";
import type { JournalEntry, Server } from "../simulated-mysql/server.ts";
import { simulateAll } from "../simulation/simulate.ts";
import { createTestDatabase } from "../support/database.ts";

const { config } = await testEnv();
const first = Number(process.env.SEED ?? 1);
const seeds = Number(process.env.SEEDS ?? 4);
/** For each session that is open at once; in some runs hundreds wait for one wallet, which no pool holds. */
const CONNECTIONS = 120;

const kinds = new Set<string>();
let statements = 0;
afterAll(() => console.log(`${statements} statements of ${kinds.size} forms, ${seeds} seeds from ${first}`));

for (let seed = first; seed < first + seeds; seed++)
  test(`the real MySQL does the same as the simulated one for seed ${seed}`, async () => {
    const journal: JournalEntry[] = [];
    let tables: Server["tables"] = new Map();
    const { violation } = await simulateAll(seed, {
      journal: (entry) => void journal.push(entry),
      atEnd: (found) => (tables = found),
    });
    expect(violation).toBeNull();
    expect(tables.size).toBeGreaterThan(5);
    expect(mostOpen(journal)).toBeLessThanOrEqual(CONNECTIONS); // or the replay would wait for ever
    const database = await createTestDatabase(config);
    const pool = createPool(database.config, { connections: CONNECTIONS, multipleStatements: true });
    try {
      const found = await replay(pool, journal, tables);
      expect(found.differences.join("\n")).toBe("");
      expect(found.statements).toBeGreaterThan(300);
      statements += found.statements;
      for (const entry of journal) if (entry.kind !== "ended") kinds.add(formOf(entry.source.text));
    } finally {
      await pool.end();
      await database.drop();
    }
  }, 60_000);

function mostOpen(journal: readonly JournalEntry[]): number {
  const open = new Set<number>();
  let most = 0;
  for (const { kind, session } of journal) {
    if (kind === "ended") open.delete(session);
    else most = Math.max(most, open.add(session).size);
  }
  return most;
}

const formOf = (text: string): string =>
  text.replaceAll(/'[^']*'|x'[0-9a-f]*'|\b\d+\b/gi, "?").replaceAll(/\(\?(,\?)*\)(,\(\?(,\?)*\))*/g, "(?)");
