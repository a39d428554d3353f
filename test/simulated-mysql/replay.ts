// Replays what a simulated run did to its database on a real MySQL, statement by statement and session by
// session, and reports every difference: in a result, in an error, or in the rows at the end. Statements run
// in the order in which they took effect in the simulation, each at its own time (`SET timestamp`), so the
// real server never has to wait for a lock: a lock wait that the simulation didn't have is a difference too.
// Left out: statements about the server itself, and statements that failed because of a lock, a deadlock or a
// planted fault (the real server is made to roll back as the simulated one did). A statement that waited had
// locks before it took effect, which the real server doesn't have yet: what skipped all of them is left out.
// Bound: a replay stops after DIFFERENCES_MAX differences.

import { isDeepStrictEqual } from "node:util";
import { errorNumber } from "../../src/platform/mysql-errors.ts";
import type { Connection, Pool } from "../../src/platform/mysql.ts";
import type { JournalEntry, Server } from "./server.ts";
import type { Table, Values } from "./tables.ts";

const DIFFERENCES_MAX = 10;
const SHOWN_CHARS_MAX = 300;

export type Replay = { statements: number; sessions: number; differences: string[] };

/** `pool`: for an empty database with the same schema; must allow several statements in one text. */
export async function replay(
  pool: Pool,
  journal: readonly JournalEntry[],
  tables: Server["tables"],
): Promise<Replay> {
  const sessions = createSessions(pool);
  const result: Replay = { statements: 0, sessions: 0, differences: [] };
  try {
    for (const entry of journal) {
      if (result.differences.length >= DIFFERENCES_MAX) return result;
      const difference = await replayed(entry, sessions);
      if (entry.kind !== "ended") result.statements++;
      if (difference !== null) result.differences.push(`session ${entry.session}: ${difference}`);
    }
    result.sessions = sessions.opened();
  } finally {
    await sessions.end();
  }
  for (const table of tables.values()) result.differences.push(...(await tableDifferences(pool, table)));
  return result;
}

async function replayed(entry: JournalEntry, sessions: Sessions): Promise<string | null> {
  if (entry.kind === "ended") {
    await sessions.close(entry.session);
    return null;
  }
  const conn = await sessions.of(entry.session);
  if (entry.kind === "failed" && !entry.executed) {
    if (entry.rolledBack) await conn.query("ROLLBACK");
    return null;
  }
  if (entry.kind === "ran" && entry.besideWait && hasSkippedAll(entry)) return null;
  const { source, nowMs } = entry;
  const text = `SET timestamp=${(nowMs / 1_000).toFixed(3)};${source.text}`;
  const shown = `${source.text} ${source.values.length === 0 ? "" : JSON.stringify(source.values)}`;
  const at = `${shown.slice(0, SHOWN_CHARS_MAX)}\n`;
  let real: unknown;
  try {
    const results = await conn.query<unknown[]>(text, [...source.values]);
    real = results[1];
  } catch (error) {
    const errno = errorNumber(error) ?? String(error);
    if (entry.kind === "failed" && errno === entry.errno) {
      if (entry.rolledBack) await conn.query("ROLLBACK");
      return null;
    }
    const simulated = entry.kind === "failed" ? `error ${entry.errno}` : "no error";
    return `${at}  simulated: ${simulated}; real: error ${errno} ${(error as Error).message}`;
  }
  if (entry.kind === "failed") return `${at}  simulated: error ${entry.errno}; real: none`;
  const ordered = /\bORDER BY\b/i.test(source.text);
  const [a, b] = [comparable(entry.outcome, ordered), comparable(real, ordered)];
  if (isDeepStrictEqual(a, b)) return null;
  return `${at}  simulated: ${JSON.stringify(a).slice(0, SHOWN_CHARS_MAX)}
  real:      ${JSON.stringify(b).slice(0, SHOWN_CHARS_MAX)}`;
}

const hasSkippedAll = ({ source, outcome }: { source: { text: string }; outcome: unknown }): boolean =>
  Array.isArray(outcome) && outcome.length === 0 && source.text.endsWith("SKIP LOCKED");

/**
 * Rows as plain values, in their order, or sorted if no order was requested; for a write, what it changed.
 */
function comparable(outcome: unknown, ordered: boolean): unknown {
  if (Array.isArray(outcome)) {
    const rows = outcome.map((row: Record<string, unknown>) => Object.entries(row).map(plainPair));
    return ordered ? rows : rows.map((row) => JSON.stringify(row)).sort();
  }
  const { affectedRows, insertId } = outcome as { affectedRows?: number; insertId?: number };
  return { affectedRows: affectedRows ?? 0, insertId: Number(insertId ?? 0) };
}

const plainPair = ([name, value]: [string, unknown]): [string, unknown] => [name, plain(value)];

function plain(value: unknown): unknown {
  if (value instanceof Date) return value.getTime();
  if (Buffer.isBuffer(value)) return value.toString("base64");
  // Sums are DECIMAL in MySQL, which the driver returns as text.
  if (typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value)) return Number(value);
  return value;
}

async function tableDifferences(pool: Pool, table: Table): Promise<string[]> {
  const { name, key, columns } = table.spec;
  const generated = await pool.query<{ name: string }[]>(
    "SELECT COLUMN_NAME AS name FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=DATABASE() " +
      "AND TABLE_NAME=? AND GENERATION_EXPRESSION<>''",
    [name],
  );
  const names = columns
    .map((column) => column.name)
    .filter((column) => !generated.some((one) => one.name === column));
  const real = await pool.query<Record<string, unknown>[]>(`SELECT ${names.join(",")} FROM ${name}`);
  const keyOf = (row: Record<string, unknown>) => key.map((column) => String(plain(row[column]))).join(":");
  const rowOf = (row: Record<string, unknown>) => names.map((column) => plain(row[column] ?? null));
  const stored = new Map(real.map((row) => [keyOf(row), rowOf(row)]));
  const found: string[] = [];
  for (const { committed } of table.rows.values()) {
    if (committed === null) continue;
    const [id, simulated] = [keyOf(committed), rowOf(committed as Values)];
    const other = stored.get(id);
    stored.delete(id);
    if (!isDeepStrictEqual(simulated, other))
      found.push(
        `${name} ${id}\n  simulated: ${JSON.stringify(simulated)}\n  real:      ${JSON.stringify(other)}`,
      );
  }
  for (const [id, row] of stored) found.push(`${name} ${id}: only real: ${JSON.stringify(row)}`);
  return found.slice(0, DIFFERENCES_MAX);
}

type Sessions = {
  of(session: number): Promise<Connection>;
  close(session: number): Promise<void>;
  opened(): number;
  end(): Promise<void>;
};

// One connection for each session, lent until the session ends; then it is rolled back and reused for
// another.
function createSessions(pool: Pool): Sessions {
  type Lent = { conn: Connection; giveBack: () => void; returned: Promise<void> };
  const lent = new Map<number, Lent>();
  let opened = 0;
  const lend = () =>
    new Promise<Lent>((resolve, reject) => {
      let giveBack = (): void => undefined;
      const held = new Promise<void>((release) => (giveBack = release));
      const returned = pool.use(async (conn) => {
        await conn.query("SET SESSION innodb_lock_wait_timeout=1");
        resolve({ conn, giveBack, returned });
        await held;
        await conn.query("ROLLBACK");
      });
      returned.catch(reject);
    });
  const close = async (session: number) => {
    const one = lent.get(session);
    lent.delete(session);
    one?.giveBack();
    await one?.returned;
  };
  return {
    async of(session) {
      let one = lent.get(session);
      if (one === undefined) {
        opened++;
        lent.set(session, (one = await lend()));
      }
      return one.conn;
    },
    close,
    opened: () => opened,
    async end() {
      for (const session of lent.keys()) await close(session);
    },
  };
}
