// Secrets of operators: the routes file names where each is kept, `{env: NAME}` or `{file: PATH}`, and they
// are read when the file is. Invariant: no fault, log or command contains a secret. Bound: SECRET_BYTES_MAX.

import { openSync, readSync, closeSync } from "node:fs";
import { resolve } from "node:path";
import { Type } from "typebox";

export type SecretSource = {
  env: Readonly<Record<string, string | undefined>>;
  /** Relative paths of secrets start here: the routes file's folder. */
  folder: string;
};
export type FoundSecret = { secret: string } | { problem: string };

const SECRET_BYTES_MAX = 4_096;
const closed = { additionalProperties: false };

/**
 * The schema of a secret as the file has it; what is read in its place is text. `writeOnly` (JSON Schema
 * validation, 9.4) marks it.
 */
export const secret = (description: string, maxLength = SECRET_BYTES_MAX) =>
  Type.Unsafe<string>({
    description,
    maxLength,
    writeOnly: true,
    anyOf: [
      Type.Object({ env: Type.String({ pattern: "^[A-Za-z_][A-Za-z0-9_]*$" }) }, closed),
      Type.Object({ file: Type.String({ minLength: 1 }) }, closed),
    ],
  });

export function findSecret(kept: { env: string } | { file: string }, from: SecretSource): FoundSecret {
  const found = "env" in kept ? fromEnv(kept.env, from) : fromFile(resolve(from.folder, kept.file));
  if ("problem" in found) return found;
  const where = "env" in kept ? `the environment's ${kept.env}` : `the file ${kept.file}`;
  if (found.secret === "") return { problem: `${where} is empty: put the secret there` };
  // What neither a header of HTTP nor a string of SMPP can carry.
  if (!/^[\u0020-\u007e\u00a0-\u00ff]*$/.test(found.secret))
    return { problem: `${where} has a line break or another character that can't be sent: remove it` };
  return found;
}

function fromEnv(name: string, { env }: SecretSource): FoundSecret {
  const value = env[name];
  return value === undefined
    ? { problem: `the environment has no ${name}: set it for every process that reads this file` }
    : { secret: value };
}

// Reads a bounded piece, so that a wrong path such as /dev/zero ends too.
function fromFile(path: string): FoundSecret {
  try {
    const file = openSync(path, "r");
    try {
      const bytes = Buffer.alloc(SECRET_BYTES_MAX + 1);
      const read = readSync(file, bytes, 0, bytes.length, 0);
      if (read > SECRET_BYTES_MAX) return { problem: `${path} has more than ${SECRET_BYTES_MAX} bytes` };
      return { secret: bytes.toString("utf8", 0, read).replace(/\r?\n$/, "") };
    } finally {
      closeSync(file);
    }
  } catch (error) {
    return { problem: `${path} can't be read (${(error as NodeJS.ErrnoException).code ?? "unknown"})` };
  }
}
