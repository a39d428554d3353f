// The network between a process and the simulated MySQL server: connections with latency, which break before
// a statement arrives, after it ran, or on the way. Owns what the client sees of that; leaves the rules of a
// pool (transactions, retries) to the real code in src/platform/mysql.ts.
// Invariant: while its process lives, every query is answered once, with a result or an error.

import { MYSQL_ANSWER_MAX_MS } from "../../src/core/limits.ts";
import { type Pool, poolOf, type RawConnection } from "../../src/platform/mysql.ts";
import type { Kernel, Process } from "../simulation/kernel.ts";
import type { Server, Session } from "./server.ts";

/** The probability of each fault for one query; COMMIT has its own, because there it matters most. */
export type NetworkFaults = {
  lost: number;
  answerLost: number;
  late: number;
  /** The answer never comes, and the connection stays open. */
  hangs: number;
  slow: number;
  commitFactor: number;
};
type Connection = {
  of: Process;
  session: Session;
  dead: boolean;
  /** What was sent will still arrive; the server sees the end of the connection after it. */
  ends: boolean;
  /** Fails the current query. */
  fail: ((error: Error) => void) | null;
};
export type Network = {
  pool(of: Process, connections: number): Pool;
  /** The server died: every client notices. */
  serverDied(): void;
  processDied(of: Process): void;
  /** For a while every answer to this process takes long. */
  slow(of: Process, forMs: number): void;
  /** All connections of a process break, and new ones are refused for a while. */
  cutOff(of: Process, forMs: number): void;
  isCutOff(of: Process): boolean;
};

type Query = Parameters<RawConnection["query"]>[0];

const lostError = (code: string): Error => Object.assign(new Error(code), { code, fatal: true });

export function createNetwork(kernel: Kernel, server: Server, faults: NetworkFaults): Network {
  const { random } = kernel;
  const connections = new Set<Connection>();
  const cutUntilMs = new Map<Process, number>();
  const slowUntilMs = new Map<Process, number>();
  const isCutOff = (of: Process): boolean => (cutUntilMs.get(of) ?? 0) > kernel.nowMs();
  const latencyOf = (of: Process) => {
    if ((slowUntilMs.get(of) ?? 0) > kernel.nowMs()) return random.between(10, 120);
    return random.chance(faults.slow) ? random.between(5, 400) : random.between(0.05, 0.4);
  };

  const query = (
    conn: Connection,
    { sql: text, values, timeout }: Query,
    answer: (error: Error | null, result: unknown) => void,
  ) => {
    const { of, session } = conn;
    const latency = () => latencyOf(of);
    let isAnswered = false;
    const done = (delayMs: number, error: Error | null, result: unknown) =>
      kernel.after(delayMs, of, () => {
        if (isAnswered) return;
        isAnswered = true;
        conn.fail = null;
        answer(error, result);
      });
    const lose = (delayMs: number) => {
      conn.dead = true;
      done(delayMs, lostError("PROTOCOL_CONNECTION_LOST"), null);
    };
    if (conn.dead) return done(0.01, lostError("PROTOCOL_ENQUEUE_AFTER_FATAL_ERROR"), null);
    conn.fail = (error) => done(0.01, error, null);
    const factor = text === "COMMIT" ? faults.commitFactor : 1;
    const arrive = (delayMs: number, then: (error: Error | null, result: unknown) => void) =>
      kernel.after(delayMs, null, () => session.query(text, values ?? [], then));
    if (random.chance(faults.lost * factor)) {
      conn.ends = true;
      kernel.after(random.between(0, 200), null, () => session.close());
      return lose(latency());
    }
    if (random.chance(faults.answerLost * factor))
      return arrive(latency(), () => {
        session.close();
        lose(latency());
      });
    if (random.chance(faults.late * factor)) {
      conn.ends = true;
      arrive(random.between(1, 300), () => session.close());
      return lose(latency());
    }
    if (timeout !== undefined)
      kernel.after(timeout, of, () => {
        if (isAnswered) return;
        conn.dead = true;
        done(0, lostError("PROTOCOL_SEQUENCE_TIMEOUT"), null);
      });
    const hangs = random.chance(faults.hangs * factor);
    arrive(latency(), (error, result) => {
      if (!hangs) done(latency(), error, result);
    });
  };

  const drop = (conn: Connection, afterMs: number) => {
    conn.dead = true;
    connections.delete(conn);
    conn.fail?.(lostError("PROTOCOL_CONNECTION_LOST"));
    if (!conn.ends) kernel.after(afterMs, null, () => conn.session.close());
  };

  const pool = (of: Process, most: number): Pool => {
    const idle: Connection[] = [];
    const waiting: { resolve: (raw: RawConnection) => void; reject: (error: Error) => void }[] = [];
    let total = 0;
    const rawOf = (conn: Connection): RawConnection => ({
      query: (what, done) => query(conn, what, done),
      release: () => (conn.dead ? gone() : give(conn)),
      destroy() {
        drop(conn, random.between(0, 30));
        gone();
      },
    });
    const give = (conn: Connection) => {
      const next = waiting.shift();
      if (next === undefined) idle.push(conn);
      else next.resolve(rawOf(conn));
    };
    const gone = () => {
      total--;
      const next = waiting.shift();
      if (next !== undefined) take().then(next.resolve, next.reject);
    };
    const take = (): Promise<RawConnection> => {
      for (;;) {
        const conn = idle.pop();
        if (conn === undefined) break;
        if (!conn.dead) return Promise.resolve(rawOf(conn));
        total--;
      }
      if (total >= most) return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
      total++;
      return new Promise((resolve, reject) => {
        kernel.after(latencyOf(of) + 0.2, of, () => {
          const session = isCutOff(of) ? null : server.connect(of);
          if (session === null) {
            gone();
            return reject(lostError("ECONNREFUSED"));
          }
          const conn: Connection = { of, session, dead: false, ends: false, fail: null };
          connections.add(conn);
          session.onKilled = () => drop(conn, 0);
          resolve(rawOf(conn));
        });
      });
    };
    return poolOf({ take, end: () => Promise.resolve() }, MYSQL_ANSWER_MAX_MS);
  };

  return {
    pool,
    serverDied() {
      for (const conn of connections) drop(conn, 0);
    },
    processDied(of) {
      for (const conn of connections) if (conn.of === of) drop(conn, random.between(0, 50));
    },
    slow(of, forMs) {
      slowUntilMs.set(of, kernel.nowMs() + forMs);
    },
    cutOff(of, forMs) {
      cutUntilMs.set(of, kernel.nowMs() + forMs);
      for (const conn of connections) if (conn.of === of) drop(conn, random.between(0, 200));
    },
    isCutOff,
  };
}
