// Writes whose connection to MySQL is lost: whether they are stored is not known, so whoever asked for them
// is told to repeat them, or to look first where a repeat may have another effect. Leaves finding out what
// was stored to those who can: the group commit, kept answers, the audit log.

import { SluiceError } from "../core/errors.ts";
import { isConnectionLost } from "./mysql-errors.ts";

const repeatIt = (cause: unknown): SluiceError =>
  new SluiceError("outcome_unknown", {
    detail: "The connection to the database was lost. Repeat the request: twice has the effect of once.",
    cause,
  });

const lookFirst = (cause: unknown): SluiceError =>
  new SluiceError("outcome_unknown", {
    detail: "The connection to the database was lost. Ask what became of it before you repeat the request.",
    cause,
  });

export const inDoubt = (cause: unknown, isRepeatable: boolean): SluiceError =>
  isRepeatable ? repeatIt(cause) : lookFirst(cause);

/**
 * Awaits a write, or a read after a write, by which that is stored. `isRepeatable`: twice has the effect of
 * once, whatever others do in between. Otherwise who asked is told to look first. @throws SluiceError
 * outcome_unknown if the connection is lost, at COMMIT or before; and as `write`
 */
export async function repeatable<T>(write: Promise<T>, isRepeatable = true): Promise<T> {
  try {
    return await write;
  } catch (cause) {
    throw isConnectionLost(cause) ? inDoubt(cause, isRepeatable) : cause;
  }
}
