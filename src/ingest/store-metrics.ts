// Counts and times the transactions of ingest. Each store is wrapped once, so that neither the group commit
// nor the leases know about metrics.

import { type AcceptStore, CommitInDoubtError, FencedError } from "../ledger/accept.ts";
import { KeyTakenError } from "../ledger/idempotency.ts";
import type { LeaseStore } from "../ledger/lease.ts";
import type { Metrics } from "../platform/metrics.ts";
import { COMMIT_FAILURES } from "../platform/ingest-metrics.ts";
import { isDataError } from "../platform/mysql-errors.ts";

type CommitFailure = (typeof COMMIT_FAILURES)[number];

export function meteredAccept(store: AcceptStore, metrics: Metrics): AcceptStore {
  const rows = metrics.histogram("sluice_ingest_commit_rows", {});
  const time = metrics.histogram("sluice_ingest_commit_duration_seconds", {});
  const failed = new Map(
    COMMIT_FAILURES.map((reason) => [
      reason,
      metrics.counter("sluice_ingest_commit_failures_total", { reason }),
    ]),
  );
  return {
    ...store,
    async accept(batch) {
      const startedMs = performance.now();
      try {
        await store.accept(batch);
        rows(batch.records.length);
      } catch (error) {
        failed.get(failureOf(error))?.(1);
        throw error;
      } finally {
        time((performance.now() - startedMs) / 1_000);
      }
    },
  };
}

function failureOf(error: unknown): CommitFailure {
  if (error instanceof CommitInDoubtError) return "in_doubt";
  if (error instanceof FencedError) return "fenced";
  if (error instanceof KeyTakenError) return "key_taken";
  return isDataError(error) ? "refused_data" : "retried";
}

/** Counts and times every operation of the store under the operation's own name. */
export function meteredLeases(store: LeaseStore, metrics: Metrics): LeaseStore {
  const granted = metrics.counter("sluice_lease_grants_total", {});
  const timed = Object.entries(store).map(([operation, run]) => {
    const time = metrics.histogram("sluice_lease_operation_duration_seconds", { operation });
    const failed = metrics.counter("sluice_lease_operation_failures_total", { operation });
    const metered = async (...given: unknown[]): Promise<unknown> => {
      const startedMs = performance.now();
      try {
        return await (run as (...given: unknown[]) => Promise<unknown>)(...given);
      } catch (error) {
        failed(1);
        throw error;
      } finally {
        time((performance.now() - startedMs) / 1_000);
      }
    };
    return [operation, metered] as const;
  });
  const all = Object.fromEntries(timed) as unknown as LeaseStore;
  return {
    ...all,
    async grant(wants, options) {
      const grants = await all.grant(wants, options);
      granted(grants.filter((grant) => grant.granted > 0).length);
      return grants;
    },
  };
}
