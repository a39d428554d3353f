// Stores operators' reports before they are acknowledged: those that come while a row is being written share
// the next one. Rows are written some 20 ms apart at most, because nobody waits for a report as for a 202.
// Leaves SQL to inbox-rows.ts, reading and settling to src/dlr/.
// Invariant: store() resolves only once its report is committed; if it rejects, the report may be stored
// nevertheless, and the operator sends it again, which is harmless.
// Bound: INBOX_WAITING_MAX reports, INBOX_WAITING_BYTES_MAX in all, INBOX_ROW_REPORTS_MAX a row.

import { SluiceError } from "../core/errors.ts";
import { INBOX_ROW_REPORTS_MAX, INBOX_WAITING_BYTES_MAX, INBOX_WAITING_MAX } from "../core/limits.ts";
import { type RawReport, sizeOf } from "../core/raw-report.ts";
import type { Pool } from "../platform/mysql.ts";
import { rowLength, storeReports } from "./inbox-rows.ts";

export type Inbox = {
  /** @throws SluiceError overloaded, or the driver's error if MySQL failed */
  store(report: RawReport): Promise<void>;
};
type Waiting = { report: RawReport; resolve: () => void; reject: (error: unknown) => void };

const APART_MS = 20;

export function createInbox(pool: Pick<Pool, "write">, monotonicMs: () => number): Inbox {
  const waiting: Waiting[] = [];
  let bytes = 0;
  let isWriting = false;
  let beganMs = Number.NEGATIVE_INFINITY;

  const takeBatch = (): Waiting[] => {
    const next = waiting.slice(0, INBOX_ROW_REPORTS_MAX).map(({ report }) => report);
    const batch = waiting.splice(0, rowLength(next));
    for (const { report } of batch) bytes -= sizeOf(report);
    return batch;
  };
  const write = async () => {
    isWriting = true;
    while (waiting.length > 0) {
      const restMs = beganMs + APART_MS - monotonicMs();
      if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs));
      beganMs = monotonicMs();
      const batch = takeBatch();
      await storeReports(
        pool,
        batch.map(({ report }) => report),
      ).then(
        () => {
          for (const { resolve } of batch) resolve();
        },
        (error: unknown) => {
          for (const { reject } of batch) reject(error);
        },
      );
    }
    isWriting = false;
  };
  return {
    store(report) {
      const size = sizeOf(report);
      if (waiting.length >= INBOX_WAITING_MAX || bytes + size > INBOX_WAITING_BYTES_MAX)
        return Promise.reject(
          new SluiceError("overloaded", { detail: "Too many reports wait to be stored." }),
        );
      return new Promise((resolve, reject) => {
        waiting.push({ report, resolve, reject });
        bytes += size;
        if (!isWriting) void write();
      });
    },
  };
}
