// Replacing the routes file for whoever runs Sluice: one change at a time, only in place of the version that
// it is meant for, with its row in the audit log. Leaves the file to src/operators/stored-routes.ts, and
// telling the processes to the caller.
// Order: the new text is on the disk beside the file, its row is committed, then it takes the file's place.
// So no change is without its row, whatever dies. A row without its change is possible, by a death right
// before the last step; the next row's `old` tells.

import { ROUTES_CHANGED } from "../core/audit.ts";
import { SluiceError } from "../core/errors.ts";
import { withLock } from "../platform/named-lock.ts";
import { sleep } from "../platform/retry.ts";
import { audited, type By, type Change, lent } from "./audit.ts";

/** A text without faults, for the file. Versions are SHA-256 in hex. */
export type RoutesReplacement = {
  path: string;
  version: string;
  /** The version that it is meant to replace; null: any. */
  expected: string | null;
  /** The version that is there, and what the text changes of it. */
  current(): { version: string; changes: string[] };
  /** Writes the text beside the file; `place` makes it the file. */
  stage(): { place(): void; discard(): void };
};
/** `replaced`: the version that was there; the same as `version` if nothing was to be done. */
export type RoutesReplaced = { version: string; replaced: string; changes: string[] };

/** Another change lasts milliseconds. */
const WAIT_MAX_MS = 5_000;
const POLL_MS = 25;

/**
 * Replaces the file, unless it has this text already, as after an answer that was lost (RFC 9110, 13.1.1).
 * @throws SluiceError version_conflict, unavailable
 */
export async function replaceRoutes(by: By, replacement: RoutesReplacement): Promise<RoutesReplaced> {
  for (const endMs = performance.now() + WAIT_MAX_MS; ; await sleep(POLL_MS)) {
    const replaced = await withLock(by.pool, "routes-file", (conn) =>
      replaceAlone({ ...by, pool: lent(conn) }, replacement),
    );
    if (replaced !== "busy") return replaced;
    if (performance.now() > endMs)
      throw new SluiceError("unavailable", { detail: "Another change of the routes file is under way." });
  }
}

async function replaceAlone(by: By, replacement: RoutesReplacement): Promise<RoutesReplaced> {
  const { path, version, expected } = replacement;
  const { version: replaced, changes } = replacement.current();
  if (version === replaced) return { version, replaced, changes };
  if (expected !== null && expected !== replaced)
    throw new SluiceError("version_conflict", {
      detail: `The routes file's version is ${replaced} now. Nothing was changed.`,
    });
  const change = { action: ROUTES_CHANGED, subject: path } as const;
  const staged = replacement.stage();
  try {
    await log(by, { ...change, old: { version: replaced }, new: { version, changes } });
  } catch (error) {
    staged.discard();
    throw error;
  }
  try {
    staged.place();
  } catch (error) {
    staged.discard();
    const reason = `Not done after all: ${error instanceof SluiceError ? error.detail : "unknown"}`;
    await log(by, { ...change, reason, old: { version }, new: { version: replaced } });
    throw error;
  }
  return { version, replaced, changes };
}

const log = (by: By, change: Change): Promise<null> =>
  audited(by, () => Promise.resolve({ result: null, change }));
