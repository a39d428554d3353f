// Writes that may simply be repeated, and whose connection to MySQL is lost: whether they are stored is not
// known, so whoever asked for them is told to repeat them. Leaves finding out what was stored to those who
// can: the group commit, kept answers, the audit log.

import { SluiceError } from "../core/errors.ts";
import { isConnectionLost } from "./mysql-errors.ts";

export const inDoubt = (cause: unknown): SluiceError =>
  new SluiceError("outcome_unknown", {
    detail: "The connection to the database was lost. Repeat the request: twice has the effect of once.",
    cause,
  });

/** @throws SluiceError outcome_unknown if the connection is lost, at COMMIT or before; and as `write` */
export async function repeatable<T>(write: Promise<T>): Promise<T> {
  try {
    return await write;
  } catch (cause) {
    throw isConnectionLost(cause) ? inDoubt(cause) : cause;
  }
}
