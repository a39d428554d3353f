// What has become of messages so far, for a caller that waits for it: one read of the primary key for many of
// them. Leaves to its caller that they are its customers' own.

import type { Status } from "../core/message.ts";
import type { Pool } from "../platform/mysql.ts";

/** `lastError`: why it last failed. */
export type Outcome = { status: Status; lastError: string | null };

/** By id; without those that there are not. */
export async function readOutcomes(
  pool: Pick<Pool, "query">,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Outcome>> {
  // The hint, because today's partition may still be believed to be empty: it would be read whole.
  const rows = await pool.query<{ id: string; status: Status; last_error: string | null }[]>(
    "SELECT id, status, last_error FROM messages FORCE INDEX (PRIMARY) WHERE id IN (?)",
    [ids],
  );
  return new Map(rows.map(({ id, status, last_error }) => [id, { status, lastError: last_error }]));
}
