// The simulated MySQL server: sessions, transactions, row locks with deadlocks and time-outs, its own clock,
// and its death, which only committed data survives.
// Owns when statements run; leaves what they mean to run.ts and the network to client.ts.
// Invariant: a transaction's changes become visible together, or never.

import type { Source, Statement } from "./ast.ts";
import type { Outcome, Tx } from "./read.ts";
import { execute } from "./run.ts";
import { parseSql } from "./parse.ts";
import { type Row, SqlError, Table, type TableSpec, type Values } from "./tables.ts";

export type RowChange = { table: string; key: string; before: Values | null; after: Values | null };
/** What one session did, in the order in which it took effect: enough to do the same on another server. */
export type JournalEntry = {
  session: number;
} /** `besideWait`: a statement of another session was waiting for a lock, and may have had others. */ & (
  | { kind: "ran"; source: Source; nowMs: number; outcome: Outcome; besideWait: boolean }
  /**
   * `executed`: the statement itself failed; otherwise a lock, a deadlock or a planted fault made it fail.
   */
  | { kind: "failed"; source: Source; nowMs: number; errno: number; executed: boolean; rolledBack: boolean }
  /** The session is gone, and its open transaction is rolled back. */
  | { kind: "ended" }
);
export type ServerDeps = {
  after: (delayMs: number, run: () => void) => void;
  nowMs: () => number;
  /** Time between two statements of one text; usually 0. */
  pauseMs: () => number;
  /** An error with which to answer a statement instead of running it. */
  fault: (statement: Statement) => SqlError | null;
  /** Called when a transaction locks a row that was there before; `held`: those it holds already. */
  onLock?: (row: Row, held: ReadonlySet<Row>) => void;
  /** Called when a statement failed. */
  onRefused: (error: SqlError, by: object | null) => void;
  /** `by`: the process that connected; `begunAfter`: how many commits came before its transaction began. */
  onCommit: (changes: RowChange[], by: object | null, begunAfter: number) => void;
  /** Leaves out statements about the server itself (idle transactions). */
  journal?: (entry: JournalEntry) => void;
};
export type Session = {
  /** Runs the statements of the text in order, up to the first that fails. */
  query(text: string, values: readonly unknown[], done: (error: Error | null, result: unknown) => void): void;
  /** Called when the server has ended the session. */
  onKilled: () => void;
  /** The client is gone: rolls back what is open, after the current text. */
  close(): void;
};
export type Server = {
  readonly tables: ReadonlyMap<string, Table>;
  /** null while the server is down. */
  connect(by: object | null): Session | null;
  crash(): void;
  start(): void;
  isUp(): boolean;
  /** The number of open transactions, for the end of a run. */
  open(): number;
};

const LOCK_WAIT_MS = 5_000;
const DEADLOCK = 1213;
const LOCK_WAIT = 1205;
const UNKNOWN_THREAD = 1094;
// The two statements of src/ledger/idle-transactions.ts, which are about the server itself.
const IDLE = /^SELECT p\.ID AS id FROM information_schema\.innodb_trx/;
const KILL = /^KILL (\d+)$/;
// Those of src/platform/named-lock.ts; only locks that are not waited for.
const GET_LOCK = /^SELECT LEFT\(CONCAT\('sluice-', \?, .* AS name, GET_LOCK\(.*, \?\) AS got$/;
const RELEASE_LOCK = /^DO RELEASE_LOCK\(\?\)$/;

type Held = Tx & { open: boolean; begunAfter: number; waitsFor: Row | null; by: object | null };

export function createServer(specs: readonly TableSpec[], deps: ServerDeps): Server {
  const tables = new Map(specs.map((spec) => [spec.name, new Table(spec)]));
  type Thread = { id: number; kill: () => void; idleSinceMs: () => number | null; tx: Held };
  const sessions = new Set<Thread>();
  /** Holders of named locks. */
  const named = new Map<unknown, Thread>();
  let threads = 0;
  let commits = 0;
  let up = true;

  const release = (tx: Held) => {
    for (const row of tx.held) {
      if (row.current === null && row.committed === null) row.table.remove(row);
      row.holder = null;
      const [next] = row.waiting;
      if (row.gone) for (const waiter of row.waiting.splice(0)) waiter.granted();
      else if (next !== undefined) {
        row.waiting.shift();
        row.holder = next.holder;
        next.granted();
      }
    }
    tx.held.clear();
    tx.undo.length = 0;
    tx.open = false;
  };
  /** Undoes the changes after the first `to`; the locks stay. */
  const undo = (tx: Held, to: number) => {
    for (let i = tx.undo.length - 1; i >= to; i--) {
      const { row, before } = tx.undo[i] as Tx["undo"][number];
      row.current = before;
    }
    tx.undo.length = to;
  };
  const rollback = (tx: Held) => {
    undo(tx, 0);
    release(tx);
  };
  const commit = (tx: Held) => {
    const changes: RowChange[] = [];
    const begunAfter = tx.open ? tx.begunAfter : commits;
    for (const { row } of tx.undo) {
      if (row.current === row.committed) continue;
      changes.push({
        table: row.table.spec.name,
        key: row.key,
        before: row.committed,
        after: row.current,
      });
      row.committed = row.current;
    }
    release(tx);
    if (changes.length === 0) return;
    commits++;
    deps.onCommit(changes, tx.by, begunAfter);
  };
  const isDeadlock = (tx: Held, row: Row): boolean => {
    let at = row.holder as Held | null;
    for (let steps = 0; at !== null && steps < 50; steps++) {
      if (at === tx) return true;
      at = (at.waitsFor?.holder ?? null) as Held | null;
    }
    return false;
  };

  const idleFor = (ms: number) =>
    [...sessions]
      .filter(({ tx, idleSinceMs }) => tx.held.size > 0 && deps.nowMs() - (idleSinceMs() ?? Infinity) >= ms)
      .map(({ id }) => ({ id }));
  const killThread = (id: number, done: (error: Error | null, result: unknown) => void) => {
    const thread = [...sessions].find((one) => one.id === id);
    thread?.kill();
    done(thread === undefined ? new SqlError(UNKNOWN_THREAD, "no such thread") : null, null);
  };
  const takeNamed = (name: unknown, by: Thread) => {
    const holder = named.get(name) ?? by;
    named.set(name, holder);
    return [{ name, got: holder === by ? 1 : 0 }];
  };
  const releaseNamed = (by: Thread, isOne: (name: unknown) => boolean) => {
    for (const [name, holder] of named) if (holder === by && isOne(name)) named.delete(name);
  };

  const open = (by: object | null): Session => {
    const { onLock } = deps;
    const held = new Set<Row>();
    const tx: Held = { nowMs: 0, tables, undo: [], held, open: false, begunAfter: 0, waitsFor: null, by };
    if (onLock !== undefined) tx.onLock = (row) => onLock(row, held);
    let closed = false;
    let busy = false;
    const end = () => {
      rollback(tx);
      releaseNamed(self, () => true);
      sessions.delete(self);
      deps.journal?.({ session: self.id, kind: "ended" });
    };
    let idleSinceMs = deps.nowMs();
    let onKilled = (): void => undefined;
    const self: Thread = {
      id: ++threads,
      tx,
      idleSinceMs: () => (busy ? null : idleSinceMs),
      kill() {
        closed = true;
        if (tx.waitsFor !== null) tx.waitsFor.waiting = tx.waitsFor.waiting.filter((w) => w.holder !== tx);
        tx.waitsFor = null;
        busy = true; // so that it runs nothing more
        end();
        onKilled();
      },
    };
    sessions.add(self);
    const isAnyWaiting = () => [...sessions].some(({ tx: { waitsFor } }) => waitsFor !== null);
    const entryOf = (source: Source) => ({ session: self.id, source, nowMs: tx.nowMs });

    const run = (
      statements: readonly Statement[],
      done: (error: Error | null, results: Outcome[]) => void,
    ) => {
      const results: Outcome[] = [];
      let at = 0;
      let mark = 0;
      let steps: Generator<Row, Outcome, void> | null = null;
      const fail = (error: unknown, executed = false) => {
        tx.waitsFor = null;
        if (!(error instanceof SqlError)) throw error;
        deps.onRefused(error, tx.by);
        const { errno } = error;
        const rolledBack = errno === DEADLOCK || !tx.open;
        if (rolledBack) rollback(tx);
        else undo(tx, mark);
        const { source } = statements[at] as Statement;
        if (source !== undefined)
          deps.journal?.({ ...entryOf(source), kind: "failed", errno, executed, rolledBack });
        done(error, results);
      };
      const next = () => {
        for (;;) {
          const statement = statements[at];
          if (!sessions.has(self)) return;
          if (statement === undefined) return done(null, results);
          if (steps === null) {
            mark = tx.undo.length;
            const fault = deps.fault(statement);
            if (fault !== null) return fail(fault);
            tx.nowMs = deps.nowMs();
            if (statement.k === "begin" || statement.k === "commit") commit(tx);
            if (statement.k === "rollback") rollback(tx);
            if (statement.k === "begin") Object.assign(tx, { open: true, begunAfter: commits });
            steps = execute(tx, statement);
          }
          let step: IteratorResult<Row, Outcome>;
          try {
            step = steps.next();
          } catch (error) {
            return fail(error, true);
          }
          if (!step.done) return wait(step.value);
          results.push(step.value);
          if (statement.source !== undefined)
            deps.journal?.({
              ...entryOf(statement.source),
              kind: "ran",
              outcome: step.value,
              besideWait: isAnyWaiting(),
            });
          steps = null;
          at++;
          if (!tx.open) commit(tx);
          const pauseMs = at < statements.length ? deps.pauseMs() : 0;
          if (pauseMs > 0) return deps.after(pauseMs, next);
        }
      };
      const wait = (row: Row) => {
        if (isDeadlock(tx, row)) return fail(new SqlError(DEADLOCK, "deadlock"));
        tx.waitsFor = row;
        const waiter = {
          holder: tx,
          granted: () => {
            tx.waitsFor = null;
            if (row.holder === tx) tx.held.add(row);
            deps.after(0.01, next);
          },
        };
        row.waiting.push(waiter);
        deps.after(LOCK_WAIT_MS, () => {
          if (!row.waiting.includes(waiter)) return;
          row.waiting = row.waiting.filter((w) => w !== waiter);
          fail(new SqlError(LOCK_WAIT, "lock wait time-out"));
        });
      };
      next();
    };

    const session: Session = {
      onKilled: () => undefined,
      query(text, values, done) {
        if (closed) return;
        if (IDLE.test(text)) return done(null, idleFor(Number(values[0]) * 1_000));
        const kill = KILL.exec(text);
        if (kill !== null) return killThread(Number(kill[1]), done);
        if (GET_LOCK.test(text)) return done(null, takeNamed(values[0], self));
        if (RELEASE_LOCK.test(text)) {
          releaseNamed(self, (name) => name === values[0]);
          return done(null, null);
        }
        busy = true;
        const statements = parseSql(text, values);
        run(statements, (error, results) => {
          busy = false;
          idleSinceMs = deps.nowMs();
          if (closed) end();
          done(error, statements.length === 1 ? results[0] : results);
        });
      },
      close() {
        if (closed) return;
        closed = true;
        if (!busy) end();
      },
    };
    onKilled = () => session.onKilled();
    return session;
  };

  return {
    tables,
    connect: (by) => (up ? open(by) : null),
    crash() {
      up = false;
      for (const session of sessions) session.kill();
    },
    start() {
      up = true;
    },
    isUp: () => up,
    open: () => [...sessions].filter(({ tx }) => tx.held.size > 0).length,
  };
}
