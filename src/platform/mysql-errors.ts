// The MySQL errors that Sluice handles, and what they mean to it. Their numbers appear only here; other
// errors are not handled. The driver's own errors about lost connections have no MySQL number.

const MYSQL_ERRORS = {
  // Repeat the whole transaction: nothing of it is stored, and the next try may succeed.
  deadlock: 1213,
  lockWait: 1205,
  // The row exists already, or breaks a CHECK: the request is refused, and a retry can't help.
  duplicate: 1062,
  checkViolated: 3819,
  // The server ended the statement at max_execution_time.
  tookTooLong: 3024,
  // KILL of a connection that has already ended.
  noSuchThread: 1094,
  // Nothing has been migrated yet.
  noDatabase: 1049,
  noTable: 1146,
  // A migration's statement ran before but wasn't recorded: its table, column or key already exists or is
  // gone.
  tableExists: 1050,
  columnExists: 1060,
  keyExists: 1061,
  nothingToDrop: 1091,
  foreignKeyExists: 1826,
  // Creating a trigger needs SUPER while there is a binary log.
  noTriggersWithBinlog: 1419,
} as const;
export type MysqlError = keyof typeof MYSQL_ERRORS;

export const errorNumber = (error: unknown): number | undefined =>
  (error as { errno?: number } | undefined)?.errno;

/** Whether the error is one of these. */
export const isError = (error: unknown, ...names: readonly MysqlError[]): boolean =>
  names.some((name) => MYSQL_ERRORS[name] === errorNumber(error));

/** The whole transaction may be repeated. */
export const isRetryable = (error: unknown): boolean => isError(error, "deadlock", "lockWait");

/** The data itself is refused (SQLSTATE classes 22 and 23): the same rows would fail again. */
export const isDataError = (error: unknown): boolean =>
  /^2[23]/.test((error as { sqlState?: string } | undefined)?.sqlState ?? "");

/** Something that a statement names isn't there (SQLSTATE class 42S): no row can be the cause. */
export const isSchemaError = (error: unknown): boolean =>
  (error as { sqlState?: string } | undefined)?.sqlState?.startsWith("42S") === true;

/** The connection is gone, so the server may not have received or answered the statement. */
export const isConnectionLost = (error: unknown): boolean => {
  const e = error as { fatal?: boolean; code?: string } | undefined;
  return e?.fatal === true || /^(PROTOCOL_|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|ENOENT)/.test(e?.code ?? "");
};
