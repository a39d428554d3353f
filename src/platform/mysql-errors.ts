// MySQL's errors that this program knows, and what they mean to it. Numbers stand here only; any other
// error is nobody's to handle. What the driver says of a lost connection has no number of MySQL's.

const MYSQL_ERRORS = {
  // Repeat the whole transaction: nothing of it is stored, and the next try may find the way free.
  deadlock: 1213,
  lockWait: 1205,
  // The row is there already, or breaks a CHECK: what was asked for is refused, whatever is tried.
  duplicate: 1062,
  checkViolated: 3819,
  // The server ended the statement at max_execution_time.
  tookTooLong: 3024,
  // KILL of a connection that has ended by itself.
  noSuchThread: 1094,
  // Nothing is migrated yet.
  noDatabase: 1049,
  noTable: 1146,
  // A statement of a migration ran before and wasn't recorded: its table, column or key is there or gone.
  tableExists: 1050,
  columnExists: 1060,
  keyExists: 1061,
  nothingToDrop: 1091,
  foreignKeyExists: 1826,
} as const;
export type MysqlError = keyof typeof MYSQL_ERRORS;

export const errorNumber = (error: unknown): number | undefined =>
  (error as { errno?: number } | undefined)?.errno;

/** Whether it is one of these. */
export const isError = (error: unknown, ...names: readonly MysqlError[]): boolean =>
  names.some((name) => MYSQL_ERRORS[name] === errorNumber(error));

export const isRetryable = (error: unknown): boolean => isError(error, "deadlock", "lockWait");

/** The data itself is refused (SQLSTATE classes 22 and 23): the same rows fail again, whatever is tried. */
export const isDataError = (error: unknown): boolean =>
  /^2[23]/.test((error as { sqlState?: string } | undefined)?.sqlState ?? "");

/** True when the server may not have heard or answered the statement: the connection is gone. */
export const isConnectionLost = (error: unknown): boolean => {
  const e = error as { fatal?: boolean; code?: string } | undefined;
  return e?.fatal === true || /^(PROTOCOL_|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|ENOENT)/.test(e?.code ?? "");
};
