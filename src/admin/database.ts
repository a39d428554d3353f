// What commands on the database share: a connection, errors that say what to do, and printing.

import { loadConfig } from "../platform/config.ts";
import { isError } from "../platform/mysql-errors.ts";
import { createPool, type Pool } from "../platform/mysql.ts";
import { say } from "../platform/output.ts";

export type Json = { json?: true };
export const jsonFlag = ["--json", "print JSON"] as const;

/** Runs `use` with a pool of one connection. @throws Error that says what to start or run first */
export async function withDatabase(use: (pool: Pool) => Promise<void>): Promise<void> {
  const config = loadConfig(process.env);
  const pool = createPool(config, { connections: 1, multipleStatements: true });
  try {
    await use(pool);
  } catch (error) {
    throw explained(error, `${config.mysqlHost}:${config.mysqlPort}`);
  } finally {
    await pool.end();
  }
}

function explained(error: unknown, where: string): unknown {
  const { code } = error as { code?: string };
  if (code === "ECONNREFUSED")
    return new Error(`MySQL does not answer on ${where}. Start it: ./sluice up (or make up)`, {
      cause: error,
    });
  return isError(error, "noDatabase", "noTable")
    ? new Error("the database has no tables yet. Run: ./sluice migrate", { cause: error })
    : error;
}

/** JSON on one line, or `name: value` lines; lists as one line each. */
export function print({ json }: Json, value: Record<string, unknown>): void {
  if (json) return say(JSON.stringify(value));
  for (const [name, each] of Object.entries(value)) {
    if (Array.isArray(each))
      say(each.length === 0 ? `no ${name}` : each.map((row) => JSON.stringify(row)).join("\n"));
    else say(`${name}: ${String(each)}`);
  }
}
