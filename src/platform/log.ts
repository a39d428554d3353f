// JSON lines on stdout, by pino. Never logs a message's text, a full phone or a key: callers log ids, and
// fields with such names are redacted.

import pino from "pino";

export type Log = pino.Logger;

const { warn: WARN = 40, error: ERROR = 50, fatal: FATAL = 60 } = pino.levels.values;

/** Levels whose lines are counted for the metrics. */
export const COUNTED_LEVELS = ["warn", "error", "fatal"] as const;
type CountedLevel = (typeof COUNTED_LEVELS)[number];
const lines: Record<CountedLevel, number> = { warn: 0, error: 0, fatal: 0 };
/** The number of lines of this level that the process has logged. */
export const linesLogged = (level: CountedLevel): number => lines[level];

/** `role` appears on every line; lines below `level` are neither written nor counted. */
export function createLog(role: string, level: string): Log {
  return pino({
    level,
    base: { role, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: ["text", "phone", "api_key", "*.text", "*.phone", "*.api_key"], censor: "[hidden]" },
    serializers: { err: errorFields },
    formatters: { level: (label) => ({ level: label }) },
    hooks: {
      logMethod(args, method, level) {
        if (level >= WARN) lines[level < ERROR ? "warn" : level < FATAL ? "error" : "fatal"]++;
        method.apply(this, args);
      },
    },
  });
}

// mysql2's errors contain the whole statement, with texts and phones: this keeps what happened and leaves out
// the data.
function errorFields(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) };
  const { code, errno } = error as { code?: unknown; errno?: unknown };
  const cause = error.cause === undefined ? undefined : errorFields(error.cause);
  const isSql = "sql" in error;
  return {
    name: error.name,
    message: isSql ? undefined : error.message,
    code,
    errno,
    cause,
    stack: isSql ? undefined : error.stack,
  };
}
