// JSON lines on stdout, by pino. Never a text, a phone in full, or a key: callers log ids; what slips in by
// name is redacted.

import pino from "pino";

export type Log = pino.Logger;

export function createLog(role: string, level: string): Log {
  return pino({
    level,
    base: { role, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: ["text", "phone", "api_key", "*.text", "*.phone", "*.api_key"], censor: "[hidden]" },
    serializers: { err: errorFields },
    formatters: { level: (label) => ({ level: label }) },
  });
}

// mysql2 puts the whole statement, texts and phones included, on its errors: keep what says what happened,
// not the data.
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
