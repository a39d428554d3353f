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

/** The server can't do its work now, whatever the rows of the statement say. */
const SERVER_TROUBLES: Record<string, readonly number[]> = {
  // The disk, a table or a temporary file.
  full: [3, 1021, 1026, 1114, 1878],
  // A file, a table or the binlog can't be used.
  broken: [1015, 1016, 1024, 1030, 1180, 1194, 1195, 1598, 1812, 1877],
  // Of memory, locks or transactions.
  short: [1037, 1038, 1041, 1206, 1637],
  // It stops, or has ended the statement or the session.
  stopping: [1053, 1317, 3024, 3169],
  // Or its replication refuses the commit.
  readOnly: [1290, 1792, 1836, 1874, 3100],
  // Those of our login.
  rightMissing: [1044, 1142, 1143, 1227],
};

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

/** The server itself is in trouble: no row can be the cause, and all others would fail as well. */
export const isServerTrouble = (error: unknown): boolean =>
  Object.values(SERVER_TROUBLES).some((numbers) => numbers.includes(errorNumber(error) ?? 0));

/** The connection is gone, so the server may not have received or answered the statement. */
export const isConnectionLost = (error: unknown): boolean => {
  const e = error as { fatal?: boolean; code?: string } | undefined;
  return e?.fatal === true || /^(PROTOCOL_|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|ENOENT)/.test(e?.code ?? "");
};
